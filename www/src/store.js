// What the page keeps and gives away: links to a moment, files, the journal in IndexedDB that brings a cluster back after a reload,
// a crash or a closed tab, and the picture as SVG and PNG. Loaded when first needed; the page decides, this does.

// ---- bytes, links, files ----

/** Unpacked, nothing is larger than this: a small file may say that it is gigabytes. */
const MAX_BYTES = 64 << 20;
/** Longer links are cut by chat programs and mailers. */
const MAX_LINK = 2048;

async function through(bytes, stream, limit) {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const parts = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > limit) {
      await reader.cancel();
      throw new Error(`it is larger than ${limit >> 20} MiB`);
    }
    parts.push(value);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
const deflate = (bytes, form) => through(bytes, new CompressionStream(form), Infinity);
const inflate = (bytes, form) => through(bytes, new DecompressionStream(form), MAX_BYTES);

function toText(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function fromText(text) {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) throw new Error("there are characters in it that no link has");
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (c) => c.charCodeAt(0));
}

/** The part of a link that is a moment: `RELEASE.BYTES`. */
export async function momentText(bytes, release) {
  return `${release || "0"}.${toText(await deflate(bytes, "deflate-raw"))}`;
}

/** The address of this page with the moment in it; null if that would be too long. `view`: lens, selection and tab, as a query. */
export async function link(bytes, release, view) {
  const moment = await momentText(bytes, release);
  const url = new URL(location.href);
  url.hash = `m=${moment}${view ? `&${view}` : ""}`;
  url.searchParams.delete("host");
  return url.href.length <= MAX_LINK ? url.href : null;
}

/** The bytes of a link's moment. What is wrong with it is an error whose text begins "The link". */
export async function readMoment(text) {
  if (text.length > 1 << 20) throw new Error("The link is too long to be one of ours.");
  const dot = text.indexOf(".");
  if (dot < 0) throw new Error("The link is cut off: there is no moment in it.");
  let packed;
  try {
    packed = fromText(text.slice(dot + 1));
  } catch (error) {
    throw new Error(`The link can't be read: ${/character/.test(error.message) ? error.message : "it was cut off"}.`);
  }
  try {
    return { release: text.slice(0, dot), bytes: await inflate(packed, "deflate-raw") };
  } catch (error) {
    throw new Error(`The link can't be read: ${/MiB/.test(error.message) ? error.message : "it was cut off or changed on its way"}.`);
  }
}

/** A file for a download, and its contents again. */
export const packFile = (bytes) => deflate(bytes, "gzip");
export async function readFile(file) {
  if (file.size > MAX_BYTES) throw new Error(`The file can't be opened: it is larger than ${MAX_BYTES >> 20} MiB.`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return await inflate(bytes, "gzip");
  } catch (error) {
    throw new Error(`The file can't be opened: ${/MiB/.test(error.message) ? error.message : "it was cut off or changed"}.`);
  }
}

export function download(bytes, name, type) {
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  const a = document.createElement("a");
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Asks for a file; null if the user gives none. */
export function chooseFile() {
  return new Promise((done) => {
    const input = document.createElement("input");
    input.type = "file";
    input.accept = ".kubottle,application/gzip,application/octet-stream";
    input.onchange = () => done(input.files[0] ?? null);
    input.oncancel = () => done(null);
    input.click();
  });
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No permission in this frame: the field with the text is selected for the user to copy.
    return false;
  }
}

// ---- the journal ----

const DB = "kubottle";
const TABS = "tabs";
const FLAG = "kubottle-journal";
const TAB = "kubottle-tab";
/** Journals kept, and for how long. */
const MAX_TABS = 8;
const MAX_AGE_MS = 30 * 86_400_000;
const MAX_RECORD = 32 << 20;
/** How often a journal is restored that has not come to be saved again since: it may be what stops the page. */
const TRIES = 2;
/** Without Web Locks a tab says that it is alive, so often. */
const LEASE_MS = 2_000;

