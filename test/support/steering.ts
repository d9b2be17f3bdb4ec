/**
 * Inputs that reach the branch edges of one program: packets, and where the packet
 * does not decide, contents of maps and answers of the environment.
 *
 * Runs the program on its bytecode and watches what branches compare. Where only one
 * edge of a branch was ever taken, the compared values are looked for in the input
 * (packet bytes in either byte order, values of cells that were read, length,
 * interface, time) and replaced by what the other edge needs; a lookup that missed
 * gets its key inserted. Random changes cover what such matching misses. No claim:
 * an edge that is not reached may still be reachable.
 *
 * Unlike `coverProgram` of proof it also makes states that no program can meet, such
 * as arrays without elements: two programs that are to be equal must be so there too.
 */
import { Random } from "#base";
import type { CellTouch, Observer } from "#interp";
import type { FunctionSpec, ProgramSpec } from "#isa";
import { buildFrame, type FrameSpec } from "#packet";
import { Bench, type Trial, type Write } from "./trial.ts";

/** One direction of a conditional branch. */
export interface BranchEdge {
  readonly fn: FunctionSpec;
  readonly instruction: number;
  readonly taken: boolean;
}

export interface Reached {
  /** The seeds, then trials that took an edge first. */
  readonly trials: readonly Trial[];
  /** How many edges they took. */
  readonly hit: number;
  readonly missing: readonly BranchEdge[];
}

interface Compare {
  readonly at: string;
  readonly left: bigint;
  readonly right: bigint;
}

interface Run {
  readonly trial: Trial;
  readonly compares: readonly Compare[];
  readonly touches: readonly CellTouch[];
  readonly isNew: boolean;
}

/** Text form: `function+instruction true`. */
export function printEdge({ fn, instruction, taken }: BranchEdge): string {
  return `${fn.name}+${instruction} ${taken}`;
}

function edgesOf(program: ProgramSpec): BranchEdge[] {
  return program.functions.flatMap((fn) =>
    fn.instructions.flatMap(({ kind }, instruction) =>
      kind === "branch"
        ? [true, false].map((taken) => ({ fn, instruction, taken }))
        : [],
    ),
  );
}

/** Searches with at most `budget` runs. */
export function reach(
  program: ProgramSpec,
  options: { readonly seed: number; readonly budget: number },
): Reached {
  const random = new Random(options.seed);
  const edges = new Set<string>();
  let compares: Compare[] = [];
  let touches: CellTouch[] = [];
  let isNew = false;
  const impossible = new Set<string>();
  const observer: Observer = {
    touch: (touch) => void touches.push(touch),
    compare: ({ function: fn, instruction }, left, right) => {
      const at = `${fn}+${instruction}`;
      compares.push({ at, left, right });
      // The context is never null; compilers leave such tests in functions.
      if (left === contextAddress && right === 0n) impossible.add(at);
    },
    branch: ({ function: fn, instruction }, taken) => {
      const edge = `${fn}+${instruction} ${taken}`;
      if (edges.has(edge)) return;
      edges.add(edge);
      isNew = true;
    },
  };
  const bench = new Bench(program, { observer });
  const all = edgesOf(program);
  const writes = distinctElements(program, bench);
  const first = seeds().flatMap((trial) => [trial, { ...trial, writes }]);
  const trials: Trial[] = [];
  const runs = { left: options.budget };
  const run = (trial: Trial): Run => {
    compares = [];
    touches = [];
    isNew = false;
    runs.left--;
    bench.run(trial);
    if (isNew) trials.push(trial);
    return { trial, compares, touches, isNew };
  };
  const isOpen = (at: string): boolean =>
    !impossible.has(at) &&
    (!edges.has(`${at} true`) || !edges.has(`${at} false`));
  const queue: Run[] = first.map(run);
  const tries = new Map<string, number>();
  while (runs.left > 0 && edges.size < all.length) {
    const next = queue.shift();
    if (next === undefined) {
      const trial = havoc(random.pick(trials), { random, bench, touches });
      const found = run(trial);
      if (found.isNew) queue.push(found);
      continue;
    }
    const isOpenRun = next.compares.some(({ at }) => isOpen(at));
    if (!next.isNew && !isOpenRun) continue;
    for (const mutant of steered(next, { isOpen, bench, tries })) {
      const found = run(mutant);
      if (found.isNew) queue.unshift(found);
      if (runs.left <= 0) break;
    }
  }
  const missing = all.filter(
    (edge) =>
      !edges.has(printEdge(edge)) &&
      !impossible.has(`${edge.fn.name}+${edge.instruction}`),
  );
  const every = new Set([...first, ...trials]);
  return { trials: [...every], hit: edges.size, missing };
}

