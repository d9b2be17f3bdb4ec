/**
 * The C network functions: every committed object is what clang 14 makes of its
 * source, holds no path of a machine, and loads.
 */
import { equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
} from "node:fs";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const root = join(import.meta.dirname, "../..");
const folder = join(root, "nfs/c");
const scratch = mkdtempSync(join(tmpdir(), "nfs-c-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const have = (command: string): boolean =>
  spawnSync(command, ["--version"]).error === undefined;
const noClang = have("clang-14") ? false : "clang-14 is not installed";
const noLoader =
  !have("bpftool") || process.getuid?.() !== 0
    ? "loading needs bpftool and root"
    : false;

const objects = readdirSync(folder).filter((name) => name.endsWith(".o"));

function build(...words: string[]) {
  return spawnSync(
    process.execPath,
    [join(root, "scripts/build-nfs.mjs"), ...words],
    { encoding: "utf8" },
  );
}

test("every program has source and object", () => {
  const names = objects.map((name) => name.slice(0, -2));
  for (const name of "source-counter flow-counter port-knock ddos-mitigator policer firewall nop static-bridge".split(
    " ",
  ))
    ok(names.includes(name), name);
});

test("a build gives the committed instructions", { skip: noClang }, () => {
  const { status, stdout, stderr } = build("--check");
  equal(stderr, "");
  match(stdout, /^\d+ objects checked/);
  equal(status, 0);
});

test("a changed constant in a source is found", { skip: noClang }, () => {
  const copy = join(scratch, "c");
  cpSync(folder, copy, { recursive: true });
  const file = join(copy, "port-knock.c");
  const source = readFileSync(file, "utf8");
  writeFileSync(file, source.replace("KNOCK_3 102", "KNOCK_3 103"));
  const { status, stderr } = build("--check", "--folder", copy);
  equal(
    stderr.trim(),
    "port-knock.o: the committed instructions are not those of port-knock.c",
  );
  equal(status, 1);
});

test("no object names a path of the machine that built it", () => {
  for (const object of objects) {
    const text = readFileSync(join(folder, object), "latin1");
    const paths =
      text.match(/(?<![\x21-\x7e])[\w./-]*\/[\w./-]{3,}(?![\x21-\x7e])/g) ?? [];
    ok(paths.length > 0, object);
    equal(paths.filter((path) => !path.startsWith("./nfs/c/")).join(" "), "");
  }
});

test("every object loads", { skip: noLoader }, () => {
  for (const object of objects) {
    const pin = `/sys/fs/bpf/nfs-c-test-${process.pid}`;
    const { status, stderr } = spawnSync(
      "bpftool",
      ["prog", "load", join(folder, object), pin],
      { encoding: "utf8" },
    );
    rmSync(pin, { force: true });
    equal(status, 0, `${object}: ${stderr}`);
  }
});
