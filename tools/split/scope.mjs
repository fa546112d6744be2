// A dedicated worker's global scope in Node, with time of its own: timers and messages come when their moment has come and nothing
// else is due before, and each look at the clock takes a little. So what a worker does in it depends on no machine's speed.

export class Scope {
  /** `workMs`: how long the worker works between two looks at its clock. */
  constructor(workMs = 0.25) {
    this.workMs = workMs;
    this.now = 0;
    this.queue = [];
    this.sequence = 0;
    /** What the worker posts comes here. */
    this.onposted = () => {};
  }

  /** Puts the scope's functions where a script of the worker looks for them. `fetch` and the rest of the network are not there. */
  install() {
    const scope = this;
    const set = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    set("self", globalThis);
    set("onmessage", null);
    set("postMessage", (message) => scope.onposted(message));
    set("performance", { now: () => (scope.now += scope.workMs) });
    set("setTimeout", (run, ms = 0) => scope.later(ms, run));
    set("clearTimeout", (id) => scope.cancel(id));
    set("fetch", () => new Promise(() => {}));
    set("MessageChannel", function () {
      this.port1 = { onmessage: null };
      this.port2 = { postMessage: (data) => scope.later(0, () => this.port1.onmessage({ data })) };
    });
  }

  /** Has `run` called in `ms`; an id for `cancel`. */
  later(ms, run) {
    this.queue.push({ at: this.now + ms, id: ++this.sequence, run });
    return this.sequence;
  }

  cancel(id) {
    this.queue = this.queue.filter((entry) => entry.id !== id);
  }

  /** The page posts a message. */
  post(data) {
    this.later(0, () => globalThis.onmessage({ data }));
  }

  /** Lets time pass until `done()` is true; an error if it is not so by `limit` ms. */
  run(done, limit) {
    while (!done()) {
      if (this.queue.length === 0) throw new Error("the worker waits for nothing");
      if (this.now > limit) throw new Error(`not done after ${limit} ms of the worker's time`);
      const next = this.queue.reduce((a, b) => (b.at < a.at || (b.at === a.at && b.id < a.id) ? b : a));
      this.cancel(next.id);
      this.now = Math.max(this.now, next.at);
      next.run();
    }
  }
}
