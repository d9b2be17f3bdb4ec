/**
 * Every row of the instruction table compiles, in private and in shared memory, and
 * then does what interp does; or it is one of the refusals written down here.
 */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { Random, UnsupportedError } from "../../base/index.ts";
import {
  instructionRows,
  parseFunctions,
  printInstruction,
  type Instruction,
  type InstructionRow,
  type ProgramSpec,
  type ProgramTypeName,
} from "../../isa/index.ts";
import { loadPortable } from "./program.ts";
import {
  compareEngines,
  mapOf,
  packetsOf,
  programOf,
} from "./twin.test.kit.ts";

/** What is refused at load, by the start of the printed form, and in which words. */
const refusals: readonly (readonly [form: string, feature: string])[] = [
  ["r0 = addr_space_cast", "arena (address cast)"],
  ["r0 = ksym", "kernel symbol jiffies"],
  ["r0 = raw", "unlinked load"],
  ["call raw", "unlinked call"],
  ["callx", "indirect call"],
];

const packets = packetsOf(new Random(1), 8);

/** The sample with names that exist, and targets and offsets inside. */
function concrete({ sample }: InstructionRow): Instruction {
  if (sample.kind === "load-wide") {
    const { value } = sample;
    if (value.kind === "map" || value.kind === "map-value")
      return { ...sample, value: { ...value, map: "m" } };
    if (value.kind === "function")
      return { ...sample, value: { ...value, name: "other" } };
    if (value.kind === "kernel-symbol")
      return { ...sample, value: { ...value, name: "jiffies" } };
  }
  if (sample.kind === "call") {
    const { callee } = sample;
    if (callee.kind === "helper")
      return { ...sample, callee: { ...callee, helper: 5 } };
    if (callee.kind === "function")
      return { ...sample, callee: { ...callee, name: "other" } };
    if (callee.kind === "kfunc")
      return { ...sample, callee: { ...callee, name: "bpf_rcu_read_lock" } };
  }
  if (
    sample.kind === "jump" ||
    sample.kind === "branch" ||
    sample.kind === "may-goto"
  )
    return { ...sample, target: 7 };
  return sample;
}

/** r0 and r1 are odd numbers, r3 a place on the stack and the base of accesses. */
function programAround(
  row: InstructionRow,
  type: ProgramTypeName,
): ProgramSpec {
  const sample = concrete(row);
  const instruction =
    "base" in sample ? { ...sample, base: 3 as const } : sample;
  // Of an address only that it is not null.
  const isAddress =
    sample.kind === "load-wide" && sample.value.kind !== "number";
  const { functions, ...rest } = programOf(
    `r1 = 0x8091a2b3c4d5e6f7 ll
     *(u64 *)(r10 - 16) = r1
     r3 = r10
     r3 += -16
     r0 = -231
     r0 = r0
     ${isAddress ? "r0 /= r0" : "r0 *= 3"}
     r1 = *(u64 *)(r10 - 16)
     r0 ^= r1
     r1 = r0
     r1 >>= 32
     r0 ^= r1
     exit
     function other section ".text" static
     r0 = 3
     exit`,
    [mapOf("m", "array", [4, 8, 2])],
    type,
  );
  const [main, ...others] = functions;
  if (main === undefined) throw new Error("no function");
  const instructions = main.instructions.with(5, instruction);
  return { ...rest, functions: [{ ...main, instructions }, ...others] };
}

let compiled = 0;

for (const row of instructionRows) {
  const form = printInstruction(row.sample);
  test(form, () => {
    const refusal = refusals.find(([start]) => form.startsWith(start));
    const type = row.group === "packet" ? "socket_filter" : "xdp";
    const program = programAround(row, type);
    if (refusal !== undefined) {
      let error: unknown;
      try {
        loadPortable(program, { cpus: 2 });
      } catch (thrown) {
        error = thrown;
      }
      equal(error instanceof UnsupportedError, true, String(error));
      const message = `UnsupportedError: test: main+5: the portable engine has no ${refusal[1]}`;
      equal(String(error), message);
      return;
    }
    for (const control of ["structured", "dispatch"] as const)
      for (const memory of ["private", { core: 0, cores: 1 }] as const) {
        const options = { control, memory };
        const { differences } = compareEngines(program, packets, options);
        deepEqual(differences, []);
      }
    compiled++;
  });
}

test("most of the table was compiled, and every refusal was met", () => {
  equal(compiled + 7, instructionRows.length);
  const forms = instructionRows.map(({ sample }) => printInstruction(sample));
  for (const [start] of refusals)
    equal(
      forms.some((form) => form.startsWith(start)),
      true,
      start,
    );
});

test("LD_ABS is refused where the kernel refuses it", () => {
  const [main] = parseFunctions("r0 = *(u8 *)skb[0]\nexit");
  const spec = programOf("r0 = 0\nexit");
  if (main === undefined) throw new Error("no function");
  for (const type of ["xdp", "tracepoint"] as const)
    equal(
      messageOf({ ...spec, type, functions: [main] }),
      `test: main+0: the portable engine has no LD_ABS and LD_IND in type ${type}`,
    );
});

function messageOf(program: ProgramSpec): string {
  try {
    loadPortable(program);
    return "loaded";
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
}
