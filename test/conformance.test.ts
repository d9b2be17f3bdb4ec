/**
 * One program, one value: the bytecode interpreter, the interpreter of the lifted
 * program, the portable engine and the kernel must all give it.
 *
 * A body gets two unknown 64-bit numbers, a in r1 and b in r2, and leaves its
 * result in r0; a frame carries them in and the result out:
 *
 *   byte 0      8      16       24
 *        | a    | b    | result | zeros up to 64
 *
 * They come from the packet, so that no verifier can know them and the compiled
 * instruction is really run. The tables: results worked out by hand, map helpers
 * with the state they leave, and every row of the instruction table on corner
 * cases and random numbers, where the first judge sets the value for the others.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { Random, UnsupportedError, toHex } from "#base";
import { loadPortable, openKernel, type Kernel } from "#engine";
import {
  BytecodeMachine,
  IrMachine,
  createState,
  type Outcome,
  type PacketInput,
} from "#interp";
import { lift } from "#ir";
import {
  instructionRows,
  parseFunctions,
  printInstruction,
  targetOf,
  type AluOp,
  type Instruction,
  type MapSpec,
  type ProgramSpec,
} from "#isa";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

type Pair = readonly [a: bigint, b: bigint];
/** Results of a body for each pair, and the state afterwards by map. */
interface Answer {
  readonly results: readonly bigint[];
  readonly state: Readonly<Record<string, readonly string[]>>;
}
interface Judge {
  readonly name: string;
  readonly ask: (program: ProgramSpec, pairs: readonly Pair[]) => Answer;
}

const mask = (1n << 64n) - 1n;

function frameOf([a, b]: Pair): Uint8Array {
  const frame = new Uint8Array(64);
  const view = new DataView(frame.buffer);
  view.setBigUint64(0, a, true);
  view.setBigUint64(8, b, true);
  return frame;
}

function resultOf({
  verdict,
  data,
}: {
  verdict: number;
  data: Uint8Array;
}): bigint {
  equal(verdict, 2, "the frame was found too short");
  return new DataView(data.buffer, data.byteOffset).getBigUint64(16, true);
}

function programOf(
  body: string,
  more = "",
  maps: readonly MapSpec[] = [],
): ProgramSpec {
  const text = `
    function main
      r6 = r1
      r7 = *(u32 *)(r1 + 0)
      r8 = *(u32 *)(r1 + 4)
      r9 = r7
      r9 += 24
      if r9 > r8 goto short
      r1 = *(u64 *)(r7 + 0)
      r2 = *(u64 *)(r7 + 8)
      ${body}
      *(u64 *)(r7 + 16) = r0
      r0 = 2
      exit
    short:
      r0 = 0
      exit
    ${more}`;
  return {
    file: body,
    name: "main",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: parseFunctions(text),
    maps,
  };
}

const inputOf = (pair: Pair): PacketInput => ({
  data: frameOf(pair),
  ifindex: 1,
  rxQueue: 0,
  cpu: 0,
  time: 0n,
});

type Entries = readonly {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}[];
const shown = (entries: Entries): readonly string[] =>
  entries.map(({ key, value }) => `${toHex(key)}=${toHex(value)}`).sort();

function byMap(
  program: ProgramSpec,
  read: (map: MapSpec) => Entries,
): Answer["state"] {
  return Object.fromEntries(
    program.maps.map((map) => [map.name, shown(read(map))]),
  );
}

function answerOf(
  program: ProgramSpec,
  outcomes: readonly Outcome[],
  read: (map: MapSpec) => Entries,
): Answer {
  for (const { fault } of outcomes) equal(fault, undefined, program.file);
  return { results: outcomes.map(resultOf), state: byMap(program, read) };
}

