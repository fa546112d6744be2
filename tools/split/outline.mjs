// Takes out of the functions that are called in the first seconds what isn't reached in them: the arms of their branches. Within a
// sequence of instructions a place that is never reached has only such places behind it (whoever is behind it came through it), so
// what is taken out is always the rest of a sequence, from a branch or from its beginning up to its end. It becomes a function of
// its own, an *arm*, for the module that is loaded later. In its place stands a call:
//
//   hot                     the locals that the arm reads that hold something; `call $ensure`; the call through the table of arms;
//                           what it left in locals that are still wanted; the branch that it ended with, if there is a choice
//   arm(values, locals) ->  what the sequence leaves, the number of its exit, the locals
//
// An arm ends in one of its exits: the end of its sequence, a label around it, or never (a panic).

import { I32, OP, leaves, step, tree } from "./body.mjs";
import { join, s32, u32, vector } from "./bytes.mjs";
import { live } from "./live.mjs";
import { KIND, all, functionTypes } from "./module.mjs";
import { references } from "./opcodes.mjs";

/** So many bytes has an arm to be longer than what stands for it: a function costs something in its module, too. */
const WORTH = 10;
const isConstruct = (item) => item.op >= OP.block && item.op <= OP.if;

/**
 * The places of a body that are noted when they are reached, in the order of their bytes: `{ at, seq, index }`, where `index` is
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

/**
 * Outlines the module's functions: `reached` has a byte for every place of every body (see `places`), in order. Gives
 * `{ hot, bodies, arms, types }`: which functions were called, the bodies of those with the calls in them (null where nothing was
 * taken out), the arms as `{ type, body }`, and all types. `ensure` and `table` are the indices of the function that has the arms
 * loaded and of the table they are called through.
 */
export function outline(module, reached, { ensure, table, worth = WORTH }) {
  const types = module.types.map((type) => type);
  const known = new Map(types.map((type, i) => [key(type), i]));
  const typeIndex = (type) => {
    if (!known.has(key(type))) known.set(key(type), types.push(type) - 1);
    return known.get(key(type));
  };
  const shared = {
    module: { ...module, types },
    functions: functionTypes(module),
    globals: all(module, KIND.global, module.globals.map((g) => g.type)).map((type) => type[0]),
    tables: all(module, KIND.table, module.tables).map((type) => type[0]),
    site: { ensure, table, worth, typeIndex },
    arms: [],
  };
  const hot = new Uint8Array(module.bodies.length);
  let at = 0;
  const bodies = module.bodies.map((bytes, i) => {
    const body = tree(shared.module, bytes, module.types[module.functions[i]]);
    const found = places(body.whole);
    hot[i] = reached[at];
    found.forEach((place, k) => (place.cold = reached[at + k] === 0));
    at += found.length;
    if (!hot[i] || !found.some((place) => place.cold)) return null;
    live(body);
    const before = shared.arms.length;
    const rewritten = new Rewriter(shared, bytes, body, module.types[module.functions[i]], found).rewritten();
    return shared.arms.length > before ? rewritten : null;
  });
  if (at !== reached.length) throw new Error(`the profile knows ${reached.length} places, the module has ${at}`);
  return { hot, bodies, arms: shared.arms, types };
}

const key = ({ params, results }) => `${params.join()}:${results.join()}`;

class Rewriter {
  constructor(shared, bytes, body, type, found) {
    Object.assign(this, { shared, bytes, body, type });
    this.context = { ...shared, locals: body.locals };
    this.cold = new Map();
    for (const { seq, index, cold } of found) if (cold) (this.cold.get(seq) ?? this.cold.set(seq, new Set()).get(seq)).add(index);
  }

  rewritten() {
    const results = this.type.results;
    const code = this.sequence(this.body.whole, [], [{ results, types: results, seq: this.body.whole }]);
    const declared = groups(this.body.locals.slice(this.type.params.length));
    return join([declared, code, [OP.end]]);
  }

  /** The bytes of a sequence without its end. `stack`: what it begins with; `labels`: the constructs around, the innermost first. */
  sequence(seq, stack, labels) {
    const parts = [];
    let from = seq.from;
    const cold = this.cold.get(seq);
    for (let i = 0; i <= seq.items.length; i++) {
      if (cold?.has(i) && i < seq.items.length) {
        const call = this.arm(seq, i, stack, labels);
        if (call) return join([...parts, this.bytes.subarray(from, at(seq, i)), call]);
      }
      const item = seq.items[i];
      if (!item) break;
      if (isConstruct(item)) {
        parts.push(this.bytes.subarray(from, item.body.from), this.construct(item, labels));
        from = item.to;
      }
      // What follows is never reached, or nothing is known of it.
      if (leaves(item.op) || !step(this.context, item, stack)) break;
    }
    return join([...parts, this.bytes.subarray(from, seq.to)]);
  }

