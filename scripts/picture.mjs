// Draws docs/run.svg: what `divisi split` says on port-knock, as it said it.
//   node scripts/picture.mjs          build first
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const root = new URL("..", import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), "picture-"));
const words = ["split", "nfs/c/port-knock.o", "--trace", "gen:zipf"];
const run = spawnSync(
  process.execPath,
  [
    join(root, "dist/cli/main.js"),
    ...words,
    "--cores",
    "4",
    "-o",
    join(folder, "out"),
  ],
  { cwd: root, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } },
);
rmSync(folder, { recursive: true, force: true });
if (run.status !== 0) {
  process.stderr.write(run.stderr);
  process.exit(1);
}
const lines = [
  `$ divisi ${words.join(" ")} --cores 4 -o out`,
  "",
  ...run.stdout.trimEnd().replaceAll(`${folder}/`, "").split("\n"),
];
const escape = (text) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const height = 17;
const colour = (line) =>
  line.startsWith("$")
    ? "#7dd3fc"
    : line.startsWith("checked")
      ? "#86efac"
      : "#e5e7eb";
const body = lines
  .map(
    (line, index) =>
      `  <text x="16" y="${32 + height * index}" fill="${colour(line)}" xml:space="preserve">${escape(line)}</text>`,
  )
  .join("\n");
writeFileSync(
  join(root, "docs/run.svg"),
  `<svg xmlns="http://www.w3.org/2000/svg" width="720" height="${height * lines.length + 40}" role="img" aria-label="divisi split on port-knock" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13">
  <rect width="100%" height="100%" rx="8" fill="#111827"/>
${body}
</svg>
`,
);
console.log("docs/run.svg");
