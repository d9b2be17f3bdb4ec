/** What the covering search must find, on programs whose secret is known. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import {
  BytecodeMachine,
  createState,
  type PacketInput,
  type State,
} from "../interp/index.ts";
import {
  parseFunctions,
  type MapSpec,
  type MapTypeName,
  type ProgramSpec,
} from "../isa/index.ts";
import { coverProgram, type CoverOptions } from "./cover.ts";
import type { Cover } from "./cover-line.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 3);

function map(type: MapTypeName, more: Partial<MapSpec> = {}): MapSpec {
  return {
    name: "m",
    type,
    keySize: 4,
    valueSize: 8,
    maxEntries: 8,
    flags: 0,
    section: ".maps",
    readOnly: false,
    ...more,
  };
}

function program(text: string, maps: readonly MapSpec[]): ProgramSpec {
  return {
    file: "test",
    name: "main",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: parseFunctions(text),
    maps,
  };
}

const r = (...lines: readonly string[]): string => lines.join("\n");

/** r7 = packet of at least 60 bytes, else leaves with 0; r6 = context. */
const packet = r(
  "r6 = r1",
  "r0 = 0",
  "r7 = *(u32 *)(r1 + 0)",
  "r8 = *(u32 *)(r1 + 4)",
  "r2 = r7",
  "r2 += 60",
  "if r2 > r8 goto out",
);
/** r0 = value of the cell of the source address, or 0. */
const lookup = r(
  "r1 = *(u32 *)(r7 + 26)",
  "*(u32 *)(r10 - 4) = r1",
  "r1 = map m ll",
  "r2 = r10",
  "r2 += -4",
  "call map_lookup_elem",
);
const insert = r(
  "r1 = map m ll",
  "r2 = r10",
  "r2 += -4",
  "r3 = r10",
  "r3 += -16",
  "r4 = 0",
  "call map_update_elem",
);

function search(spec: ProgramSpec, more: Partial<CoverOptions> = {}): Cover {
  const state = more.state ?? createState(spec.maps, { cpus: 1 });
  return coverProgram(spec, { state, seed, ...more });
}

const missing = (cover: Cover): string[] =>
  cover.branches.missing.map(
    ({ instruction, taken }) => `${instruction} ${taken}`,
  );

/** Verdicts of the packets on a machine of its own. */
function verdicts(
  spec: ProgramSpec,
  packets: readonly PacketInput[],
  state: State,
): number[] {
  const machine = new BytecodeMachine(spec, state, { seed });
  return packets.map((input) => machine.run(input).verdict);
}

test(`three magic ports in order from one source (seed ${seed})`, () => {
  const text = r(
    packet,
    lookup,
    "if r0 == 0 goto new",
    "r1 = *(u64 *)(r0 + 0)",
    "r2 = *(u16 *)(r7 + 36)",
    "r3 = 0",
    "if r1 == 1 goto second",
    "if r1 == 2 goto third",
    "if r1 == 3 goto open",
    "if r2 != 0x1d23 goto store",
    "r3 = 1",
    "goto store",
    "second:",
    "if r2 != 0x9a44 goto store",
    "r3 = 2",
    "goto store",
    "third:",
    "if r2 != 0x0712 goto store",
    "r3 = 3",
    "store:",
    "*(u64 *)(r0 + 0) = r3",
    "r0 = 1",
    "exit",
    "open:",
    "r0 = 2",
    "exit",
    "new:",
    "*(u64 *)(r10 - 16) = 0",
    insert,
    "out:",
    "r0 = 1",
    "exit",
  );
  const spec = program(text, [map("hash")]);
  const cover = search(spec);
  deepEqual(missing(cover), []);
  const run = verdicts(
    spec,
    cover.packets,
    createState(spec.maps, { cpus: 1 }),
  );
  ok(run.includes(2), "the line itself opens the door");
});