const judges: readonly Judge[] = [
  {
    name: "interp, bytecode",
    ask: (program, pairs) => {
      const state = createState(program.maps);
      const machine = new BytecodeMachine(program, state);
      return answerOf(
        program,
        pairs.map((pair) => machine.run(inputOf(pair))),
        (map) => state.entries(map.name),
      );
    },
  },
  {
    name: "interp, lifted",
    ask: (program, pairs) => {
      const state = createState(program.maps);
      const machine = new IrMachine(lift(program), state);
      return answerOf(
        program,
        pairs.map((pair) => machine.run(inputOf(pair))),
        (map) => state.entries(map.name),
      );
    },
  },
  ...(["structured", "dispatch"] as const).map((control): Judge => ({
    name: `portable, ${control}`,
    ask: (program, pairs) => {
      const loaded = loadPortable(program, { control });
      return answerOf(program, loaded.run(pairs.map(inputOf)), (map) =>
        loaded.entries(map.name),
      );
    },
  })),
];

function kernelJudge(kernel: Kernel): Judge {
  return {
    name: "kernel",
    ask: (program, pairs) => {
      const loaded = kernel.load([program]);
      try {
        const results = pairs.map((pair) =>
          resultOf(loaded.program().testRun(frameOf(pair))),
        );
        const state = byMap(program, (map) =>
          loaded
            .map(map.name)
            .entries()
            .flatMap(([key, [value]]) =>
              value === undefined ? [] : [{ key, value }],
            ),
        );
        return { results, state };
      } finally {
        loaded.close();
      }
    },
  };
}

/** Runs `body` with every judge; the kernel, where there is none, is skipped with its reason. */
function withJudges(name: string, body: (all: readonly Judge[]) => void): void {
  test(`${name}: interpreters and portable engine`, () => body(judges));
  test(`${name}: kernel`, async (t: TestContext) => {
    let kernel: Kernel;
    try {
      kernel = await openKernel();
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      t.skip(error.message);
      return;
    }
    try {
      body([kernelJudge(kernel)]);
    } finally {
      kernel.close();
    }
  });
}

const minus = (value: bigint): bigint => mask & -value;
const least = 1n << 63n;
const lines = (...parts: readonly string[]): string => parts.join("\n");