const request = (r) => new Promise((done, failed) => ((r.onsuccess = () => done(r.result)), (r.onerror = () => failed(r.error))));
let database;
function openDatabase() {
  database ??= new Promise((done, failed) => {
    const opening = indexedDB.open(DB, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(TABS, { keyPath: "id" });
    opening.onsuccess = () => {
      // Another tab of another release wants a newer form: it must not wait for this one.
      opening.result.onversionchange = () => opening.result.close();
      done(opening.result);
    };
    opening.onerror = () => failed(opening.error);
    opening.onblocked = () => failed(new Error("another tab holds the storage"));
  });
  return database;
}
async function tabs(mode) {
  const transaction = (await openDatabase()).transaction(TABS, mode);
  return { all: transaction.objectStore(TABS), done: new Promise((done, failed) => ((transaction.oncomplete = done), (transaction.onabort = () => failed(transaction.error)))) };
}

/** Takes a journal for this tab alone, for as long as it lives. False: another living tab has it. */
async function take(id) {
  const name = `kubottle-tab-${id}`;
  if (navigator.locks) {
    return new Promise((done) => {
      navigator.locks
        .request(name, { ifAvailable: true }, (lock) => {
          done(lock !== null);
          // Held until the tab is gone.
          return lock && new Promise(() => {});
        })
        .catch(() => done(false));
    });
  }
  const renewed = Number(localStorage.getItem(name) ?? 0);
  // A lease of the future is of a clock that has been set back since.
  if (Math.abs(Date.now() - renewed) < 3 * LEASE_MS) return false;
  const renew = () => localStorage.setItem(name, String(Date.now()));
  renew();
  setInterval(renew, LEASE_MS);
  addEventListener("pagehide", () => localStorage.removeItem(name));
  return true;
}

/** This tab's journal: its number, once it has one. */
let mine = null;
async function own() {
  if (mine) return mine;
  for (;;) {
    const id = Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, "0")).join("");
    if (await take(id)) {
      mine = id;
      sessionStorage.setItem(TAB, id);
      return id;
    }
  }
}

/**
 * What this visit begins with: `{log, spare, at}` of a journal; `{broken: true}` if restoring it has ended badly before; or null.
 * `config` names the kind of cluster that the address asks for, `moment` is that of the address.
 */
export async function restore(config, moment) {
  if (!localStorage.getItem(FLAG)) return null;
  const { all } = await tabs("readonly");
  const records = await request(all.getAll());
  const before = sessionStorage.getItem(TAB);
  const fits = (r) => r.config === config && Date.now() - r.saved < MAX_AGE_MS;
  // This tab's own first; then, if the address names no moment, the newest that no living tab has.
  const candidates = records.filter((r) => fits(r) && (r.id === before ? r.moment === moment || !moment : !moment));
  candidates.sort((a, b) => (b.id === before) - (a.id === before) || b.saved - a.saved);
  for (const record of candidates) {
    if (!(await take(record.id))) continue;
    if (record.trying >= TRIES) {
      // It stays, for its owner, but no visit begins with it any more.
      await put({ ...record, config: `broken ${config}` });
      return { broken: true, log: record.log, spare: record.spare };
    }
    mine = record.id;
    sessionStorage.setItem(TAB, record.id);
    await put({ ...record, trying: record.trying + 1 });
    return { log: record.log, spare: record.spare, at: record.at };
  }
  return null;
}

/**
 * What this visit begins with, for the page: `{kind: "link" | "journal", log, spare, moment}`, `{kind: "error", text}`, or null. A
 * link of another release is opened by that release, if the site has it.
 */
export async function begin(moment, config, nothingKept) {
  let journal = null;
  try {
    journal = nothingKept ? null : await restore(config, moment);
  } catch {
    // No storage, or none that can be read: as if there were nothing in it.
  }
  if (journal && !journal.broken) return { kind: "journal", ...journal };
  if (!moment) return journal && { kind: "broken", ...journal };
  try {
    const { release, bytes } = await readMoment(moment);
    const mineIs = document.querySelector('meta[name="kubottle-release"]')?.content ?? "";
    if (mineIs && release !== mineIs && /^[0-9a-f]{8,64}$/.test(release)) {
      const url = await releaseUrl(release);
      if (url) {
        location.replace(url + location.search + location.hash);
        return new Promise(() => {});
      }
    }
    return { kind: "link", log: bytes, spare: null, moment };
  } catch (error) {
    return { kind: "error", text: error.message };
  }
}

/** Where this site keeps a release: `v/RELEASE/` beside its newest. Null: it doesn't. */
async function releaseUrl(release) {
  const page = location.pathname.endsWith("embed.html") ? "embed.html" : "index.html";
  const root = new URL(/\/v\/[0-9a-f]{8,64}\/[^/]*$/.test(location.pathname) ? "../../" : "./", location.href);
  const url = new URL(`v/${release}/${page}`, root).href.split("#")[0].split("?")[0];
  if (url === location.href.split("#")[0].split("?")[0]) return null;
  try {
    return (await fetch(url, { method: "HEAD" })).ok ? url : null;
  } catch {
    return null;
  }
}

