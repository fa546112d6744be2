// The outlining and the dividing on programs made at random: whatever was reached in a profile, the two halves do what the whole
// does.

import assert from "node:assert/strict";
import { test } from "node:test";
import { OP } from "./body.mjs";
import { join, name, s32, section, u32, vector } from "./bytes.mjs";
import { cut } from "./cut.mjs";
import { divide } from "./divide.mjs";
import { instrument, reached } from "./instrument.mjs";

const [I32, I64] = [0x7f, 0x7e];
const MAGIC = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const LOCALS = [I32, I32, I64, I32, I64, I32];

/** Numbers that look like chance and are the same each time. */
function chance(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A body at random: parameters (i32, i32), one result; it ends, since every loop counts down the last local. */
class Program {
  constructor(seed) {
    this.pick = chance(seed);
    this.left = 60;
  }

  body() {
    const code = [...this.statements([{ arity: 1 }], 0), ...this.value()];
    return [...vector([[2, I64], [1, I32], [1, I64], [1, I32]].map(([n, t]) => [...u32(n), t])), 0x41, ...s32(40), OP.localSet, 6, ...code, OP.end];
  }

  local(type) {
    const all = [0, 1, 4].filter(() => type === I32).concat(type === I64 ? [2, 3, 5] : []);
    return all[this.pick(all.length)];
  }

  value(depth = 0) {
    const choice = depth > 2 ? this.pick(2) : this.pick(8);
    if (choice === 0) return [0x41, ...s32(this.pick(40) - 5)];
    if (choice === 1) return [OP.localGet, this.local(I32)];
    if (choice === 2) return [OP.localGet, this.local(I64), 0xa7];
    if (choice === 3) return [...this.value(depth + 1), OP.localTee, this.local(I32)];
    if (choice === 4) return [...this.value(depth + 1), OP.call, 1];
    if (choice === 5) return [OP.block, I32, ...this.value(depth + 1), ...this.value(depth + 1), OP.brIf, 0, 0x1a, ...this.value(depth + 1), OP.end];
    return [...this.value(depth + 1), ...this.value(depth + 1), [0x6a, 0x6b, 0x73][this.pick(3)]];
  }

  condition() {
    return [...this.value(1), 0x41, ...s32(this.pick(20)), [0x46, 0x48, 0x4a, 0x47][this.pick(4)]];
  }

  statements(labels, depth) {
    const out = [];
    for (let n = 1 + this.pick(5); n > 0 && this.left > 0; n--) out.push(...this.statement(labels, depth));
    return out;
  }

  /** A label without a value, as a depth. */
  label(labels) {
    const free = labels.flatMap((label, i) => (label.arity === 0 ? [i] : []));
    return free.length > 0 ? free[this.pick(free.length)] : -1;
  }

  statement(labels, depth) {
    this.left--;
    const choice = this.pick(depth > 4 ? 6 : 12);
    if (choice < 2) return [...this.value(), OP.localSet, this.local(I32)];
    if (choice === 2) return [...this.value(), 0xac, OP.localGet, this.local(I64), 0x7c, OP.localSet, this.local(I64)];
    const label = this.label(labels);
    if (choice === 3 && label >= 0) return [...this.condition(), OP.brIf, ...u32(label)];
    if (choice === 4 && this.pick(3) === 0) return [...this.condition(), OP.if, 0x40, ...this.value(), OP.return, OP.end];
    if (choice === 5 && this.pick(4) === 0) return [...this.condition(), OP.if, 0x40, OP.unreachable, OP.end];
    const inner = (arity, loop = false) => [{ arity, loop }, ...labels];
    if (choice === 6) return [OP.block, 0x40, ...this.statements(inner(0), depth + 1), OP.end];
    if (choice === 7) return [...this.condition(), OP.if, 0x40, ...this.statements(inner(0), depth + 1), OP.else, ...this.statements(inner(0), depth + 1), OP.end];
    if (choice === 8) return [...this.condition(), OP.if, I32, ...this.statements(inner(1), depth + 1), ...this.value(), OP.else, ...this.value(), OP.end, OP.localSet, this.local(I32)];
    if (choice === 9) {
      // Counts down before anything else, so that `continue` is safe anywhere; out of count, it leaves.
      const count = [OP.localGet, 6, OP.if, 0x40, OP.localGet, 6, 0x41, 1, 0x6b, OP.localSet, 6, OP.else, OP.br, 2, OP.end];
      return [OP.block, 0x40, OP.loop, 0x40, ...count, ...this.statements([{ arity: 0, loop: true }, { arity: 0 }, ...labels], depth + 1), ...this.condition(), OP.brIf, 0, OP.end, OP.end];
    }
    if (choice === 10 && label >= 0) {
      const two = [{ arity: 0 }, { arity: 0 }, ...labels];
      return [OP.block, 0x40, OP.block, 0x40, ...this.statements(two, depth + 1), ...this.value(), OP.brTable, ...u32(2), 0, 1, ...u32(label + 2), OP.end, ...this.statements(inner(0), depth + 1), OP.end];
    }
    if (choice === 11 && label >= 0) return [...this.condition(), OP.if, 0x40, ...this.statements(inner(0), depth + 1), OP.br, ...u32(label + 1), OP.end];
    return [OP.localGet, this.local(I32), 0x41, 3, 0x6c, OP.localSet, this.local(I32)];
  }
}

/** Function 0 is `loadRest`, 1 mixes a number up, the program is 2. */
function module(seed) {
  const type = vector([[0x60, 0, 0], [0x60, 1, I32, 1, I32], [0x60, 2, I32, I32, 1, I32]]);
  const mix = [0, 0x20, 0, 0x41, ...s32(7), 0x6c, 0x41, ...s32(3), 0x73, 0x41, ...s32(63), 0x71, 0x0b];
  const program = new Program(seed).body();
  return join([
    MAGIC,
    section(1, type),
    section(2, vector([[...name("env"), ...name("loadRest"), 0, 0]])),
    section(3, vector([[1], [2]])),
    section(4, vector([])),
    section(5, vector([[0, 1]])),
    section(6, vector([[I32, 1, 0x41, ...s32(60_000), 0x0b]])),
    section(7, vector([[...name("memory"), 2, 0], [...name("run"), 0, 2]])),
    section(9, vector([])),
    section(10, vector([mix, program].map((body) => [...u32(body.length), ...body]))),
  ]);
}

const instance = (bytes, imports) => new WebAssembly.Instance(new WebAssembly.Module(bytes), imports).exports;

function outcome(run, a, b) {
  try {
    return run(a, b);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) return error.message;
    throw error;
  }
}

