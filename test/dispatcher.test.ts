/**
 * The generated dispatcher against a model that parses frames with packet's parser and
 * reads bit by bit: random owner functions, random frames of all kinds, cut anywhere.
 * The kernel's verifier takes every one of them.
 */
import { equal, ok } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { Random } from "#base";
import { dispatchCpus, dispatcher, dispatchTable } from "#codegen";
import { haveBpf, openKernel } from "#engine";
import { BytecodeMachine, createState } from "#interp";
import type { MapSpec, ProgramSpec } from "#isa";
import {
  buildFrame,
  fieldPosition,
  fields,
  innerFrame,
  parseFrame,
  readBit,
  type FieldBit,
  type FieldName,
  type FrameSpec,
  type ParsedFrame,
} from "#packet";
import { classOf, packetClasses, type PacketClass } from "#rss";
import type { FieldRun, OwnerFunction, OwnerGroup, OwnerLane } from "#strategy";

const seed = Number(process.env["DIVISI_SEED"] ?? 11);
const entries = 256;
const queue = 77;
const hashSeed = 0x1234_5678_9abc_def0n;

const word = (...numbers: readonly number[]): Uint8Array =>
  new Uint8Array(Uint32Array.from(numbers).buffer);

const dataMap: MapSpec = {
  name: ".data.dispatch",
  type: "array",
  keySize: 4,
  valueSize: 12,
  maxEntries: 1,
  flags: 0,
  section: ".data.dispatch",
  // Ready; lan; wan.
  data: word(1, 3, 4),
  readOnly: false,
};

function programOf(owner: OwnerFunction, ready = 1): ProgramSpec {
  const section = dataMap.name;
  const made = dispatcher({
    name: "dispatch",
    section: "xdp",
    owner,
    ports: [
      { name: "lan", ifindex: { section, offset: 4 } },
      { name: "wan", ifindex: { section, offset: 8 } },
    ],
    ready: { section, offset: 0 },
    entries,
    cpus: 2,
    seed: hashSeed,
    queue: false,
  });
  return {
    file: "test",
    name: "dispatch",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: [made.function],
    maps: [...made.maps, { ...dataMap, data: word(ready, 3, 4) }],
  };
}

/** Entry of each frame, by running it. */
function runner(program: ProgramSpec) {
  const two = [0, 1].map((cpu) => ({ key: word(cpu), value: word(64, 0) }));
  let entry = -1;
  const state = createState(program.maps, {
    contents: {
      [dispatchCpus]: two,
      [dispatchTable]: Array.from({ length: entries }, (_, at) => ({
        key: word(at),
        value: word(at & 1),
      })),
    },
  });
  const machine = new BytecodeMachine(program, state, {
    observer: {
      touch: ({ map, cell }) => {
        if (map === dispatchTable)
          entry = Buffer.from(cell, "hex").readUInt32LE();
      },
    },
  });
  return (data: Uint8Array, ifindex: number) => {
    entry = -1;
    const outcome = machine.run({
      data,
      ifindex,
      rxQueue: queue,
      cpu: 0,
      time: 0n,
    });
    return { entry, outcome };
  };
}

const mask64 = (value: bigint): bigint => BigInt.asUintN(64, value);

/** Of a field that may be cut off behind it. */
function bitOf(parsed: ParsedFrame, bit: FieldBit): number {
  const padded = new Uint8Array(parsed.data.length + 64);
  padded.set(parsed.data);
  return readBit({ ...parsed, data: padded }, bit) ?? 0;
}

/** hash-lanes.ts, once more. */
function hashOf(lanes: readonly OwnerLane[], parsed: ParsedFrame): bigint {
  let hash = hashSeed;
  for (const lane of lanes) {
    const isWhole = lane.runs.every(
      ({ field, first }) => (fields[field].bit + first) % 8 === 0,
    );
    for (let at = 0; at < lane.bits;) {
      const left = lane.bits - at;
      const sizes = isWhole ? [64, 32, 16, 8] : [32, 16, 8];
      const size = sizes.find((each) => each <= left) ?? left;
      let value = BigInt.asUintN(size, lane.constant >> BigInt(left - size));
      for (const { field, first } of lane.runs)
        for (let bit = 0; bit < size; bit++) {
          const one = bitOf(parsed, { field, bit: first + at + bit });
          value ^= BigInt(one) << BigInt(size - 1 - bit);
        }
      hash = mask64((hash ^ value) * 0xd1342543de82ef95n);
      hash ^= hash >> 32n;
      at += size;
    }
  }
  hash = mask64(hash * 0xaf251af3b0f025b5n);
  return hash ^ (hash >> 29n);
}