async function put(record) {
  const { all, done } = await tabs("readwrite");
  all.put(record);
  await done;
}

/** The old ones go: those beyond the number, and, when there is no room, half of the rest. */
async function makeRoom(full) {
  const { all, done } = await tabs("readwrite");
  const records = (await request(all.getAll())).filter((r) => r.id !== mine).sort((a, b) => b.saved - a.saved);
  const keep = full ? records.length >> 1 : MAX_TABS - 1;
  records.forEach((r, i) => (i >= keep || Date.now() - r.saved > MAX_AGE_MS) && all.delete(r.id));
  await done;
}

/**
 * Keeps what a restored visit needs. `spare` may be null: the older one stays. Resolves to null, or to a sentence for the user if
 * nothing can be kept.
 */
export async function save(config, moment, log, spare, at) {
  try {
    const id = await own();
    const { all } = await tabs("readonly");
    const before = await request(all.get(id));
    const record = { id, config, moment, log, spare: spare ?? before?.spare ?? null, at, saved: Date.now(), trying: 0 };
    if (log.length + (record.spare?.length ?? 0) > MAX_RECORD) record.spare = null;
    if (log.length > MAX_RECORD) return "This cluster's past has become too long to be kept for the next visit.";
    try {
      await put(record);
    } catch (error) {
      if (error?.name !== "QuotaExceededError") throw error;
      await makeRoom(true);
      await put(record);
    }
    localStorage.setItem(FLAG, "1");
    if (!before) await makeRoom(false);
    return null;
  } catch (error) {
    if (error?.name === "QuotaExceededError") return "The browser's storage is full: this cluster is gone when its tab is closed. Share it as a file to keep it.";
    return "The browser doesn't let this page keep anything: this cluster is gone when its tab is closed. Share it as a file to keep it.";
  }
}

/** Forgets this tab's journal: a new cluster was wanted. */
export async function forget() {
  if (!mine) return;
  const { all, done } = await tabs("readwrite");
  all.delete(mine);
  await done;
}

// ---- the picture ----

const LOOK = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "stroke-opacity", "opacity", "font-family", "font-size", "font-weight", "font-style", "letter-spacing", "text-anchor", "dominant-baseline", "paint-order", "display", "visibility", "color", "transform", "filter", "rx", "ry"];

/** The drawing as a picture of its own: every look that the style sheets give it is written into it. */
export function svg() {
  const drawn = document.querySelector(".canvas svg");
  if (!drawn) return null;
  const copy = drawn.cloneNode(true);
  const [from, to] = [drawn.querySelectorAll("*"), copy.querySelectorAll("*")];
  from.forEach((element, i) => {
    const style = getComputedStyle(element);
    const look = LOOK.map((name) => [name, style.getPropertyValue(name)]).filter(([, value]) => value);
    to[i].setAttribute("style", look.map(([name, value]) => `${name}:${value}`).join(";"));
    // What the look says now, an attribute by the name of a token says no more.
    const said = (name) => LOOK.includes(name) && to[i].getAttribute(name).includes("var(");
    for (const name of [...to[i].getAttributeNames()]) if (/^(class|tabindex|role|aria-|data-|on)/.test(name) || said(name)) to[i].removeAttribute(name);
  });
  const [w, h] = [Number(drawn.getAttribute("width")), Number(drawn.getAttribute("height"))];
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("viewBox", `0 0 ${w} ${h}`);
  copy.removeAttribute("role");
  const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  ground.setAttribute("width", w);
  ground.setAttribute("height", h);
  ground.setAttribute("fill", getComputedStyle(document.documentElement).getPropertyValue("--bg").trim() || "#fff");
  copy.prepend(ground);
  return { text: new XMLSerializer().serializeToString(copy), width: w, height: h };
}

/** The same as pixels, two for one. */
export async function png() {
  const picture = svg();
  if (!picture) return null;
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(picture.text)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  // Browsers refuse canvases above some size.
  const scale = Math.min(2, 8192 / picture.width, 8192 / picture.height);
  canvas.width = Math.ceil(picture.width * scale);
  canvas.height = Math.ceil(picture.height * scale);
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob((blob) => blob.arrayBuffer().then((b) => done(new Uint8Array(b))), "image/png"));
}
