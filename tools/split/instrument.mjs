// The module with a byte for every function it defines: the byte becomes 1 when the function is first called. The bytes lie behind
// the memory that the module starts with, where its allocator never looks (it owns only what `memory.grow` gives it).

import { Reader, join, s32, u32, vector } from "./bytes.mjs";
import { SECTION, bodiesSection, limitsBytes, parse, rebuild } from "./module.mjs";
import { skipLocals } from "./opcodes.mjs";

const PAGE = 65_536;

/** `{ bytes, base, count }`: the module, where the bytes lie, and how many they are. */
export function instrument(original) {
  const module = parse(original);
  if (module.memories.length !== 1) throw new Error(`${module.memories.length} memories are defined; one is needed`);
  const { min, max } = module.memories[0];
  const [base, count] = [min * PAGE, module.bodies.length];
  const pages = min + Math.ceil(count / PAGE);
  if (max !== null && max < pages) throw new Error("the memory may not grow");
  const bodies = module.bodies.map((body, i) => {
    const reader = new Reader(body);
    skipLocals(reader);
    // i32.const 0, i32.const 1, i32.store8 offset=base+i
    const mark = [0x41, ...s32(0), 0x41, ...s32(1), 0x3a, 0, ...u32(base + i)];
    return join([body.subarray(0, reader.at), mark, body.subarray(reader.at)]);
  });
  const bytes = rebuild(module, { [SECTION.memory]: vector([limitsBytes({ min: pages, max })]), [SECTION.code]: bodiesSection(bodies) });
  return { bytes, base, count };
}

/** Which functions were called, from the memory of an instance of the instrumented module. */
export function called(memory, base, count) {
  const marks = new Uint8Array(memory.buffer, base, count).slice();
  if (marks.some((mark) => mark > 1)) throw new Error("something else was written where the calls are noted");
  return marks;
}
