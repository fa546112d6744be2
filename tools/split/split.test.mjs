// The splitter on modules made by hand: `node --test tools/split/`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Reader, join, name, s32, section, u32, vector } from "./bytes.mjs";
import { cut } from "./cut.mjs";
import { instrument, reached } from "./instrument.mjs";
import { withLoader } from "./loader.mjs";
import { parse, rebuild } from "./module.mjs";
import { references } from "./opcodes.mjs";
import { plan } from "./plan.mjs";
import { warm } from "./warm.mjs";

const I32 = 0x7f;
const MAGIC = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const constant = (value) => [0x41, ...s32(value)];
/** Makes a body longer than any trampoline, so that smallness keeps it nowhere. */
const LONG = Array.from({ length: 40 }, () => 0x01);

/**
 * Imports `loadRest` (function 0) and has one table and one memory. The functions, all of (i32) -> i32:
 * 1 twice(x)  = add(x, x)                      exported
 * 2 add(x)    = x + x + the global 0
 * 3 indirect(x) = table[x](x)                  exported
 * 4 far(x)    = twice(x) + 1, and it stores x  in the table, slot 0; only cold code
 * 5 near(x)   = x * 3                          in the table, slot 1
 * 6 lone(x)   = far(x)                         nobody refers to it
 */
function sample() {
  const type = vector([[0x60, 0, 0], [0x60, 1, I32, 1, I32]]);
  const bodies = [
    [0, ...LONG, 0x20, 0, 0x10, 2, 0x0b],
    [1, 1, I32, ...LONG, 0x20, 0, 0x20, 0, 0x6a, 0x23, 0, 0x6a, 0x0b],
    [0, ...LONG, 0x20, 0, 0x20, 0, 0x11, 1, 0, 0x0b],
    [0, ...LONG, ...constant(8), 0x20, 0, 0x36, 2, 0, 0x20, 0, 0x10, 1, ...constant(1), 0x6a, 0x0b],
    [0, ...LONG, 0x20, 0, ...constant(3), 0x6c, 0x0b],
    [0, ...LONG, 0x20, 0, 0x10, 4, 0x0b],
  ];
  const exports = [["memory", 2, 0], ["twice", 0, 1], ["indirect", 0, 3], ["bias", 3, 0]];
  return join([
    MAGIC,
    section(1, type),
    section(2, vector([[...name("env"), ...name("__wbg_loadRest_1"), 0, 0]])),
    section(3, vector(bodies.map(() => [1]))),
    section(4, vector([[0x70, 0, 2]])),
    section(5, vector([[0, 1]])),
    section(6, vector([[I32, 1, ...constant(100), 0x0b]])),
    section(7, vector(exports.map(([n, kind, index]) => [...name(n), kind, index]))),
    section(9, vector([[0, ...constant(0), 0x0b, 2, 4, 5]])),
    section(10, vector(bodies.map((body) => [...u32(body.length), ...body]))),
    section(11, vector([[0, ...constant(16), 0x0b, 1, 42]])),
  ]);
}

/** Hot are twice, add and indirect. */
const HOT = Uint8Array.from([1, 1, 1, 0, 0, 0]);
const instance = (bytes, imports = {}) => new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);

/** An instance of the primary whose `loadRest` does what the loader does. */
function halves(options) {
  const parts = cut(sample(), HOT, options);
  const half = { ...parts, loads: 0 };
  const env = {
    __wbg_loadRest_1: () => {
      half.loads++;
      half.restInstance = instance(parts.rest, { env, split: half.exports });
      half.exports.$loaded.value = 1;
    },
  };
  half.exports = instance(parts.primary, { env }).exports;
  return half;
}

test("numbers survive writing and reading", () => {
  for (const value of [0, 1, 127, 128, 16_384, 2 ** 31, 2 ** 32 - 1]) assert.equal(new Reader(Uint8Array.from(u32(value))).u32(), value);
  for (const value of [0, 63, 64, -1, -64, -65, 2 ** 31 - 1, -(2 ** 31)]) assert.equal(new Reader(Uint8Array.from(s32(value))).s33(), value);
  assert.throws(() => new Reader(Uint8Array.of(0x80)).u32(), /within a value/);
});

