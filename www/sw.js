// Offline after the first visit. One release is one cache: it is filled whole, checked file by file, and only then used; a new one
// waits until the page says so. Written by finish.mjs: which release this is, and its files with their SHA-256.
const RELEASE = "$RELEASE";
const FILES = $FILES;

const PREFIX = `kubottle ${new URL(self.registration.scope).pathname} `;
const CACHE = PREFIX + RELEASE;
const address = (name) => new URL(name, self.registration.scope).href;

async function sha256(bytes) {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(new Uint8Array(digest), (b) => b.toString(16).padStart(2, "0")).join("");
}

/** One file into the cache: from an older release if it is the same there, else from the site. */
async function bring(cache, name, hash, older) {
  for (const other of older) {
    const old = await other.match(address(name));
    if (old && (await sha256(await old.clone().arrayBuffer())) === hash) return cache.put(address(name), old);
  }
  // Modules are asked for by names with a hash in them (finish.mjs): the page has just loaded them, and they are what they were.
  const url = name === "worker_bg.wasm" ? `${address(name)}?${hash.slice(0, 16)}` : address(name);
  const answer = await fetch(url, { cache: name.endsWith(".wasm") ? "force-cache" : "no-cache" });
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  // In the middle of an upload old and new files lie side by side: then this release isn't whole yet.
  if ((await sha256(await answer.clone().arrayBuffer())) !== hash) throw new Error(`${name}: of another release`);
  await cache.put(address(name), answer);
}

/** Between two files whoever looks at the cluster has the machine for so long: nobody waits for the copy. */
const pause = () => new Promise((done) => setTimeout(done, 20));

async function install() {
  const older = [];
  for (const name of await caches.keys()) if (name.startsWith(PREFIX) && name !== CACHE) older.push(await caches.open(name));
  const cache = await caches.open(CACHE);
  try {
    for (const [name, hash] of Object.entries(FILES)) {
      await bring(cache, name, hash, older);
      await pause();
    }
  } catch (error) {
    await caches.delete(CACHE);
    throw error;
  }
}

self.addEventListener("install", (event) => event.waitUntil(install()));

self.addEventListener("activate", (event) => {
  const tidy = async () => {
    for (const name of await caches.keys()) if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(tidy());
});

self.addEventListener("message", (event) => {
  if (event.data === "take over") self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(self.registration.scope)) return;
  const name = new URL(request.url).pathname.slice(new URL(self.registration.scope).pathname.length) || "index.html";
  if (!Object.hasOwn(FILES, name)) return;
  const answer = async () => (await (await caches.open(CACHE)).match(address(name))) ?? fetch(request);
  event.respondWith(answer());
});
