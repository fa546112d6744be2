// After Trunk and the split: what makes the built folder a site that is strict, installable and offline.
//   node www/finish.mjs FOLDER
// - the script that Trunk wrote into the page becomes a file, and the page gets its Content-Security-Policy;
// - many frames of one page share one download of each module, whatever the site's server says about caches (shared);
// - the release gets its name: a hash of all files that the visitor's browser runs;
// - the icons, the manifest, the loader of <kube-bottle> and the page with five embeds are put beside;
// - sw.js learns every file with its hash;
// - embed.html is index.html under another name (the page looks at its address), so that both share every file. Only its policy comes
//   from a script.

import { createHash } from "node:crypto";
import { copyFile, cp, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";

const folder = resolve(process.argv[2]);
const www = dirname(fileURLToPath(import.meta.url));
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/**
 * Scripts come from files of this site, and WebAssembly may be compiled. Styles may be inline: the picture's places are style
 * attributes, the terminal and the editor bring style sheets. A worker may be a blob: that is how a frame without an origin of its
 * own starts one. Other hosts are asked only for labs that somebody names by their address (of this machine, for who writes one).
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self'",
  "connect-src 'self' https: http://127.0.0.1:* http://localhost:*",
  "worker-src 'self' blob:",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

const META = `<meta http-equiv="Content-Security-Policy" content="${POLICY}">`;
/**
 * For embed.html, before all else: the policy. In a frame without an origin of its own no file is 'self' to WebKit, not even this one;
 * there the policy names the site's origin, which is the same to the others.
 */
const POLICY_SCRIPT = `(function () {
  var meta = document.createElement("meta");
  meta.httpEquiv = "Content-Security-Policy";
  meta.content = ${JSON.stringify(POLICY)}.replace(/'self'/g, self.origin === "null" ? location.origin : "'self'");
  document.currentScript.replaceWith(meta);
})();
`;

async function files(at = folder) {
  const found = [];
  for (const entry of await readdir(at, { withFileTypes: true })) {
    const path = join(at, entry.name);
    if (entry.isDirectory()) found.push(...(await files(path)));
    else found.push(relative(folder, path).replaceAll("\\", "/"));
  }
  return found.sort();
}

/** The looks of the labs are not part of the first load: start.js asks for them when a lab is opened, or later. */
function deferred(html) {
  const link = html.match(/<link[^>]*href="(\.\/labs-[^"]*\.css)"[^>]*>/);
  if (!link) throw new Error("index.html has no style sheet for labs");
  return html.replace(link[0], `<link data-later="${link[1]}">`);
}

/**
 * A module that is asked for by a name with its hash in it never changes: a browser that has it need not ask whether it is still the
 * same. That is said by the request, because static hosts differ in what they say, and some say nothing: then each frame of a page
 * with many embeds would load megabytes anew.
 */
