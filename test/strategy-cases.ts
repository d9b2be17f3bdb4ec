/**
 * Programs of testdata/strategy, compiled when asked for, and those of nfs/c as
 * committed; each as a specification with its state report.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { analyse, type StateReport } from "#analysis";
import type { ProgramSpec } from "#isa";
import { programSpec, readObject } from "#object";
import type { Port } from "#strategy";

const root = join(import.meta.dirname, "../..");
const scratch = mkdtempSync(join(tmpdir(), "strategy-cases-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

const compiler = "clang-14";
export const noClang =
  spawnSync(compiler, ["--version"]).error === undefined
    ? false
    : "clang-14 is not installed";

/** Ports as nfs/c knows them. */
export const lanAndWan: readonly Port[] = [
  { name: "lan", ifindex: 1 },
  { name: "wan", ifindex: 2 },
];

export interface Case {
  readonly name: string;
  readonly spec: ProgramSpec;
  readonly report: StateReport;
  readonly ports: readonly Port[];
}

/** A network function of nfs/c. */
export function networkFunction(name: string): Case {
  return caseOf(name, join(root, "nfs/c", `${name}.o`));
}

/** A program of testdata/strategy. */
export function compiledCase(name: string): Case {
  return caseOf(name, compiledObject(name));
}

/** Path of its object. */
export function compiledObject(name: string): string {
  const object = join(scratch, `${name}.o`);
  if (!existsSync(object)) {
    const asm = ["x86_64", "aarch64"]
      .map((machine) => `/usr/include/${machine}-linux-gnu`)
      .filter((path) => existsSync(path));
    // prettier-ignore
    const done = spawnSync(compiler, [
      "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Werror",
      `-I${join(root, "nfs/c")}`, ...asm.map((path) => `-I${path}`),
      "-c", join(root, "testdata/strategy", `${name}.c`), "-o", object,
    ], { encoding: "utf8" });
    if (done.status !== 0) throw new Error(done.stderr);
  }
  return object;
}

function caseOf(name: string, file: string): Case {
  const spec = programSpec(readObject(readFileSync(file), file), {});
  const report = analyse(spec);
  const ports =
    report.testsPort === true ? lanAndWan : [{ name: "any", ifindex: 1 }];
  return { name, spec, report, ports };
}
