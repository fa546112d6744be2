// <kube-bottle>: a live Kubernetes cluster in a page. Shows its poster until it is seen, then loads the bottle into a frame, one after
// another if there are many (so they share one download), and speaks with it. README.md says how it is used; index.d.ts, its types.

/** The bottles of a page start one by one: the first fills the browser's cache for the others. */
let line = Promise.resolve();
/** Readers have seen a boot once the first bottle of a page has played its own. */
let played = false;
const home = new URL("./", import.meta.url).href;
const KINDS = ["apply", "exec", "seek", "step", "snapshot", "play", "pause", "speed", "lens", "inspect", "theme"];
/** A command fails when the frame has said nothing for so long, in ms: not while the bottle waits for its turn, or still boots. */
const PATIENCE = 120_000;
const STYLE = `:host{display:block;position:relative;height:400px;min-height:160px;overflow:hidden;border-radius:8px;background:#0a0f1c;color:#e6ecf8;font:14px system-ui,sans-serif}
iframe,.poster{position:absolute;inset:0;width:100%;height:100%;border:0}
.poster{display:grid;place-items:center;gap:8px;align-content:center;cursor:pointer;background:none;color:inherit;font:inherit;padding:0}
.poster img{position:absolute;inset:0;width:100%;height:100%;object-fit:cover;z-index:-1}
:host([light]){background:#fff;color:#1f2328}
.gone{display:none}`;
const POSTER = `<svg width="40" height="44" viewBox="0 0 20 22" fill="none" stroke="#5b8cff" stroke-width="1.4" stroke-linecap="round" aria-hidden="true"><path d="M7.5 1.5h5M8.5 1.5v4.2C5 7.2 2.6 10 2.6 13.6c0 4 3.3 6.9 7.4 6.9s7.4-2.9 7.4-6.9c0-3.6-2.4-6.4-5.9-7.9V1.5"/><path d="M10 9.6l3.4 2v4L10 17.6l-3.4-2v-4z" fill="#5b8cff"/></svg>`;

export class KubeBottle extends HTMLElement {
  /** The cluster is up. */
  isReady = false;
  #frame = null;
  #origin = "";
  #number = 0;
  #open = new Map();
  #early = [];
  #root = this.attachShadow({ mode: "open" });
  #listener = (event) => this.#heard(event);
  #eyes = null;
  /** When the frame was last heard; while it waits for its turn, never too long ago. */
  #alive = Infinity;

  connectedCallback() {
    const style = document.createElement("style");
    style.textContent = STYLE;
    const poster = document.createElement("button");
    poster.className = "poster";
    poster.setAttribute("part", "poster");
    poster.setAttribute("aria-label", this.title || "Start the Kubernetes cluster");
    poster.innerHTML = POSTER;
    if (this.hasAttribute("poster")) {
      const image = document.createElement("img");
      image.src = this.getAttribute("poster");
      image.alt = "";
      image.loading = "lazy";
      poster.append(image);
    }
    poster.onclick = () => this.start();
    if (this.getAttribute("theme") === "light") this.toggleAttribute("light", true);
    this.#root.replaceChildren(style, poster);
    addEventListener("message", this.#listener);
    this.#eyes = new IntersectionObserver(([seen]) => {
      if (seen.isIntersecting && this.getAttribute("start") !== "click") this.start();
      if (this.#frame) this.#send(0, "visible", seen.isIntersecting);
    });
    this.#eyes.observe(this);
  }

