/**
 * interp(bytecode) = interp(lift(bytecode)): over every fixture on packets that
 * reach its branches, and over seeded random programs; the same after the
 * passes. Planted bugs show that the comparison sees them.
 */
import { deepEqual, ok } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { Random, toHex } from "#base";
import {
  BytecodeMachine,
  IrMachine,
  createState,
  type Outcome,
  type PacketInput,
  type State,
} from "#interp";
import {
  decide,
  inlineCalls,
  lift,
  parseIr,
  printIr,
  simplify,
  unrollLoops,
  verifyIr,
  type IrInstruction,
  type IrProgram,
} from "#ir";
import type { Instruction, ProgramSpec } from "#isa";
import { programSpec, readObject, understoodPrograms } from "#object";
import { buildFrame, tcpFlags, type FrameSpec } from "#packet";
import { randomProgram } from "./random-program.ts";

const root = join(import.meta.dirname, "../..");
const seed = Number(process.env["DIVISI_SEED"] ?? 20261);

/** What a run shows; faults by whether there is one. */
interface Trace {
  readonly outcomes: readonly unknown[];
  readonly state: string;
}

function observed(outcome: Outcome): unknown {
  const { verdict, data, redirect, events, fault } = outcome;
  return fault === undefined
    ? { verdict, data: toHex(data), redirect, events }
    : { faults: true };
}

/** The state before the first packet. */
type Prepare = (state: State) => void;

interface Given {
  readonly packets: readonly PacketInput[];
  readonly prepare?: Prepare;
}

function runBytecode(
  program: ProgramSpec,
  { packets, prepare }: Given,
  branch?: (place: string) => void,
): Trace {
  const state = createState(program.maps);
  prepare?.(state);
  const machine = new BytecodeMachine(program, state, {
    observer: {
      branch: (at, taken) =>
        branch?.(`${at.function}+${at.instruction} ${taken}`),
    },
  });
  const outcomes = packets.map((packet) => observed(machine.run(packet)));
  return { outcomes, state: state.digest() };
}

function runIr(ir: IrProgram, { packets, prepare }: Given): Trace {
  const state = createState(ir.maps);
  prepare?.(state);
  const machine = new IrMachine(ir, state);
  const outcomes = packets.map((packet) => observed(machine.run(packet)));
  return { outcomes, state: state.digest() };
}

function expectSound(ir: IrProgram, what: string): void {
  deepEqual(verifyIr(ir), [], what);
  deepEqual(parseIr(printIr(ir)), ir, what);
}

const passes: readonly (readonly [string, (ir: IrProgram) => IrProgram])[] = [
  ["lifted", (ir) => ir],
  ["simplified", simplify],
  [
    "inlined, decided and unrolled",
    (ir) =>
      unrollLoops(decide(inlineCalls(ir, { budget: 100_000 })).program, {
        rounds: 64,
        instructions: 20_000,
      }),
  ],
];

function expectSame(
  program: ProgramSpec,
  given: Given,
  want = runBytecode(program, given),
): void {
  const lifted = lift(program);
  for (const [name, pass] of passes) {
    const what = `${program.file} ${program.name} ${name}, seed ${seed}`;
    const ir = pass(lifted);
    expectSound(ir, what);
    deepEqual(runIr(ir, given), want, what);
  }
}

function fixtures(): string[] {
  const nfs = join(root, "nfs/c");
  const own = readdirSync(nfs)
    .filter((name) => name.endsWith(".o"))
    .map((name) => join(nfs, name));
  const listed = execFileSync("dpkg", ["-L", "libxdp1"], { encoding: "utf8" });
  const debian = listed.split("\n").filter((name) => name.endsWith(".o"));
  return [...own, ...debian];
}

/** Entry programs of a file, except those of types that are only loaded (fentry). */
function programsOf(file: string): ProgramSpec[] {
  const object = readObject(new Uint8Array(readFileSync(file)), file);
  return understoodPrograms(object).map(({ name }) =>
    programSpec(object, { entry: name }),
  );
}