/** Where the machine puts the context (interp/memory.ts); found by what it compares. */
const contextAddress = 0x1_0000n;

const plain: Trial = {
  data: new Uint8Array(),
  ifindex: 1,
  rxQueue: 0,
  cpu: 0,
  time: 1_000_000_000n,
  random: 1,
  route: 0,
  writes: [],
};

/** Frames of every kind that programs tell apart, whole and cut. */
function seeds(): Trial[] {
  const ipv4 = { src: "10.0.0.1", dst: "10.0.0.2" };
  const ipv6 = { src: "2001:db8::1", dst: "2001:db8::2" };
  const ports = { sport: 1000, dport: 80 };
  const l4: readonly FrameSpec[] = [
    { tcp: { ...ports, flags: 2 } },
    { udp: ports },
    { icmp: { type: 8 } },
    {},
  ];
  const frames: FrameSpec[] = [
    ...l4.flatMap((rest) => [
      { ipv4, ...rest },
      { ipv6, ...rest },
      { vlans: [5], ipv4, ...rest },
      { vlans: [5, 6], ipv6, ...rest },
    ]),
    { arp: { op: 1, senderIp: 1n, targetIp: 2n } },
    { eth: { type: 100 } },
    { ipv4: { ...ipv4, options: new Uint8Array(8) }, udp: ports },
    { ipv4: { ...ipv4, moreFragments: true }, udp: ports },
    { ipv4: { ...ipv4, fragmentOffset: 1 }, udp: ports },
    { ipv4: { ...ipv4, ttl: 1 }, udp: ports },
    { ipv6: { ...ipv6, hopLimit: 1 }, udp: ports },
    ...[0, 43, 60, 44, 51].map((type) => ({
      ipv6: { ...ipv6, extensions: [{ type, body: new Uint8Array(7) }] },
      udp: ports,
    })),
  ];
  const long = frames.map((spec) => ({ ...spec, payload: new Uint8Array(80) }));
  const giant = { ipv4, udp: ports, size: 1400 };
  const trial = (data: Uint8Array): Trial => ({ ...plain, data });
  const whole = [...long, ...frames, giant].map((spec) => buildFrame(spec));
  const cut = whole
    .slice(0, 6)
    .flatMap((data) => [0, 13, 14, 20, 34, 40].map((at) => data.slice(0, at)));
  const worlds = [{ route: 1 }, { route: 4 }, { cpu: 1 }, { random: 2 }];
  return [
    ...[...whole, ...cut].map(trial),
    ...whole
      .slice(0, 4)
      .flatMap((data) => worlds.map((world) => ({ ...trial(data), ...world }))),
  ];
}

/**
 * A world that tells more apart: arrays and device maps hold another value at each
 * index, so that a wrong index shows; zero words of global variables are 16.
 */
function distinctElements(program: ProgramSpec, bench: Bench): Write[] {
  return program.maps.flatMap(({ name, keySize, maxEntries, data }) => {
    if (keySize !== 4) return [];
    return Array.from({ length: Math.min(maxEntries || 8, 16) }, (_, index) => {
      const key = `${index.toString(16).padStart(2, "0")}000000`;
      const old = bench.valueOf(plain, name, key);
      if (old === undefined) return [];
      const word = data === undefined ? index + 1 : 16;
      const value = old.map((byte, at) =>
        at % 4 === 0 && old.subarray(at, at + 4).every((other) => other === 0)
          ? word
          : byte,
      );
      return [{ map: name, key, value }];
    }).flat();
  });
}

interface Steering {
  readonly isOpen: (at: string) => boolean;
  readonly bench: Bench;
  /** Trials spent per branch. */
  readonly tries: Map<string, number>;
}

const triesPerBranch = 1000;

/** Changes of a run's input that may turn one of its half-open branches. */
function* steered(run: Run, steering: Steering): Generator<Trial> {
  const { isOpen, bench, tries } = steering;
  if (run.isNew) yield* insertions(run, bench);
  for (const compare of run.compares) {
    for (const trial of turned(run, compare, bench)) {
      if (!isOpen(compare.at)) break;
      const spent = (tries.get(compare.at) ?? 0) + 1;
      tries.set(compare.at, spent);
      if (spent > triesPerBranch) break;
      yield trial;
    }
  }
}

/** Words of 0, 1, many bits, all bits. */
const fills = [
  [0, 0],
  [0, 1],
  [1, 1],
  [0xff, 0xff],
] as const;