test(`a bucket that takes many packets to empty, and time to fill (seed ${seed})`, () => {
  const text = r(
    packet,
    "call ktime_get_ns",
    "r9 = r0",
    lookup,
    "if r0 == 0 goto new",
    "r1 = *(u64 *)(r0 + 0)",
    "r2 = r9",
    "r3 = *(u64 *)(r0 + 8)",
    "r3 += 1000000000",
    "if r2 > r3 goto fill",
    "if r1 == 0 goto empty",
    "r1 += -1",
    "*(u64 *)(r0 + 0) = r1",
    "r0 = 2",
    "exit",
    "fill:",
    "*(u64 *)(r0 + 0) = 40",
    "*(u64 *)(r0 + 8) = r9",
    "empty:",
    "r0 = 1",
    "exit",
    "new:",
    "*(u64 *)(r10 - 24) = 40",
    "*(u64 *)(r10 - 16) = r9",
    insert.replace("r3 += -16", "r3 += -24"),
    "r0 = 2",
    "out:",
    "exit",
  );
  const cover = search(program(text, [map("hash", { valueSize: 16 })]));
  deepEqual(missing(cover), []);
});

test(`a full table (seed ${seed})`, () => {
  const text = r(
    packet,
    lookup,
    "if r0 != 0 goto out",
    "*(u64 *)(r10 - 16) = 0",
    insert,
    "if r0 == 0 goto out",
    "r0 = 3",
    "exit",
    "out:",
    "r0 = 2",
    "exit",
  );
  deepEqual(missing(search(program(text, [map("hash")]))), []);
});

test(`masks, shifts, lengths, ports and what user space writes (seed ${seed})`, () => {
  const text = r(
    packet,
    "r1 = *(u8 *)(r7 + 17)",
    "r1 &= 0x3c",
    "r1 >>= 2",
    "if r1 != 11 goto out",
    "r1 = r8",
    "r1 -= r7",
    "if r1 != 777 goto out",
    "r1 = *(u32 *)(r6 + 12)",
    "if r1 != 42 goto out",
    lookup,
    "if r0 == 0 goto out",
    "r1 = *(u32 *)(r0 + 4)",
    "if r1 != 0x12345678 goto out",
    "r0 = 2",
    "out:",
    "exit",
  );
  const spec = program(text, [map("hash")]);
  const cover = search(spec, { userWrites: "read-only" });
  deepEqual(missing(cover), []);
  ok(cover.writes.length > 0);
});

test("an edge that no packet can take is reported, not counted", () => {
  const text = r(
    packet,
    "r1 = *(u8 *)(r7 + 0)",
    "if r1 > 255 goto never",
    "r0 = 2",
    "out:",
    "exit",
    "never:",
    "r0 = 3",
    "exit",
  );
  const cover = search(program(text, []), { budget: 3000 });
  deepEqual(missing(cover), ["8 true"]);
  deepEqual([cover.branches.hit, cover.branches.total], [3, 4]);
});

test("the same seed gives the same packets, and the state is left alone", () => {
  const text = r(
    packet,
    lookup,
    "if r0 != 0 goto out",
    "*(u64 *)(r10 - 16) = 0",
    insert,
    "out:",
    "r0 = 2",
    "exit",
  );
  const spec = program(text, [map("lru_hash")]);
  const state = createState(spec.maps, { cpus: 1 });
  const digest = state.digest();
  const [one, two] = [
    search(spec, { state, budget: 2000 }),
    search(spec, { state, budget: 2000 }),
  ];
  deepEqual(one, two);
  equal(state.digest(), digest);
});

test("what is reported as reached is what the returned packets reach", () => {
  const text = r(
    packet,
    lookup,
    "if r0 != 0 goto out",
    "*(u64 *)(r10 - 16) = 0",
    insert,
    "if r0 == 0 goto out",
    "r0 = 3",
    "exit",
    "out:",
    "r0 = 2",
    "exit",
  );
  const spec = program(text, [map("hash")]);
  const cover = search(spec);
  const edges = new Set<string>();
  const machine = new BytecodeMachine(
    spec,
    createState(spec.maps, { cpus: 1 }),
    {
      seed,
      observer: {
        branch: (at, taken) => edges.add(`${at.instruction} ${taken}`),
      },
    },
  );
  for (const input of cover.packets) machine.run(input);
  equal(edges.size, cover.branches.hit);
});
