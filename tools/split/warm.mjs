// Engines compile a function when it is first called, one after another, on the thread that calls. While the worker waits for the
// page that can be done beforehand: `$warmUp` calls every longer function with nothing in its parameters, and as long as it runs a
// global is 1 that these functions look at first: then they return at once.

import { OP } from "./body.mjs";
import { Reader, join, s32, u32 } from "./bytes.mjs";
import { skipLocals } from "./opcodes.mjs";
import { zero } from "./zero.mjs";

/** Each function takes an engine a fixed time, however short it is, and the first load nearly two bytes: shorter ones are left to when they are called. */
const LONG = 320;

/**
 * `bodies[i]` is the body of function `i`, or null. Gives `{ bodies, functions, warmUp }`: the bodies with the look at the global in
 * the longer ones, which these are (in the order in which the table has them), and the body of `$warmUp`.
 */
export function warm(module, bodies, { global, table, long = LONG }) {
  const typeOf = (i) => module.functions[i];
  const functions = bodies.flatMap((body, i) => (body && body.length >= long ? [i] : [])).sort((a, b) => typeOf(a) - typeOf(b) || a - b);
  const warmed = bodies.slice();
  for (const i of functions) {
    const reader = new Reader(bodies[i]);
    skipLocals(reader);
    const look = [0x23, ...u32(global), OP.if, 0x40, ...module.types[typeOf(i)].results.flatMap(zero), OP.return, OP.end];
    warmed[i] = join([bodies[i].subarray(0, reader.at), look, bodies[i].subarray(reader.at)]);
  }
  // The functions of one type lie side by side in the table: a loop for each type, with local 0 going through the table.
  const ends = functions.flatMap((f, i) => (typeOf(f) !== typeOf(functions[i + 1] ?? -1) ? [i + 1] : []));
  const loops = ends.map((end) => {
    const { params, results } = module.types[typeOf(functions[end - 1])];
    const call = [...params.flatMap(zero), OP.localGet, 0, OP.callIndirect, ...u32(typeOf(functions[end - 1])), ...u32(table), ...results.map(() => 0x1a)];
    // do { call } while (++local < end)
    return [OP.loop, 0x40, ...call, OP.localGet, 0, 0x41, 1, 0x6a, OP.localTee, 0, 0x41, ...s32(end), 0x48, OP.brIf, 0, OP.end];
  });
  const set = (value) => [0x41, value, 0x24, ...u32(global)];
  const warmUp = join([[1, 1, 0x7f], set(1), ...loops, set(0), [OP.end]]);
  return { bodies: warmed, functions, warmUp };
}
