/**
 * Edits against a slow twin: a list of nodes whose jumps are references, so that
 * no index is ever computed until the end. An off-by-one in the target fix-up
 * must make the twin disagree.
 */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { Bug, InputError, Random } from "../base/index.ts";
import { decode } from "./decode.ts";
import { editFunction, local, type Edit } from "./edit.ts";
import { encode } from "./encode.ts";
import { targetOf, withTarget } from "./form.ts";
import { parseFunction, printFunction } from "./function-text.ts";
import type { Instruction } from "./instruction.ts";
import { parseInstruction } from "./parse.ts";
import type { FunctionSpec } from "./program.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 7);

type Editor = typeof editFunction;

function expectEdit(
  before: string,
  edits: readonly Edit[],
  after: string,
): void {
  equal(
    printFunction(editFunction(parseFunction(before), edits)),
    printFunction(parseFunction(after)),
  );
}
const lines = (...texts: readonly string[]): readonly Instruction[] =>
  texts.map((text) => parseInstruction(text));

const before = `
  r0 = 0
  if r1 == 0 goto end
  r0 = 1
end:
  exit`;

test("insert, delete, replace", () => {
  // prettier-ignore
  const cases: readonly (readonly [readonly Edit[], string])[] = [
    [[{ kind: "insert", at: 3, instructions: lines("r0 += 7") }],
      "r0 = 0\nif r1 == 0 goto end\nr0 = 1\nend:\nr0 += 7\nexit"],
    [[{ kind: "insert", at: 3, instructions: lines("r0 += 7"), reach: "fall-through" }],
      "r0 = 0\nif r1 == 0 goto end\nr0 = 1\nr0 += 7\nend:\nexit"],
    [[{ kind: "delete", at: 2 }], "r0 = 0\nif r1 == 0 goto end\nend:\nexit"],
    [[{ kind: "replace", at: 3, instructions: lines("r0 = 9", "exit") }],
      "r0 = 0\nif r1 == 0 goto end\nr0 = 1\nend:\nr0 = 9\nexit"],
    [[{ kind: "insert", at: 0, instructions: [withTarget(parseInstruction("goto L0"), local(1)), ...lines("r3 = 3 ll")] }],
      "goto x\nx:\nr3 = 3 ll\nr0 = 0\nif r1 == 0 goto end\nr0 = 1\nend:\nexit"],
    [[{ kind: "insert", at: 2, instructions: lines("if r2 > 5 goto L3") }],
      "r0 = 0\nif r1 == 0 goto end\nif r2 > 5 goto end\nr0 = 1\nend:\nexit"],
    [[{ kind: "delete", at: 1, count: 2 }, { kind: "insert", at: 4, instructions: lines("exit") }],
      "r0 = 0\nexit\nexit"],
  ];
  for (const [edits, after] of cases) expectEdit(before, edits, after);
});

test("a jump to a deleted instruction goes to the next one", () => {
  const from = "if r1 == 0 goto a\nr0 = 1\na:\nr0 = 2\nr0 = 3\nexit";
  expectEdit(
    from,
    [{ kind: "delete", at: 2 }],
    "if r1 == 0 goto a\nr0 = 1\na:\nr0 = 3\nexit",
  );
});

test("line table and CO-RE records move along", () => {
  expectEdit(
    `.line "a.c" 1 1 "one"
     r0 = 0
     .line "a.c" 2 1 "two"
     .core 5 "0:1" 0
     r1 = 4
     .line "a.c" 3 1 "three"
     .core 6 "0:2" 0
     r2 = 8
     exit`,
    [
      {
        kind: "insert",
        at: 0,
        instructions: lines("r9 = 1 ll"),
        reach: "fall-through",
      },
      { kind: "insert", at: 1, instructions: lines("r8 = 1") },
      { kind: "delete", at: 2 },
    ],
    `.line "a.c" 1 1 "one"
     r9 = 1 ll
     r0 = 0
     .line "a.c" 2 1 "two"
     r8 = 1
     .core 5 "0:1" 0
     r1 = 4
     .line "a.c" 3 1 "three"
     exit`,
  );
});

test("refusals", () => {
  const fn = parseFunction(before);
  const edit = (edits: readonly Edit[]) => () => editFunction(fn, edits);
  throws(edit([{ kind: "delete", at: 3 }]), InputError);
  throws(
    edit([
      { kind: "delete", at: 2, count: 2 },
      { kind: "replace", at: 3, instructions: [] },
    ]),
    Bug,
  );
  throws(edit([{ kind: "insert", at: 5, instructions: [] }]), Bug);
  throws(
    edit([{ kind: "replace", at: 2, count: 2, instructions: lines("exit") }]),
    Bug,
  );
  const relative = parseFunction("call raw 1 3\nexit");
  throws(() => editFunction(relative, []), InputError);
});

test("jumps that grow beyond 16 bits: long when unconditional, refused otherwise", () => {
  const many = Array.from({ length: 0x8000 }, () => parseInstruction("r0 = 0"));
  const edits: readonly Edit[] = [
    { kind: "insert", at: 2, instructions: many },
  ];
  const grown = editFunction(parseFunction("goto a\nr0 = 1\na:\nexit"), [
    { ...edits[0], kind: "insert", at: 1, instructions: many },
  ]);
  deepEqual(grown.instructions[0], {
    kind: "jump",
    target: 0x8002,
    long: true,
  } satisfies Instruction);
  deepEqual(
    decode(encode(grown.instructions)).instructions,
    grown.instructions,
  );
  throws(
    () =>
      editFunction(parseFunction("if r1 == 0 goto a\nr0 = 1\na:\nexit"), [
        { kind: "insert", at: 1, instructions: many },
      ]),
    (error) => error instanceof InputError && error.code === "insn-distance",
  );
});

