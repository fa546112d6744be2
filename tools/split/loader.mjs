// What worker.js (or the page's script) needs to load the rest, as text: it is appended to the script that wasm-bindgen wrote. In that script `wasm` is
// what the primary exports, and `__wbg_get_imports()` is what both modules import.

import { EXPORTS } from "./cut.mjs";

/** Ms from the module's start to the rest's prefetch: the boot and its first pictures come before. */
const PREFETCH_AFTER_MS = 1_500;
/** Ms between two parts of the rest's warm-up, each of some ms: whatever else there is to do is done between. */
const WARM_EVERY_MS = 12;
const STARTED = "wasm.__wbindgen_start();";
/** Where the module has been made and is not started yet, of the way that doesn't block. */
const MADE = "const { instance, module } = await __wbg_load(await module_or_path, imports);";

/** The script with the loader, which takes the rest from `file` beside it. `warm`: the module compiles itself before it starts. */
export function withLoader(script, file, { warm = true } = {}) {
  if (script.includes("self.loadRest =")) throw new Error("the script has a loader already");
  if (script.split(STARTED).length !== 2) throw new Error(`the script should have ${STARTED} once`);
  if (!script.includes("function __wbg_get_imports()")) throw new Error("the script has no __wbg_get_imports()");
  if (script.split(MADE).length !== 2) throw new Error(`the script should have ${MADE} once`);
  // A browser doesn't ask the service worker for what a page waits for: without a network, or when the site has gone over to another
  // release, the rest would not be found. Under a service worker it is at hand: it comes before the start.
  const whole = script.replace(MADE, `${MADE}\n    if (isControlled()) {\n        wasm = instance.exports;\n        await prefetchRest();\n    }`);
  const begun = whole.replace(STARTED, `${warm ? `wasm.${EXPORTS.warmUp}();` : ""}\n    ${STARTED}\n    setTimeout(() => prefetchRest().then(warmRest), ${PREFETCH_AFTER_MS});`);
  const loader = `
// The functions that the first seconds don't need are in a module of their own. It is fetched a little after the start; a function
// that is wanted before has it loaded at once, while the worker waits.
const REST = new URL(${JSON.stringify(file)}, import.meta.url);

function restImports() {
    return { ...__wbg_get_imports(), split: wasm };
}

let restParts = [];

// An instance has filled the tables by itself when it has come to be.
function restHasCome(instance) {
    wasm.${EXPORTS.loaded}.value = 1;
    restParts = Object.values(instance.exports);
}

// What is going to be called is compiled beforehand.
async function warmRest() {
    for (const part of restParts) {
        await new Promise((done) => setTimeout(done, ${WARM_EVERY_MS}));
        part();
    }
}

self.loadRest = () => {
    if (wasm.${EXPORTS.loaded}.value === 1) return;
    const request = new XMLHttpRequest();
    request.open("GET", REST, false);
    // A page may not ask for bytes while it waits, only for text: then one character is one byte.
    const bytes = typeof WorkerGlobalScope !== "undefined" || typeof window === "undefined";
    if (bytes) request.responseType = "arraybuffer";
    else request.overrideMimeType("text/plain; charset=x-user-defined");
    try {
        request.send();
    } catch (error) {
        throw new Error(\`the rest of the cluster's program could not be loaded from \${REST}: \${error.message}\`);
    }
    if (request.status !== 200) {
        throw new Error(\`the rest of the cluster's program could not be loaded from \${REST}: \${request.status} \${request.statusText}\`);
    }
    const code = bytes ? request.response : Uint8Array.from(request.response, (c) => c.charCodeAt(0) & 0xff);
    restHasCome(new WebAssembly.Instance(new WebAssembly.Module(code), restImports()));
};

/** Whether a service worker stands between this page and the network. */
function isControlled() {
    try {
        return Boolean(navigator.serviceWorker?.controller);
    } catch {
        // A frame without an origin may not ask.
        return false;
    }
}

async function prefetchRest() {
    if (wasm.${EXPORTS.loaded}.value === 1) return;
    try {
        const response = await fetch(REST, { priority: "low", cache: "force-cache" });
        if (!response.ok) throw new Error(\`\${response.status} \${response.statusText}\`);
        // Compiled as it comes if the server names its type.
        const streams = response.headers.get("Content-Type") === "application/wasm";
        const module = await (streams ? WebAssembly.compileStreaming(response) : response.arrayBuffer().then((bytes) => WebAssembly.compile(bytes)));
        if (wasm.${EXPORTS.loaded}.value === 1) return;
        restHasCome(await WebAssembly.instantiate(module, restImports()));
    } catch (error) {
        console.warn(\`the rest of the cluster's program was not fetched beforehand from \${REST}: \${error.message}\`);
    }
}
`;
  // The words for who reads this file needn't travel.
  return begun + loader.replace(/^ *\/(?:\/|\*\*).*\n/gm, "");
}
