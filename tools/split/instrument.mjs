// The module with a byte for every place of its functions that `outline.mjs` asks about: the byte becomes 1 when the place is first
// reached. The bytes lie at the far end of the stack, which is at the bottom of the memory and never used up: so that everything
// else has the address that it has without them. (Tables are hashed by address, and how a search in them goes depends on it.)

import { tree } from "./body.mjs";
import { join, s32, u32 } from "./bytes.mjs";
import { SECTION, bodiesSection, parse, rebuild } from "./module.mjs";
import { places } from "./outline.mjs";

/**
 * `{ bytes, base, count }`: the module, where the bytes lie, and how many they are. `room`: how much of the stack is left, at least.
 */
export function instrument(original, { base = 1_024, room = 262_144 } = {}) {
  const module = parse(original);
  let count = 0;
  const bodies = module.bodies.map((body, i) => {
    const parts = [];
    let from = 0;
    for (const { at } of places(tree(module, body, module.types[module.functions[i]]).whole)) {
      // i32.const 0, i32.const 1, i32.store8 offset=base+count
      parts.push(body.subarray(from, at), [0x41, ...s32(0), 0x41, ...s32(1), 0x3a, 0, ...u32(base + count++)]);
      from = at;
    }
    return join([...parts, body.subarray(from)]);
  });
  // The first global is the stack pointer, which comes down from here.
  const top = module.globals[0]?.init.value ?? 0;
  if (top < base + count + room) throw new Error(`${count} places are too many for a stack of ${top} bytes`);
  const bytes = rebuild(module, { [SECTION.code]: bodiesSection(bodies) });
  return { bytes, base, count };
}

/** Which places were reached, from the memory of an instance of the instrumented module. */
export function reached(memory, base, count) {
  const marks = new Uint8Array(memory.buffer, base, count).slice();
  if (marks.some((mark) => mark > 1)) throw new Error("something else was written where the places are noted");
  return marks;
}
