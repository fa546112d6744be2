// Puts the rows of several runs into one table and one file.
//   node table.mjs OUT.json PART.json…
import { readFile, writeFile } from "node:fs/promises";

const [out, ...parts] = process.argv.slice(2);
const rows = [];
for (const part of parts) rows.push(...JSON.parse(await readFile(part, "utf8").catch(() => "[]")));
await writeFile(out, JSON.stringify(rows, null, 1));
const show = (v) => (v === null || v === undefined ? "–" : String(v));
const holds = (r) => (r.must === null || r.must === undefined ? "" : (r.atLeast ? r.value >= r.must : r.value <= r.must) ? "holds" : "MISSED");
const bound = (r, v) => (v === null || v === undefined ? "–" : `${r.atLeast ? "≥" : "≤"} ${v}`);
const table = [["id", "value", "unit", "must", "aim", ""], ...rows.map((r) => [r.id, show(r.value), r.unit, bound(r, r.must), bound(r, r.aim), holds(r)])];
const widths = table[0].map((_, i) => Math.max(...table.map((line) => [...line[i]].length)));
const line = (cells) => `| ${cells.map((c, i) => c + " ".repeat(widths[i] - [...c].length)).join(" | ")} |`;
console.log([line(table[0]), `| ${widths.map((w) => "-".repeat(w)).join(" | ")} |`, ...table.slice(1).map(line)].join("\n"));
process.exitCode = rows.some((r) => holds(r) === "MISSED") ? 1 : 0;