// prettier-ignore
const byHand: readonly (readonly [name: string, body: string, cases: readonly (readonly [bigint, bigint, bigint])[]])[] = [
  ["add", lines("r0 = r1", "r0 += r2"), [[1n, 2n, 3n], [mask, 1n, 0n]]],
  ["add32 zero-extends", lines("r0 = r1", "w0 += w2"), [[mask, 1n, 0n], [1n << 40n, 5n, 5n]]],
  ["sub", lines("r0 = r1", "r0 -= r2"), [[0n, 1n, mask], [5n, 3n, 2n]]],
  ["mul", lines("r0 = r1", "r0 *= r2"), [[0x1_0000_0001n, 0x7fff_ffffn, 0x7fff_ffff_7fff_ffffn], [least | 1n, 2n, 2n]]],
  ["div is unsigned, by zero 0", lines("r0 = r1", "r0 /= r2"), [[minus(2n), 2n, 0x7fff_ffff_ffff_ffffn], [7n, 0n, 0n]]],
  ["div32 by zero is 0", lines("r0 = r1", "w0 /= w2"), [[minus(2n), 2n, 0x7fff_ffffn], [7n, 1n << 32n, 0n]]],
  ["mod by zero keeps", lines("r0 = r1", "r0 %= r2"), [[mask, 10n, 5n], [minus(7n), 0n, minus(7n)]]],
  ["mod32 by zero zero-extends", lines("r0 = r1", "w0 %= w2"), [[minus(7n), 0n, 0xffff_fff9n]]],
  ["sdiv truncates", lines("r0 = r1", "r0 s/= r2"), [[minus(7n), 2n, minus(3n)], [7n, minus(2n), minus(3n)], [least, mask, least], [minus(7n), 0n, 0n]]],
  ["sdiv32", lines("r0 = r1", "w0 s/= w2"), [[minus(7n), 2n, 0xffff_fffdn], [0x8000_0000n, mask, 0x8000_0000n]]],
  ["smod has the dividend's sign", lines("r0 = r1", "r0 s%= r2"), [[minus(7n), 3n, minus(1n)], [7n, minus(3n), 1n], [least, mask, 0n], [minus(7n), 0n, minus(7n)]]],
  ["shifts mask their count", lines("r0 = r1", "r0 <<= r2"), [[1n, 65n, 2n], [1n, 64n, 1n]]],
  ["32-bit shifts mask theirs", lines("r0 = r1", "w0 >>= w2"), [[mask, 33n, 0x7fff_ffffn]]],
  ["arsh", lines("r0 = r1", "r0 s>>= r2"), [[least, 63n, mask], [256n, 4n, 16n]]],
  ["arsh32", lines("r0 = r1", "w0 s>>= w2"), [[0x8000_0000n, 31n, 0xffff_ffffn], [0x7fff_ffffn, 31n, 0n]]],
  ["movsx", "r0 = (s8)r1", [[0x180n, 0n, minus(0x80n)], [0x17fn, 0n, 0x7fn]]],
  ["movsx at width 32", "w0 = (s16)w1", [[0x8000n, 0n, 0xffff_8000n]]],
  ["be16", "r0 = r1\nr0 = be16 r0", [[0x1122_3344n, 0n, 0x4433n]]],
  ["le32 cuts", "r0 = r1\nr0 = le32 r0", [[0x1122_3344_5566_7788n, 0n, 0x5566_7788n]]],
  ["bswap64", "r0 = r1\nr0 = bswap64 r0", [[0x1122_3344_5566_7788n, 0n, 0x8877_6655_4433_2211n]]],
  ["signed load", lines("*(u64 *)(r10 - 8) = r1", "r0 = *(s16 *)(r10 - 6)"), [[0x8000_0000n, 0n, minus(0x8000n)]]],
  ["cmpxchg", lines("*(u64 *)(r10 - 8) = r1", "r0 = r2", "r3 = 7", "r0 = cmpxchg_64(r10 - 8, r0, r3)", "r1 = *(u64 *)(r10 - 8)", "r0 *= 10", "r0 += r1"), [[5n, 5n, 57n], [5n, 6n, 55n]]],
  ["cmpxchg32 zero-extends r0", lines("*(u64 *)(r10 - 8) = r1", "r0 = r2", "r3 = 7", "w0 = cmpxchg32_32(r10 - 8, w0, w3)"), [[minus(1n), minus(1n), 0xffff_ffffn], [minus(1n), 1n, 0xffff_ffffn]]],
  ["signed and unsigned branches differ", lines("r0 = 0", "if r1 > r2 goto a", "r0 += 1", "a:", "if r1 s> r2 goto b", "r0 += 2", "b:"), [[mask, 1n, 2n], [1n, mask, 1n], [1n, 1n, 3n]]],
  ["32-bit branch", lines("r0 = 1", "if w1 == w2 goto a", "r0 = 0", "a:"), [[(5n << 32n) | 1n, 1n, 1n], [1n, 2n, 0n]]],
  ["loop with a bound from the packet", lines("r0 = 0", "r1 &= 15", "again:", "if r1 == 0 goto done", "r0 += r1", "r1 += -1", "goto again", "done:"), [[10n, 0n, 55n], [0n, 0n, 0n]]],
];

for (const [name, body, cases] of byHand)
  withJudges(name, (all) => {
    for (const judge of all)
      deepEqual(
        judge.ask(
          programOf(body),
          cases.map(([a, b]) => [a, b]),
        ).results,
        cases.map(([, , want]) => want),
        `${name}: ${judge.name}`,
      );
  });