  /** The inside of a construct with its end. */
  construct(item, labels) {
    const { params, results } = item.type;
    const inside = (seq) => this.sequence(seq, [...params], [{ results, types: item.op === OP.loop ? params : results, seq, loop: item.op === OP.loop }, ...labels]);
    const parts = [inside(item.body)];
    if (item.other) parts.push([OP.else], inside(item.other));
    return join([...parts, [OP.end]]);
  }

  /** Makes an arm of the sequence from its item `index` on; what stands in its place, or null if that isn't possible or worth it. */
  arm(seq, index, stack, labels) {
    const items = seq.items.slice(index);
    const size = seq.to - at(seq, index);
    if (size < this.shared.site.worth) return null;
    const uses = new Uses(labels.length - 1, !labels[0].loop);
    uses.items(items, 0);
    const falls = reaches(items) || uses.own;
    const exits = [...uses.exits].sort((a, b) => a - b);
    const shape = exitShape(falls, exits, labels);
    if (!shape || uses.refused || references(join([[0], this.bytes.subarray(at(seq, index), seq.to)])).segments.size > 0) return null;

    const { locals } = this.body;
    const liveHere = index === 0 ? seq.live : seq.items[index - 1].after;
    const wanted = (x) => (falls && seq.wanted[x]) || exits.some((j) => labels[j].seq.label[x]);
    const byType = (a, b) => locals[a] - locals[b] || a - b;
    const reads = [...uses.locals].filter((x) => liveHere[x]).sort(byType);
    const writes = [...uses.written].filter(wanted).sort(byType);
    const selector = shape.selector ? [I32] : [];
    const type = {
      params: [...stack, ...reads.map((x) => locals[x])],
      results: [...shape.results, ...selector, ...writes.map((x) => locals[x])],
    };
    const { ensure, table, typeIndex, worth } = this.shared.site;
    const slot = this.shared.arms.length;
    const call = [
      ...reads.flatMap((x) => [OP.localGet, ...u32(x)]),
      OP.call, ...u32(ensure),
      0x41, ...s32(slot), OP.callIndirect, ...u32(typeIndex(type)), ...u32(table),
      ...writes.toReversed().flatMap((x) => [OP.localSet, ...u32(x)]),
      ...this.dispatch(falls, exits, labels, shape),
    ];
    if (call.length + worth > size) return null;
    this.shared.arms.push({ type: typeIndex(type), body: this.armBody(seq, index, { stack, reads, writes, falls, exits, shape, uses }, labels) });
    return Uint8Array.from(call);
  }

  /** What follows the call: the branch that the arm ended with. */
  dispatch(falls, exits, labels, shape) {
    if (exits.length === 0) return falls ? [] : [OP.unreachable];
    if (!shape.selector) return [OP.br, ...u32(exits[0])];
    if (falls && exits.length === 1) return [OP.brIf, ...u32(exits[0])];
    if (!falls) return [OP.brTable, ...u32(exits.length - 1), ...exits.flatMap(u32)];
    const block = this.shared.site.typeIndex({ params: [I32], results: [] });
    return [OP.block, ...s32(block), OP.brTable, ...u32(exits.length), 0, ...exits.flatMap((j) => u32(j + 1)), OP.end];
  }

  /**
   * The arm: a block for each exit around the sequence's own, which is innermost; behind a block's end stands what leaves by it.
   */
  armBody(seq, index, { stack, reads, writes, falls, exits, shape, uses }, labels) {
    const { locals } = this.body;
    const numbers = new Map(reads.map((x, i) => [x, stack.length + i]));
    const own = [...uses.locals].filter((x) => !numbers.has(x)).sort((a, b) => locals[a] - locals[b] || a - b);
    for (const x of own) numbers.set(x, stack.length + numbers.size);
    // How many blocks are between the sequence and an exit. A loop's own label is an exit like any other: it goes round again.
    const depth = (j) => (j === 0 && !labels[0].loop ? 0 : 1 + exits.indexOf(j));
    const code = new Copier(this.bytes, numbers, depth, labels.length - 1).run(seq.items.slice(index), 0, at(seq, index), seq.to);
    const leave = (number) => [
      ...(shape.selector ? [0x41, ...s32(number)] : []),
      ...writes.flatMap((x) => [OP.localGet, ...u32(numbers.get(x))]),
      OP.return,
    ];
    // With a choice of exits, what the sequence would leave is not there when it is left by another.
    const nothing = shape.selector ? shape.results.flatMap(zero) : [];
    return join([
      groups(own.map((x) => locals[x])),
      ...exits.toReversed().map((j) => this.block(labels[j].types)),
      this.block(labels[0].results),
      stack.flatMap((_, i) => [OP.localGet, ...u32(i)]),
      code,
      [OP.end, ...(falls ? leave(0) : [OP.unreachable])],
      ...exits.map((_, i) => [OP.end, ...nothing, ...leave(falls ? i + 1 : i)]),
      [OP.end],
    ]);
  }

