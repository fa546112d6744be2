// Cuts a module in two by a profile. No function changes its index; a function of which a module has no body is a trampoline there,
// or `unreachable` if nothing in that module refers to it.
//
//   primary   the original, with `$cold` (a table of the functions that have trampolines to the rest), `$hot` (the same the other
//             way), `$arms` (see outline.mjs) and `$loaded` (0 until the rest has filled `$cold` and `$arms`), all exported; and with
//             two functions more: `ensure` calls the imported function `loadRest` if `$loaded` is 0 (a trampoline calls it, and then
//             through `$cold`); `$warmUp`, exported, calls every longer function, which then does nothing (see warm.mjs): `$warming` is
//             1 meanwhile.
//   rest      the same types and function imports, then tables, memory and globals imported from `split` (the primary's exports),
//             the same functions, and the arms. Its element segments fill `$cold` and `$arms`, and take the trampolines' places in
//             the original's tables. Its exports, `$warm0` and so on, warm up what a second profile says, part by part.

import { createHash } from "node:crypto";
import { join, name, s32, section, u32, vector } from "./bytes.mjs";
import { KIND, SECTION, all, bodiesSection, carrier, functionTable, functionTypes, imported, limitsBytes, parse, rebuild, typesSection } from "./module.mjs";
import { I32 } from "./body.mjs";
import { outline } from "./outline.mjs";
import { plan } from "./plan.mjs";
import { warm } from "./warm.mjs";

const NOTHING = [0, 0x00, 0x0b];
/** The names under which the primary exports what the rest imports. `cold` goes on with the stamp: halves of two cuts don't link. */
export const EXPORTS = { loaded: "$loaded", cold: "$cold:", hot: "$hot", arms: "$arms", warmUp: "$warmUp", warming: "$warming", warm: "$warm", carrier: "$x" };
/** So many functions of the rest are warmed up at once: some 30 µs of an engine's work each. */
const PART = 160;
/** The rest's functions that are shorter than this are compiled when they are called. */
const LONG_IN_REST = 40;

/**
 * `{ primary, rest, plan, arms, warmed, stamp }` of a module; `warmed`: how many functions the rest can warm up. `reached` has a byte for each of its places (see outline.mjs); the options are
 * those of `plan`, `outline` and `warm`; `worked` is like `reached`, of what is done later. The stamp is the name of this very cut.
 */
export function cut(original, reached, options = {}) {
  const module = parse(original);
  const spaces = {
    functions: functionTypes(module),
    tables: all(module, KIND.table, module.tables),
    memories: all(module, KIND.memory, module.memories.map(limitsBytes)),
    globals: all(module, KIND.global, module.globals.map((g) => g.type)),
  };
  spaces.first = spaces.functions.length - module.functions.length;
  [spaces.cold, spaces.hot, spaces.arms, spaces.warm] = [0, 1, 2, 3].map((i) => spaces.tables.length + i);
  spaces.ensure = spaces.functions.length;
  [spaces.loaded, spaces.warming] = [0, 1].map((i) => spaces.globals.length + i);
  const outlined = outline(module, reached, { ensure: spaces.ensure, table: spaces.arms, globals: spaces.warming + 1, ...options });
  module.types = [...outlined.types];
  const ensureType = module.types.push({ params: [], results: [] }) - 1;
  const { worked, ...others } = options;
  const { long, part = PART } = options;
  const parts = { ...plan(module, outlined.hot, { ...options, outlined }), outlined, ensureType, long, part, worked: worked ?? [] };
  const stamp = [original, reached, JSON.stringify(others), ...(worked ? [worked] : [])].reduce((hash, part) => hash.update(part), createHash("sha256")).digest("hex").slice(0, 16);
  spaces.coldName = EXPORTS.cold + stamp;
  const load = loader(module, options.load ?? "loadRest");
  const second = rest(module, parts, spaces);
  return { primary: primary(module, parts, spaces, load), rest: second.bytes, warmed: second.warmed, plan: parts, arms: outlined.arms.length, stamp };
}

