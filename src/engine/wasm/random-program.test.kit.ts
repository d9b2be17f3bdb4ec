/**
 * For tests: random programs, as text. Pointers stay in r6 (data), r7 (data_end), r8
 * (any place in packet or frame) and the spill slot at r10 − 8, numbers in r0 … r5,
 * r9 counts; so that what an engine's addresses are never shows.
 *
 * Accesses to the packet are checked by the program only sometimes: where they are
 * not, both engines must fault at the same instruction.
 */
import type { Random } from "../../base/index.ts";

const numbers = ["0", "1", "2", "3", "4", "5"] as const;
// prettier-ignore
const aluOps = ["+=", "-=", "*=", "/=", "s/=", "%=", "s%=", "|=", "&=", "^=", "<<=", ">>=", "s>>=", "="] as const;
// prettier-ignore
const branchOps = ["==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"] as const;
// prettier-ignore
const immediates = [0, 1, -1, 2, 7, 31, 32, 63, 64, 255, 256, -128, 0x7fffffff, -0x80000000, 65535] as const;
const sizes = ["u8", "u16", "u32", "u64"] as const;
const loads = [...sizes, "s8", "s16", "s32"] as const;

/** Where the context shows the packet, and whether LD_ABS may be used. */
export interface ProgramShape {
  readonly data: number;
  readonly dataEnd: number;
  readonly loadsPacket: boolean;
}
export const xdpShape: ProgramShape = {
  data: 0,
  dataEnd: 4,
  loadsPacket: false,
};
export const bufferShape: ProgramShape = {
  data: 76,
  dataEnd: 80,
  loadsPacket: true,
};

/** Calls functions and helpers on `randomMaps` besides, where `calls` says so. */
export function randomProgram(
  random: Random,
  steps: number,
  shape: ProgramShape = xdpShape,
  calls = false,
): string {
  const lines = [
    "*(u64 *)(r10 - 16) = r1",
    `r6 = *(u32 *)(r1 + ${shape.data})`,
    `r7 = *(u32 *)(r1 + ${shape.dataEnd})`,
    "r8 = r6",
    "*(u64 *)(r10 - 8) = r6",
    "r9 = 0",
    ...numbers.map((n) => `r${n} = ${wide(random)} ll`),
  ];
  // Forward jumps end at the start of a later step.
  const targets = Array.from({ length: steps + 1 }, () => false);
  const body = Array.from({ length: steps }, (_, step) => {
    if (shape.loadsPacket && random.chance(0.1)) return packetLoad(random);
    if (calls && random.chance(0.3)) return call(random, `${step}`, shape);
    if (!random.chance(0.15)) return piece(random, `${step}`);
    const to = Math.min(steps, step + 1 + random.below(6));
    targets[to] = true;
    return [branch(random, `step${to}`)];
  });
  for (const [step, piece] of body.entries())
    lines.push(...(targets[step] === true ? [`step${step}:`] : []), ...piece);
  lines.push(...(targets[steps] === true ? [`step${steps}:`] : []));
  for (const n of numbers.slice(1)) lines.push(`r0 *= 31`, `r0 ^= r${n}`);
  lines.push("r1 = r0", "r1 >>= 32", "r0 ^= r1", "exit");
  if (calls) lines.push(...subprograms);
  return lines.join("\n");
}

/** By name and type: keys of 4 bytes, values of 16, few elements. */
export const randomMaps = [
  ["table", "hash"],
  ["line", "array"],
  ["recent", "lru_hash"],
  ["each", "percpu_array"],
] as const;

const subprograms = [
  'function mix section ".text" static',
  "r0 = *(u32 *)(r3 + 0)",
  "r0 += r1",
  "r0 ^= r2",
  "*(u64 *)(r3 + 8) = r0",
  "r6 = r0",
  "*(u32 *)(r10 - 4) = r6",
  "r0 <<= 3",
  "exit",
  'function round section ".text" static',
  "r3 = *(u64 *)(r2 + 0)",
  "r3 *= 31",
  "r3 += r1",
  "*(u64 *)(r2 + 0) = r3",
  "r0 = r3",
  "r0 &= 8",
  "exit",
];