// --- the twin ---

interface Node {
  readonly instruction: Instruction;
  target: Node | undefined;
}

/** The edited instructions, by references. Deleted nodes forward to their successor. */
function twin(
  fn: FunctionSpec,
  edits: readonly Edit[],
): readonly Instruction[] | undefined {
  const nodes = fn.instructions.map((instruction): Node => ({
    instruction,
    target: undefined,
  }));
  const originals = [...nodes];
  for (const node of nodes) {
    const target = targetOf(node.instruction);
    if (target !== undefined) node.target = originals[target];
  }
  const forward = new Map<Node, Node | undefined>();
  const list = [...nodes];
  const apply = (edit: Edit): void => {
    const at =
      edit.at < originals.length
        ? list.indexOf(originals[edit.at] as Node)
        : list.length;
    const fresh = (edit.kind === "delete" ? [] : edit.instructions).map(
      (instruction): Node => ({ instruction, target: undefined }),
    );
    const count = edit.kind === "insert" ? 0 : (edit.count ?? 1);
    const gone = list.splice(at, count, ...fresh);
    const after = list[at + fresh.length];
    for (const node of fresh) {
      const target = targetOf(node.instruction);
      if (target !== undefined)
        node.target =
          target < 0 ? (fresh[-1 - target] ?? after) : originals[target];
    }
    for (const node of gone) forward.set(node, fresh[0] ?? after);
    const old = originals[edit.at];
    if (
      edit.kind === "insert" &&
      edit.reach !== "fall-through" &&
      fresh[0] !== undefined &&
      after !== undefined
    )
      for (const node of list)
        if (node.target === old && old !== undefined && !fresh.includes(node))
          node.target = fresh[0];
  };
  for (const edit of edits) apply(edit);
  const result: Instruction[] = [];
  for (const node of list) {
    let to = node.target;
    while (to !== undefined && forward.has(to)) to = forward.get(to);
    if (node.target !== undefined && to === undefined) return undefined;
    result.push(
      to === undefined
        ? node.instruction
        : withTarget(node.instruction, list.indexOf(to)),
    );
  }
  return result;
}

/** One edit on a random function with unique constants; true when editor and twin agree. */
function agrees(random: Random, editor: Editor): boolean {
  const size = 3 + random.below(12);
  const body = Array.from({ length: size }, (_, index): Instruction => {
    const target = random.below(size);
    switch (random.below(4)) {
      case 0:
        return {
          kind: "branch",
          op: "jeq",
          width: 64,
          left: 1,
          right: { kind: "immediate", value: index },
          target,
        };
      case 1:
        return { kind: "jump", target, long: false };
      case 2:
        return {
          kind: "load-wide",
          dst: 2,
          value: { kind: "number", value: BigInt(index) },
        };
      default:
        return {
          kind: "alu",
          op: "mov",
          width: 64,
          dst: 0,
          src: { kind: "immediate", value: index },
        };
    }
  });
  const fn: FunctionSpec = {
    name: "f",
    section: "xdp",
    linkage: "global",
    instructions: body,
    lines: [],
    coreRelocations: [],
  };
  const block = Array.from(
    { length: 1 + random.below(3) },
    (_, index): Instruction =>
      random.chance(0.4)
        ? {
            kind: "jump",
            target: random.chance(0.5)
              ? random.below(size)
              : local(random.below(3)),
            long: false,
          }
        : {
            kind: "alu",
            op: "mov",
            width: 64,
            dst: 9,
            src: { kind: "immediate", value: 100 + index },
          },
  ).map((instruction, _index, all) =>
    // Only inner targets that exist in this block.
    (targetOf(instruction) ?? 0) < local(all.length - 1)
      ? withTarget(instruction, local(0))
      : instruction,
  );
  const at = random.below(size);
  const edit = random.pick<Edit>([
    { kind: "insert", at, instructions: block },
    { kind: "insert", at, instructions: block, reach: "fall-through" },
    { kind: "delete", at, count: 1 + random.below(Math.min(3, size - at)) },
    { kind: "replace", at, instructions: block },
  ]);
  const want = twin(fn, [edit]);
  let have: readonly Instruction[] | undefined;
  try {
    have = editor(fn, [edit]).instructions;
  } catch (error) {
    ok(error instanceof InputError, String(error));
  }
  try {
    deepEqual(have, want);
    return true;
  } catch {
    return false;
  }
}

function disagreements(editor: Editor, rounds: number): number {
  const random = new Random(seed);
  let count = 0;
  for (let round = 0; round < rounds; round++)
    if (!agrees(random, editor)) count++;
  return count;
}

test(`editor and twin agree (seed ${seed})`, () => {
  equal(disagreements(editFunction, 3000), 0);
});

test("an off-by-one in the target fix-up is caught", () => {
  const mutants: readonly ((target: number, at: number) => number)[] = [
    (target) => target + 1,
    (target) => target - 1,
    // Only forward, only backward jumps.
    (target, at) => (target > at ? target + 1 : target),
    (target, at) => (target <= at ? target - 1 : target),
  ];
  for (const mutate of mutants) {
    const mutant: Editor = (fn, edits) => {
      const edited = editFunction(fn, edits);
      const instructions = edited.instructions.map((instruction, at) => {
        const target = targetOf(instruction);
        return target === undefined
          ? instruction
          : withTarget(instruction, mutate(target, at));
      });
      return { ...edited, instructions };
    };
    ok(disagreements(mutant, 200) > 20);
  }
});
