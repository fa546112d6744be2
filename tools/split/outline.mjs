// Takes out of the functions that are called in the first seconds what isn't reached in them: the arms of their branches. Within a
// sequence of instructions a place that is never reached has only such places behind it (whoever is behind it came through it), so
// what is taken out is always the rest of a sequence, from a branch or from its beginning up to its end. It becomes a function of
// the module that is loaded later (arms.mjs), called through a table after `ensure` has had that module loaded.

import { Taker } from "./arms.mjs";
import { OP, places, tree } from "./body.mjs";
import { s32, u32 } from "./bytes.mjs";

/** So many bytes has an arm to be longer than what stands for it: a function costs something in its module, too. */
const WORTH = 10;

/**
 * Outlines the module's functions: `reached` has a number for every place of every body (see `places`), in order. Gives
 * `{ hot, bodies, arms, types, carriers }`: which functions were called, the bodies of those with the calls in them (null where nothing was
 * taken out), the arms as `{ type, body, place }`, at which place each body begins (`starts`), all types, and the types of the globals that the arms need from index `globals` on.
 * `ensure` and `table` are the indices of the function that has the arms loaded and of the table they are called through.
 */
export function outline(module, reached, { ensure, table, globals, worth = WORTH }) {
  const call = (slot, type) => [OP.call, ...u32(ensure), 0x41, ...s32(slot), OP.callIndirect, ...u32(type), ...u32(table)];
  const taker = new Taker(module, { call, worth, globals });
  const hot = new Uint8Array(module.bodies.length);
  const [starts, arms] = [[], []];
  let at = 0;
  const bodies = module.bodies.map((bytes, i) => {
    const type = module.types[module.functions[i]];
    const body = tree(taker.module, bytes, type);
    const found = places(body.whole);
    const from = at;
    at += found.length;
    starts.push(from);
    hot[i] = Math.min(reached[from], 1);
    if (!hot[i]) return null;
    const taken = taker.take(bytes, body, type, found.filter((_, k) => reached[from + k] === 0));
    for (const { type, body, seq, index } of taker.arms.slice(arms.length)) arms.push({ type, body, place: from + found.findIndex((p) => p.seq === seq && p.index === index) });
    return taken;
  });
  if (at !== reached.length) throw new Error(`the profile knows ${reached.length} places, the module has ${at}`);
  return { hot, bodies, arms, starts, types: taker.types, carriers: taker.carriers };
}