test("calls and callbacks", async (t) => {
  const program = programOf(
    lines(
      "*(u64 *)(r10 - 8) = r2",
      "r1 &= 7",
      "call function double",
      "r1 = r0",
      "r2 = function each ll",
      "r3 = r10",
      "r3 += -8",
      "r4 = 0",
      "call loop",
      "r1 = *(u64 *)(r10 - 8)",
      "r0 *= 1000",
      "r0 += r1",
    ),
    `function double static
       *(u64 *)(r10 - 8) = r1
       r0 = *(u64 *)(r10 - 8)
       r0 += r1
       exit
     function each static
       r3 = *(u64 *)(r2 + 0)
       r3 += r1
       *(u64 *)(r2 + 0) = r3
       r0 = 0
       exit`,
  );
  const pairs: readonly Pair[] = [
    [5n, 100n],
    [0n, 7n],
  ];
  const all = [...judges];
  let kernel: Kernel | undefined;
  try {
    kernel = await openKernel();
    all.push(kernelJudge(kernel));
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    t.diagnostic(error.message);
  }
  for (const judge of all)
    deepEqual(judge.ask(program, pairs).results, [10_145n, 7n], judge.name);
  kernel?.close();
});

// --- maps: results and the state left behind ---

function map(
  name: string,
  type: MapSpec["type"],
  more: Partial<MapSpec> = {},
): MapSpec {
  return {
    name,
    type,
    keySize: 8,
    valueSize: 8,
    maxEntries: 4,
    flags: 0,
    section: ".maps",
    readOnly: false,
    ...more,
  };
}

const withKey = (call: string): string =>
  lines(
    "*(u64 *)(r10 - 8) = r1",
    "*(u64 *)(r10 - 16) = r2",
    "r2 = r10",
    "r2 += -8",
    "r3 = r10",
    "r3 += -16",
    call,
  );
const update = (flags: number): string =>
  withKey(lines("r1 = map m ll", `r4 = ${flags}`, "call map_update_elem"));
const remove = withKey(lines("r1 = map m ll", "call map_delete_elem"));
/** Adds b to the value of a, or gives 1000. */
const bump = withKey(
  lines(
    "r1 = map m ll",
    "call map_lookup_elem",
    "if r0 == 0 goto miss",
    "r1 = r0",
    "r2 = *(u64 *)(r10 - 16)",
    "lock *(u64 *)(r1 + 0) += r2",
    "r0 = *(u64 *)(r1 + 0)",
    "goto end",
    "miss:",
    "r0 = 1000",
    "end:",
  ),
);

const array = map("m", "array", { keySize: 4 });
const prefixes = map("m", "lpm_trie", { flags: 1 });

// prettier-ignore
const mapCases: readonly (readonly [name: string, spec: MapSpec, body: string, cases: readonly (readonly [bigint, bigint, bigint])[]])[] = [
  ["update any", map("m", "hash"), update(0), [[1n, 10n, 0n], [1n, 11n, 0n], [2n, 20n, 0n]]],
  ["update only new", map("m", "hash"), update(1), [[1n, 10n, 0n], [1n, 11n, minus(17n)]]],
  ["update only old", map("m", "hash"), update(2), [[1n, 10n, minus(2n)]]],
  ["update with no such flag", map("m", "hash"), update(9), [[1n, 10n, minus(22n)]]],
  ["a full hash", map("m", "hash", { maxEntries: 2 }), update(0), [[1n, 1n, 0n], [2n, 2n, 0n], [3n, 3n, minus(7n)], [2n, 5n, 0n]]],
  ["delete", map("m", "hash"), remove, [[1n, 0n, minus(2n)]]],
  ["miss", map("m", "hash"), bump, [[1n, 0n, 1000n]]],
  ["array: hits and atomics", array, bump, [[1n, 5n, 5n], [1n, 6n, 11n], [4n, 1n, 1000n], [0xffff_ffffn, 1n, 1000n]]],
  ["array: update", array, update(0), [[3n, 9n, 0n], [4n, 9n, minus(7n)]]],
  ["array: only new", array, update(1), [[3n, 9n, minus(17n)]]],
  ["array: delete", array, remove, [[1n, 9n, minus(22n)]]],
  ["LRU hash", map("m", "lru_hash", { maxEntries: 64 }), update(0), [[1n, 1n, 0n], [2n, 2n, 0n], [1n, 3n, 0n]]],
  ["prefixes: update, too long", prefixes, update(0), [[(0x0102_0304n << 32n) | 24n, 7n, 0n], [33n, 7n, minus(22n)], [0n, 1n, 0n]]],
  ["prefixes: delete", prefixes, remove, [[8n, 0n, minus(2n)]]],
];