test("a module that is taken apart and put together is the same", () => {
  assert.deepEqual(rebuild(parse(sample()), {}), sample());
});

test("references are found in every kind of instruction, and unknown instructions are refused", () => {
  const found = (...code) => references(Uint8Array.from([0, ...code, 0x0b]));
  assert.deepEqual([...found(0x10, 7, 0x12, 0x80, 1).calls], [7, 128]);
  assert.deepEqual([...found(0xd2, 9).refs], [9]);
  assert.deepEqual([...found(0xfc, 8, 3, 0, 0xfc, 13, 1).segments], ["memory.init", "elem.drop"]);
  // What looks like a call within an immediate is none: constants, branch tables, memory arguments, blocks with types.
  assert.equal(found(0x41, 0x90, 0x10, 0x43, 0x10, 1, 0x10, 1, 0x44, 0x10, 1, 0x10, 1, 0x10, 1, 0x10, 1).calls.size, 0);
  assert.equal(found(0x0e, 2, 0x10, 0x10, 0x10, 0x28, 2, 0x10, 0x02, 0x10, 0x0b, 0x1c, 1, 0x7f, 0x42, 0x90, 0x10).calls.size, 0);
  assert.throws(() => found(0xfd, 0), /unknown instruction 0xfd/);
  assert.throws(() => found(0xfc, 0x20), /unknown instruction 0xfc 32/);
});

test("the plan: bodies where they are called, trampolines where they are referred to, nothing elsewhere", () => {
  const { primary, rest, toRest, toPrimary } = plan(parse(sample()), HOT, { copied: 0 });
  assert.deepEqual([...primary.bodies], [1, 1, 1, 0, 0, 0]);
  assert.deepEqual([...rest.bodies], [0, 0, 0, 1, 1, 1]);
  assert.deepEqual([toRest, toPrimary], [[3, 4], [0]]);
});

test("the rest may have copies of short hot bodies", () => {
  const { rest, toPrimary } = plan(parse(sample()), HOT, { copied: 200 });
  assert.deepEqual([[...rest.bodies], toPrimary], [[1, 1, 0, 1, 1, 1], []]);
});

test("the rest uses no segment of the original", () => {
  const module = parse(sample());
  module.bodies[3] = Uint8Array.from([0, 0xfc, 9, 0, 0x20, 0, 0x0b]);
  assert.throws(() => plan(module, HOT), /data\.drop/);
});

for (const copied of [0, 200]) {
  test(`two halves do what the whole does (copies of up to ${copied} bytes)`, () => {
    const whole = instance(sample(), { env: { __wbg_loadRest_1() {} } }).exports;
    const half = halves({ copied });
    assert.equal(half.exports.twice(5), whole.twice(5));
    assert.equal(half.loads, 0);
    for (const slot of [0, 1, 0]) assert.equal(half.exports.indirect(slot), whole.indirect(slot));
    assert.equal(half.loads, 1);
    assert.throws(() => half.exports.indirect(2), WebAssembly.RuntimeError);
    // State is shared: the global that one half reads, the memory that the other writes.
    half.exports.bias.value = whole.bias.value = 7;
    assert.equal(half.exports.indirect(0), whole.indirect(0));
    assert.deepEqual(new Uint8Array(half.exports.memory.buffer), new Uint8Array(whole.memory.buffer));
    assert.equal(new Uint8Array(half.exports.memory.buffer)[16], 42);
  });
}

test("an error of the loader reaches the caller, and a later call loads", () => {
  const parts = cut(sample(), HOT);
  let broken = true;
  const env = {
    __wbg_loadRest_1() {
      if (broken) throw new Error("offline");
      instance(parts.rest, { env, split: exports });
      exports.$loaded.value = 1;
    },
  };
  const { exports } = instance(parts.primary, { env });
  assert.throws(() => exports.indirect(1), /offline/);
  broken = false;
  assert.equal(exports.indirect(1), 3);
});

