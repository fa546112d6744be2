// Engines compile a function when it is first called, one after another, on the thread that calls. While the worker waits for the
// page, or has little to do, that can be done beforehand: a *warm-up* calls functions with nothing in their parameters, and as
// long as it runs a global is 1 that these functions look at first: then they return at once.

import { OP } from "./body.mjs";
import { Reader, join, s32, u32 } from "./bytes.mjs";
import { skipLocals } from "./opcodes.mjs";
import { zero } from "./zero.mjs";

/** Each function takes an engine a fixed time, however short it is, and the first load about a byte: only the shortest are left to when they are called. */
const LONG = 32;

/**
 * `bodies[i]` is the body of function `i` of type `typeOf(i)`, or null. Gives `{ bodies, functions, warmUps }`: the bodies with the look at the
 * global in the longer ones, which these are (in the order in which the table has them), and the bodies of the warm-ups: each calls the
 * next `part` of them.
 */
export function warm(types, typeOf, bodies, { global, table, long = LONG, part = Infinity }) {
  const functions = bodies.flatMap((body, i) => (body && body.length >= long ? [i] : [])).sort((a, b) => typeOf(a) - typeOf(b) || a - b);
  const warmed = bodies.slice();
  for (const i of functions) {
    const reader = new Reader(bodies[i]);
    skipLocals(reader);
    const look = [0x23, ...u32(global), OP.if, 0x40, ...types[typeOf(i)].results.flatMap(zero), OP.return, OP.end];
    warmed[i] = join([bodies[i].subarray(0, reader.at), look, bodies[i].subarray(reader.at)]);
  }
  // The functions of one type lie side by side in the table: a loop for each type, with local 0 going through the table.
  const loop = (type, end) => {
    const { params, results } = types[type];
    const call = [...params.flatMap(zero), OP.localGet, 0, OP.callIndirect, ...u32(type), ...u32(table), ...results.map(() => 0x1a)];
    // do { call } while (++local < end)
    return [OP.loop, 0x40, ...call, OP.localGet, 0, 0x41, 1, 0x6a, OP.localTee, 0, 0x41, ...s32(end), 0x48, OP.brIf, 0, OP.end];
  };
  const set = (value) => [0x41, value, 0x24, ...u32(global)];
  const warmUp = (from, to) => {
    const ends = functions.slice(from, to).flatMap((f, k) => (from + k + 1 === to || typeOf(f) !== typeOf(functions[from + k + 1]) ? [from + k + 1] : []));
    return join([[1, 1, 0x7f], set(1), [0x41, ...s32(from), 0x21, 0], ...ends.map((end) => loop(typeOf(functions[end - 1]), end)), set(0), [OP.end]]);
  };
  const warmUps = [];
  for (let from = 0; from < functions.length; from += part) warmUps.push(warmUp(from, Math.min(from + part, functions.length)));
  return { bodies: warmed, functions, warmUps };
}
