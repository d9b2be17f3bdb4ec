/**
 * A second opinion from LLVM 14, which knows the instructions up to Linux 5.12:
 * it reads our bytes as the instruction we meant, and writes our text as the
 * bytes we write. Left out, because LLVM 14 does not have them: mod, jset,
 * stores of an immediate, relative calls, callx; its assembler lacks fetching
 * atomics, and it drops the offset of LD_IND.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { Random, toHex } from "../base/index.ts";
import { encode } from "./encode.ts";
import { build, withTarget } from "./form.ts";
import {
  instructionRows,
  type FieldRole,
  type InstructionRow,
  type MemberPath,
} from "./instruction-table.ts";
import type { Instruction } from "./instruction.ts";
import { parseInstruction } from "./parse.ts";
import { printInstruction } from "./print.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 14);

function isKnown(row: InstructionRow): boolean {
  const [major = 0, minor = 0] = row.kernel.split(".").map(Number);
  const { sample } = row;
  if (row.symbolic === true || Number.isNaN(major)) return false;
  if (major > 5 || (major === 5 && minor > 12)) return false;
  if (sample.kind === "alu") return sample.op !== "mod";
  if (sample.kind === "branch") return sample.op !== "jset";
  if (sample.kind === "store") return sample.src.kind === "register";
  if (sample.kind === "call") return sample.callee.kind === "helper";
  if (sample.kind === "load-wide") return sample.value.kind === "number";
  if (sample.kind === "atomic")
    return sample.size === 8 || sample.fetch || sample.op === "add";
  return true;
}
const rows = instructionRows.filter(isKnown);

function draw(random: Random, role: FieldRole): number | bigint | undefined {
  if (typeof role === "number" || role === "target") return undefined;
  if (role === "value.value") return random.u64();
  if (role === "offset") return random.below(0x10000) - 0x8000;
  if (role === "callee.helper") return 1000 + random.below(1000);
  if (role === "imm" || role.endsWith(".value")) return random.u32() | 0;
  return random.below(11);
}

function randomInstruction(random: Random, row: InstructionRow): Instruction {
  const values: [MemberPath, number | bigint][] = [];
  for (const role of [row.dst, row.src, row.offset, row.imm]) {
    const value = draw(random, role);
    if (typeof role === "string" && value !== undefined)
      values.push([role, value]);
  }
  const made = build(row, values);
  if (made.kind === "load-packet")
    return made.index === undefined
      ? { ...made, imm: random.below(0x10000) }
      : { ...made, imm: 0 };
  return withTarget(made, 0);
}

const random = new Random(seed);
const drawn = rows.flatMap((row) =>
  Array.from({ length: 6 }, () => randomInstruction(random, row)),
);
const bytesOf = (instruction: Instruction): Uint8Array => encode([instruction]);

function llvm(words: readonly string[], input: string): string {
  for (const name of ["llvm-mc-14", "llvm-mc"]) {
    const done = spawnSync(name, ["-triple=bpfel", ...words], {
      input,
      encoding: "utf8",
    });
    if (done.error === undefined) return done.stdout;
  }
  throw new Error("llvm-mc is missing: apt-get install llvm");
}

/** LLVM's text, with distances as our labels: all jumps lead to themselves. */
function disassemble(
  instructions: readonly Instruction[],
  attributes: string,
): readonly string[] {
  const input = instructions.map((instruction) =>
    [...bytesOf(instruction)].map((byte) => `0x${byte.toString(16)}`).join(" "),
  );
  return llvm(["-disassemble", attributes], input.join("\n"))
    .split("\n")
    .slice(1)
    .filter((line) => line !== "")
    .map((line) =>
      line
        .trim()
        .replace(/goto -1$/, "goto L0")
        .replace(/skb\[(r\d+)\]/, "skb[$1 + 0]"),
    );
}

test(`LLVM reads our bytes as what we meant (seed ${seed})`, () => {
  ok(rows.length > 110, `${rows.length} rows`);
  const half = (instruction: Instruction): boolean =>
    instruction.kind === "atomic" && instruction.size === 4;
  for (const [attributes, list] of [
    ["-mattr=", drawn.filter((instruction) => !half(instruction))],
    ["-mattr=+alu32", drawn.filter(half)],
  ] as const) {
    const texts = disassemble(list, attributes);
    equal(texts.length, list.length);
    for (const [index, instruction] of list.entries())
      deepEqual(parseInstruction(texts[index] ?? ""), instruction);
  }
});

test(`LLVM writes our text as our bytes (seed ${seed})`, () => {
  const list = drawn.filter(
    (instruction) => !(instruction.kind === "atomic" && instruction.fetch),
  );
  const input = list.map((instruction) =>
    printInstruction(instruction, () => "-1").replace(" + 0]", "]"),
  );
  const encodings = [
    ...llvm(["-mattr=+alu32", "-show-encoding"], input.join("\n")).matchAll(
      /encoding: \[([^\]]*)\]/g,
    ),
  ].map(([, bytes = ""]) => bytes.replaceAll(/0x|,/g, ""));
  deepEqual(
    encodings,
    list.map((instruction) => toHex(bytesOf(instruction))),
  );
});
