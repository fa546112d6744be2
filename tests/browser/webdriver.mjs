// Browsers other than Chromium, by the W3C's WebDriver over loopback: as much of it as a walk needs. Firefox through geckodriver,
// WebKitGTK's MiniBrowser through WebKitWebDriver in an X server without a screen.
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { sleep } from "./walk.mjs";

const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";
const ENTER = "\uE007";
const PREFS = { "devtools.console.stdout.content": true, "ui.systemUsesDarkTheme": 1 };

/** What each engine needs on the path, what Debian calls it, and what its driver is asked for. */
export const ENGINES = {
  firefox: {
    needs: { "firefox-esr": "firefox-esr", geckodriver: "geckodriver (`cargo install geckodriver`)" },
    driver: (port) => ["geckodriver", "--port", port],
    asks: () => ({ browserName: "firefox", "moz:firefoxOptions": { binary: found("firefox-esr"), args: ["-headless"], prefs: PREFS } }),
  },
  webkit: {
    needs: { WebKitWebDriver: "webkit2gtk-driver", Xvfb: "xvfb" },
    screen: true,
    driver: (port) => ["WebKitWebDriver", "--host=127.0.0.1", `--port=${port}`],
    asks: () => ({}),
  },
};

function found(program) {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return join(folder, program);
    } catch {
      // In another folder, or nowhere.
    }
  }
  return null;
}

/** The packages that have what an engine lacks here. */
export const missing = (name) => Object.entries(ENGINES[name].needs).flatMap(([program, hint]) => (found(program) ? [] : [hint]));

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** An X server on a number of its own. */
async function screen() {
  const x = spawn("Xvfb", ["-displayfd", "3", "-screen", "0", "1600x1200x24", "-nolisten", "tcp"], { stdio: ["ignore", "ignore", "ignore", "pipe"] });
  const number = await new Promise((done, fail) => {
    x.stdio[3].once("data", (text) => done(String(text).trim()));
    x.once("exit", (code) => fail(new Error(`Xvfb ended with ${code}`)));
  });
  return [x, `:${number}`];
}

/** An engine with one window of this size. `said` is all that driver and engine have written. */
export async function launch(name, width = 1440, height = 900) {
  const engine = ENGINES[name];
  const env = { ...process.env };
  const running = [];
  const stop = () => running.splice(0).forEach((program) => program.kill());
  process.once("exit", stop);
  if (engine.screen) {
    const [x, display] = await screen();
    running.push(x);
    // Pictures go to the window by shared memory: by the GPU's buffers, which Mesa then plays, it draws eight a second.
    Object.assign(env, { DISPLAY: display, GDK_BACKEND: "x11", WEBKIT_DISABLE_DMABUF_RENDERER: "1" });
  }
  const port = await freePort();
  const [program, ...args] = engine.driver(port);
  const driver = spawn(program, args.map(String), { env, stdio: ["ignore", "pipe", "pipe"] });
  running.unshift(driver);
  const browser = new Browser(`http://127.0.0.1:${port}`, stop);
  for (const stream of [driver.stdout, driver.stderr]) stream.on("data", (text) => (browser.said += text));
  try {
    await browser.begin(engine.asks(), width, height);
  } catch (error) {
    stop();
    throw new Error(`${error.message}\n${browser.said.slice(-800)}`);
  }
  return browser;
}

class Browser {
  said = "";
  #driver;
  #session = "";
  #stop;

  constructor(driver, stop) {
    this.#driver = driver;
    this.#stop = stop;
  }

  async #call(method, path, body) {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${this.#driver}${this.#session}${path}`, { method, headers, body: body && JSON.stringify(body) });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${path}: ${value?.error}: ${value?.message}`);
    return value;
  }

  async begin(alwaysMatch, width, height) {
    for (let tries = 0; ; tries++) {
      const up = await this.#call("GET", "/status").catch((error) => (tries < 50 ? null : Promise.reject(error)));
      if (up) break;
      await sleep(200);
    }
    const { sessionId, capabilities } = await this.#call("POST", "/session", { capabilities: { alwaysMatch } });
    this.#session = `/session/${sessionId}`;
    this.version = `${capabilities.browserName} ${capabilities.browserVersion}`;
    // The window's bars are not the page's: it grows by them.
    await this.#call("POST", "/window/rect", { width, height });
    const [w, h] = await this.run(() => [innerWidth, innerHeight]);
    await this.#call("POST", "/window/rect", { width: 2 * width - w, height: 2 * height - h });
  }

  go(url) {
    return this.#call("POST", "/url", { url });
  }

  /** What a function returns in the page, or in the frame. */
  run(body, ...args) {
    return this.#call("POST", "/execute/sync", { script: `return (${body}).apply(null, arguments)`, args });
  }

  /** Waits until a function returns something true in the page. */
  async wait(what, ms, body, ...args) {
    const end = Date.now() + ms;
    for (;;) {
      const value = await this.run(body, ...args);
      if (value) return value;
      if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}; the page says: ${await this.run(() => document.body.innerText.slice(0, 300))}`);
      await sleep(200);
    }
  }

  /** Clicks, as a user would, the first thing of a selector that has the text and is seen. */
  async click(selector, text = "", ms = 15_000) {
    const element = await this.wait(`${selector} ${text}`, ms, (selector, text) =>
      [...document.querySelectorAll(selector)].find((e) => e.textContent.includes(text) && e.getClientRects().length && !e.disabled) ?? null, selector, text);
    await this.#call("POST", `/element/${element[ELEMENT]}/click`, {});
  }

  /** Types a line where the focus is. */
  async type(line) {
    const actions = [...line, ENTER].flatMap((value) => [{ type: "keyDown", value }, { type: "keyUp", value }]);
    await this.#call("POST", "/actions", { actions: [{ type: "key", id: "keyboard", actions }] });
    await this.#call("DELETE", "/actions");
  }

  /** Into a frame that a function of the page returns; without one, out to the page. */
  async frame(body) {
    await this.#call("POST", "/frame", { id: body ? await this.run(body) : null });
  }

  async shot(file) {
    await writeFile(file, Buffer.from(await this.#call("GET", "/screenshot"), "base64"));
  }

  async end() {
    await this.#call("DELETE", "").catch(() => {});
    this.#stop();
  }
}
