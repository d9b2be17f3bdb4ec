// Builds the objects of nfs/c with clang 14.
//   node scripts/build-nfs.mjs            writes every X.o beside X.c
//   node scripts/build-nfs.mjs --check    writes nothing; fails where a committed
//                                         object's instructions differ from a build
//   --folder PATH                         another folder than nfs/c
// Exit 4 where clang-14 or the LLVM tools are missing.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import process from "node:process";

const words = process.argv.slice(2);
const check = words.includes("--check");
const folderAt = words.indexOf("--folder");
const folder = resolve(
  folderAt < 0
    ? new URL("../nfs/c", import.meta.url).pathname
    : (words[folderAt + 1] ?? ""),
);

// Where clang runs: two folders up, so that sources are called nfs/c/X.c.
const base = resolve(folder, "../..");

// clang -target bpf does not search the folder of the machine's own headers,
// where Debian keeps asm/types.h.
const asm = ["x86_64", "aarch64", "riscv64", "s390x", "powerpc64le"]
  .map((machine) => `/usr/include/${machine}-linux-gnu`)
  .filter((path) => existsSync(join(path, "asm/types.h")));

// prettier-ignore
const flags = [
  "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Werror",
  // No path of this machine reaches the object; the source lines do, since the
  // shortened paths still lead to the files from where clang runs.
  "-fdebug-compilation-dir=.", `-fdebug-prefix-map=${base}=.`,
  ...asm.slice(0, 1).map((path) => `-I${path}`),
];

function call(command, args) {
  const done = spawnSync(command, args, { cwd: base, encoding: "utf8" });
  if (done.error?.code === "ENOENT") {
    console.error(`${command} is missing: apt-get install clang-14 llvm-14`);
    process.exit(4);
  }
  if (done.status !== 0) {
    process.stderr.write(done.stderr);
    console.error(`${command} ${args.join(" ")} failed`);
    process.exit(1);
  }
  return done.stdout;
}

// Instructions and relocations, without the line that names the file.
const disassembly = (file) =>
  call("llvm-objdump-14", ["-d", "-r", file]).split("\n").slice(3).join("\n");

const sources = readdirSync(folder).filter((name) => name.endsWith(".c"));
if (sources.length === 0) {
  console.error(`no C file in ${folder}`);
  process.exit(1);
}
const scratch = mkdtempSync(join(tmpdir(), "build-nfs-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
let differing = 0;
for (const source of sources) {
  const object = source.replace(/\.c$/, ".o");
  const place = (name) => join(relative(base, folder), name);
  const built = check ? join(scratch, object) : place(object);
  call("clang-14", [...flags, "-c", place(source), "-o", built]);
  // DWARF goes, BTF stays: loaders and divisi read BTF only.
  call("llvm-strip-14", ["-g", built]);
  if (!check) continue;
  const committed = existsSync(join(folder, object));
  if (committed && disassembly(place(object)) === disassembly(built)) continue;
  console.error(
    committed
      ? `${object}: the committed instructions are not those of ${source}`
      : `${object}: not there`,
  );
  differing++;
}
if (differing > 0) process.exit(1);
console.log(
  `${sources.length} objects ${check ? "checked" : "built"} in ${folder}`,
);