  disconnectedCallback() {
    removeEventListener("message", this.#listener);
    this.#eyes.disconnect();
    this.#frame = null;
    this.#early = [];
    this.#alive = Infinity;
    this.isReady = false;
    for (const [, { failed }] of this.#open) failed(new Error("the bottle was taken out of the page"));
    this.#open.clear();
  }

  /** Loads the bottle, if it isn't there already. */
  start() {
    if (this.#frame) return;
    const frame = document.createElement("iframe");
    const base = new URL(this.getAttribute("src") ?? home, document.baseURI);
    const url = new URL("embed.html", base);
    const query = url.searchParams;
    query.set("host", location.origin);
    for (const name of ["theme", "speed", "lab", "lang", "config", "seed", "read-only"]) {
      if (this.hasAttribute(name)) query.set(name, this.getAttribute(name));
    }
    const boot = this.getAttribute("boot") ?? (played ? "skip" : "play");
    played = true;
    if (boot === "skip") query.set("boot", boot);
    const hash = new URLSearchParams();
    for (const [name, key] of [["moment", "m"], ["lens", "lens"], ["open", "open"], ["tab", "tab"]]) {
      if (this.hasAttribute(name)) hash.set(key, this.getAttribute(name));
    }
    url.hash = hash;
    frame.title = this.title || "Kubernetes cluster";
    frame.allow = "clipboard-write";
    if (this.hasAttribute("sandboxed")) frame.setAttribute("sandbox", "allow-scripts");
    // A frame without an origin of its own says "null".
    this.#origin = this.hasAttribute("sandboxed") ? "null" : base.origin;
    this.#frame = frame;
    line = line.then(
      () =>
        new Promise((next) => {
          if (this.#frame !== frame) return next();
          frame.onload = () => this.#root.querySelector(".poster")?.classList.add("gone");
          this.addEventListener("listening", next, { once: true });
          setTimeout(next, 15_000);
          this.#alive = Date.now();
          frame.src = url.href;
          this.#root.append(frame);
        }),
    );
    this.#manifests();
  }

  async #manifests() {
    const own = [...this.querySelectorAll('script[type="application/yaml"]')].map((s) => s.textContent);
    for (const address of (this.getAttribute("manifests") ?? "").split(/\s+/).filter(Boolean)) {
      try {
        const answer = await fetch(new URL(address, document.baseURI));
        if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
        own.push(await answer.text());
      } catch (error) {
        this.#wrong(`${address}: ${error.message}`);
      }
    }
    const text = own.join("\n---\n");
    if (text.trim()) this.apply(text).catch((error) => this.#wrong(error.message));
  }

  #send(id, type, value) {
    // Sent when the frame listens, in order.
    if (this.#early) this.#early.push([id, type, value]);
    else this.#frame?.contentWindow?.postMessage({ kubottle: 1, id, type, value }, this.#origin === "null" ? "*" : this.#origin);
  }

  #ask(type, value) {
    this.start();
    const id = ++this.#number;
    return new Promise((done, failed) => {
      let late;
      const wait = (ms) => (late = setTimeout(look, ms));
      const look = () => {
        const left = Math.max(asked, this.#alive) + PATIENCE - Date.now();
        if (left > 0) wait(Math.min(left, PATIENCE));
        else if (this.#open.delete(id)) failed(new Error("the bottle does not answer"));
      };
      const asked = Date.now();
      wait(PATIENCE);
      this.#open.set(id, { done: (v) => (clearTimeout(late), done(v)), failed: (e) => (clearTimeout(late), failed(e)) });
      this.#send(id, type, value);
    });
  }

  #heard(event) {
    const message = event.data;
    if (!this.#frame || event.source !== this.#frame.contentWindow || event.origin !== this.#origin || message?.kubottle !== 1) return;
    this.#alive = Date.now();
    const { kubottle, type, id, ok, error, ...rest } = message;
    if (type === "result") {
      const { done, failed } = this.#open.get(id) ?? {};
      this.#open.delete(id);
      if (ok) done?.(rest);
      else failed?.(new Error(error));
      return;
    }
    if (type === "listening") {
      const early = this.#early ?? [];
      this.#early = null;
      for (const each of early) this.#send(...each);
    }
    if (type === "ready") this.isReady = true;
    this.#tell(String(type), { ...rest, id });
  }

  /** What an author has to know: a manifest that isn't there, or is refused. */
  #wrong(text) {
    console.warn(`<kube-bottle>: ${text}`);
    this.#tell("error", { text });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: type !== "error" }));
  }

  static {
    for (const kind of KINDS) {
      this.prototype[kind] = function (value) {
        return this.#ask(kind, value);
      };
    }
  }
}
customElements.get("kube-bottle") ?? customElements.define("kube-bottle", KubeBottle);