/** Has the stage a reason to say that these bits are not there? */
function isThere(
  parsed: ParsedFrame,
  { field, first }: FieldRun,
  bits: number,
): boolean {
  // Of a field that is cut off, the bits in front of the cut are there.
  const padded = new Uint8Array(parsed.data.length + 64);
  padded.set(parsed.data);
  const position = fieldPosition({ ...parsed, data: padded }, field);
  if (position === undefined) return false;
  if (position + first + bits > 8 * parsed.data.length) return false;
  const { layer } = fields[field];
  const { tunnel, l4Offset = 0, data } = parsed;
  if (classOf(parsed) === "non-ip") return /^(eth|vlan2?|arp)$/.test(layer);
  if (/^(eth|vlan2?|arp|ipv[46])$/.test(layer)) return true;
  if (parsed.fragment !== "none") return false;
  if (parsed.l3 === "ipv6" && l4Offset !== (parsed.l3Offset ?? 0) + 40)
    return false;
  if (layer === "gtp" && data[l4Offset + 8] !== 0x30) return false;
  if (layer === "gre-key" && data[l4Offset] !== 0x20) return false;
  if (!layer.startsWith("inner")) return true;
  const inner = innerFrame({ ...parsed, data: padded });
  if (tunnel === undefined || inner === undefined) return false;
  if (tunnel.kind === "gtp-u" && data[l4Offset + 8] !== 0x30) return false;
  if (
    tunnel.kind === "gre" &&
    (data[l4Offset + 1] !== 0 || ![0, 0x20].includes(data[l4Offset] ?? 0))
  )
    return false;
  if (layer === "inner-eth") return true;
  if (inner.vlans.length > 0) return false;
  if (layer !== "inner-l4") return true;
  if (inner.l3 === "ipv4" && (inner.ihl ?? 0) < 5) return false;
  if (inner.l3 === "ipv6" && inner.l4Offset !== (inner.l3Offset ?? 0) + 40)
    return false;
  return inner.fragment === "none" && ["tcp", "udp"].includes(inner.l4 ?? "");
}

/** A transport's or tunnel's header cut in two: the parser sees none, a program may. */
function isCut(parsed: ParsedFrame): boolean {
  const { l3, l4, l4Offset = 0, data, fragment } = parsed;
  const left = data.length - l4Offset;
  if (l4 === undefined)
    return l3?.startsWith("ip") === true && fragment === "none";
  return l4 === "udp" ? left > 8 && left < 17 : l4 === "gre" && left < 9;
}

function expected(
  { groups }: OwnerFunction,
  data: Uint8Array,
  ifindex: number,
): number {
  const parsed = parseFrame(data);
  const port = ifindex === 3 ? "lan" : ifindex === 4 ? "wan" : "";
  const name = classOf(parsed);
  const known = name === "fragment6" ? "other6" : name;
  const group = groups.find(
    (one) => one.port === port && one.classes.includes(known),
  );
  const fits =
    group?.lanes.every(({ runs, bits }) =>
      runs.every((run) => isThere(parsed, run, bits)),
    ) === true;
  return group === undefined || !fits
    ? queue & (entries - 1)
    : Number(hashOf(group.lanes, parsed) & BigInt(entries - 1));
}

// Fields of one frame may be hashed together, those of two kinds of frames never are.
// prettier-ignore
const themes: readonly (readonly FieldName[])[] = [
  ["eth.src", "eth.dst", "eth.type"],
  ["eth.src", "vlan.id", "vlan.priority"],
  ["vlan.id", "vlan2.id", "vlan2.tci"],
  ["ipv4.src", "ipv4.dst", "ipv4.tos", "ipv4.id"],
  ["ipv4.src", "ipv4.dst", "l4.sport", "l4.dport", "ipv4.protocol"],
  ["ipv6.src", "ipv6.dst", "ipv6.flow-label"],
  ["ipv6.src", "ipv6.dst", "l4.sport", "l4.dport", "ipv6.next-header"],
  ["tcp.seq", "ipv4.src", "tcp.flags"],
  ["udp.length", "l4.sport"],
  ["icmp.id", "icmp.type"],
  ["arp.sender-ip", "arp.sender-mac", "eth.dst"],
  ["gre.key", "inner.ipv4.src"],
  ["gre.protocol", "ipv4.src"],
  ["vxlan.vni", "inner.eth.src", "inner.eth.dst"],
  ["inner.ipv4.src", "inner.ipv4.dst", "inner.l4.sport", "inner.l4.dport", "inner.ipv4.protocol"],
  ["inner.ipv6.src", "inner.l4.dport"],
  ["inner.l4.sport", "inner.l4.dport"],
  ["gtp.teid", "inner.ipv4.src"],
  ["gtp.teid", "ipv4.src"],
];

function drawLane(random: Random, theme: readonly FieldName[]): OwnerLane {
  const names = Array.from({ length: 1 + random.below(2) }, () =>
    random.pick(theme),
  );
  const most = Math.min(64, ...names.map((name) => fields[name].bits));
  const isWhole = random.chance(0.6);
  const bits = isWhole ? most : 1 + random.below(most);
  return {
    bits,
    runs: names.map((field) => {
      const free = fields[field].bits - bits;
      const first = random.below(free + 1);
      return { field, first: isWhole ? first & ~7 : first };
    }),
    constant: random.chance(0.3) ? BigInt.asUintN(bits, random.u64()) : 0n,
  };
}

