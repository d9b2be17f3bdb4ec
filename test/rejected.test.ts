/**
 * What a user reads when the kernel says no: each testdata/rejected/*.c is a typical
 * mistake, and the line behind `// says:` is all that is printed about it, with exit 5.
 * `UPDATE=1` writes these lines anew. Then the same without privilege: exit 4.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { haveBpf } from "#engine";
import { divisi, root, temporaryFolder } from "./support/cli.ts";

const folder = join(root, "testdata/rejected");
const work = temporaryFolder("rejected");
after(() => {
  rmSync(work, { recursive: true });
});
const programs = readdirSync(folder).filter((file) => file.endsWith(".c"));
const short = ["--trace", "gen:uniform,packets=10"] as const;
const absence = await haveBpf();
const hasClang = spawnSync("clang", ["--version"]).status === 0;
const skip = absence?.message ?? (hasClang ? false : "needs clang");

test("a dozen typical mistakes have a program", () => {
  ok(programs.length >= 12, programs.join(" "));
});

for (const file of programs)
  test(`rejected: ${file}`, { skip }, () => {
    const path = join(folder, file);
    const source = readFileSync(path, "utf8");
    const output = join(work, `${file}.out`);
    const run = divisi(["split", path, "-o", output, ...short]);
    if (process.env["UPDATE"] === "1") {
      const [said = ""] = run.stderr.split("\n");
      const line = `// says: ${said.replace("divisi: ", "")}`;
      writeFileSync(path, source.replace(/^\/\/ says: .*$/m, line));
      return;
    }
    const [, says = ""] = /^\/\/ says: (.+)$/m.exec(source) ?? [];
    ok(says !== "");
    equal(run.stderr, `divisi: ${says}\n  -v shows the verifier's log\n`);
    equal(run.status, 5);
    equal(run.stdout, "");
    ok(!existsSync(output), "nothing is written");
  });

test("-v shows the log, --json says the same on stdout", { skip }, () => {
  const path = join(folder, "null-check.c");
  const words = ["split", path, "-o", join(work, "v"), ...short];
  const verbose = divisi([...words, "-v"]);
  equal(verbose.status, 5);
  match(verbose.stderr, /^divisi: null-check\.c:12: r0 may be null/);
  match(verbose.stderr, /\n\d+: \(85\) call bpf_map_lookup_elem#1/);
  match(verbose.stderr, /\nR0 invalid mem access 'map_value_or_null'\n/);
  const json = divisi([...words, "--json"]);
  equal(json.status, 5);
  const { error } = JSON.parse(json.stdout) as { error: object };
  const { code, exit, text, file, line } = error as Record<string, unknown>;
  deepEqual([code, exit, line], ["verifier-rejected", 5, 12]);
  match(String(file), /\/null-check\.c$/);
  match(String(text), /^null-check\.c:12: r0 may be null/);
});

const isRoot = process.getuid?.() === 0;

test(
  "without privilege: exit 4, the way out, and nothing left behind",
  { skip: isRoot ? false : "needs root, to be nobody" },
  () => {
    const output = join(work, "out");
    const temporary = join(work, "temporary");
    const object = join(work, "knock.o");
    writeFileSync(object, readFileSync(join(root, "nfs/c/port-knock.o")));
    mkdirSync(temporary);
    chmodSync(temporary, 0o777);
    equal(divisi(["split", object, "-o", output, ...short]).status, 0);
    chmodSync(work, 0o755);
    const before = readdirSync(work).sort();
    const refused =
      "divisi: bpf(2) is not allowed here (EPERM)\n  run as root, or with CAP_BPF and CAP_NET_ADMIN\n";
    for (const words of [
      ["attach", output, "--iface", "lo"],
      ["run", output, "--iface", "lo", ...short],
    ]) {
      const run = asNobody(words, temporary);
      equal(run.stderr, refused, words.join(" "));
      equal(run.status, 4);
      equal(run.stdout, "");
    }
    // What needs no kernel works, and says that the verifier was not asked.
    const mine = join(temporary, "mine");
    const split = asNobody(["split", object, "-o", mine, ...short], temporary);
    equal(split.status, 0, split.stderr);
    match(split.stdout, /not asked: bpf\(2\) is not allowed here \(EPERM\)/);
    rmSync(mine, { recursive: true });
    deepEqual(readdirSync(temporary), []);
    deepEqual(readdirSync(work).sort(), before);
  },
);

test(
  "without a verifier, a packet access that nothing checks is said first",
  { skip: isRoot && hasClang ? false : "needs clang, and root to be nobody" },
  () => {
    const temporary = join(work, "unchecked");
    mkdirSync(temporary);
    chmodSync(temporary, 0o777);
    chmodSync(work, 0o755);
    const source = readFileSync(join(folder, "packet-bounds.c"), "utf8");
    const check =
      "if (packet + 24 > (__u8 *)PACKET_END(ctx))\n\t\treturn XDP_PASS;\n";
    const access = "return packet[23] == 6";
    // The program, the same with its check, with a check one byte short, and writing.
    const programs = {
      reads: source,
      checks: source.replace(access, `${check}\t${access}`),
      "one-short": source.replace(
        access,
        `${check.replace("24", "23")}\t${access}`,
      ),
      writes: source.replace(access, `packet[23] = 1;\n\t${access}`),
    };
    const said = Object.entries(programs).map(([name, text]) => {
      const path = join(temporary, `${name}.c`);
      const object = join(temporary, `${name}.o`);
      writeFileSync(path, text);
      const clang = ["-O2", "-g", "-target", "bpf", "-c", path, "-o", object];
      const built = spawnSync("clang", [`-I${folder}`, ...clang]);
      equal(built.status, 0, String(built.stderr));
      const out = join(temporary, `${name}.out`);
      const run = asNobody(["split", object, "-o", out, ...short], temporary);
      equal(run.status, 0, run.stderr);
      const [, checked = ""] =
        /^checked +([^]*?) \S+ packets \(/m.exec(
          run.stdout.replaceAll(/\n {10}/g, " "),
        ) ?? [];
      return [name, checked.replace(/\(\d+ packets?\)/, "(N packets)")];
    });
    const refused = ": the kernel's verifier would refuse it";
    const weak = (verb: string, line: string): string =>
      `weak: the program ${verb} outside the packet at ${line} (N packets)${refused}`;
    deepEqual(said, [
      ["reads", weak("reads", "reads.c:10")],
      ["checks", "strong"],
      ["one-short", weak("reads", "one-short.c:12")],
      ["writes", `${weak("writes", "writes.c:10")}; no mutant could be made`],
    ]);
    const run = divisi([
      "run",
      join(temporary, "reads.o"),
      "--trace",
      "gen:coverage",
    ]);
    equal(run.status, 0);
    match(
      run.stdout,
      /^ {2}fault {6}packet \d+: access outside memory at reads\.c:10$/m,
    );
  },
);

function asNobody(
  words: readonly string[],
  temporary: string,
): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(
    process.execPath,
    [join(root, "dist/cli/main.js"), ...words],
    {
      cwd: "/",
      uid: 65534,
      gid: 65534,
      encoding: "utf8",
      timeout: 60_000,
      env: {
        ...process.env,
        NO_COLOR: "1",
        TMPDIR: temporary,
        HOME: temporary,
      },
    },
  );
}