test("halves of two cuts don't link", () => {
  const imports = { env: { __wbg_loadRest_1() {} } };
  const { exports } = instance(cut(sample(), HOT, { copied: 0 }).primary, imports);
  assert.throws(() => instance(cut(sample(), HOT, { copied: 200 }).rest, { ...imports, split: exports }), WebAssembly.LinkError);
});

test("a module without the loader's import is refused", () => {
  assert.throws(() => cut(sample(), HOT, { load: "elsewhere" }), /imports no function named …elsewhere…/);
});

test("the instrumented module notes what is reached, and does the same", () => {
  const { bytes, base, count } = instrument(sample(), { base: 64, room: -100 });
  assert.deepEqual([base, count], [64, 6]);
  assert.throws(() => instrument(sample(), { base: 64 }), /too many for a stack of 100 bytes/);
  const { exports } = instance(bytes, { env: { __wbg_loadRest_1() {} } });
  assert.deepEqual([...reached(exports.memory, base, count)], [0, 0, 0, 0, 0, 0]);
  assert.equal(exports.twice(5), 110);
  assert.deepEqual([...reached(exports.memory, base, count)], [1, 1, 0, 0, 0, 0]);
  assert.equal(exports.indirect(1), 3);
  assert.equal(exports.twice(5), 110);
  assert.deepEqual([...reached(exports.memory, base, count)], [2, 2, 1, 0, 1, 0]);
});

test("the loader goes into the script that wasm-bindgen writes, once", () => {
  const made = "const { instance, module } = await __wbg_load(await module_or_path, imports);";
  const script = `function __wbg_get_imports() {}\nfunction f() {\n    wasm.__wbindgen_start();\n}\nasync function g() {\n    ${made}\n    return f();\n}\n`;
  const patched = withLoader(script, "worker_rest-1.wasm");
  assert.match(patched, /await __wbg_load[^]*isControlled\(\)[^]*await prefetchRest\(\);[^]*return f\(\);/);
  assert.match(patched, /setTimeout\(\(\) => prefetchRest\(\)\.then\(warmRest\), 1500\)/);
  assert.match(patched, /new URL\("worker_rest-1\.wasm", import\.meta\.url\)/);
  assert.throws(() => withLoader(patched, "worker_rest-1.wasm"), /has a loader already/);
  assert.throws(() => withLoader("", "worker_rest-1.wasm"), /__wbindgen_start/);
});

test("warming up calls the longer functions, which then do nothing", () => {
  const env = { __wbg_loadRest_1() {} };
  const { exports } = instance(cut(sample(), HOT, { copied: 0, long: 1 }).primary, { env });
  const before = new Uint8Array(exports.memory.buffer).slice();
  exports.$warmUp();
  assert.deepEqual(new Uint8Array(exports.memory.buffer), before);
  assert.equal(exports.twice(5), 110);
});

test("the rest warms up what is done later, and nothing happens by it", () => {
  // Later far and near are called, and far again and again.
  const half = halves({ copied: 0, long: 1, worked: Uint16Array.of(0, 0, 0, 256, 1, 0) });
  assert.equal(half.warmed, 2);
  assert.equal(half.exports.indirect(1), 3);
  const before = new Uint8Array(half.exports.memory.buffer).slice();
  const parts = Object.entries(half.restInstance.exports);
  assert.deepEqual(parts.map(([name]) => name), ["$warm0"]);
  for (const [, part] of parts) part();
  assert.deepEqual(new Uint8Array(half.exports.memory.buffer), before);
  assert.equal(half.exports.$warming.value, 0);
  assert.equal(half.exports.indirect(0), 2 * 0 + 100 + 1);
  assert.equal(new Uint8Array(half.exports.memory.buffer)[8], 0);
  assert.deepEqual(Object.keys(halves({ copied: 0 }).exports).includes("$warm0"), false);
});

test("a warm-up in parts calls every function once", () => {
  const { functions, warmUps } = warm([{ params: [], results: [] }], () => 0, [[0, 0x0b], null, [0, 0x0b], [0, 0x0b]].map((b) => b && Uint8Array.from(b)), { global: 0, table: 0, long: 1, part: 2 });
  assert.deepEqual([functions, warmUps.length], [[0, 2, 3], 2]);
});