/** The imported function that loads the rest. */
function loader(module, part) {
  const imports = imported(module, KIND.function);
  const at = imports.findIndex((i) => i.name.includes(part));
  if (at < 0) throw new Error(`the module imports no function named …${part}…`);
  const { params, results } = module.types[imports[at].description];
  if (params.length + results.length > 0) throw new Error(`${imports[at].name} takes or returns something`);
  return at;
}

/** A body that hands its parameters to the function in `slot` of `table`. */
function trampoline(module, typeIndex, slot, table, before = []) {
  const parameters = module.types[typeIndex].params.flatMap((_, i) => [0x20, ...u32(i)]);
  return [0, ...before, ...parameters, 0x41, ...s32(slot), 0x11, ...u32(typeIndex), ...u32(table), 0x0b];
}

/** The bodies of the module's own functions in one of the halves. */
function bodies(module, has, trampolines, bodyOf, make) {
  const slots = new Map(trampolines.map((i, slot) => [i, slot]));
  return module.functions.map((type, i) => (has[i] ? bodyOf(i) : slots.has(i) ? make(type, slots.get(i)) : NOTHING));
}

/** An active element segment. */
const fill = (table, offset, functions) => join([[2], u32(table), [0x41, ...s32(offset), 0x0b], [0], vector(functions.map(u32))]);

function primary(module, parts, spaces, load) {
  const { cold, hot, arms, ensure, loaded } = spaces;
  const { carriers } = parts.outlined;
  // global.get $loaded; i32.eqz; if; call $loadRest; end
  const ensureBody = [0, 0x23, ...u32(loaded), 0x45, 0x04, 0x40, 0x10, ...u32(load), 0x0b, 0x0b];
  const exported = (name_, kind, index) => join([name(name_), [kind], u32(index)]);
  const old = (list, kind, letter) => list.map((_, i) => exported(`$${letter}${i}`, kind, i));
  const shared = [
    ...old(spaces.tables, KIND.table, "t"),
    ...old(spaces.memories, KIND.memory, "m"),
    ...old(spaces.globals, KIND.global, "g"),
    exported(spaces.coldName, KIND.table, cold),
    exported(EXPORTS.hot, KIND.table, hot),
    exported(EXPORTS.arms, KIND.table, arms),
    exported(EXPORTS.loaded, KIND.global, loaded),
    exported(EXPORTS.warming, KIND.global, spaces.warming),
    ...carriers.map((_, i) => exported(EXPORTS.carrier + i, KIND.global, spaces.warming + 1 + i)),
    exported(EXPORTS.warmUp, KIND.function, ensure + 1),
  ];
  const bodyOf = (i) => parts.outlined.bodies[i] ?? module.bodies[i];
  const has = module.functions.map((_, i) => (parts.primary.bodies[i] ? bodyOf(i) : null));
  const warmed = warm(module.types, (i) => module.functions[i], has, { global: spaces.warming, table: spaces.warm, long: parts.long });
  const sizes = [parts.toRest.length, parts.toPrimary.length, parts.outlined.arms.length, warmed.functions.length];
  const make = (type, slot) => trampoline(module, type, slot, cold, [0x10, ...u32(ensure)]);
  return rebuild(module, {
    [SECTION.type]: typesSection(module.types),
    [SECTION.function]: vector([...module.functions, parts.ensureType, parts.ensureType].map(u32)),
    [SECTION.table]: vector([...module.tables, ...sizes.map(functionTable)]),
    [SECTION.global]: vector([...module.globals.map((g) => join([g.type, g.init.bytes])), ...[I32, I32, ...carriers].map(carrier)]),
    [SECTION.export]: vector([...module.exports.map((e) => exported(e.name, e.kind, e.index)), ...shared]),
    [SECTION.element]: vector([
      ...module.elements.map((e) => e.bytes),
      fill(hot, 0, parts.toPrimary.map((i) => i + spaces.first)),
      fill(spaces.warm, 0, warmed.functions.map((i) => i + spaces.first)),
    ]),
    [SECTION.code]: bodiesSection([...bodies(module, parts.primary.bodies, parts.toRest, (i) => warmed.bodies[i], make), ensureBody, warmed.warmUps[0] ?? NOTHING]),
  });
}

