// A function body as a tree: blocks, loops and ifs with what is inside them, in order; and what each instruction takes from the
// operand stack and leaves on it. As far as moving a part of a body elsewhere needs: no instruction is understood beyond its types.

import { Reader } from "./bytes.mjs";
import { pass } from "./opcodes.mjs";

export const I32 = 0x7f;
const [I64, F32, F64, FUNCREF] = [0x7e, 0x7d, 0x7c, 0x70];
export const OP = { unreachable: 0x00, block: 0x02, loop: 0x03, if: 0x04, else: 0x05, end: 0x0b, br: 0x0c, brIf: 0x0d, brTable: 0x0e, return: 0x0f, call: 0x10, callIndirect: 0x11, localGet: 0x20, localSet: 0x21, localTee: 0x22, globalGet: 0x23, globalSet: 0x24 };
const NONE = [];

/** What instructions without an immediate that matters take and leave, by opcode. */
const SIGNATURES = new Map();
const each = (from, to, takes, leaves) => {
  for (let op = from; op <= to; op++) SIGNATURES.set(op, [takes, leaves]);
};
each(0x01, 0x01, NONE, NONE);
const LOADS = [I32, I64, F32, F64, I32, I32, I32, I32, I64, I64, I64, I64, I64, I64];
LOADS.forEach((type, i) => each(0x28 + i, 0x28 + i, [I32], [type]));
[I32, I64, F32, F64, I32, I32, I64, I64, I64].forEach((type, i) => each(0x36 + i, 0x36 + i, [I32, type], NONE));
each(0x3f, 0x3f, NONE, [I32]);
each(0x40, 0x40, [I32], [I32]);
[I32, I64, F32, F64].forEach((type, i) => each(0x41 + i, 0x41 + i, NONE, [type]));
each(0x45, 0x45, [I32], [I32]);
each(0x46, 0x4f, [I32, I32], [I32]);
each(0x50, 0x50, [I64], [I32]);
each(0x51, 0x5a, [I64, I64], [I32]);
each(0x5b, 0x60, [F32, F32], [I32]);
each(0x61, 0x66, [F64, F64], [I32]);
each(0x67, 0x69, [I32], [I32]);
each(0x6a, 0x78, [I32, I32], [I32]);
each(0x79, 0x7b, [I64], [I64]);
each(0x7c, 0x8a, [I64, I64], [I64]);
each(0x8b, 0x91, [F32], [F32]);
each(0x92, 0x98, [F32, F32], [F32]);
each(0x99, 0x9f, [F64], [F64]);
each(0xa0, 0xa6, [F64, F64], [F64]);
// Conversions, from 0xa7 on: what each takes, what it leaves.
const CONVERSIONS = [
  [I64, I32], [F32, I32], [F32, I32], [F64, I32], [F64, I32], [I32, I64], [I32, I64], [F32, I64], [F32, I64], [F64, I64], [F64, I64],
  [I32, F32], [I32, F32], [I64, F32], [I64, F32], [F64, F32], [I32, F64], [I32, F64], [I64, F64], [I64, F64], [F32, F64],
  [F32, I32], [F64, I64], [I32, F32], [I64, F64], [I32, I32], [I32, I32], [I64, I64], [I64, I64], [I64, I64],
];
CONVERSIONS.forEach(([takes, leaves], i) => each(0xa7 + i, 0xa7 + i, [takes], [leaves]));
/** The same for what follows 0xfc. */
const SATURATING = [[F32, I32], [F32, I32], [F64, I32], [F64, I32], [F32, I64], [F32, I64], [F64, I64], [F64, I64]];

/** The types of a block: an index of a type, or one result, or nothing. */
function blockType(module, code) {
  if (code === -64) return { params: NONE, results: NONE };
  if (code < 0) return { params: NONE, results: [code + 128] };
  return module.types[code];
}

/** Reads one instruction; `{op, from, to}` with what is known of it: `index` (a label, local, function, type …), `labels`, `sub`. */
function instruction(reader) {
  const from = reader.at;
  const op = reader.byte();
  const item = { op, from, to: 0, index: -1, sub: -1, labels: null, code: 0 };
  const immediate = new Reader(reader.bytes, reader.at, reader.end);
  if (op >= OP.block && op <= OP.if) item.code = immediate.s33();
  else if (op === OP.brTable) item.labels = [...immediate.vector((r) => r.u32()), immediate.u32()];
  else if (op === OP.br || op === OP.brIf || op === OP.call || op === OP.callIndirect || (op >= 0x20 && op <= 0x26) || op === 0x1c) item.index = immediate.u32();
  else if (op === 0xfc) item.sub = immediate.u32();
  if (op === 0x1c) item.code = immediate.byte();
  if (op === 0xd0) item.code = immediate.s33() + 128;
  reader.at = from;
  pass(reader, IGNORED);
  item.to = reader.at;
  return item;
}