/** r1 … r5 hold no addresses after it, and r0 a number. */
function call(
  random: Random,
  name: string,
  shape: ProgramShape,
): readonly string[] {
  const numbersAgain = [1, 2, 3, 4, 5].map(
    (n) => `r${n} = ${random.pick(immediates)}`,
  );
  return [...anyCall(random, name, shape), ...numbersAgain];
}

function anyCall(
  random: Random,
  name: string,
  shape: ProgramShape,
): readonly string[] {
  const [map] = random.pick(randomMaps);
  const key = [
    `r9 = r${register(random)}`,
    `r9 &= ${random.pick([1, 3, 7])}`,
    "*(u32 *)(r10 - 100) = r9",
    `r1 = map ${map} ll`,
    "r2 = r10",
    "r2 += -100",
  ];
  const value = ["r3 = r10", "r3 += -128", "r4 = 0"];
  switch (random.below(10)) {
    case 0:
      return [
        `call ${random.pick(["ktime_get_ns", "get_prandom_u32", "get_smp_processor_id"])}`,
      ];
    case 1:
      return [...key, ...value, "call map_update_elem"];
    case 2:
      return [...key, "call map_delete_elem"];
    case 3:
      return [
        "r1 = 0",
        "r2 = 0",
        "r3 = r10",
        `r3 += -${random.pick([160, 128])}`,
        `r4 = ${4 * random.below(9)}`,
        "r5 = 7",
        "call csum_diff",
      ];
    case 4:
      return [
        `r1 = r${register(random)}`,
        `r2 = r${register(random)}`,
        "r3 = r10",
        `r3 += -${random.pick([160, 144])}`,
        "call function mix",
      ];
    case 5:
      return [
        `r1 = ${random.below(6)}`,
        "r2 = function round ll",
        "r3 = r10",
        "r3 += -160",
        "r4 = 0",
        "call loop",
      ];
    case 6:
      // Packet pointers of before are void.
      return [
        "r1 = *(u64 *)(r10 - 16)",
        `r2 = ${random.pick([0, 4, 8, -4])}`,
        shape === xdpShape ? "call xdp_adjust_head" : "call skb_pull_data",
        "r1 = *(u64 *)(r10 - 16)",
        `r6 = *(u32 *)(r1 + ${shape.data})`,
        `r7 = *(u32 *)(r1 + ${shape.dataEnd})`,
        "r8 = r6",
        "*(u64 *)(r10 - 8) = r6",
      ];
    default:
      return [...key, "call map_lookup_elem", ...throughValue(random, name)];
  }
}

/** r0 is a value or null; sometimes nobody looks, sometimes the access goes outside. */
function throughValue(random: Random, name: string): readonly string[] {
  const test = random.chance(0.9) ? [`if r0 == 0 goto null${name}`] : [];
  const at = random.below(random.chance(0.1) ? 16 : 9);
  const n = random.pick(["1", "2", "3"]);
  const bits = random.pick([32, 64]);
  const half = bits === 64 ? "r" : "w";
  const type = `(u${bits} *)(r0 + 8)`;
  const access = random.pick([
    [`r${n} = *(${random.pick(loads)} *)(r0 + ${at})`, `r0 = r${n}`],
    [`*(${random.pick(sizes)} *)(r0 + ${at}) = ${random.pick(immediates)}`],
    ["r1 = 5", `lock *${type} += ${half}1`],
    ["r1 = 9", `${half}1 = atomic_fetch_xor(${type}, ${half}1)`, "r0 = r1"],
    [`r1 = load_acquire((u64 *)(r0 + 8))`, "r0 = r1"],
    ["r1 = 77", `store_release((u64 *)(r0 + 8), r1)`],
    ["r9 = 8", "r0 += r9", `r${n} = *(u8 *)(r0 + 3)`, `r0 = r${n}`],
  ]);
  return [...test, ...access, `null${name}:`, "r0 = 3"];
}

