// Walks over the instructions of a function body or of a constant expression: MVP, sign extension, saturating conversions, bulk
// memory, reference types, multiple values and tail calls. Anything else (SIMD, exceptions, threads, GC) is refused: it might
// refer to a function.

import { Reader } from "./bytes.mjs";

const NOTHING = () => {};
const HANDLERS = new Array(256);
const MORE = [];

function each(from, to, handler) {
  for (let op = from; op <= to; op++) HANDLERS[op] = handler;
}

const blockType = (r) => r.s33();
const index = (r) => r.u32();
function memoryArgument(r) {
  const align = r.u32();
  if (align >= 32) throw new Error("several memories are not known here");
  r.u32();
}

each(0x00, 0x01, NOTHING); // unreachable, nop
each(0x02, 0x04, blockType); // block, loop, if
HANDLERS[0x05] = NOTHING; // else
HANDLERS[0x0b] = NOTHING; // end
each(0x0c, 0x0d, index); // br, br_if
HANDLERS[0x0e] = (r) => { // br_table
  for (let left = r.u32() + 1; left > 0; left--) r.skipLeb();
};
HANDLERS[0x0f] = NOTHING; // return
HANDLERS[0x10] = HANDLERS[0x12] = (r, seen) => seen.call(r.u32()); // call, return_call
HANDLERS[0x11] = HANDLERS[0x13] = (r) => { // call_indirect, return_call_indirect: type, table
  r.u32();
  r.u32();
};
each(0x1a, 0x1b, NOTHING); // drop, select
HANDLERS[0x1c] = (r) => r.vector((t) => t.byte()); // select with types
each(0x20, 0x26, index); // local.*, global.*, table.get, table.set
each(0x28, 0x3e, memoryArgument); // loads and stores
each(0x3f, 0x40, index); // memory.size, memory.grow
each(0x41, 0x42, (r) => r.skipLeb()); // i32.const, i64.const
HANDLERS[0x43] = (r) => r.take(4); // f32.const
HANDLERS[0x44] = (r) => r.take(8); // f64.const
each(0x45, 0xc4, NOTHING); // comparisons, arithmetic, conversions, sign extension
HANDLERS[0xd0] = (r) => r.skipLeb(); // ref.null
HANDLERS[0xd1] = NOTHING; // ref.is_null
HANDLERS[0xd2] = (r, seen) => seen.refFunc(r.u32()); // ref.func
HANDLERS[0xfc] = (r, seen) => {
  const op = r.u32();
  if (!MORE[op]) throw new Error(`unknown instruction 0xfc ${op} before ${r.at}`);
  MORE[op](r, seen);
};

for (let op = 0; op <= 7; op++) MORE[op] = NOTHING; // saturating conversions
MORE[8] = (r, seen) => { // memory.init: segment, memory
  seen.segment("memory.init", r.u32());
  r.u32();
};
MORE[9] = (r, seen) => seen.segment("data.drop", r.u32());
MORE[10] = (r) => { // memory.copy
  r.u32();
  r.u32();
};
MORE[11] = index; // memory.fill
MORE[12] = (r, seen) => { // table.init: segment, table
  seen.segment("table.init", r.u32());
  r.u32();
};
MORE[13] = (r, seen) => seen.segment("elem.drop", r.u32());
MORE[14] = (r) => { // table.copy
  r.u32();
  r.u32();
};
MORE[15] = MORE[16] = MORE[17] = index; // table.grow, table.size, table.fill

/**
 * Walks from `reader.at` to `reader.end`, or to the `end` that closes a constant expression if `constant` is set.
 * `seen` is told of functions (`call`, `refFunc`) and of segments (`segment(instruction, index)`).
 */
export function walk(reader, seen, constant = false) {
  while (!reader.done) {
    if (pass(reader, seen) === 0x0b && constant) return;
  }
}

/** Passes over one instruction; its opcode. */
export function pass(reader, seen) {
  const at = reader.at;
  const op = reader.byte();
  const handler = HANDLERS[op];
  if (!handler) throw new Error(`unknown instruction 0x${op.toString(16)} at ${at}`);
  handler(reader, seen);
  return op;
}

/** Passes over the declaration of a body's locals. */
export function skipLocals(reader) {
  for (let groups = reader.u32(); groups > 0; groups--) {
    reader.u32();
    reader.byte();
  }
}

/** The functions that a body refers to (`calls`, `refs`), and the instructions on segments in it. */
export function references(body) {
  const found = { calls: new Set(), refs: new Set(), segments: new Set() };
  const reader = { call: (f) => found.calls.add(f), refFunc: (f) => found.refs.add(f), segment: (what) => found.segments.add(what) };
  const bytes = new Reader(body);
  skipLocals(bytes);
  walk(bytes, reader);
  return found;
}
