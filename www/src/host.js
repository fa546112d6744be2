// The wire between an embed and the page that it is in. Version 1 of its messages; see kube-bottle/README.md for what they say.
//
// Host to embed: {kubottle: 1, id, type, value}. Embed to host: {kubottle: 1, type, ...}. Only the parent window is listened to, only
// from the origin that the embed's address names, and only messages of this form: everything else is dropped without a word.

const TYPES = new Set(["apply", "exec", "seek", "step", "snapshot", "play", "pause", "speed", "lens", "inspect", "theme", "visible"]);
const MAX_VALUE = 4 << 20;
/** So many messages a second; a host that says more is not heard. */
const MAX_A_SECOND = 200;

let to = null;

export function listen(origin, onAsked) {
  to = origin;
  let [second, count] = [0, 0];
  addEventListener("message", (event) => {
    if (event.source !== parent || event.origin !== origin) return;
    const message = event.data;
    if (typeof message !== "object" || message === null || message.kubottle !== 1 || !TYPES.has(message.type)) return;
    const now = Math.floor(performance.now() / 1000);
    count = now === second ? count + 1 : 1;
    second = now;
    const id = Number.isSafeInteger(message.id) && message.id >= 0 ? message.id : 0;
    const value = message.value === undefined || message.value === null ? "" : String(message.value);
    const refuse = (error) => tell("result", { id, ok: false, error });
    if (count > MAX_A_SECOND) return count === MAX_A_SECOND + 1 && refuse("too many messages");
    if (value.length > MAX_VALUE) return refuse(`the value is larger than ${MAX_VALUE >> 20} MiB`);
    onAsked(message.type, id, value);
  });
  const size = () => tell("resize", { width: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight });
  new ResizeObserver(size).observe(document.documentElement);
  addEventListener("error", (event) => tell("error", { text: String(event.message) }));
  tell("listening", { version: 1 });
}

/** Only the named origin can read it. */
export function tell(type, fields) {
  if (to) parent.postMessage({ kubottle: 1, type, ...fields }, to);
}