function packetLoad(random: Random): readonly string[] {
  const type = random.pick(["u8", "u16", "u32"]);
  const at = random.pick([
    0, 1, 12, 13, 40, 90, -0x100000, -0xffff8, -0x200000,
  ]);
  if (random.chance(0.5)) return [`r0 = *(${type} *)skb[${at}]`];
  const n = register(random);
  return [
    `r${n} &= ${random.pick([15, 63])}`,
    `r0 = *(${type} *)skb[r${n} ${at < 0 ? "-" : "+"} ${Math.abs(at)}]`,
  ];
}

/** Any graph at all: r0 decides at each block, r9 counts the blocks down. */
export function randomGraph(random: Random, blocks: number): string {
  const lines = ["r0 = *(u32 *)(r1 + 12)", `r0 *= ${1 + random.below(1000)}`];
  lines.push(`r9 = ${5 + random.below(60)}`);
  const to = (): string => `b${random.below(blocks)}`;
  for (let block = 0; block < blocks; block++) {
    lines.push(`b${block}:`, "r0 *= 1103515245", `r0 += ${12345 + block}`);
    lines.push("r9 += -1", "if r9 == 0 goto out");
    const choice = random.below(4);
    if (choice > 0)
      lines.push(
        "r1 = r0",
        "r1 >>= 16",
        `if r1 & ${1 << random.below(4)} goto ${to()}`,
      );
    if (choice > 1) lines.push(`goto ${to()}`);
  }
  return [...lines, "out:", "exit"].join("\n");
}

function piece(random: Random, name: string): readonly string[] {
  const kind = random.below(12);
  if (kind < 4) return [alu(random)];
  if (kind === 4) return [unary(random)];
  if (kind === 5) return frame(random);
  if (kind === 6) return atomic(random);
  if (kind === 7)
    return random.chance(0.5)
      ? ["*(u64 *)(r10 - 8) = r8"]
      : ["r8 = *(u64 *)(r10 - 8)"];
  if (kind === 8) return variable(random);
  if (kind === 9) return counted(random, name);
  return packet(random, name);
}

const register = (random: Random): string => random.pick(numbers);

function alu(random: Random): string {
  const op = random.pick(aluOps);
  const half = random.chance(0.4) ? "w" : "r";
  const shift = op === "<<=" || op === ">>=" || op === "s>>=";
  const immediate = shift
    ? random.below(half === "w" ? 32 : 64)
    : random.pick(immediates);
  const source = random.chance(0.5)
    ? `${half}${register(random)}`
    : `${immediate}`;
  return `${half}${register(random)} ${op} ${source}`;
}

function unary(random: Random): string {
  const [dst, src] = [register(random), register(random)];
  const name = random.pick(["le", "be", "bswap"]);
  const bits = random.pick([16, 32, 64]);
  return random.pick([
    `r${dst} = -r${dst}`,
    `w${dst} = -w${dst}`,
    `r${dst} = (s8)r${src}`,
    `r${dst} = (s16)r${src}`,
    `r${dst} = (s32)r${src}`,
    `w${dst} = (s8)w${src}`,
    `w${dst} = (s16)w${src}`,
    `r${dst} = ${name}${bits} r${dst}`,
  ]);
}

function frame(random: Random): readonly string[] {
  const at = `r10 - ${24 + random.below(64)}`;
  const n = register(random);
  if (random.chance(0.5)) return [`r${n} = *(${random.pick(loads)} *)(${at})`];
  return [`*(${random.pick(sizes)} *)(${at}) = r${n}`];
}

