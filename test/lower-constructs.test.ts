/**
 * Each construct of the IR lowered by itself: the interpreter of the IR and the lowered
 * code, in the interpreter and in the kernel, leave the same word in the packet, for
 * operands at the extremes, in instruction sets v3 and v4.
 *
 * A case is lines of IR text with a = v6 and b = v7 from the packet; the last value that
 * it defines is its result.
 */
import { deepEqual, ok } from "node:assert/strict";
import { after, test, type TestContext } from "node:test";
import { UnsupportedError, toHex } from "#base";
import { lowerProgram } from "#codegen";
import { openKernel, type Kernel } from "#engine";
import {
  BytecodeMachine,
  IrMachine,
  createState,
  type PacketInput,
} from "#interp";
import { inferTypes, parseIr, verifyIr, type IrProgram } from "#ir";
import { editFunction, type Edit, type Instruction } from "#isa";
import type { MapSpec, ProgramSpec } from "#isa";

const kernel = await opened();
after(() => {
  if (!(kernel instanceof UnsupportedError)) kernel.close();
});

async function opened(): Promise<Kernel | UnsupportedError> {
  try {
    return await openKernel();
  } catch (error) {
    if (error instanceof UnsupportedError) return error;
    throw error;
  }
}

// prettier-ignore
const cells: MapSpec = { name: "cells", type: "array", keySize: 4, valueSize: 8, maxEntries: 4, flags: 0, section: ".maps", readOnly: false };

interface Case {
  readonly name: string;
  readonly lines: readonly string[];
  /** Further functions, as text. */
  readonly functions?: string;
}

const place = " ; 0";

