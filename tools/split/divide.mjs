// Divides functions that are long, called often, and mostly passed by: a message comes in, one of twenty arms handles it. An engine
// that counts how much of a function was run in order to compile it once more, optimised, takes such a function for a hot one after
// a hundred calls (V8 counts the distance from the function's beginning to where it is left), and then compiles all of it while the
// cluster boots. So the arms that few of the calls go into become functions of their own, in the same module (arms.mjs).

import { Taker } from "./arms.mjs";
import { OP, places, tree } from "./body.mjs";
import { join, u32, vector } from "./bytes.mjs";
import { KIND, SECTION, all, bodiesSection, carrier, functionTypes, parse, rebuild, typesSection } from "./module.mjs";

/** A function of fewer bytes is left alone; so is one whose bytes times calls are fewer. */
const LONG = 1_200;
const HEAVY = 300_000;
/** An arm has at least so many bytes, and at most one call in so many goes into it. */
const ARM = 150;
const SELDOM = 3;

/** The module with its functions divided. `counts` has for every place how often it was reached. */
export function divide(original, counts, { long = LONG, heavy = HEAVY, arm = ARM, seldom = SELDOM } = {}) {
  const module = parse(original);
  const first = functionTypes(module).length;
  const taker = new Taker(module, { call: (slot) => [OP.call, ...u32(first + slot)], worth: arm, globals: all(module, KIND.global, module.globals).length });
  let at = 0;
  const bodies = module.bodies.map((bytes, i) => {
    const type = module.types[module.functions[i]];
    const body = tree(taker.module, bytes, type);
    const found = places(body.whole);
    const from = at;
    at += found.length;
    const calls = counts[from];
    if (bytes.length < long || bytes.length * calls < heavy) return bytes;
    // What is never reached is no matter of this: it leaves the function altogether.
    const chosen = found.filter((_, k) => counts[from + k] > 0 && counts[from + k] * seldom <= calls);
    return taker.take(bytes, body, type, chosen) ?? bytes;
  });
  if (at !== counts.length) throw new Error(`the profile knows ${counts.length} places, the module has ${at}`);
  const bytes = rebuild(module, {
    [SECTION.type]: typesSection(taker.types),
    [SECTION.function]: vector([...module.functions, ...taker.arms.map((a) => a.type)].map(u32)),
    [SECTION.global]: vector([...module.globals.map((g) => join([g.type, g.init.bytes])), ...taker.carriers.map(carrier)]),
    [SECTION.code]: bodiesSection([...bodies, ...taker.arms.map((a) => a.body)]),
  });
  return { bytes, arms: taker.arms.length };
}