const IGNORED = { call() {}, refFunc() {}, segment() {} };

/**
 * `{ locals, codeFrom, whole }` of a body: the types of its parameters and locals, where its code begins, and the tree. An item is
 * an instruction, or one of the three constructs with `type`, `body` and, for an `if`, `other` (null without else). A sequence is
 * `{ items, from, to }`: where its instructions are in the bytes.
 */
export function tree(module, body, type) {
  const reader = new Reader(body);
  const locals = [...type.params];
  for (let groups = reader.u32(); groups > 0; groups--) {
    const count = reader.u32();
    const of = reader.byte();
    for (let i = 0; i < count; i++) locals.push(of);
  }
  const codeFrom = reader.at;
  const [whole, last] = sequence(module, reader);
  if (last !== OP.end || !reader.done) throw new Error("a body that doesn't end with its end");
  return { locals, codeFrom, whole };
}

/** A sequence up to its `end` or `else`, and which of the two it was. */
function sequence(module, reader) {
  const seq = { items: [], from: reader.at, to: 0 };
  for (;;) {
    const at = reader.at;
    const item = instruction(reader);
    if (item.op === OP.end || item.op === OP.else) {
      seq.to = at;
      return [seq, item.op];
    }
    seq.items.push(item);
    if (!isConstruct(item)) continue;
    item.type = blockType(module, item.code);
    const [body, last] = sequence(module, reader);
    item.body = body;
    item.other = last === OP.else ? sequence(module, reader)[0] : null;
    item.to = reader.at;
  }
}

/**
 * The places of a body from which something may be taken out, and that are noted when they are reached, in the order of their bytes: `{ at, seq, index }`, where `index` is
 * the item of the sequence that comes next. The first is the function's beginning.
 */
export function places(whole) {
  const found = [];
  const enter = (seq) => {
    found.push({ at: seq.from, seq, index: 0 });
    for (const [i, item] of seq.items.entries()) {
      if (item.body) enter(item.body);
      if (item.other) enter(item.other);
      if (leaves(item.op)) return;
      if (item.op === OP.brIf || isConstruct(item)) found.push({ at: item.to, seq, index: i + 1 });
    }
  };
  enter(whole);
  return found;
}

/** After these nothing follows. */
export const leaves = (op) => op === OP.unreachable || op === OP.br || op === OP.brTable || op === OP.return || op === 0x12 || op === 0x13;

/**
 * Does to `stack` (types, the last on top) what an instruction or a whole construct does. False if that isn't known here: then
 * nothing after it in its sequence may be moved.
 */
export function step(context, item, stack) {
  const { module, functions, globals, tables, locals } = context;
  const takes = (count) => {
    if (stack.length < count) throw new Error(`an instruction 0x${item.op.toString(16)} takes more than there is`);
    stack.length -= count;
  };
  const call = ({ params, results }, more = 0) => {
    takes(params.length + more);
    stack.push(...results);
    return true;
  };
  const simple = SIGNATURES.get(item.op);
  if (simple) return call({ params: simple[0], results: simple[1] });
  switch (item.op) {
    case OP.block:
    case OP.loop:
      return call(item.type);
    case OP.if:
      return call(item.type, 1);
    case OP.brIf:
      takes(1);
      return true;
    case OP.call:
      return call(module.types[functions[item.index]]);
    case OP.callIndirect:
      return call(module.types[item.index], 1);
    case 0x1a:
      takes(1);
      return true;
    case 0x1b:
      takes(2);
      return true;
    case 0x1c:
      takes(3);
      stack.push(item.code);
      return true;
    case OP.localGet:
      stack.push(locals[item.index]);
      return true;
    case OP.localSet:
      takes(1);
      return true;
    case OP.localTee:
      return true;
    case 0x23:
      stack.push(globals[item.index]);
      return true;
    case 0x24:
      takes(1);
      return true;
    case 0x25:
      takes(1);
      stack.push(tables[item.index]);
      return true;
    case 0x26:
      takes(2);
      return true;
    case 0xd0:
      stack.push(item.code);
      return true;
    case 0xd1:
      takes(1);
      stack.push(I32);
      return true;
    case 0xd2:
      stack.push(FUNCREF);
      return true;
    case 0xfc:
      return more(item.sub, stack, takes);
    default:
      return false;
  }
}

function more(sub, stack, takes) {
  if (sub <= 7) {
    takes(1);
    stack.push(SATURATING[sub][1]);
  } else if (sub === 10 || sub === 11) takes(3);
  else if (sub === 15) {
    takes(2);
    stack.push(I32);
  } else if (sub === 16) stack.push(I32);
  else if (sub === 17) takes(3);
  else return false;
  return true;
}

/** Does it have instructions in it? */
export const isConstruct = (item) => item.op >= OP.block && item.op <= OP.if;