/** Frames that reach the branches of packet programs, and damaged ones. */
function coveringPackets(random: Random, count: number): PacketInput[] {
  const eth = { dst: "02:00:00:00:00:01", src: "02:00:00:00:00:02" };
  const host = (): string => `10.0.0.${random.below(6)}`;
  const port = (): number =>
    random.pick([100, 101, 102, 53, 80, 443, random.below(65536)]);
  const ipv4 = () => ({
    src: host(),
    dst: host(),
    ttl: random.pick([0, 1, 64]),
    ...(random.chance(0.1) ? { options: new Uint8Array(4) } : {}),
    ...(random.chance(0.1) ? { moreFragments: true } : {}),
    ...(random.chance(0.1) ? { fragmentOffset: 64 } : {}),
  });
  const ipv6 = () => ({
    src: `fd00::${random.below(4)}`,
    dst: `fd00::${random.below(4)}`,
  });
  const flags = (): number =>
    random.pick([
      tcpFlags.syn,
      tcpFlags.ack,
      tcpFlags.syn | tcpFlags.ack,
      tcpFlags.fin,
      tcpFlags.rst,
    ]);
  const kinds: readonly (() => FrameSpec)[] = [
    () => ({
      eth,
      ipv4: ipv4(),
      tcp: { sport: port(), dport: port(), flags: flags() },
    }),
    () => ({ eth, ipv4: ipv4(), udp: { sport: port(), dport: port() } }),
    () => ({ eth, ipv4: ipv4(), icmp: { type: 8 } }),
    () => ({
      eth,
      ipv6: ipv6(),
      tcp: { sport: port(), dport: port(), flags: flags() },
    }),
    () => ({ eth, ipv6: ipv6(), udp: { sport: port(), dport: port() } }),
    () => ({
      eth,
      ipv4: ipv4(),
      vlans: Array.from({ length: 1 + random.below(4) }, (_, at) => at),
      udp: { sport: port(), dport: port() },
    }),
    () => ({
      eth,
      ipv6: {
        ...ipv6(),
        extensions: Array.from({ length: 1 + random.below(7) }, () => ({
          type: random.pick([0, 43, 44, 51, 60, 135]),
          body: new Uint8Array(random.pick([7, 15])),
        })),
      },
      tcp: { sport: port(), dport: port(), flags: flags() },
    }),
    () => ({ eth, arp: { op: 1, senderIp: host(), targetIp: host() } }),
    () => ({ eth: { ...eth, type: 0x88b5 }, payload: random.bytes(60) }),
  ];
  return Array.from({ length: count }, (_, index) => {
    let data = buildFrame({ ...random.pick(kinds)(), size: 200 });
    if (random.chance(0.1)) data = data.slice(0, 14 + random.below(50));
    if (random.chance(0.1)) data[random.below(data.length)] = random.below(256);
    return packet(data, index, random);
  });
}

function packet(data: Uint8Array, index: number, random: Random): PacketInput {
  return {
    data,
    ifindex: random.below(3),
    rxQueue: random.below(4),
    cpu: random.below(4),
    time: BigInt(index) * 100_000_000n,
  };
}

/** As user space would: keys that packets hold, small values and full ones. */
function preload(
  program: ProgramSpec,
  packets: readonly PacketInput[],
): Prepare {
  return (state) => {
    const random = new Random(seed);
    for (const map of program.maps) {
      const { type, name, keySize, valueSize } = map;
      const copies =
        type.startsWith("percpu") || type === "lru_percpu_hash"
          ? state.cpus
          : 1;
      const size =
        copies === 1 ? valueSize : copies * Math.ceil(valueSize / 8) * 8;
      const isArray = type.endsWith("array") && /^(percpu_)?array$/.test(type);
      if (map.readOnly || (!isArray && !/^(lru_)?(percpu_)?hash$/.test(type)))
        continue;
      for (let index = 0; index < 40; index++) {
        const { data } = random.pick(packets);
        // Addresses and ports stand here in plain IPv4 and IPv6 frames.
        const at = random.pick([0, 6, 22, 23, 26, 30, 34, 36, 38, 54, 56]);
        const key = new Uint8Array(keySize);
        if (isArray) key[0] = index % Math.max(1, map.maxEntries);
        else key.set(data.subarray(at, at + keySize));
        const value = new Uint8Array(size).fill(random.pick([0, 1, 2, 255]));
        state.update(name, key, value);
      }
    }
  };
}

/** Other contents of read-only data: what a loader would have configured. */
function configured(program: ProgramSpec, byte: () => number): ProgramSpec {
  return {
    ...program,
    maps: program.maps.map((map) =>
      map.data === undefined || !map.readOnly
        ? map
        : { ...map, data: map.data.map(byte) },
    ),
  };
}