function drawOwner(random: Random): OwnerFunction {
  const groups: OwnerGroup[] = [];
  for (const port of ["lan", "wan"]) {
    const parts = new Map<number, PacketClass[]>();
    const isOne = random.chance(0.3);
    for (const name of packetClasses) {
      if (name === "fragment6") continue;
      const part = isOne ? 0 : random.below(4);
      // Part 3 touches nothing.
      if (part === 3) continue;
      const known = parts.get(part) ?? [];
      parts.set(part, [...known, name]);
    }
    for (const classes of parts.values()) {
      const theme = random.pick(themes);
      groups.push({
        port,
        classes,
        lanes: Array.from({ length: 1 + random.below(3) }, () =>
          drawLane(random, theme),
        ),
      });
    }
  }
  return { groups };
}

function drawSpec(random: Random, depth = 0): FrameSpec {
  const ports = { sport: random.below(65536), dport: random.below(65536) };
  const mac = (): bigint => random.u64() & 0xffff_ffff_ffffn;
  const inner = (): FrameSpec => drawSpec(random, depth + 1);
  const address = (): bigint => random.u64();
  const tunnels: readonly (() => FrameSpec)[] = [
    () => ({
      udp: { ...ports, dport: 4789 },
      vxlan: { vni: random.below(1 << 24), inner: inner() },
    }),
    () => ({
      udp: { ...ports, dport: 2152 },
      gtp: {
        teid: random.u32(),
        inner: { ...inner(), vlans: [] },
        ...(random.chance(0.2) ? { sequence: 5 } : {}),
      },
    }),
    () => ({
      gre: {
        inner: inner(),
        ethernet: random.chance(0.5),
        ...(random.chance(0.5) ? { key: random.u32() } : {}),
      },
    }),
  ];
  const plain: readonly (() => FrameSpec)[] = [
    () => ({ tcp: { ...ports, seq: random.u32() } }),
    () => ({ udp: ports }),
    () => ({ icmp: { type: random.below(200), id: random.below(65536) } }),
    () => ({ payload: random.bytes(random.below(30)) }),
  ];
  const transport = random.pick(
    depth === 0 && random.chance(0.6) ? tunnels : plain,
  )();
  const four = random.chance(0.7);
  return {
    eth: { src: mac(), dst: mac() },
    vlans: random.pick([[], [], [], [random.below(4096)], [5, 6]]),
    ...(depth === 0 && random.chance(0.08)
      ? {
          arp: {
            op: 1,
            senderIp: address() & 0xffff_ffffn,
            senderMac: mac(),
            targetIp: 1n,
          },
        }
      : four
        ? {
            ipv4: {
              src: address() & 0xffff_ffffn,
              dst: address() & 0xffff_ffffn,
              id: random.below(65536),
              ...(random.chance(0.1) ? { moreFragments: true } : {}),
              ...(random.chance(0.1)
                ? { options: new Uint8Array(4 * random.below(4)).fill(1) }
                : {}),
              ...(random.chance(0.05) ? { protocol: 132 } : {}),
            },
            ...transport,
          }
        : {
            ipv6: {
              src: (address() << 64n) | address(),
              dst: (address() << 64n) | address(),
              flowLabel: random.below(1 << 20),
              ...(random.chance(0.1)
                ? { extensions: [{ type: 0, body: new Uint8Array(7) }] }
                : {}),
            },
            ...transport,
          }),
  };
}

function drawFrame(random: Random): Uint8Array {
  const data = buildFrame(drawSpec(random)).slice();
  if (random.chance(0.1)) data[14] = random.below(256);
  return random.chance(0.15)
    ? data.subarray(0, 14 + random.below(data.length - 13))
    : data;
}

test(`entries are those of the model (seed ${seed})`, () => {
  const random = new Random(seed);
  const frames = Array.from({ length: 1500 }, () => drawFrame(random)).filter(
    (data) => !isCut(parseFrame(data)),
  );
  let owned = 0;
  for (let round = 0; round < 60; round++) {
    const owner = drawOwner(random);
    const run = runner(programOf(owner));
    for (const [index, data] of frames.entries()) {
      const ifindex = random.pick([3, 3, 4, 5]);
      const { entry, outcome } = run(data, ifindex);
      const want = expected(owner, data, ifindex);
      equal(
        entry,
        want,
        `seed ${seed}, round ${round}, frame ${index}: ${Buffer.from(data).toString("hex")} ${outcome.fault?.text ?? ""}`,
      );
      equal(outcome.redirect?.key, entry & 1);
      if (want !== (queue & (entries - 1))) owned++;
    }
  }
  ok(owned > 10_000, `${owned} with an owner`);
});

test("it aborts until it is ready, and where no CPU is", () => {
  const random = new Random(seed);
  const program = programOf(drawOwner(random), 0);
  equal(runner(program)(drawFrame(random), 3).outcome.verdict, 0);
});

test("the verifier takes every dispatcher", async () => {
  const why = await haveBpf();
  if (why !== undefined) throw why;
  const kernel = await openKernel();
  try {
    const random = new Random(seed);
    for (let round = 0; round < 60; round++)
      kernel.load([programOf(drawOwner(random))]).close();
  } finally {
    kernel.close();
  }
});