for (const [name, spec, body, cases] of mapCases)
  withJudges(`map helpers: ${name}`, (all) => {
    const program = programOf(body, "", [spec]);
    const [reference] = judges;
    ok(reference !== undefined);
    const pairs = cases.map(([a, b]): Pair => [a, b]);
    const { state } = reference.ask(program, pairs);
    for (const judge of all) {
      const answer = judge.ask(program, pairs);
      deepEqual(
        answer.results,
        cases.map(([, , want]) => want),
        `${name}: ${judge.name}`,
      );
      deepEqual(answer.state, state, `${name}: ${judge.name}`);
    }
  });

// --- every row of the instruction table ---

/** A body that runs the instruction and shows everything it changed. */
function bodyOf(instruction: Instruction): string | undefined {
  const text = printInstruction(
    targetOf(instruction) === undefined
      ? instruction
      : ({ ...instruction, target: 0 } as Instruction),
    () => "yes",
  );
  const onStack = (...middle: readonly string[]): string =>
    lines("*(u64 *)(r10 - 8) = r1", ...middle);
  switch (instruction.kind) {
    case "alu":
      return lines("r0 = r1", text);
    case "neg":
    case "endian":
      return lines("r0 = r1", text);
    case "branch":
      return lines("r0 = 1", text, "r0 = 0", "yes:");
    case "jump":
      return lines(
        "r0 = r1",
        "if r2 & 1 goto odd",
        text,
        "odd:",
        "r0 = r2",
        "yes:",
      );
    case "load":
    case "load-acquire":
      return onStack(text);
    case "store":
    case "store-release":
      return onStack(text, "r0 = *(u64 *)(r10 - 8)");
    case "atomic":
      return onStack(
        "r3 = r2",
        "r0 = r1",
        "if r2 & 1 goto odd",
        "r0 = r2",
        "odd:",
        text,
        "r4 = *(u64 *)(r10 - 8)",
        "r0 *= 31",
        "r0 += r3",
        "r0 *= 31",
        "r0 += r4",
      );
    case "address-cast":
    case "call":
    case "call-register":
    case "exit":
    case "load-packet":
    case "load-wide":
    case "may-goto":
      return undefined;
  }
}

/** The row's instruction on the registers and stack slot that `bodyOf` sets up. */
function placed(sample: Instruction, constant: number): Instruction {
  const shift =
    sample.kind === "alu" && ["lsh", "rsh", "arsh"].includes(sample.op);
  const value = shift ? constant & (sample.width - 1) : constant;
  switch (sample.kind) {
    case "alu":
      return {
        ...sample,
        dst: 0,
        src:
          sample.src.kind === "register"
            ? { kind: "register", register: 2 }
            : { kind: "immediate", value },
      };
    case "branch":
      return {
        ...sample,
        left: 1,
        right:
          sample.right.kind === "register"
            ? { kind: "register", register: 2 }
            : { kind: "immediate", value },
      };
    case "load":
    case "load-acquire":
      return { ...sample, dst: 0, base: 10, offset: -8 };
    case "store":
      return {
        ...sample,
        base: 10,
        offset: -8,
        src:
          sample.src.kind === "register"
            ? { kind: "register", register: 2 }
            : { kind: "immediate", value },
      };
    case "store-release":
      return { ...sample, base: 10, offset: -8, src: 2 };
    case "atomic":
      return { ...sample, base: 10, offset: -8, src: 3 };
    case "address-cast":
    case "call":
    case "call-register":
    case "endian":
    case "exit":
    case "jump":
    case "load-packet":
    case "load-wide":
    case "may-goto":
    case "neg":
      return sample;
  }
}