function irOf({ lines, functions = "" }: Case): IrProgram {
  const numbers = lines.flatMap(
    (line) => /^(?:b\d+\()?v(\d+)\b/.exec(line)?.[1] ?? [],
  );
  const last = Math.max(...numbers.map(Number));
  const text = [
    'program "main" type xdp file "t"',
    `map ${JSON.stringify(cells)}`,
    'function "main" (v0) {',
    "  slot s0 at -16 size 16",
    "b0:",
    "v1 = load4 v0+0",
    "v2 = load4 v0+4",
    "v3 = const 32",
    "v4 = add64 v1, v3",
    "branch jgt64 v4, v2 ? b1 : b2",
    "b1:",
    "v5 = const 0",
    "return v5",
    "b2:",
    "v6 = load8 v1+0",
    "v7 = load8 v1+8",
    ...lines,
    `store8 v1+16, v${last}`,
    `v${last + 1} = const 2`,
    `return v${last + 1}`,
    "}",
  ]
    .map((line) =>
      /^(v\d+ =|store|branch|jump|return|may-goto)/.test(line)
        ? line + place
        : line,
    )
    .join("\n");
  const program = parseIr(`${text}\n${functions}`);
  return inferTypes({ ...program, maps: [cells] });
}

const words = [
  0n,
  1n,
  2n,
  0x7fn,
  0x8001n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x1234_5678_9abc_def0n,
  0x7fff_ffff_ffff_ffffn,
  0x8000_0000_0000_0000n,
  0xffff_ffff_ffff_ffffn,
];

const packets: readonly PacketInput[] = words.flatMap((a, row) =>
  words
    .filter((_, column) => (row + column) % 2 === 0 || row === column)
    .map((b): PacketInput => {
      const data = new Uint8Array(64);
      const view = new DataView(data.buffer);
      view.setBigUint64(0, a, true);
      view.setBigUint64(8, b, true);
      return { data, ifindex: 1, rxQueue: 0, cpu: 0, time: 0n };
    }),
);

function specOf(ir: IrProgram, instructionSet: "v3" | "v4"): ProgramSpec {
  const { name, file, type } = ir;
  const functions = lowerProgram(ir, { instructionSet });
  const maps = [cells];
  return { name, file, type, section: "xdp", license: "GPL", functions, maps };
}

/** After a call, r1 … r5 hold rubbish: the interpreter alone would leave them. */
function poisoned(program: ProgramSpec): ProgramSpec {
  const instructions = ([1, 2, 3, 4, 5] as const).map((dst): Instruction => {
    const value = { kind: "number", value: 0xdead_beef_1234_5678n } as const;
    return { kind: "load-wide", dst, value };
  });
  const functions = program.functions.map((fn) =>
    editFunction(
      fn,
      fn.instructions.flatMap(({ kind }, at): Edit[] =>
        kind === "call"
          ? [
              {
                kind: "insert",
                at: at + 1,
                reach: "fall-through",
                instructions,
              },
            ]
          : [],
      ),
    ),
  );
  return { ...program, functions };
}

function results(machine: IrMachine | BytecodeMachine): readonly string[] {
  return packets.map((packet) => {
    const { verdict, data, fault } = machine.run(packet);
    return fault === undefined
      ? `${verdict} ${toHex(data.subarray(0, 24))}`
      : `fault ${fault.text}`;
  });
}

/** What the kernel leaves of the same packets, on fresh maps. */
function kernelResults(using: Kernel, program: ProgramSpec): readonly string[] {
  const loaded = using.load([program]);
  try {
    return packets.map(({ data }) => {
      const run = loaded.program().testRun(data);
      return `${run.verdict} ${toHex(run.data.subarray(0, 24))}`;
    });
  } finally {
    loaded.close();
  }
}

function firstDifference(
  have: readonly string[],
  want: readonly string[],
): unknown {
  const at = want.findIndex((line, index) => line !== have[index]);
  return at < 0 ? undefined : { have: have[at], want: want[at] };
}

function expectSame(given: Case, using: Kernel | undefined): void {
  const ir = irOf(given);
  deepEqual(verifyIr(ir), [], given.name);
  const want = results(new IrMachine(ir, createState(ir.maps)));
  for (const set of ["v3", "v4"] as const) {
    const spec = specOf(ir, set);
    const state = createState(spec.maps);
    const have = results(new BytecodeMachine(poisoned(spec), state));
    const name = `${given.name} ${set}`;
    deepEqual(firstDifference(have, want), undefined, name);
    if (using === undefined) continue;
    const there = firstDifference(kernelResults(using, spec), want);
    deepEqual(there, undefined, `${name}, kernel`);
  }
}

function expectAll(cases: readonly Case[], t: TestContext, every = 1): void {
  ok(cases.length > 0);
  for (const [index, given] of cases.entries()) {
    const runs = !(kernel instanceof UnsupportedError) && index % every === 0;
    expectSame(given, runs ? kernel : undefined);
  }
  t.diagnostic(`${cases.length} cases on ${packets.length} pairs`);
}

// prettier-ignore
const constants = ["0", "1", "7", "-1", "33", "2147483647", "2147483648", "4294967295", "1311768467463790320"];
// prettier-ignore
const binary = ["add", "sub", "mul", "div", "sdiv", "mod", "smod", "or", "and", "xor", "lsh", "rsh", "arsh"];
const widths = [32, 64];

test("two operands, at both widths, with constants on either side", (t) => {
  const cases = binary.flatMap((op) =>
    widths.flatMap((width): Case[] => {
      const name = `${op}${width}`;
      return [
        { name, lines: [`v8 = ${name} v6, v7`] },
        { name: `${name} of itself`, lines: [`v8 = ${name} v6, v6`] },
        ...constants.flatMap((value): Case[] => [
          {
            name: `${name} a, ${value}`,
            lines: [`v8 = const ${value}`, `v9 = ${name} v6, v8`],
          },
          {
            name: `${name} ${value}, a`,
            lines: [`v8 = const ${value}`, `v9 = ${name} v8, v6`],
          },
        ]),
      ];
    }),
  );
  expectAll(cases, t, 23);
});

test("the left operand is wanted afterwards, and so is the right", (t) => {
  const cases = binary.flatMap((op) =>
    widths.map((width): Case => ({
      name: `${op}${width}`,
      lines: [
        `v8 = ${op}${width} v6, v7`,
        "v9 = xor64 v8, v6",
        "v10 = lsh64 v9, v7",
        "v11 = add64 v10, v7",
      ],
    })),
  );
  expectAll(cases, t, 13);
});

test("one operand, bytes of words, and words of bytes", (t) => {
  // prettier-ignore
  const unary = ["neg32", "neg64", "zext8", "zext16", "zext32", "sext8", "sext16", "sext32", "swap16", "swap32", "swap64"];
  const cases: Case[] = unary.flatMap((op) => [
    { name: op, lines: [`v8 = ${op} v6`] },
    { name: `${op} and a`, lines: [`v8 = ${op} v6`, "v9 = add64 v8, v6"] },
    {
      name: `${op} of 16 bits`,
      lines: ["v8 = zext16 v6", `v9 = ${op} v8`],
    },
  ]);
  for (let start = 0; start < 8; start++)
    for (let size = 1; start + size <= 8; size++)
      cases.push({
        name: `bytes ${start} … ${start + size}`,
        lines: [`v8 = extract v6, ${start}, ${size}`],
      });
  for (const first of [1, 2, 3, 4, 5, 6, 7])
    cases.push({
      name: `${first} and ${8 - first} bytes`,
      lines: [`v8 = concat v6:${first}, v7:${8 - first}`],
    });
  cases.push(
    { name: "few bytes", lines: ["v8 = concat v6:1, v7:2"] },
    {
      name: "three parts, one constant",
      lines: ["v8 = const 51966", "v9 = concat v6:2, v8:2, v7:4"],
    },
    {
      name: "a word in halves and whole again",
      lines: [
        "v8 = extract v6, 0, 4",
        "v9 = extract v6, 4, 4",
        "v10 = concat v8:4, v9:4",
      ],
    },
  );
  expectAll(cases, t, 7);
});

test("branches, with constants on either side", (t) => {
  // prettier-ignore
  const branches = ["jeq", "jne", "jgt", "jge", "jlt", "jle", "jsgt", "jsge", "jslt", "jsle", "jset"];
  const chosen = (comparison: string, next: number): string[] => [
    `branch ${comparison} ? b3 : b4`,
    "b3:",
    `v${next} = const 11`,
    `jump b5(v${next}, v6)`,
    "b4:",
    `v${next + 1} = const 22`,
    `jump b5(v${next + 1}, v7)`,
    `b5(v${next + 2}, v${next + 3}):`,
    `v${next + 4} = add64 v${next + 2}, v${next + 3}`,
  ];
  const cases = branches.flatMap((op) =>
    widths.flatMap((width): Case[] => [
      { name: `${op}${width}`, lines: chosen(`${op}${width} v6, v7`, 8) },
      ...constants.flatMap((value): Case[] => [
        {
          name: `${op}${width} a, ${value}`,
          lines: [`v8 = const ${value}`, ...chosen(`${op}${width} v6, v8`, 9)],
        },
        {
          name: `${op}${width} ${value}, a`,
          lines: [`v8 = const ${value}`, ...chosen(`${op}${width} v8, v6`, 9)],
        },
      ]),
      {
        name: `${op}${width} of 32 bits and a large constant`,
        lines: [
          "v8 = const 4294967295",
          "v9 = zext32 v6",
          ...chosen(`${op}${width} v9, v8`, 10),
        ],
      },
    ]),
  );
  expectAll(cases, t, 41);
});

test("memory: slots, signs, atomics, constants into bytes", (t) => {
  const cases: Case[] = [1, 2, 4, 8].flatMap((size) => [
    {
      name: `${size} bytes of the frame`,
      lines: [
        "v8 = slot s0+0",
        "store8 v8+0, v6",
        "store8 v8+8, v7",
        `store${size} v8+4, v7`,
        `v9 = load${size} v8+4`,
        "v10 = load8 v8+0",
        "v11 = add64 v9, v10",
      ],
    },
    ...(size === 8
      ? []
      : [
          {
            name: `${size} bytes with their sign`,
            lines: [
              "v8 = slot s0+0",
              "store8 v8+0, v6",
              `v9 = loads${size} v8+0`,
            ],
          },
        ]),
    ...constants.map((value): Case => ({
      name: `${value} into ${size} bytes`,
      lines: [
        "v8 = slot s0+0",
        "store8 v8+0, v6",
        `v9 = const ${value}`,
        `store${size} v8+0, v9`,
        "v10 = load8 v8+0",
      ],
    })),
  ]);
  for (const size of [4, 8])
    for (const op of ["add", "or", "and", "xor", "xchg", "cmpxchg"]) {
      const expected = op === "cmpxchg" ? " expected v7" : "";
      const atomic = `atomic-${op}${size} v8+0, v7${expected}`;
      if (!op.includes("xchg"))
        cases.push({
          name: `${op} ${size}`,
          lines: [
            "v8 = slot s0+0",
            "store8 v8+0, v6",
            `v9 = ${atomic}`,
            "v10 = load8 v8+0",
          ],
        });
      cases.push({
        name: `${op} ${size}, fetched`,
        lines: [
          "v8 = slot s0+0",
          "store8 v8+0, v6",
          `v9 = ${atomic} fetch`,
          "v10 = load8 v8+0",
          "v11 = add64 v9, v10",
          "v12 = add64 v11, v7",
        ],
      });
    }
  expectAll(cases, t, 5);
});

test("arguments of jumps that are each other's", (t) => {
  const loop = (
    params: string,
    next: string,
    sum: readonly string[],
  ): Case => ({
    name: `a loop with ${next}`,
    lines: [
      "v8 = const 0",
      "v9 = const 3",
      "v10 = const 1",
      `jump b3(${params})`,
      "b3(v11, v12, v13, v14):",
      "branch jge64 v11, v9 ? b5 : b4",
      "b4:",
      "v15 = add64 v11, v10",
      `jump b3(${next})`,
      "b5:",
      ...sum,
    ],
  });
  const sum = [
    "v16 = lsh64 v13, v10",
    "v17 = xor64 v12, v16",
    "v18 = sub64 v17, v14",
  ];
  expectAll(
    [
      loop("v8, v6, v7, v10", "v15, v13, v12, v14", sum),
      loop("v8, v6, v7, v10", "v15, v13, v14, v12", sum),
      loop("v8, v6, v7, v10", "v15, v12, v12, v13", sum),
      loop("v8, v6, v7, v10", "v15, v13, v12, v15", sum),
      loop("v8, v6, v6, v7", "v15, v14, v12, v13", sum),
    ],
    t,
  );
});

test("more words than registers, over calls", (t) => {
  const many = 14;
  // a + b, a + b + 1, … all kept over a call; then mixed, the first one last.
  const kept = Array.from({ length: many }, (_, at) => [
    `v${8 + 2 * at} = const ${at}`,
    `v${9 + 2 * at} = ${at % 2 === 0 ? "add64" : "mul64"} v${at === 0 ? 6 : 7 + 2 * at}, v${at < 2 ? 7 : 9 + 2 * (at - 2)}`,
  ]).flat();
  const after = 8 + 2 * many;
  const sum = after + 2;
  const mixed = Array.from(
    { length: many },
    (_, at) => `v${sum + 1 + at} = xor64 v${sum + at}, v${9 + 2 * at}`,
  );
  const between = (first: string): string[] => [
    `v${after} = ${first}`,
    `v${after + 1} = const 0`,
    // The number of the CPU is another everywhere.
    `v${sum} = and64 v${after}, v${after + 1}`,
  ];
  const rounds = ["call helper 8()", "const 0"].map((first): Case => ({
    name: `${first} between`,
    lines: [...kept, ...between(first), ...mixed],
  }));
  expectAll(rounds, t);
});

test("subprograms, callbacks, maps", (t) => {
  const five = `function "five" (v0, v1, v2, v3, v4) {
b0:
v5 = sub64 v0, v1 ; 0
v6 = xor64 v5, v2 ; 0
v7 = sub64 v6, v3 ; 0
v8 = xor64 v7, v4 ; 0
return v8 ; 0
}
`;
  const step = `function "step" (v0, v1) {
b0:
v2 = load8 v1+0 ; 0
v3 = add64 v2, v0 ; 0
store8 v1+0, v3 ; 0
v4 = const 0 ; 0
return v4 ; 0
}
`;
  const cases: Case[] = [
    {
      name: "five arguments, turned",
      functions: five,
      lines: [
        "v8 = const 5",
        'v9 = call function "five"(v7, v6, v8, v6, v7)',
        'v10 = call function "five"(v9, v8, v7, v9, v6)',
      ],
    },
    {
      name: "bpf_loop",
      functions: step,
      lines: [
        "v8 = slot s0+0",
        "store8 v8+0, v6",
        "v9 = const 5",
        'v10 = function "step"',
        "v11 = const 0",
        "v12 = call helper 181(v9, v10, v8, v11)",
        "v13 = load8 v8+0",
        "v14 = add64 v12, v13",
      ],
    },
    {
      name: "a cell of an array",
      lines: [
        "v8 = slot s0+0",
        "v9 = const 3",
        "store4 v8+4, v9",
        'v10 = map "cells"',
        "v11 = slot s0+4",
        "v12 = call helper 1(v10, v11)",
        "v13 = const 0",
        "branch jne64 v12, v13 ? b3 : b4",
        "b3:",
        "v14 = atomic-add8 v12+0, v6 fetch",
        "v15 = load8 v12+0",
        "store8 v12+0, v7",
        "jump b5(v15)",
        "b4:",
        "jump b5(v13)",
        "b5(v16):",
        "v17 = add64 v16, v7",
      ],
    },
  ];
  expectAll(cases, t);
});
