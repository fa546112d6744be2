// A static file server on loopback for the built site.
import { createServer } from "node:http";
import { readFile, stat } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", ".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".webmanifest": "application/manifest+json" };

/**
 * Serves `root` on a free port (and at the paths of `also`, other files; a text there is a page); returns the URL and a way to stop.
 * `with` may have `headers` for every answer, `seen`, which is told each path, with the answer's status, the bytes of its body and the whole address, and a
 * `port`. `dated`: files say when they were changed, and one that wasn't changed since is not sent again, as `python3 -m http.server`
 * and most static hosts do; otherwise nothing is said that a cache could go by. `become` serves another folder from then on.
 */
export async function serve(root, also = {}, { headers = {}, seen = () => {}, port = 0, dated = false } = {}) {
  const site = { root };
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname)).replace(/^(\.\.[/\\])+/, "");
    try {
      const file = also[path] ?? join(site.root, path.endsWith("/") ? `${path}index.html` : path);
      const page = path === "/empty.html" ? "<!doctype html><title>empty</title>" : file.startsWith("<") && file;
      const changed = dated && !page ? Math.floor((await stat(file)).mtimeMs / 1000) * 1000 : null;
      const date = changed === null ? {} : { "last-modified": new Date(changed).toUTCString() };
      if (changed !== null && Date.parse(request.headers["if-modified-since"] ?? "") >= changed) {
        seen(path, 304, 0);
        return void response.writeHead(304, { ...date, ...headers }).end();
      }
      const body = page || (await readFile(file));
      seen(path, 200, body.length, request.url);
      response.writeHead(200, { ...date, "content-type": page ? "text/html" : (TYPES[extname(file)] ?? "application/octet-stream"), ...headers });
      response.end(body);
    } catch {
      seen(path, 404, 0);
      response.writeHead(404).end();
    }
  });
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${server.address().port}/`, also, become: (folder) => (site.root = folder), stop };
}
