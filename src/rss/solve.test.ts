/**
 * Keys against the NIC model: for random requirements, packets that a conjunct
 * links reach the same queue; and each kind of broken set-up is seen.
 */
import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { fromHex, Random, toHex } from "../base/index.ts";
import {
  buildFrame,
  fields as fieldTable,
  parseFrame,
  readBit,
  type FieldBit,
  type FieldName,
} from "../packet/index.ts";
import { candidates } from "./assignment.ts";
import { rssRequirement } from "./command.ts";
import { nicProfile } from "./find-profile.ts";
import { nicSetup, portConfig } from "./nic-setup.ts";
import { NicModel, type PortConfig } from "./nic.ts";
import { classesOf, type Conjunct, type Requirement } from "./requirement.ts";
import { classOf } from "./packet-class.ts";
import type { KeySolution } from "./solution.ts";
import { solveKeys, violated } from "./solve.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const e810 = nicProfile("e810");

// prettier-ignore
const variable: readonly FieldName[] = ["ipv4.src", "ipv4.dst", "l4.sport", "l4.dport"];

/** A frame whose addresses and ports have these bits; other protocols have no ports. */
function frame(values: ReadonlyMap<string, number>, kind: number): Uint8Array {
  const number = (field: FieldName): number => {
    let value = 0;
    for (let bit = 0; bit < fieldTable[field].bits; bit++)
      value = 2 * value + (values.get(`${field} ${bit}`) ?? 0);
    return value;
  };
  const ipv4 = {
    src: BigInt(number("ipv4.src")),
    dst: BigInt(number("ipv4.dst")),
  };
  const ports = { sport: number("l4.sport"), dport: number("l4.dport") };
  if (kind === 0) return buildFrame({ ipv4, tcp: ports });
  if (kind === 1) return buildFrame({ ipv4, udp: ports });
  if (kind === 2)
    return buildFrame({ ipv4: { ...ipv4, moreFragments: true }, udp: ports });
  return buildFrame({
    ipv4: { ...ipv4, protocol: 132 },
    payload: new Uint8Array([
      ...u16(ports.sport),
      ...u16(ports.dport),
      0,
      0,
      0,
      0,
    ]),
  });
}

const u16 = (value: number): readonly number[] => [value >> 8, value & 255];

/** Random values that satisfy the equations, p's and q's, by plain elimination. */
function pair(
  conjunct: Conjunct,
  random: Random,
):
  | readonly [ReadonlyMap<string, number>, ReadonlyMap<string, number>]
  | undefined {
  const names = ["p", "q"].flatMap((side) =>
    variable.flatMap((field) =>
      Array.from(
        { length: fieldTable[field].bits },
        (_, bit) => `${side} ${field} ${bit}`,
      ),
    ),
  );
  const values = new Map(names.map((name) => [name, random.below(2)]));
  const rows = conjunct.equations.map(({ left, right }) => {
    const row = new Set<string>();
    const flip = (side: string, { field, bit }: FieldBit): void => {
      const name = `${side} ${field} ${bit}`;
      if (!row.delete(name)) row.add(name);
    };
    for (const bit of left.bits) flip("p", bit);
    for (const bit of right.bits) flip("q", bit);
    return { row, constant: left.constant ^ right.constant };
  });
  const solved: { pivot: string; row: Set<string>; constant: number }[] = [];
  for (const { row, constant } of rows) {
    let sum = constant;
    for (const before of solved)
      if (row.has(before.pivot)) {
        for (const name of before.row) if (!row.delete(name)) row.add(name);
        sum ^= before.constant;
      }
    const [pivot] = row;
    if (pivot === undefined) {
      if (sum !== 0) return undefined;
      continue;
    }
    solved.push({ pivot, row, constant: sum });
  }
  for (const { pivot, row, constant } of solved.reverse()) {
    let sum = constant;
    for (const name of row) if (name !== pivot) sum ^= values.get(name) ?? 0;
    values.set(pivot, sum);
  }
  const side = (which: string): ReadonlyMap<string, number> =>
    new Map(
      [...values]
        .filter(([name]) => name.startsWith(which))
        .map(([name, value]) => [name.slice(2), value]),
    );
  return [side("p"), side("q")];
}

