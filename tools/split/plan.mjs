// Which function's body goes where. Three ways there are for a function in each of the two modules: its body, a trampoline into
// the other module, or nothing (nobody in this module refers to it). In the primary a body may have been outlined; its arms are in
// the rest.

import { KIND, imported } from "./module.mjs";
import { references } from "./opcodes.mjs";

/** A body of at most so many bytes that calls nothing is no longer than the trampoline that would stand for it. */
const SMALL = 20;

/**
 * `hot[i]` is 1 if defined function `i` was called in the profile. `copied`: hot bodies of at most so many bytes that the rest
 * calls are in both modules, since a call across costs more than one within. `outlined.bodies[i]` is the primary's body of a
 * function if it is another than the original, `outlined.arms` are more bodies of the rest.
 *
 * In the answer everything is by defined index (imports not counted): `primary.bodies` and `rest.bodies` say where a body is,
 * `toRest` and `toPrimary` list the functions that have a trampoline in the primary and in the rest; the place in the list is
 * the slot in the table. A function without either has nothing. `rest.refs` are the function indices
 * (imports counted) that bodies of the rest take references of.
 */
export function plan(module, hot, { copied = 200, outlined = { bodies: [], arms: [] } } = {}) {
  const first = imported(module, KIND.function).length;
  const bodies = module.bodies.map((body) => ({ size: body.length, ...references(body) }));
  const inPrimary = bodies.map((body, i) => (outlined.bodies[i] ? references(outlined.bodies[i]) : body));
  const arms = outlined.arms.map((arm) => references(arm.body));
  const leaf = (i) => bodies[i].calls.size + bodies[i].refs.size === 0;
  const small = (i) => bodies[i].size <= SMALL && leaf(i);
  const wanted = (users, roots) => {
    const found = new Set(roots);
    for (const { calls, refs } of users) for (const set of [calls, refs]) set.forEach((f) => found.add(f - first));
    // What the outlining adds comes after the module's own functions.
    return [...found].filter((i) => i >= 0 && i < bodies.length).sort((a, b) => a - b);
  };

  const primary = Uint8Array.from(hot);
  const roots = [
    ...module.exports.filter((e) => e.kind === KIND.function).map((e) => e.index),
    ...(module.start === null ? [] : [module.start]),
    ...module.elements.flatMap((e) => [...e.items, ...(e.offset?.functions ?? [])]),
    ...module.globals.flatMap((g) => g.init.functions),
  ].map((f) => f - first);
  const usersInPrimary = () => inPrimary.filter((_, i) => primary[i]);
  wanted(usersInPrimary(), roots).filter(small).forEach((i) => (primary[i] = 1));
  const toRest = wanted(usersInPrimary(), roots).filter((i) => !primary[i]);

  const rest = hot.map((called) => 1 - called);
  const usersInRest = () => [...bodies.filter((_, i) => rest[i]), ...arms];
  for (;;) {
    const copies = wanted(usersInRest(), []).filter((i) => !rest[i] && (small(i) || bodies[i].size <= copied));
    if (copies.length === 0) break;
    copies.forEach((i) => (rest[i] = 1));
  }
  const toPrimary = wanted(usersInRest(), []).filter((i) => !rest[i]);

  const inRest = usersInRest();
  refuseSegments(inRest);
  const refs = [...new Set(inRest.flatMap((body) => [...body.refs]))];
  return { primary: { bodies: primary }, rest: { bodies: rest, refs }, toRest, toPrimary };
}

/** The rest has neither the data nor the element segments of the original: no body in it may use them. */
function refuseSegments(bodies) {
  const used = new Set(bodies.flatMap((body) => [...body.segments]));
  if (used.size > 0) throw new Error(`the rest would use ${[...used].join(", ")}, whose segments are in the primary module`);
}
