// A static file server on loopback for the built site.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", ".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".webmanifest": "application/manifest+json" };

/**
 * Serves `root` on a free port (and at the paths of `also`, other files; a text there is a page); returns the URL and a way to stop.
 * `with` may have `headers` for every answer, `seen`, which is told each path, and a `port`. `become` serves another folder from then on.
 */
export async function serve(root, also = {}, { headers = {}, seen = () => {}, port = 0 } = {}) {
  const site = { root };
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname)).replace(/^(\.\.[/\\])+/, "");
    try {
      seen(path);
      const file = also[path] ?? join(site.root, path.endsWith("/") ? `${path}index.html` : path);
      const page = path === "/empty.html" ? "<!doctype html><title>empty</title>" : file.startsWith("<") && file;
      const body = page || (await readFile(file));
      response.writeHead(200, { "content-type": page ? "text/html" : (TYPES[extname(file)] ?? "application/octet-stream"), ...headers });
      response.end(body);
    } catch {
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
