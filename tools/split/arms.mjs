// Takes the rest of a sequence of instructions, from a place in it up to its end, out of a function and makes a function of its own
// of it: an *arm*. In its place stands a call:
//
//   the function            the locals that the arm reads that hold something; the call; what it left in locals that are still
//                           wanted; the branch that it ended with, if there is a choice
//   arm(values, locals) ->  what the sequence leaves, the number of its exit, the locals
//
// An arm ends in one of its exits: the end of its sequence, a label around it, or never (a panic). It gives back one value; what
// else it has to give it leaves in globals, which are read at once. (Several results would do as well, but engines handle few of
// them in practice: V8's first compiler lost some, in 2023.) Which places to take is for others to say: outline.mjs, divide.mjs.

import { I32, OP, isConstruct, leaves, step } from "./body.mjs";
import { join, s32, u32, vector } from "./bytes.mjs";
import { live } from "./live.mjs";
import { KIND, all, functionTypes } from "./module.mjs";
import { references } from "./opcodes.mjs";
import { zero } from "./zero.mjs";

const key = ({ params, results }) => `${params.join()}:${results.join()}`;

/**
 * Takes arms out of a module's bodies, one body after another. `call(slot, typeIndex)` are the bytes of the call of the arm with
 * that number; an arm is made if it is `worth` bytes longer than what stands for it. `types`, `arms` (`{ type, body, seq, index }`: what it was taken from) and `carriers`
 * (the types of the globals that the arms need, which come after the first `globals` of the module) grow.
 */
export class Taker {
  constructor(module, { call, worth, globals }) {
    this.types = [...module.types];
    this.known = new Map(this.types.map((type, i) => [key(type), i]));
    this.module = { ...module, types: this.types };
    this.functions = functionTypes(module);
    this.globals = all(module, KIND.global, module.globals.map((g) => g.type)).map((type) => type[0]);
    this.tables = all(module, KIND.table, module.tables).map((type) => type[0]);
    Object.assign(this, { call, worth, firstCarrier: globals, carriers: [], places: new Map(), arms: [] });
  }

  typeIndex(type) {
    if (!this.known.has(key(type))) this.known.set(key(type), this.types.push(type) - 1);
    return this.known.get(key(type));
  }

  /** Globals for values of these types, by index. */
  carry(types) {
    const used = new Map();
    return types.map((type) => {
      const nth = used.get(type) ?? 0;
      used.set(type, nth + 1);
      const place = `${type}:${nth}`;
      if (!this.places.has(place)) this.places.set(place, this.firstCarrier + this.carriers.push(type) - 1);
      return this.places.get(place);
    });
  }

  /** The body without what begins at the chosen places (see `places`), or null if nothing was taken out. */
  take(bytes, body, type, chosen) {
    if (chosen.length === 0) return null;
    live(body);
    const before = this.arms.length;
    const rewritten = new Rewriter(this, bytes, body, type, chosen).rewritten();
    return this.arms.length > before ? rewritten : null;
  }
}