test("fixtures behave the same lifted, simplified and inlined", (t) => {
  t.diagnostic(`DIVISI_SEED=${seed}`);
  const programs = fixtures().flatMap(programsOf);
  ok(programs.length >= 20, `${programs.length} programs found`);
  let edges = 0;
  let reached = 0;
  for (const program of programs) {
    const packets = coveringPackets(new Random(seed), 200);
    const prepare = preload(program, packets);
    const few = new Random(seed);
    const hit = new Set<string>();
    for (const [version, given] of [
      [program, { packets }],
      [program, { packets, prepare }],
      [configured(program, () => 255), { packets, prepare }],
      [
        configured(program, () => few.pick([0, 1, 10, 255])),
        { packets, prepare },
      ],
    ] as const)
      expectSame(
        version,
        given,
        runBytecode(version, given, (place) => hit.add(place)),
      );
    const branches = program.functions
      .flatMap((fn) => fn.instructions)
      .filter((instruction) => instruction.kind === "branch").length;
    edges += 2 * branches;
    reached += hit.size;
    t.diagnostic(
      `${program.file} ${program.name}: ${hit.size} of ${2 * branches} branch edges`,
    );
  }
  ok(reached > 0.6 * edges, `${reached} of ${edges} branch edges reached`);
});

function randomPackets(random: Random): PacketInput[] {
  return Array.from({ length: 8 }, (_, index) => {
    const data = random.bytes(random.pick([20, 32, 64, 64, 64, 64, 64, 64]));
    return packet(data, index, random);
  });
}

test("random programs behave the same", (t) => {
  t.diagnostic(`DIVISI_SEED=${seed}`);
  for (let index = 0; index < 120; index++) {
    const program = randomProgram(seed + index, { tameStack: index % 3 > 0 });
    const packets = randomPackets(new Random(seed + index));
    const want = runBytecode(program, { packets });
    deepEqual(
      want.outcomes.filter((outcome) => "faults" in (outcome as object)),
      [],
      `${program.file} is no valid program`,
    );
    expectSame(program, { packets }, want);
  }
});

/** One instruction with another register, offset or target, or in another's place. */
function damaged(code: readonly Instruction[], random: Random): Instruction[] {
  const at = random.below(code.length);
  const there = code[random.below(code.length)];
  return code.flatMap((instruction, index) => {
    if (index !== at) return [instruction];
    const wrong: Record<string, unknown> = { ...instruction };
    const register = random.below(10);
    for (const member of ["dst", "base", "left"])
      if (member in wrong && random.chance(0.4)) wrong[member] = register;
    if ("offset" in wrong && random.chance(0.5))
      wrong["offset"] = random.pick([-520, -512, -4, -1, 0, 1, 8, 500]);
    if ("target" in wrong)
      wrong["target"] = random.pick([0, at, code.length, -1, register]);
    if (random.chance(0.2) && there !== undefined) return [there];
    return [wrong as unknown as Instruction];
  });
}

test("whatever decodes lifts to sound IR", (t) => {
  t.diagnostic(`DIVISI_SEED=${seed}`);
  const random = new Random(seed);
  for (let index = 0; index < 150; index++) {
    const program = randomProgram(seed + index, { statements: 12 });
    const wrong = {
      ...program,
      functions: program.functions.map((fn) => ({
        ...fn,
        instructions: damaged(damaged(fn.instructions, random), random),
      })),
    };
    for (const [name, pass] of passes)
      expectSound(pass(lift(wrong)), `${program.file} ${name}, seed ${seed}`);
  }
});

/** A wrong instruction or program, or undefined where the bug has no place. */
type Planted = (ir: IrProgram, random: Random) => IrProgram | undefined;

function wrongInstruction(
  change: (instruction: IrInstruction) => Partial<IrInstruction> | undefined,
): Planted {
  return (ir, random) => {
    const places = ir.functions.flatMap((fn, f) =>
      fn.blocks.flatMap((block, b) =>
        block.instructions.flatMap((instruction, i) => {
          const wrong = change(instruction);
          return wrong === undefined ? [] : [{ f, b, i, wrong }];
        }),
      ),
    );
    if (places.length === 0) return undefined;
    const at = random.pick(places);
    return {
      ...ir,
      functions: ir.functions.map((fn, f) => ({
        ...fn,
        blocks: fn.blocks.map((block, b) => ({
          ...block,
          instructions: block.instructions.map((instruction, i) =>
            f === at.f && b === at.b && i === at.i
              ? ({ ...instruction, ...at.wrong } as IrInstruction)
              : instruction,
          ),
        })),
      })),
    };
  };
}

