// A WebAssembly module taken apart, as far as cutting it needs: what is not looked into stays as bytes.

import { Reader, join, section, u32, vector } from "./bytes.mjs";
import { walk } from "./opcodes.mjs";
import { zero } from "./zero.mjs";

export const SECTION = { custom: 0, type: 1, import: 2, function: 3, table: 4, memory: 5, global: 6, export: 7, start: 8, element: 9, code: 10, data: 11, dataCount: 12 };
export const KIND = { function: 0, table: 1, memory: 2, global: 3 };
const FUNCREF = 0x70;

const bytesOf = (r, read) => {
  const from = r.at;
  read(r);
  return r.bytes.subarray(from, r.at);
};

function type(r) {
  if (r.byte() !== 0x60) throw new Error("a type that is no function's");
  return { params: r.vector((v) => v.byte()), results: r.vector((v) => v.byte()) };
}

export function limits(r) {
  const flags = r.byte();
  if (flags > 1) throw new Error(`limits of kind ${flags} are not known here`);
  return { min: r.u32(), max: flags === 1 ? r.u32() : null };
}

export const limitsBytes = ({ min, max }) => (max === null ? [0, ...u32(min)] : [1, ...u32(min), ...u32(max)]);

const table = (r) => bytesOf(r, () => (r.byte(), limits(r)));
const memory = (r) => limits(r);
const globalType = (r) => bytesOf(r, () => (r.byte(), r.byte()));

/** The functions that a constant expression names, and its value if it is one i32.const. */
function constant(r) {
  const from = r.at;
  const functions = [];
  const refuse = () => {
    throw new Error("a constant expression with a call");
  };
  walk(r, { call: refuse, segment: refuse, refFunc: (f) => functions.push(f) }, true);
  const at = new Reader(r.bytes, from, r.at);
  const value = at.byte() === 0x41 ? at.s33() : null;
  return { bytes: r.bytes.subarray(from, r.at), functions, value: value !== null && at.byte() === 0x0b && at.done ? value : null };
}

const global = (r) => ({ type: globalType(r), init: constant(r) });

function entry(r) {
  const [module, name] = [r.name(), r.name()];
  const kind = r.byte();
  const description = [(i) => i.u32(), table, memory, globalType][kind];
  if (!description) throw new Error(`import ${name} of kind ${kind}`);
  return { module, name, kind, description: description(r) };
}

/** An element segment: `table` and `offset` are null if it is passive or declarative; `items` are function indices, -1 for null. */
function element(r) {
  const from = r.at;
  const flags = r.u32();
  if (flags > 7) throw new Error(`element segment of kind ${flags}`);
  const active = (flags & 1) === 0;
  const table = active ? (flags & 2 ? r.u32() : 0) : null;
  const offset = active ? constant(r) : null;
  if (flags & 3) r.byte();
  const expression = (v) => constant(v).functions[0] ?? -1;
  const items = r.vector(flags & 4 ? expression : (v) => v.u32());
  return { table, offset, items, bytes: r.bytes.subarray(from, r.at) };
}

const READERS = {
  [SECTION.type]: ["types", (r) => r.vector(type)],
  [SECTION.import]: ["imports", (r) => r.vector(entry)],
  [SECTION.function]: ["functions", (r) => r.vector((v) => v.u32())],
  [SECTION.table]: ["tables", (r) => r.vector(table)],
  [SECTION.memory]: ["memories", (r) => r.vector(memory)],
  [SECTION.global]: ["globals", (r) => r.vector(global)],
  [SECTION.export]: ["exports", (r) => r.vector((v) => ({ name: v.name(), kind: v.byte(), index: v.u32() }))],
  [SECTION.start]: ["start", (r) => r.u32()],
  [SECTION.element]: ["elements", (r) => r.vector(element)],
  [SECTION.code]: ["bodies", (r) => r.vector((v) => v.take(v.u32()))],
};

/** Takes a module apart. `sections` keeps every section as it was, in order. */
export function parse(bytes) {
  const r = new Reader(bytes);
  if (join([r.take(8)]).join() !== "0,97,115,109,1,0,0,0") throw new Error("this is no WebAssembly module of version 1");
  const module = { bytes, sections: [], types: [], imports: [], functions: [], tables: [], memories: [], globals: [], exports: [], start: null, elements: [], bodies: [] };
  while (!r.done) {
    const id = r.byte();
    if (id > SECTION.dataCount) throw new Error(`unknown section ${id}`);
    const content = r.take(r.u32());
    module.sections.push({ id, content });
    const known = READERS[id];
    if (!known) continue;
    const inside = new Reader(content);
    module[known[0]] = known[1](inside);
    if (!inside.done) throw new Error(`section ${id} is longer than what it holds`);
  }
  if (module.functions.length !== module.bodies.length) throw new Error("functions and bodies differ in number");
  return module;
}

/** The type indices of all functions: the imported ones, then the defined ones. */
export const functionTypes = (module) => [...imported(module, KIND.function).map((i) => i.description), ...module.functions];

export const imported = (module, kind) => module.imports.filter((i) => i.kind === kind);

/** The descriptions of all tables or memories, globals' types: the imported ones, then the defined ones. */
export const all = (module, kind, defined) => [...imported(module, kind).map((i) => i.description), ...defined];

// The order in which sections have to come; custom ones may stand anywhere and keep their place at the end.
const ORDER = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11];

/** A module with some sections replaced (`{id: content}`, null leaves it out) or added; the others stay as they were. */
export function rebuild(module, replaced) {
  const known = new Map(module.sections.filter((s) => s.id !== SECTION.custom).map((s) => [s.id, s.content]));
  for (const [id, content] of Object.entries(replaced)) known.set(Number(id), content);
  const custom = module.sections.filter((s) => s.id === SECTION.custom);
  const written = ORDER.filter((id) => known.get(id)).map((id) => section(id, known.get(id)));
  return join([module.bytes.subarray(0, 8), ...written, ...custom.map((s) => section(s.id, s.content))]);
}

export const typesSection = (types) => vector(types.map(({ params, results }) => [0x60, ...vector(params.map((t) => [t])), ...vector(results.map((t) => [t]))]));

export const bodiesSection = (bodies) => vector(bodies.map((body) => join([u32(body.length), body])));

/** A table of functions of a fixed size. */
export const functionTable = (size) => [FUNCREF, ...limitsBytes({ min: size, max: size })];

/** A global that is written, of a type; its first value is never looked at. */
export const carrier = (type) => [type, 1, ...zero(type), 0x0b];