function rest(module, parts, spaces) {
  const { outlined } = parts;
  const import_ = (from, name_, kind, description) => join([name(from), name(name_), [kind], description]);
  const shared = (list, kind, letter) => list.map((description, i) => import_("split", `$${letter}${i}`, kind, description));
  const imports = [
    ...imported(module, KIND.function).map((i) => import_(i.module, i.name, KIND.function, u32(i.description))),
    ...shared(spaces.tables, KIND.table, "t"),
    import_("split", spaces.coldName, KIND.table, functionTable(parts.toRest.length)),
    import_("split", EXPORTS.hot, KIND.table, functionTable(parts.toPrimary.length)),
    import_("split", EXPORTS.arms, KIND.table, functionTable(outlined.arms.length)),
    ...shared(spaces.memories, KIND.memory, "m"),
    ...shared(spaces.globals, KIND.global, "g"),
    // `$loaded` is not used here: it is there so that the others have their indices.
    import_("split", EXPORTS.loaded, KIND.global, [I32, 1]),
    import_("split", EXPORTS.warming, KIND.global, [I32, 1]),
    ...outlined.carriers.map((type, i) => import_("split", EXPORTS.carrier + i, KIND.global, [type, 1])),
  ];
  const arms = outlined.arms.map((_, k) => spaces.functions.length + k);
  const elements = [fill(spaces.cold, 0, parts.toRest.map((i) => i + spaces.first)), fill(spaces.arms, 0, arms), ...replaced(module, parts, spaces)];
  // What bodies take references of has to be named in a segment: a declarative one.
  if (parts.rest.refs.length > 0) elements.push(join([[3, 0], vector(parts.rest.refs.map(u32))]));
  const make = (type, slot) => trampoline(module, type, slot, spaces.hot);
  // What is done later, whole functions and arms, is warmed up.
  const all = [...module.bodies, ...outlined.arms.map((arm) => arm.body)];
  const has = [...Array.from(parts.rest.bodies, (has, i) => has && parts.worked[outlined.starts[i]] > 0), ...outlined.arms.map((arm) => parts.worked[arm.place] > 0)];
  const types = [...module.functions, ...outlined.arms.map((arm) => arm.type)];
  const warmed = warm(module.types, (i) => types[i], all.map((body, i) => (has[i] ? body : null)), { global: spaces.warming, table: spaces.warm, long: LONG_IN_REST, part: parts.part });
  if (warmed.functions.length > 0) elements.push(fill(spaces.warm, 0, warmed.functions.map((i) => i + spaces.first)));
  const bodyOf = (i) => warmed.bodies[i] ?? all[i];
  const own = bodies(module, parts.rest.bodies, parts.toPrimary, bodyOf, make);
  const bytes = join([
    module.bytes.subarray(0, 8),
    section(SECTION.type, typesSection(module.types)),
    section(SECTION.import, vector(imports)),
    section(SECTION.function, vector([...types, ...warmed.warmUps.map(() => parts.ensureType)].map(u32))),
    section(SECTION.table, vector([functionTable(warmed.functions.length)])),
    section(SECTION.export, vector(warmed.warmUps.map((_, i) => join([name(EXPORTS.warm + i), [KIND.function], u32(spaces.first + types.length + i)])))),
    section(SECTION.element, vector(elements)),
    section(SECTION.code, bodiesSection([...own, ...outlined.arms.map((_, i) => bodyOf(module.bodies.length + i)), ...warmed.warmUps])),
  ]);
  return { bytes, warmed: warmed.functions.length };
}

/** Element segments that put the rest's functions where the original's tables have the primary's trampolines. */
function replaced(module, parts, spaces) {
  const trampolines = new Set(parts.toRest.map((i) => i + spaces.first));
  const runs = [];
  for (const { table, offset, items } of module.elements) {
    if (table === null || offset.value === null) continue;
    let run = null;
    items.forEach((f, i) => {
      if (!trampolines.has(f)) return void (run = null);
      if (!run) runs.push((run = { table, offset: offset.value + i, functions: [] }));
      run.functions.push(f);
    });
  }
  return runs.map(({ table, offset, functions }) => fill(table, offset, functions));
}