// prettier-ignore
const corners: readonly bigint[] = [0n, 1n, 2n, 31n, 33n, 63n, 64n, 0x7fn, 0x80n, 0xffn, 0x8000n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 1n << 32n, least - 1n, least, minus(1n), minus(2n)];
// prettier-ignore
const constants = [1, -1, 7, -0x8000_0000, 0x7fff_ffff] as const;

function pairsOf(random: Random): readonly Pair[] {
  return Array.from({ length: 40 }, (_, index): Pair => {
    const draw = (): bigint =>
      random.chance(0.6) ? random.pick(corners) : random.u64();
    const a = draw();
    return [a, index % 8 === 0 ? a : draw()];
  });
}

interface RowCase {
  readonly body: string;
  readonly pairs: readonly Pair[];
  readonly kernel: string;
}

const random = new Random(seed);
const rowCases = instructionRows.flatMap((row): readonly RowCase[] => {
  const hasConstant = row.imm === "src.value" || row.imm === "right.value";
  return (hasConstant ? constants : ([1] as const)).flatMap((constant) => {
    const body = bodyOf(placed(row.sample, constant));
    return body === undefined
      ? []
      : [{ body, pairs: pairsOf(random), kernel: row.kernel }];
  });
});

withJudges(
  `every ALU, byte order, memory, atomic and jump row (seed ${seed})`,
  (all) => {
    ok(rowCases.length > 300, `${rowCases.length} bodies`);
    const [reference] = judges;
    ok(reference !== undefined);
    let varied = 0;
    for (const { body, pairs } of rowCases) {
      const program = programOf(body);
      const want: readonly bigint[] = reference.ask(program, pairs).results;
      if (new Set(want).size > 1) varied++;
      for (const judge of all) {
        if (judge === reference) continue;
        const have: readonly bigint[] = judge.ask(program, pairs).results;
        for (const [index, pair] of pairs.entries())
          equal(
            have[index],
            want[index],
            `${body}\n${judge.name}, a = ${pair[0]}, b = ${pair[1]}`,
          );
      }
    }
    // Only constants and a few comparisons give one result for all pairs.
    ok(varied > 0.8 * rowCases.length, `${varied} of ${rowCases.length}`);
  },
);

// --- the rows that no such body shows ---

const cellOf = map("m", "array", { keySize: 4 });
const callee = `function twice static
    r0 = r1
    r0 += r1
    exit
  function each static
    r3 = *(u64 *)(r2 + 0)
    r3 += r1
    *(u64 *)(r2 + 0) = r3
    r0 = 0
    exit`;