class Rewriter {
  constructor(taker, bytes, body, type, chosen) {
    Object.assign(this, { taker, bytes, body, type });
    const { module, functions, globals, tables } = taker;
    this.context = { module, functions, globals, tables, locals: body.locals };
    this.chosen = new Map();
    for (const { seq, index } of chosen) (this.chosen.get(seq) ?? this.chosen.set(seq, new Set()).get(seq)).add(index);
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
    const chosen = this.chosen.get(seq);
    for (let i = 0; i <= seq.items.length; i++) {
      if (chosen?.has(i) && i < seq.items.length) {
        const call = this.arm(seq, i, stack, labels);
        if (call) return join([...parts, this.bytes.subarray(from, at(seq, i)), call]);
      }
      const item = seq.items[i];
      if (!item) break;
      if (isConstruct(item)) {
        parts.push(this.bytes.subarray(from, item.body.from), this.construct(item, labels));
        from = item.to;
      }
      // What follows can't be reached, or nothing is known of it.
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
    if (size < this.taker.worth) return null;
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
    const carried = this.carried(falls, exits, shape, writes);
    const type = { params: [...stack, ...reads.map((x) => locals[x])], results: carried.results };
    const typeIndex = this.taker.typeIndex(type);
    const call = [
      ...reads.flatMap((x) => [OP.localGet, ...u32(x)]),
      ...this.taker.call(this.taker.arms.length, typeIndex),
      ...(carried.direct?.local >= 0 ? [OP.localSet, ...u32(carried.direct.local)] : []),
      ...carried.others.flatMap(({ local, global }) => (local < 0 ? [] : [OP.globalGet, ...u32(global), OP.localSet, ...u32(local)])),
      ...this.dispatch(falls, exits, shape, carried),
    ];
    if (call.length + this.taker.worth > size) return null;
    this.taker.arms.push({ seq, index, type: typeIndex, body: this.armBody(seq, index, { stack, reads, carried, falls, exits, shape, uses }, labels) });
    return Uint8Array.from(call);
  }

  /**
   * How an arm gives back what it has to: `results` of its type; `direct`, what the result is if it isn't what the sequence leaves;
   * `others`, in globals. Of both, `local` is the local, or -1 for the number of the exit.
   */
  carried(falls, exits, shape, writes) {
    const { locals } = this.body;
    const typeOf = (local) => (local < 0 ? I32 : locals[local]);
    const out = [...(shape.selector ? [-1] : []), ...writes];
    // Within a block of its own the number could not be taken from the stack.
    const blocked = shape.selector && falls && exits.length > 1;
    const first = shape.results.length > 0 ? -1 : out.findIndex((local) => !blocked || local >= 0);
    const others = out.filter((_, i) => i !== first);
    const globals = this.taker.carry(others.map(typeOf));
    return {
      results: first < 0 ? shape.results : [typeOf(out[first])],
      direct: first < 0 ? null : { local: out[first] },
      others: others.map((local, i) => ({ local, global: globals[i] })),
    };
  }

  /** What follows the call: the branch that the arm ended with. */
  dispatch(falls, exits, shape, carried) {
    if (exits.length === 0) return falls ? [] : [OP.unreachable];
    if (!shape.selector) return [OP.br, ...u32(exits[0])];
    const exit = carried.others.find(({ local }) => local < 0);
    const number = exit ? [OP.globalGet, ...u32(exit.global)] : [];
    if (falls && exits.length === 1) return [...number, OP.brIf, ...u32(exits[0])];
    if (!falls) return [...number, OP.brTable, ...u32(exits.length - 1), ...exits.flatMap(u32)];
    return [OP.block, 0x40, ...number, OP.brTable, ...u32(exits.length), 0, ...exits.flatMap((j) => u32(j + 1)), OP.end];
  }

  /**
   * The arm: a block for each exit around the sequence's own, which is innermost; behind a block's end stands what leaves by it.
   */
  armBody(seq, index, { stack, reads, carried, falls, exits, shape, uses }, labels) {
    const { locals } = this.body;
    const numbers = new Map(reads.map((x, i) => [x, stack.length + i]));
    const own = [...uses.locals].filter((x) => !numbers.has(x)).sort((a, b) => locals[a] - locals[b] || a - b);
    for (const x of own) numbers.set(x, stack.length + numbers.size);
    // How many blocks are between the sequence and an exit. A loop's own label is an exit like any other: it goes round again.
    const depth = (j) => (j === 0 && !labels[0].loop ? 0 : 1 + exits.indexOf(j));
    const code = new Copier(this.bytes, numbers, depth, labels.length - 1).run(seq.items.slice(index), 0, at(seq, index), seq.to);
    const value = (local, number) => (local < 0 ? [0x41, ...s32(number)] : [OP.localGet, ...u32(numbers.get(local))]);
    const leave = (number) => [
      ...carried.others.flatMap(({ local, global }) => [...value(local, number), OP.globalSet, ...u32(global)]),
      ...(carried.direct ? value(carried.direct.local, number) : []),
      OP.return,
    ];
    // With a choice of exits, what the sequence would leave is not there when it is left by another.
    const nothing = shape.selector ? shape.results.flatMap(zero) : [];
    return join([
      groups(own.map((x) => locals[x])),
      ...exits.toReversed().map((j) => [OP.block, labels[j].types[0] ?? 0x40]),
      [OP.block, labels[0].results[0] ?? 0x40],
      stack.flatMap((_, i) => [OP.localGet, ...u32(i)]),
      code,
      [OP.end, ...(falls ? leave(0) : [OP.unreachable])],
      ...exits.map((_, i) => [OP.end, ...nothing, ...leave(falls ? i + 1 : i)]),
      [OP.end],
    ]);
  }

}

/** What an arm gives back besides locals, and whether it says by which exit; null if that is more than one value or differs. */
function exitShape(falls, exits, labels) {
  const results = falls ? labels[0].results : [];
  if (results.length > 1 || exits.some((j) => labels[j].types.length > 1)) return null;
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