  /** The beginning of a block that leaves these types. */
  block(types) {
    if (types.length === 0) return [OP.block, 0x40];
    return [OP.block, ...(types.length === 1 ? types : s32(this.shared.site.typeIndex({ params: [], results: types })))];
  }
}

/** What an arm gives back besides locals, and whether it says by which exit; null if its exits carry different things. */
function exitShape(falls, exits, labels) {
  const results = falls ? labels[0].results : [];
  if (exits.length === 0) return { results, selector: false };
  if (!falls && exits.length === 1) return { results: labels[exits[0]].types, selector: false };
  return exits.some((j) => labels[j].types.length > 0) ? null : { results, selector: true };
}

/** What some items use: locals, those they write, and the labels around the sequence that they branch to. */
class Uses {
  /** `outermost`: the depth of the function's own label; `ends`: a branch to the sequence's own label goes to its end. */
  constructor(outermost, ends) {
    Object.assign(this, { outermost, ends, locals: new Set(), written: new Set(), exits: new Set(), own: false, refused: false });
  }

  items(items, depth) {
    for (const item of items) this.item(item, depth);
  }

  item(item, depth) {
    if (item.op >= OP.localGet && item.op <= OP.localTee) {
      this.locals.add(item.index);
      if (item.op !== OP.localGet) this.written.add(item.index);
    } else if (item.op === OP.br || item.op === OP.brIf) this.exit(item.index - depth);
    else if (item.op === OP.brTable) for (const label of item.labels) this.exit(label - depth);
    else if (item.op === OP.return) this.exit(this.outermost);
    else if (item.op === 0x12 || item.op === 0x13) this.refused = true;
    else if (isConstruct(item)) {
      this.items(item.body.items, depth + 1);
      if (item.other) this.items(item.other.items, depth + 1);
    }
  }

  exit(label) {
    if (label < 0) return;
    if (label === 0 && this.ends) this.own = true;
    else this.exits.add(label);
  }
}

/** May the end of these items be reached? A construct counts as left where a branch leads to its end, even one that is never taken. */
function reaches(items) {
  for (const item of items) {
    if (leaves(item.op)) return false;
    if (isConstruct(item) && !completes(item)) return false;
  }
  return true;
}

function completes(item) {
  if (reaches(item.body.items)) return true;
  if (item.op === OP.loop) return false;
  if (item.op === OP.if && (!item.other || reaches(item.other.items))) return true;
  const uses = new Uses(Infinity, true);
  uses.items(item.body.items, 0);
  if (item.other) uses.items(item.other.items, 0);
  return uses.own;
}

/** Copies items with other numbers for locals and labels. */
class Copier {
  constructor(bytes, numbers, depth, outermost) {
    Object.assign(this, { bytes, numbers, depth, outermost });
  }

  /** The bytes from `from` to `to`, in which `items` are; `inside`: how many constructs are between them and the sequence. */
  run(items, inside, from, to) {
    const parts = [];
    const label = (n) => u32(n < inside ? n : inside + this.depth(n - inside));
    for (const item of items) {
      const other = this.other(item, inside, label);
      if (!other) continue;
      parts.push(this.bytes.subarray(from, item.from), other);
      from = item.to;
    }
    return join([...parts, this.bytes.subarray(from, to)]);
  }

  other(item, inside, label) {
    if (item.op >= OP.localGet && item.op <= OP.localTee) return [item.op, ...u32(this.numbers.get(item.index))];
    if (item.op === OP.br || item.op === OP.brIf) return [item.op, ...label(item.index)];
    if (item.op === OP.brTable) return [item.op, ...u32(item.labels.length - 1), ...item.labels.flatMap(label)];
    if (item.op === OP.return) return [OP.br, ...label(inside + this.outermost)];
    if (!isConstruct(item)) return null;
    const seq = ({ items, from, to }) => this.run(items, inside + 1, from, to);
    return join([this.bytes.subarray(item.from, item.body.from), seq(item.body), ...(item.other ? [[OP.else], seq(item.other)] : []), [OP.end]]);
  }
}

/** Where an item of a sequence begins, or its end. */
const at = (seq, index) => seq.items[index]?.from ?? seq.to;

/** A constant of a type that is never looked at. */
const ZEROS = { 0x7f: [0x41, 0], 0x7e: [0x42, 0], 0x7d: [0x43, 0, 0, 0, 0], 0x7c: [0x44, 0, 0, 0, 0, 0, 0, 0, 0] };
const zero = (type) => ZEROS[type] ?? [0xd0, type];

/** The declaration of locals of these types. */
function groups(types) {
  const runs = [];
  for (const type of types) {
    const last = runs[runs.length - 1];
    if (last?.type === type) last.count++;
    else runs.push({ type, count: 1 });
  }
  return vector(runs.map(({ type, count }) => [...u32(count), type]));
}