// Text of the row in the instruction table → a body that runs it.
// prettier-ignore
const otherRows: Readonly<Record<string, { readonly body: string; readonly maps?: readonly MapSpec[] }>> = {
  "{r:dst} = {u:value.value} ll": { body: "r0 = 0xfedcba9876543210 ll\nr0 += r1" },
  "{r:dst} = map {n:value.map} ll": { body: `r1 &= 3\n${bump}`, maps: [cellOf] },
  "{r:dst} = value {n:value.map}[{p:value.offset}] ll": { body: "r3 = value m[8] ll\n*(u64 *)(r3 + 0) = r1\nr3 = value m[0] ll\nr0 = *(u64 *)(r3 + 8)\nr0 += r2", maps: [{ ...cellOf, valueSize: 16, maxEntries: 1 }] },
  "{r:dst} = function {n:value.name} ll": { body: lines("*(u64 *)(r10 - 8) = r1", "r2 &= 7", "r1 = r2", "r2 = function each ll", "r3 = r10", "r3 += -8", "r4 = 0", "call loop", "r0 *= 31", "r1 = *(u64 *)(r10 - 8)", "r0 += r1") },
  "call {h:callee.helper}": { body: `r1 &= 3\n${bump}`, maps: [cellOf] },
  "call function {n:callee.name}": { body: lines("r3 = r2", "*(u64 *)(r10 - 8) = r3", "call function twice", "r3 = *(u64 *)(r10 - 8)", "r0 ^= r3") },
  "may_goto {L:target}": { body: lines("r0 = 0", "r1 &= 63", "again:", "may_goto done", "if r1 == 0 goto done", "r0 += r2", "r1 += -1", "goto again", "done:") },
  "exit": { body: "r0 = r1\nif r1 > r2 goto end\nr0 = r2\nend:" },
};

// Rows that no XDP program of any kernel runs by itself, and why.
// prettier-ignore
const nowhere: Readonly<Record<string, string>> = {
  "{r:dst} = addr_space_cast({r:src}, {i:spaces})": "wants an arena, which only the kernel has",
  "{r:dst} = ksym {n:value.name} ll": "an address of the running kernel",
  "{r:dst} = raw {p:value.pseudo} {i:value.low} {i:value.high} ll": "not linked",
  "call kfunc {n:callee.name}": "a function of the running kernel: engine/wasm tests those that it has",
  "call raw {p:callee.pseudo} {i:callee.value}": "not linked",
  "call raw {p:callee.pseudo} {i:callee.value} module {i:callee.offset}": "not linked",
  "callx {r:register}": "no kernel takes it",
  "callx_imm {r:register}": "no kernel takes it",
};

for (const [text, { body, maps = [] }] of Object.entries(otherRows))
  withJudges(`row ${text} (seed ${seed})`, (all) => {
    const more = /function|loop/.test(body) ? callee : "";
    const used = more
      .split(/(?=function )/)
      .filter((part) => body.includes(/function \w+/.exec(part)?.[0] ?? "-"));
    const program = programOf(body, used.join("\n"), maps);
    const [reference] = judges;
    ok(reference !== undefined);
    const pairs = pairsOf(new Random(seed));
    const want = reference.ask(program, pairs);
    ok(new Set(want.results).size > 1);
    for (const judge of all) {
      const have = judge.ask(program, pairs);
      deepEqual(have.results, want.results, judge.name);
    }
  });

/** Loads of TC programs at constants and at what a frame says; out of range, the program ends. */
function legacyLoads(
  judge: (program: ProgramSpec, data: Uint8Array) => number,
) {
  const random = new Random(seed);
  const frames = Array.from({ length: 60 }, (_, at) => {
    const data = random.bytes(14 + (at % 30));
    data.set([0x12, 0x34], 12);
    data[0] = random.below(48);
    return data;
  });
  return packetRows.flatMap(({ sample }) =>
    [0, 1, 13, 20, -1].flatMap((imm) => {
      if (sample.kind !== "load-packet") throw new Error(sample.kind);
      const text = printInstruction({
        ...sample,
        ...(sample.index === undefined ? {} : { index: 7 }),
        imm,
      });
      const program: ProgramSpec = {
        ...programOf("r0 = 0"),
        type: "sched_cls",
        section: "tc",
        functions: parseFunctions(
          `r6 = r1\nr0 = *(u8 *)skb[0]\nr7 = r0\n${text}\nr0 += 7\nexit`,
        ),
      };
      return frames.map((data) => judge(program, data));
    }),
  );
}
const packetRows = instructionRows.filter(
  ({ sample }) => sample.kind === "load-packet",
);