/** Pairs that meet different queues, of `count` drawn per conjunct. */
function mismatches(
  requirement: Requirement,
  config: (port: string) => PortConfig,
  options: {
    readonly random: Random;
    readonly count: number;
    readonly first?: true;
  },
): number {
  const models = new Map(
    requirement.ports.map((port) => [port, new NicModel(config(port))]),
  );
  let wrong = 0;
  for (const conjunct of requirement.conjuncts)
    for (let round = 0; round < options.count; round++) {
      const drawn = pair(conjunct, options.random);
      if (drawn === undefined) continue;
      const frames = drawn.map((values) =>
        frame(values, options.random.below(4)),
      );
      const fits = frames.every((data, end) =>
        classesOf(conjunct, end === 0 ? 0 : 1).includes(
          classOf(parseFrame(data)),
        ),
      );
      if (!fits) continue;
      const [left, right] = frames.map(
        (data, end) =>
          models.get(conjunct.ports[end === 0 ? 0 : 1])?.queueOf(data).queue,
      );
      if (left === right) continue;
      wrong++;
      if (options.first === true) return wrong;
    }
  return wrong;
}

function solved(requirement: Requirement): KeySolution {
  const answer = solveKeys(requirement, {
    profile: e810,
    cores: 8,
    samples: 20,
    maxImbalance: Infinity,
  });
  ok(answer.kind === "solution", JSON.stringify(answer));
  return answer;
}

/**
 * Agreement on most of the input, through masks, swaps, sums of two bits and
 * constants; on one port or two. Few bits are left out, so that keys exist.
 */
function randomRequirement(random: Random): Requirement {
  const ports = random.chance(0.5) ? ["a"] : ["a", "b"];
  const l4 = [
    ["tcp4", "udp4"],
    ["tcp4", "udp4"],
  ] as const;
  const all = variable.flatMap((field) =>
    Array.from({ length: fieldTable[field].bits }, (_, bit) => ({
      field,
      bit,
    })),
  );
  const other: Partial<Record<FieldName, FieldName>> = {
    "ipv4.src": "ipv4.dst",
    "ipv4.dst": "ipv4.src",
    "l4.sport": "l4.dport",
    "l4.dport": "l4.sport",
  };
  const swap = random.chance(0.5);
  const image = ({ field, bit }: FieldBit): FieldBit => ({
    field: swap ? (other[field] ?? field) : field,
    bit,
  });
  const sums = random.chance(0.5) ? 0.05 : 0;
  const left = all.filter(() => random.chance(0.97));
  const from = random.pick([0, 0, 8, 24]);
  const equations = left
    .filter(({ bit }) => bit >= from || random.chance(0.5))
    .map((bit) => {
      const bits = random.chance(sums) ? [bit, random.pick(all)] : [bit];
      return {
        left: { bits, constant: random.below(2) as 0 | 1 },
        right: { bits: bits.map(image), constant: 0 as const },
      };
    });
  return {
    ports,
    conjuncts: [
      {
        ports: [ports[0] ?? "", ports.at(-1) ?? ""],
        equations,
        ...(random.chance(0.7) ? { classes: l4 } : {}),
      },
    ],
  };
}

test(`packets that must meet, meet (seed ${seed})`, () => {
  const random = new Random(seed);
  let useful = 0;
  for (let round = 0; round < 80; round++) {
    const requirement = randomRequirement(random);
    const answer = solveKeys(requirement, {
      profile: e810,
      cores: 2,
      samples: 5,
      maxImbalance: Infinity,
    });
    const best = answer.kind === "solution" ? answer : answer.best;
    if (best === undefined) continue;
    const setup = nicSetup(best, e810);
    const wrong = mismatches(requirement, (port) => portConfig(setup, port), {
      random,
      count: 25,
    });
    equal(wrong, 0, `round ${round}`);
    if (best.rank > 0) useful++;
  }
  ok(useful > 20, `${useful} keys that spread anything`);
});

// prettier-ignore
const cases: readonly (readonly [string, readonly string[], boolean])[] = [
  ["source address", ["ipv4.src"], false],
  ["policer: wan destination", ["wan:ipv4.dst=wan:ipv4.dst"], false],
  ["firewall: two swapped ports", ["lan:ipv4.src=wan:ipv4.dst,lan:ipv4.dst=wan:ipv4.src,lan:l4.sport=wan:l4.dport,lan:l4.dport=wan:l4.sport"], false],
  ["both directions", ["ipv4.src,ipv4.dst,l4.sport,l4.dport"], true],
];