async function shared(html) {
  const worker = sha256(await readFile(join(folder, "worker_bg.wasm"))).slice(0, 16);
  const loader = `import init from "./worker.js";
await init({ module_or_path: fetch(new URL("./worker_bg.wasm?${worker}", import.meta.url), { cache: "force-cache" }) });
`;
  await writeFile(join(folder, "worker_loader.js"), loader);
  // The page's module has its hash in its name. Who opens the page itself gets it by a preload; an embed asks as above.
  const preload = html.match(/<link[^>]*rel="?preload[^>]*href="([^"]*_bg\.wasm)"[^>]*>\s*/);
  if (!preload) throw new Error("index.html preloads no wasm");
  const early = `self.kubottlePage = fetch(${JSON.stringify(preload[1])}, { cache: "force-cache" });\n`;
  await writeFile(join(folder, "policy.js"), POLICY_SCRIPT + early);
  return preload[0];
}

/**
 * The page's script and styles, the worker's script and start.js travel with the first load: without words and long names. (A frame without an origin
 * has to know how worker.js ends, see start.js: with one `export` of all its names.)
 */
async function smaller(html) {
  const page = (await readdir(folder)).find((name) => /^page-[^.]*\.js$/.test(name));
  const integrity = (text) => `sha384-${createHash("sha384").update(text).digest("base64")}`;
  for (const [name, format] of [[page, "esm"], ["worker.js", "esm"], ["start.js", undefined]]) {
    const text = await readFile(join(folder, name), "utf8");
    const { code } = await transform(text, { minify: true, format, target: "es2022" });
    if (name === "worker.js" && !/[;}]export\{[^{}]* as default[^{}]*\};\s*$/.test(code)) throw new Error("worker.js doesn't end with its exports");
    await writeFile(join(folder, name), code);
    html = html.replaceAll(integrity(text), integrity(code));
  }
  for (const name of (await readdir(folder)).filter((name) => name.endsWith(".css"))) {
    const text = await readFile(join(folder, name), "utf8");
    await writeFile(join(folder, name), (await transform(text, { minify: true, loader: "css" })).code);
  }
  return html;
}

/** The page without inline scripts. */
async function strict(html) {
  const inline = [...html.matchAll(/<script(?![^>]*\ssrc=)([^>]*)>([\s\S]*?)<\/script>/g)];
  for (const [whole, attributes, body] of inline) {
    if (!/type="?module/.test(attributes)) throw new Error(`an inline script that nobody knows: ${whole.slice(0, 80)}`);
    const name = `init-${sha256(body).slice(0, 16)}.js`;
    // What was relative to the page is relative to a file beside it. An embed has begun to load the module before.
    const script = body.trim().replace(/module_or_path: ('[^']*_bg\.wasm')/, "module_or_path: self.kubottlePage ?? $1");
    if (!script.includes("self.kubottlePage")) throw new Error("the page's script loads no module");
    await writeFile(join(folder, name), `${script}\n`);
    html = html.replace(whole, `<script type="module" src="./${name}"></script>`);
  }
  // In a frame without an origin of its own a style sheet with a hash would not be loaded at all.
  html = html.replace(/<link[^>]*rel="?stylesheet[^>]*>/g, (link) => link.replace(/\sintegrity="[^"]*"/, ""));
  // The first thing in the head, before anything that it rules.
  return html.replace(/<meta charset="?utf-8"?\s*\/?>/i, (charset) => `${charset}\n  ${META}`);
}

async function main() {
  const minified = async (from) => (await transform(await readFile(join(www, from), "utf8"), { minify: true, format: "esm", target: "es2022" })).code;
  await writeFile(join(folder, "kube-bottle.js"), await minified("kube-bottle/kube-bottle.js"));
  for (const name of ["site.webmanifest", "embeds.html", "embeds.css", "embeds.js"]) await copyFile(join(www, name), join(folder, name));
  await mkdir(join(folder, "icons"), { recursive: true });
  await cp(join(www, "icons"), join(folder, "icons"), { recursive: true });

  let html = deferred(await strict(await smaller(await readFile(join(folder, "index.html"), "utf8"))));
  const preload = await shared(html);
  if (!html.includes(META)) throw new Error("index.html has no <meta charset> to put the policy behind");
  const made = ["index.html", "embed.html", "sw.js"];
  const hashes = {};
  for (const name of (await files()).filter((n) => !made.includes(n))) hashes[name] = sha256(await readFile(join(folder, name)));
  const release = sha256(JSON.stringify(hashes) + html).slice(0, 12);
  html = html.replace("</title>", `</title>\n  <meta name="kubottle-release" content="${release}">\n  <link rel="manifest" href="./site.webmanifest">`);
  for (const [name, page] of [["index.html", html], ["embed.html", html.replace(preload, "").replace(META, '<script src="./policy.js"></script>')]]) {
    await writeFile(join(folder, name), page);
    hashes[name] = sha256(page);
  }
  const worker = (await readFile(join(www, "sw.js"), "utf8")).replace('"$RELEASE"', JSON.stringify(release)).replace("$FILES", () => JSON.stringify(hashes));
  await writeFile(join(folder, "sw.js"), worker);
  console.log(`finish: release ${release}, ${Object.keys(hashes).length} files, kube-bottle.js ${(await readFile(join(folder, "kube-bottle.js"))).length} bytes`);
}

main().catch((error) => {
  console.error(`finish: ${error.message}`);
  process.exit(1);
});