function atomic(random: Random): readonly string[] {
  const at = 32 + 8 * random.below(4);
  const [bits, half] = random.pick([
    [64, "r"],
    [32, "w"],
  ] as const);
  const n = register(random);
  const type = `(u${bits} *)(r10 - ${at})`;
  const name = random.pick(["add", "or", "and", "xor"]);
  const sign = { add: "+", or: "|", and: "&", xor: "^" }[name] ?? "+";
  return [
    random.pick([
      `lock *${type} ${sign}= ${half}${n}`,
      `${half}${n} = atomic_fetch_${name}(${type}, ${half}${n})`,
      `${half}${n} = xchg${bits === 32 ? "32" : ""}_${bits}(r10 - ${at}, ${half}${n})`,
      `${half}0 = cmpxchg${bits === 32 ? "32" : ""}_${bits}(r10 - ${at}, ${half}0, ${half}${n})`,
    ]),
  ];
}

function branch(random: Random, label: string): string {
  const half = random.chance(0.4) ? "w" : "r";
  const right = random.chance(0.5)
    ? `${half}${register(random)}`
    : `${random.pick(immediates)}`;
  return `if ${half}${register(random)} ${random.pick(branchOps)} ${right} goto ${label}`;
}

/** r8 becomes a place at a distance that is not known beforehand. */
function variable(random: Random): readonly string[] {
  const n = register(random);
  const distance = [`r9 = r${n}`, `r9 &= ${random.pick([3, 15, 63])}`];
  const moved = [...distance, "r8 += r9"];
  if (random.chance(0.25)) return ["r8 = r10", "r8 += -200", ...moved];
  return random.chance(0.7) ? ["r8 = r6", ...moved] : moved;
}

/** An access through r6 or r8, behind a comparison with data_end or not. */
function packet(random: Random, name: string): readonly string[] {
  const base = random.pick(["r6", "r8"]);
  const at = random.below(24) - (random.chance(0.1) ? 4 : 0);
  const place = `(${base} ${at < 0 ? "-" : "+"} ${Math.abs(at)})`;
  const n = register(random);
  const access = random.chance(0.6)
    ? `r${n} = *(${random.pick(loads)} *)${place}`
    : `*(${random.pick(sizes)} *)${place} = r${n}`;
  if (random.chance(0.25)) return [access];
  const size = random.below(36);
  const test = random.pick(comparisons);
  // r5 is a pointer until it is overwritten; nothing that leaks it may come between.
  const check = [`r5 = ${base}`, `r5 += ${size}`];
  const inside = n === "5" ? [`r5 = 1`] : [access];
  const end = [`skip${name}:`, `r5 = ${random.below(100)}`];
  if (test.leavesWhenTaken)
    return [...check, `if ${test.text} goto skip${name}`, ...inside, ...end];
  return [
    ...check,
    `if ${test.text} goto in${name}`,
    `goto skip${name}`,
    `in${name}:`,
    ...inside,
    ...end,
  ];
}

// prettier-ignore
const comparisons: readonly { readonly text: string; readonly leavesWhenTaken: boolean }[] = [
  ...["r5 > r7", "r5 >= r7", "r7 < r5", "r7 <= r5"].map((text) => ({ text, leavesWhenTaken: true })),
  ...["r5 <= r7", "r5 < r7", "r7 >= r5", "r7 > r5"].map((text) => ({ text, leavesWhenTaken: false })),
];

function counted(random: Random, name: string): readonly string[] {
  return [
    `r9 = ${1 + random.below(4)}`,
    `loop${name}:`,
    alu(random),
    ...frame(random),
    alu(random),
    "r9 += -1",
    `if r9 != 0 goto loop${name}`,
  ];
}

function wide(random: Random): string {
  const value = random.pick([
    BigInt(random.pick(immediates)),
    random.u64(),
    1n << 63n,
    0xffff_ffffn,
  ]);
  return `${BigInt.asUintN(64, value)}`;
}
