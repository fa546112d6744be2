// The module with a counter for every place of its functions (`places` in body.mjs): how often it was reached, up to 65,535. The
// counters lie at the far end of the stack, which is at the bottom of the memory and never used up: so that everything else has the
// address that it has without them. (Tables are hashed by address, and how a search in them goes depends on it.)

import { places, tree } from "./body.mjs";
import { join, s32, u32 } from "./bytes.mjs";
import { SECTION, bodiesSection, parse, rebuild } from "./module.mjs";

/** The most that a counter holds. */
const MOST = 65_535;
/** So many bytes behind the counters have to stay 0: a stack that comes down to them would come down further. */
const GUARD = 64;

/**
 * `{ bytes, base, count }`: the module, where the counters lie, and how many they are. `base` is even; `room`: how much of the stack
 * is left, at least.
 */
export function instrument(original, { base = 1_024, room = 262_144 } = {}) {
  const module = parse(original);
  let count = 0;
  const bodies = module.bodies.map((body, i) => {
    const parts = [];
    let from = 0;
    for (const { at } of places(tree(module, body, module.types[module.functions[i]]).whole)) {
      parts.push(body.subarray(from, at), one(base + 2 * count++));
      from = at;
    }
    return join([...parts, body.subarray(from)]);
  });
  // The first global is the stack pointer, which comes down from here.
  const top = module.globals[0]?.init.value ?? 0;
  if (top < base + 2 * count + GUARD + room) throw new Error(`${count} places are too many for a stack of ${top} bytes`);
  const bytes = rebuild(module, { [SECTION.code]: bodiesSection(bodies) });
  return { bytes, base, count };
}

/** One more in the counter at `address`, unless it is full. */
function one(address) {
  const load = [0x41, 0, 0x2f, 1, ...u32(address)];
  // i32.store16(0, load + (load != MOST))
  return [0x41, 0, ...load, ...load, 0x41, ...s32(MOST), 0x47, 0x6a, 0x3b, 1, ...u32(address)];
}

/** How often each place was reached, from the memory of an instance of the instrumented module. */
export function reached(memory, base, count) {
  const guard = new Uint8Array(memory.buffer, base + 2 * count, GUARD);
  if (guard.some((byte) => byte !== 0)) throw new Error("the stack came down to where the places are counted");
  return new Uint16Array(memory.buffer, base, count).slice();
}

/** The sums of counts, as far as a counter goes. */
export function add(into, counts) {
  counts.forEach((count, i) => (into[i] = Math.min(MOST, into[i] + count)));
}