function wrongTerminator(
  change: (
    terminator: IrProgram["functions"][number]["blocks"][number]["terminator"],
  ) => object | undefined,
): Planted {
  return (ir, random) => {
    const places = ir.functions.flatMap((fn, f) =>
      fn.blocks.flatMap((block, b) =>
        change(block.terminator) === undefined ? [] : [{ f, b }],
      ),
    );
    if (places.length === 0) return undefined;
    const at = random.pick(places);
    return {
      ...ir,
      functions: ir.functions.map((fn, f) => ({
        ...fn,
        blocks: fn.blocks.map((block, b) =>
          f === at.f && b === at.b
            ? {
                ...block,
                terminator: {
                  ...block.terminator,
                  ...change(block.terminator),
                },
              }
            : block,
        ),
      })),
    };
  };
}

const bugs: readonly (readonly [string, Planted])[] = [
  [
    "branch edges exchanged",
    wrongTerminator((end) =>
      end.kind === "branch"
        ? { then: end.otherwise, otherwise: end.then }
        : undefined,
    ),
  ],
  [
    "branch compares the other width",
    wrongTerminator((end) =>
      end.kind === "branch" ? { width: end.width === 64 ? 32 : 64 } : undefined,
    ),
  ],
  [
    "edge arguments exchanged",
    wrongTerminator((end) =>
      end.kind === "jump" && end.to.args.length > 1
        ? { to: { ...end.to, args: [...end.to.args].reverse() } }
        : undefined,
    ),
  ],
  [
    "zero-extension dropped",
    wrongInstruction((i) =>
      i.kind === "unary" && i.op === "zext32"
        ? { kind: "binary", op: "or", width: 64, left: i.value, right: i.value }
        : undefined,
    ),
  ],
  [
    "sign-extension of the wrong width",
    wrongInstruction((i) =>
      i.kind === "unary" && i.op.startsWith("sext")
        ? { op: i.op === "sext8" ? "sext16" : "sext8" }
        : undefined,
    ),
  ],
  [
    "extract from the wrong byte",
    wrongInstruction((i) =>
      i.kind === "extract"
        ? { start: i.start === 0 ? 8 - i.size : 0 }
        : undefined,
    ),
  ],
  [
    "concat in the wrong order",
    wrongInstruction((i) =>
      i.kind === "concat" ? { parts: [...i.parts].reverse() } : undefined,
    ),
  ],
  [
    "32-bit operation at 64 bits",
    wrongInstruction((i) =>
      i.kind === "binary" && i.width === 32 ? { width: 64 } : undefined,
    ),
  ],
  [
    "signed load unsigned",
    wrongInstruction((i) =>
      i.kind === "load" && i.signed ? { signed: false } : undefined,
    ),
  ],
  [
    "load next to its place",
    wrongInstruction((i) =>
      i.kind === "load" ? { offset: i.offset + 1 } : undefined,
    ),
  ],
  [
    "store too narrow",
    wrongInstruction((i) =>
      i.kind === "store" && i.size > 1 ? { size: 1 } : undefined,
    ),
  ],
  [
    "operands exchanged",
    wrongInstruction((i) =>
      i.kind === "binary" && i.op === "sub"
        ? { left: i.right, right: i.left }
        : undefined,
    ),
  ],
  [
    "constant off by one",
    wrongInstruction((i) =>
      i.kind === "const" ? { value: i.value ^ 1n } : undefined,
    ),
  ],
  [
    "slot address off by one",
    wrongInstruction((i) =>
      i.kind === "slot" ? { offset: i.offset + 1 } : undefined,
    ),
  ],
  [
    "byte order lost",
    wrongInstruction((i) =>
      i.kind === "unary" && i.op === "swap32" ? { op: "zext32" } : undefined,
    ),
  ],
];

function isCaught(ir: IrProgram, given: Given, want: Trace): boolean {
  if (verifyIr(ir).length > 0) return true;
  const got = runIr(ir, given);
  return !isDeepStrictEqual(got, want);
}

test("planted bugs are seen", (t: TestContext) => {
  t.diagnostic(`DIVISI_SEED=${seed}`);
  for (const [name, plant] of bugs) {
    let planted = 0;
    let caught = 0;
    for (let index = 0; index < 300 && caught < 3; index++) {
      const program = randomProgram(seed + index);
      const packets = randomPackets(new Random(seed + index));
      const wrong = plant(lift(program), new Random(seed + index));
      if (wrong === undefined) continue;
      planted++;
      if (isCaught(wrong, { packets }, runBytecode(program, { packets })))
        caught++;
    }
    t.diagnostic(`${name}: ${caught} of ${planted} seen`);
    // Many land where no packet comes, or on words whose high half is zero.
    ok(caught === 3, `${name}: ${caught} of ${planted}, seed ${seed}`);
  }
});