/** Lookups that missed find something, others nothing or another value. */
function* insertions({ trial, touches }: Run, bench: Bench): Generator<Trial> {
  const seen = new Set<string>();
  for (const { map, cell, op, result } of touches) {
    if (seen.has(map + cell)) continue;
    seen.add(map + cell);
    if (op === "lookup" && result === "hit" && trial.without === undefined)
      yield {
        ...trial,
        without: map,
        writes: trial.writes.filter((write) => write.map !== map),
      };
    const empty = bench.valueOf(trial, map, cell);
    if (empty === undefined) continue;
    for (const [odd, even] of fills) {
      const value = empty.map((_, at) => (at % 4 === 0 ? even : odd));
      yield written(trial, { map, key: cell, value });
    }
  }
}

function* turned(
  { trial, touches }: Run,
  { left, right }: Compare,
  bench: Bench,
): Generator<Trial> {
  // Two addresses near each other: a bounds check; the packet's length decides.
  if (left > contextAddress && right > contextAddress)
    for (const by of [left - right, right - left])
      for (const more of [0n, 1n, -1n]) yield* resized(trial, by + more);
  for (const [from, to] of [
    [left, right],
    [right, left],
  ] as const)
    for (const value of [to, to + 1n, to - 1n]) {
      if (Number(from) === trial.ifindex && value > 0n && value < 1n << 31n)
        yield { ...trial, ifindex: Number(value) };
      if (Number(from) === trial.rxQueue && value >= 0n && value < 1024n)
        yield { ...trial, rxQueue: Number(value) };
      const seen = new Set<string>();
      for (const { map, cell, result } of touches) {
        if (result !== "hit" || seen.has(map + cell)) continue;
        seen.add(map + cell);
        const old = bench.valueOf(trial, map, cell);
        if (old === undefined) continue;
        for (const bytes of replaced(old, from, value))
          yield written(trial, { map, key: cell, value: bytes });
      }
      for (const data of replaced(trial.data, from, value))
        yield { ...trial, data };
    }
}

function* resized(trial: Trial, by: bigint): Generator<Trial> {
  const length = trial.data.length + Number(by);
  if (by > 2000n || by < -2000n || length < 0 || length > 2000) return;
  const data = new Uint8Array(length);
  data.set(trial.data.subarray(0, length));
  yield { ...trial, data };
}

/** Copies of `bytes` with one occurrence of `from` replaced, in every width and order. */
function* replaced(
  bytes: Uint8Array,
  from: bigint,
  to: bigint,
): Generator<Uint8Array> {
  for (const size of [1, 2, 4, 8]) {
    const bits = 8 * size;
    const small = BigInt.asUintN(bits, from);
    // A value that does not fit may still be a wide one's low part.
    if (small !== BigInt.asUintN(64, from) && size < 4) continue;
    for (const big of size === 1 ? [true] : [true, false]) {
      const needle = encoded(small, size, big);
      const patch = encoded(BigInt.asUintN(bits, to), size, big);
      let found = 0;
      for (let at = 0; at + size <= Math.min(bytes.length, 256); at++) {
        if (!needle.every((byte, index) => bytes[at + index] === byte))
          continue;
        if (++found > 40) break;
        const copy = bytes.slice();
        copy.set(patch, at);
        yield copy;
      }
    }
  }
}

function encoded(value: bigint, size: number, big: boolean): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let index = 0; index < size; index++)
    bytes[big ? size - 1 - index : index] = Number(
      (value >> BigInt(8 * index)) & 0xffn,
    );
  return bytes;
}

function written(trial: Trial, write: Write): Trial {
  const others = trial.writes.filter(
    ({ map, key }) => map !== write.map || key !== write.key,
  );
  return { ...trial, writes: [...others, write] };
}

/** Some random change. */
function havoc(
  trial: Trial,
  {
    random,
    bench,
    touches,
  }: {
    readonly random: Random;
    readonly bench: Bench;
    readonly touches: readonly CellTouch[];
  },
): Trial {
  const data = trial.data.slice();
  switch (random.below(6)) {
    case 0:
      return { ...trial, route: random.below(9) };
    case 1:
      return { ...trial, cpu: random.below(2), random: random.u32() };
    case 2: {
      const touch = touches.length > 0 ? random.pick(touches) : undefined;
      const old = touch && bench.valueOf(trial, touch.map, touch.cell);
      if (touch === undefined || old === undefined || old.length === 0)
        return trial;
      const value = old.slice();
      value[random.below(Math.min(value.length, 64))] = random.u32();
      return written(trial, { map: touch.map, key: touch.cell, value });
    }
    case 3:
      return { ...trial, data: data.slice(0, random.below(data.length + 1)) };
    default:
      for (let count = 1 + random.below(3); count > 0; count--)
        if (data.length > 0)
          data[random.below(Math.min(data.length, 100))] = random.chance(0.5)
            ? random.u32()
            : 1 << random.below(8);
      return { ...trial, data };
  }
}