for (const [name, fields, swap] of cases) {
  test(`mutants are seen: ${name} (seed ${seed})`, () => {
    const requirement = rssRequirement(fields, swap);
    const solution = solved(requirement);
    const setup = nicSetup(solution, e810);
    const [inputs] = candidates(e810);
    ok(inputs !== undefined);
    const how = { inputs, tableBits: 9, mode: "index" } as const;
    const keys = solution.ports.map(({ key }) => key);
    equal(violated(requirement, keys, how), undefined);
    for (const [index, port] of solution.ports.entries()) {
      const free: number[] = [];
      for (let bit = 0; bit < solution.keyBits / keys.length; bit++) {
        const mutant = keys.with(index, flipped(port.key, bit));
        if (port.constrained.includes(bit))
          notEqual(violated(requirement, mutant, how), undefined, `bit ${bit}`);
        else {
          free.push(bit);
          equal(violated(requirement, mutant, how), undefined, `bit ${bit}`);
        }
      }
      ok(port.constrained.length > 0);
      // A wrong key is seen in the packets, too.
      const wrong = port.constrained.filter((bit) => {
        const config = (name: string): PortConfig => {
          const whole = {
            ...portConfig(setup, name),
            // One queue per entry, so that every index bit shows.
            table: Array.from({ length: 512 }, (_, entry) => entry),
          };
          return name === port.name
            ? { ...whole, key: flipped(whole.key, bit) }
            : whole;
        };
        const random = new Random(seed + bit);
        return (
          mismatches(requirement, config, { random, count: 100, first: true }) >
          0
        );
      });
      deepEqual(wrong, port.constrained);
    }
  });
}

test(`a hash field more, a field less on one port, a table per port are seen (seed ${seed})`, () => {
  const random = new Random(seed);
  const fields = cases.at(2)?.[1] ?? [];
  const requirement = rssRequirement(fields, false);
  const solution = solved(requirement);
  const setup = nicSetup(solution, e810);
  const broken = (change: (config: PortConfig) => PortConfig): number =>
    mismatches(
      requirement,
      (port) => {
        const config = portConfig(setup, port);
        return port === "lan" ? change(config) : config;
      },
      { random, count: 200 },
    );
  equal(
    broken((config) => config),
    0,
  );
  const dropped = broken((config) => ({
    ...config,
    fields: { ...config.fields, tcp4: "sd", udp4: "sd" },
  }));
  ok(dropped > 0);
  const otherTable = broken((config) => ({
    ...config,
    table: config.table.map((queue) => (queue + 1) % 8),
  }));
  ok(otherTable > 0);

  // A key solved for the addresses only, with the ports hashed as well.
  const two = {
    ...e810,
    settable: [],
    inputs: { tcp4: ["sd"], udp4: ["sd"] },
  } as const;
  const addresses: Requirement = {
    ports: ["a"],
    conjuncts: rssRequirement(["ipv4.src,ipv4.dst"], false).conjuncts.map(
      (each) => ({
        ...each,
        ports: ["a", "a"] as const,
        classes: [
          ["tcp4", "udp4"],
          ["tcp4", "udp4"],
        ] as const,
      }),
    ),
  };
  const narrow = solveKeys(addresses, { profile: two, cores: 8, samples: 5 });
  ok(narrow.kind === "solution");
  const config = portConfig(nicSetup(narrow, two), "a");
  const options = { random, count: 200 };
  equal(
    mismatches(addresses, () => config, options),
    0,
  );
  const added = {
    ...config,
    fields: { ...config.fields, tcp4: "sdfn", udp4: "sdfn" },
  } as const;
  ok(mismatches(addresses, () => added, options) > 0);
});

test("one table per group of linked ports, none per port", () => {
  const linked = solved(rssRequirement(["lan:ipv4.src=wan:ipv4.dst"], false));
  deepEqual(
    linked.groups.map(({ ports }) => ports),
    [["lan", "wan"]],
  );
  const apart = solved(
    rssRequirement(["a:ipv4.src=a:ipv4.src", "b:ipv4.dst=b:ipv4.dst"], false),
  );
  deepEqual(
    apart.groups.map(({ ports }) => ports),
    [["a"], ["b"]],
  );
});