test(`legacy packet loads: machines and kernel (seed ${seed})`, async (t) => {
  const want = legacyLoads((program, data) => {
    const machine = new BytecodeMachine(program, createState([]));
    return machine.run({ ...inputOf([0n, 0n]), data }).verdict;
  });
  ok(new Set(want).size > 50);
  const portable = legacyLoads((program, data) => {
    const [outcome] = loadPortable(program).run([
      { ...inputOf([0n, 0n]), data },
    ]);
    return outcome?.verdict ?? -1;
  });
  deepEqual(portable, want);
  let kernel: Kernel;
  try {
    kernel = await openKernel();
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    t.skip(error.message);
    return;
  }
  const have = legacyLoads((program, data) => {
    const loaded = kernel.load([program]);
    const { verdict } = loaded.program().testRun(data);
    loaded.close();
    return verdict;
  });
  kernel.close();
  deepEqual(have, want);
});

test("no row of the instruction table is left out", () => {
  const shownRows = new Set([
    ...Object.keys(otherRows),
    ...Object.keys(nowhere),
  ]);
  const left = instructionRows.filter(
    (row) =>
      bodyOf(placed(row.sample, 1)) === undefined &&
      !packetRows.includes(row) &&
      !shownRows.has(row.text),
  );
  deepEqual(
    left.map(({ text }) => text),
    [],
  );
  const texts = new Set(instructionRows.map(({ text }) => text));
  for (const text of shownRows) ok(texts.has(text), text);
  ok(instructionRows.length > 170);
});

// --- wrong machines ---

// prettier-ignore
const mistaken: Readonly<Partial<Record<string, AluOp>>> = { add: "sub", sub: "xor", mul: "add", div: "mod", sdiv: "div", or: "and", and: "or", lsh: "rsh", rsh: "arsh", arsh: "lsh", mod: "div", smod: "mod", xor: "or" };

/** An instruction like it that does something else; the kernel takes that as well. */
function wrong(given: Instruction): Instruction | undefined {
  if (given.kind === "alu")
    return { ...given, op: mistaken[given.op] ?? "sub" };
  if (given.kind === "branch")
    return { ...given, op: given.op === "jeq" ? "jne" : "jeq" };
  if (given.kind === "endian")
    return { ...given, op: given.op.endsWith("16") ? "be32" : "be16" };
  if (given.kind === "atomic" && given.op !== "xchg" && given.op !== "cmpxchg")
    return { ...given, op: given.op === "add" ? "xor" : "add" };
  return undefined;
}

withJudges(
  `a machine that takes one operation for another (seed ${seed})`,
  (all) => {
    const [reference] = judges;
    ok(reference !== undefined);
    const pairs = pairsOf(new Random(seed));
    let seen = 0;
    for (const row of instructionRows) {
      const right = placed(row.sample, 7);
      const other = wrong(right);
      const [body, mutant] = [bodyOf(right), other && bodyOf(other)];
      if (body === undefined || mutant === undefined) continue;
      const want = reference.ask(programOf(body), pairs).results.join();
      for (const judge of all)
        ok(
          judge.ask(programOf(mutant), pairs).results.join() !== want,
          `${judge.name}: ${row.text}`,
        );
      seen++;
    }
    ok(seen > 90, `${seen} rows`);
  },
);

test("a wrong judge is caught: each broken ALU operation differs on these pairs", () => {
  const [reference] = judges;
  ok(reference !== undefined);
  const operations = [
    "+=",
    "-=",
    "*=",
    "/=",
    "s/=",
    "|=",
    "&=",
    "<<=",
    ">>=",
    "%=",
    "s%=",
    "^=",
    "=",
    "s>>=",
  ];
  const pairs = pairsOf(new Random(seed));
  const answers = operations.flatMap((sign) =>
    ["r", "w"].map((letter) =>
      reference
        .ask(programOf(`r0 = r1\n${letter}0 ${sign} ${letter}2`), pairs)
        .results.join(),
    ),
  );
  equal(new Set(answers).size, answers.length);
});
