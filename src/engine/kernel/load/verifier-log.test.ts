/**
 * Rejections. `testdata/verifier/NAME.bpf` is a bad program with the summary that
 * a user must read; `NAME.log` is what a kernel said about it (6.18; long logs
 * cut to their end). The rules are tested on the committed logs everywhere, and
 * on this machine's verifier where bpf(2) works. `UPDATE=1` writes the logs anew.
 */
import { equal, ok } from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { UnsupportedError, VerifierError } from "../../../base/index.ts";
import {
  parseFunctions,
  type MapSpec,
  type ProgramSpec,
} from "../../../isa/index.ts";
import { openKernel, type Kernel } from "../kernel.ts";
import { placeFunctions, placeOfSlot } from "./layout.ts";
import { printSummary, processedCount, summarizeLog } from "./verifier-log.ts";

const folder = join(import.meta.dirname, "../../../../testdata/verifier");
const plain = {
  keySize: 4,
  valueSize: 8,
  maxEntries: 16,
  flags: 0,
  section: ".maps",
  readOnly: false,
};
const maps: readonly MapSpec[] = [
  { ...plain, name: "flows", type: "hash" },
  {
    ...plain,
    name: "events",
    type: "ringbuf",
    keySize: 0,
    valueSize: 0,
    maxEntries: 4096,
  },
];

interface Case {
  readonly name: string;
  readonly program: ProgramSpec;
  readonly want: string;
}

const cases = readdirSync(folder)
  .filter((file) => file.endsWith(".bpf"))
  .map((file): Case => {
    const text = readFileSync(join(folder, file), "utf8");
    const said = (key: string): string | undefined =>
      new RegExp(`^; ${key}: (.*)$`, "m").exec(text)?.[1];
    const program: ProgramSpec = {
      file,
      name: "main",
      section: "xdp",
      type: "xdp",
      license: said("license") ?? "GPL",
      functions: parseFunctions(text, file),
      maps,
    };
    return {
      name: file.replace(".bpf", ""),
      program,
      want: said("summary") ?? "",
    };
  });

function summaryOf(program: ProgramSpec, log: string): string {
  const summary = summarizeLog(log);
  ok(summary !== undefined);
  const placed = placeFunctions(program);
  return printSummary(summary, (slot) => placeOfSlot(placed, slot));
}

function rejection(kernel: Kernel, program: ProgramSpec): VerifierError {
  try {
    kernel.load([program]).close();
  } catch (error) {
    if (error instanceof VerifierError) return error;
    throw error;
  }
  throw new Error(`${program.file} was accepted`);
}

test("committed logs give the summary beside the program", () => {
  ok(cases.length >= 15);
  for (const { name, program, want } of cases) {
    const log = readFileSync(join(folder, `${name}.log`), "utf8");
    const text = summaryOf(program, log);
    ok(text.includes(want) && want !== "", `${name}: ${text}`);
    equal(text.split("\n").length, 1);
  }
});

test("places: with line records the source line, else function and instruction", () => {
  const of = (name: string): string => {
    const found = cases.find((each) => each.name === name);
    ok(found !== undefined);
    return summaryOf(
      found.program,
      readFileSync(join(folder, `${name}.log`), "utf8"),
    );
  };
  ok(of("packet-bounds").startsWith("bad.c:12: "));
  // The 16-byte load before it counts as one instruction.
  ok(of("null-check").startsWith("main+5: "));
});

test("rules that no small program shows", () => {
  // prettier-ignore
  const lines: readonly (readonly [string, string])[] = [
    ["The sequence of 8193 jumps is too complex.", "too complex: 8193 jumps in a row"],
    ["something never seen before", "something never seen before"],
    ["arg#1 expects pointer to ctx\nCaller passes invalid args into func#3 ('f3')", "argument r2 must be the context"],
    ["dereference of modified ctx ptr R2 off=192 disallowed\nCaller passes invalid args into func#3 ('f3')", "r2 points 192 bytes into the context; only its start may be given"],
    ["Global function foo() doesn't return scalar. Only those are supported.\nCaller passes invalid args into func#1 ('foo')", "global function foo must return a number"],
    ["write into map forbidden, value_size=4 off=0 size=4\nCaller passes invalid args into func#1 ('foo')", "a read-only map is written"],
    ["Caller passes invalid args into func#1 ('foo')", "function foo is given what it does not take"],
    ["the call stack of 8 frames is too deep !", "calls are nested deeper than 8 frames"],
    ["kernel function bpf_ct_release args#0 expected pointer to STRUCT nf_conn but R1 has a pointer to STRUCT nf_conn___init", "argument r1 of kernel function bpf_ct_release is nf_conn___init, but must be nf_conn"],
    ["no write support to nf_conn at off 128", "the kernel's nf_conn may not be written at offset 128"],
    ["R1 type=sock_or_null expected=sock_common, sock, ptr_", "r1 may be null: it is passed on without a null check"],
    ["R1 type=scalar expected=percpu_ptr_, percpu_trusted_ptr_", "argument r1 is a number, but must be a kernel pointer"],
    ["invalid func unknown#2002000000", "a kernel function is called that this kernel does not have"],
    ["R7 invalid mem access 'ringbuf_mem_or_null'", "r7 may be null: it is used without a null check"],
    ["unknown func bpf_nothing#999", "helper nothing does not exist for this program type"],
  ];
  for (const [line, want] of lines)
    equal(
      summarizeLog(`0: (95) exit\n${line}\nprocessed 1 insns (limit 1000000)\n`)
        ?.text,
      want,
    );
  equal(summarizeLog(""), undefined);
  equal(summarizeLog("processed 3 insns (limit 1000000)"), undefined);
  equal(processedCount("x\nprocessed 3 insns (limit"), 3);
  ok(
    !printSummary(
      { text: "\u001b[31m", kernel: "x" },
      () => undefined,
    ).includes("\u001b"),
  );
});

test("this machine's verifier gives the same summaries", async (t) => {
  let kernel: Kernel;
  try {
    kernel = await openKernel();
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    t.skip(error.message);
    return;
  }
  for (const { name, program, want } of cases) {
    const error = rejection(kernel, program);
    ok(error.message.includes(want), `${name}: ${error.message}`);
    if (process.env["UPDATE"] === "1") {
      const end = error.log.slice(-4096);
      const log =
        end.length < error.log.length ? end.slice(end.indexOf("\n") + 1) : end;
      // Addresses differ from run to run.
      writeFileSync(
        join(folder, `${name}.log`),
        log.replaceAll(/0xffff[0-9a-f]{12}/g, "0xffff888000000000"),
      );
    }
  }
});