test("constants: keys that differ in a fixed bit still meet", () => {
  // p.src = q.src xor 0.0.0.1: pairs of neighbours.
  const requirement: Requirement = {
    ports: ["a"],
    conjuncts: [
      {
        ports: ["a", "a"],
        equations: Array.from({ length: 32 }, (_, bit) => ({
          left: {
            bits: [{ field: "ipv4.src" as const, bit }],
            constant: bit === 31 ? (1 as const) : (0 as const),
          },
          right: {
            bits: [{ field: "ipv4.src" as const, bit }],
            constant: 0 as const,
          },
        })),
      },
    ],
  };
  const setup = nicSetup(solved(requirement), e810);
  equal(
    mismatches(requirement, (port) => portConfig(setup, port), {
      random: new Random(seed),
      count: 200,
    }),
    0,
  );
  const model = new NicModel(portConfig(setup, "a"));
  const queue = (src: string): number =>
    model.queueOf(
      buildFrame({
        ipv4: { src, dst: "10.0.0.9" },
        udp: { sport: 1, dport: 2 },
      }),
    ).queue;
  equal(queue("10.1.2.4"), queue("10.1.2.5"));
});

test("refusals name their rule", () => {
  const code = (fields: readonly string[], nic = "e810"): string => {
    const answer = solveKeys(rssRequirement(fields, false), {
      profile: nicProfile(nic),
      samples: 5,
    });
    return answer.kind === "refusal" ? answer.code : "solution";
  };
  const everything: Requirement = {
    ports: ["a"],
    conjuncts: [{ ports: ["a", "a"], equations: [] }],
  };
  const constant = solveKeys(everything, { profile: e810, samples: 5 });
  equal(constant.kind === "refusal" && constant.code, "R4-constant-key");
  // prettier-ignore
  const table: readonly (readonly [readonly string[], string])[] = [
    [["eth.src"], "R4-unhashable"],
    [["vlan.id"], "R4-unhashable"],
    [["ipv4.src", "ipv4.dst"], "R3-disjoint"],
    [["ipv4.dst/8"], "degenerate"],
    [["ipv4.src", "ipv6.src"], "solution"],
    [["ipv6.src,ipv6.dst"], "solution"],
    [["ipv4.src,eth.src"], "solution"],
  ];
  deepEqual(
    table.map(([fields]) => [fields, code(fields)]),
    table,
  );
  equal(code(["ipv4.src"], "veth"), "no-rss");
  equal(code(["eth.src"], "ena"), "unknown-input");
});

test("few cores for few entries, or a refusal", () => {
  const options = {
    profile: {
      ...e810,
      settable: [],
      inputs: {
        tcp4: ["sdfn"],
        udp4: ["sdfn"],
        sctp4: ["sd"],
        other4: ["sd"],
        fragment4: ["sd"],
      },
    },
    mode: "full",
    samples: 50,
  } as const;
  const narrow = rssRequirement(["ipv4.src/24"], false);
  const many = solveKeys(narrow, { ...options, cores: 16 });
  equal(many.kind === "refusal" && many.code, "rank-too-small");
  const uneven = solveKeys(rssRequirement(["ipv4.dst"], false), {
    ...options,
    cores: 16,
  });
  equal(uneven.kind === "refusal" && uneven.code, "imbalance");
});

function flipped(key: string, bit: number): string {
  const bytes = fromHex(key);
  bytes[bit >>> 3] = (bytes[bit >>> 3] ?? 0) ^ (0x80 >>> (bit & 7));
  return toHex(bytes);
}

test("frames carry the bits that pairs ask for", () => {
  const values = new Map([
    ["ipv4.src 31", 1],
    ["l4.dport 15", 1],
  ]);
  const parsed = parseFrame(frame(values, 0));
  equal(readBit(parsed, { field: "ipv4.src", bit: 31 }), 1);
  equal(readBit(parsed, { field: "l4.dport", bit: 15 }), 1);
  equal(readBit(parsed, { field: "l4.dport", bit: 14 }), 0);
});