/** `{ arms, taken }`: how many arms a program had, and whether one of them was gone into. */
function compare(seed, original = module(seed)) {
  const env = { loadRest() {} };
  const whole = instance(original, { env });
  const noted = instrument(original, { room: 0 });
  const profiled = instance(noted.bytes, { env });
  const inputs = Array.from({ length: 12 }, (_, i) => [(seed * 7 + i * 13) % 61 - 9, (i * 11) % 37 - 4]);
  const [seen, rest] = [inputs.slice(0, 1), inputs];
  for (const [a, b] of seen) assert.equal(outcome(profiled.run, a, b), outcome(whole.run, a, b));
  const marks = reached(profiled.memory, noted.base, noted.count);
  const parts = cut(original, marks, { worth: 0, copied: 0 });
  let loads = 0;
  const half = instance(parts.primary, {
    env: {
      loadRest() {
        loads++;
        instance(parts.rest, { env, split: half });
        half.$loaded.value = 1;
      },
    },
  });
  for (const [a, b] of seen) assert.equal(outcome(half.run, a, b), outcome(whole.run, a, b), `seed ${seed}, (${a}, ${b})`);
  assert.equal(loads, 0, `seed ${seed}: what was reached in the profile needs the rest`);
  for (const [a, b] of rest) assert.equal(outcome(half.run, a, b), outcome(whole.run, a, b), `seed ${seed}, (${a}, ${b})`);
  return { arms: parts.arms, taken: loads > 0 };
}

test("programs at random do the same when they are outlined", () => {
  let [arms, taken] = [0, 0];
  for (let seed = 1; seed <= 3_000; seed++) {
    const found = compare(seed);
    arms += found.arms;
    taken += found.taken;
  }
  // The test is about arms that are taken: enough of them there are.
  assert.ok(arms > 3_000, `${arms} arms`);
  assert.ok(taken > 300, `${taken} programs went into an arm`);
});

test("programs at random do the same when they are divided, and when they are outlined after that", () => {
  let total = 0;
  for (let seed = 1; seed <= 1_000; seed++) {
    const original = module(seed);
    const env = { loadRest() {} };
    const whole = instance(original, { env });
    let divided = original;
    for (let round = 0; round < 2; round++) {
      const noted = instrument(divided, { room: 0 });
      const profiled = instance(noted.bytes, { env });
      for (let i = 0; i < 6; i++) outcome(profiled.run, i, 3 * i);
      const { bytes, arms } = divide(divided, reached(profiled.memory, noted.base, noted.count), { long: 1, heavy: 1, arm: 0, seldom: 1 });
      [divided, total] = [bytes, total + arms];
    }
    const { run } = instance(divided, { env });
    for (let i = 0; i < 12; i++) assert.equal(outcome(run, 5 * i - 9, 3 * i), outcome(whole.run, 5 * i - 9, 3 * i), `seed ${seed}, input ${i}`);
    compare(seed, divided);
  }
  assert.ok(total > 3_000, `${total} arms`);
});
