/**
 * Random programs for differential tests: arithmetic of both widths, branches,
 * counted loops, stack accesses of mixed sizes, spilled pointers, variable stack
 * indices, pointers that are one of two things, map operations, atomics, calls
 * with the caller's stack, bpf_loop. Every program is valid: it reads only what
 * it wrote, and every run ends.
 *
 * Convention: r6 context, r7 packet, r9 is left to loops; r0 … r5 hold scalars,
 * those in `live` are readable; r8 sums up what was computed.
 */
import { Random } from "#base";
import { parseFunctions, type MapSpec, type ProgramSpec } from "#isa";

const frame = 512;
/** Bytes of the packet that the prologue proves. */
const packetBytes = 32;

export const randomMaps: readonly MapSpec[] = [
  map("table", "hash", 4, 16, 8),
  map("cells", "array", 4, 8, 4),
];

function map(
  name: string,
  type: MapSpec["type"],
  keySize: number,
  valueSize: number,
  maxEntries: number,
): MapSpec {
  // prettier-ignore
  return { name, type, keySize, valueSize, maxEntries, flags: 0, section: ".maps", readOnly: false };
}

export interface RandomProgramOptions {
  /** Rough number of statements of the entry function. Default 40. */
  readonly statements?: number;
  /** Largest subprogram count. Default 2. */
  readonly functions?: number;
  /** No access to the frame at unknown offsets, so that it can be promoted. */
  readonly tameStack?: boolean;
}

export function randomProgram(
  seed: number,
  options: RandomProgramOptions = {},
): ProgramSpec {
  const text = randomProgramText(seed, options);
  return {
    file: `random ${seed}`,
    name: "main",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: parseFunctions(text),
    maps: randomMaps,
  };
}

export function randomProgramText(
  seed: number,
  options: RandomProgramOptions = {},
): string {
  const random = new Random(seed);
  const count = random.below((options.functions ?? 2) + 1);
  const names = Array.from({ length: count }, (_, index) => `f${index}`);
  const texts = names.map((name, index) =>
    new Body(random, options, names.slice(index + 1)).subprogram(name),
  );
  const loops = random.chance(0.3);
  const main = new Body(random, options, names, loops).main();
  const callback = loops
    ? new Body(random, { ...options, statements: 6 }, []).callback()
    : "";
  return [main, ...texts, callback].join("\n");
}

// The first ones lose nothing; so values stay interesting.
const binary = [
  "+=",
  "-=",
  "^=",
  "+=",
  "-=",
  "^=",
  "*=",
  "/=",
  "|=",
  "&=",
  "%=",
  "s/=",
  "s%=",
];
const shifts = ["<<=", ">>=", "s>>="];
// prettier-ignore
const comparisons = ["==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"];
const widths = [1, 2, 4, 8];

class Body {
  readonly #random: Random;
  readonly #statements: number;
  readonly #tame: boolean;
  /** Spills addresses of the frame: one that is lost sight of makes all of it memory. */
  readonly #spillsAddresses: boolean;
  /** Keys and buffers lie among the other bytes, not in a part of their own. */
  readonly #mixes: boolean;
  readonly #functions: readonly string[];
  readonly #hasCallback: boolean;
  readonly #lines: string[] = [];
  /** Readable scalars among r0 … r5. */
  #live = new Set<number>();
  /** Written stack bytes, by offset from r10 plus 512. */
  #written = new Uint8Array(frame);
  /** Words that hold the packet pointer, a stack address: offset → what. */
  #pointers = new Map<number, "packet" | number>();
  #hasPacket = false;
  /** r3 of a subprogram, kept in r6: 16 readable bytes of the caller's stack. */
  #hasFrame = false;
  #depth = 0;
  #labels = 0;

  constructor(
    random: Random,
    options: RandomProgramOptions,
    functions: readonly string[],
    hasCallback = false,
  ) {
    this.#random = random;
    this.#statements = options.statements ?? 40;
    this.#tame = options.tameStack ?? false;
    this.#spillsAddresses = !this.#tame || random.chance(0.2);
    this.#mixes = !this.#tame || random.chance(0.3);
    this.#functions = functions;
    this.#hasCallback = hasCallback;
  }

  main(): string {
    this.#hasPacket = true;
    this.#add("r6 = r1", "r7 = *(u32 *)(r6 + 0)", "r8 = *(u32 *)(r6 + 4)");
    this.#add(
      "r2 = r7",
      `r2 += ${packetBytes}`,
      "r0 = 1",
      "if r2 > r8 goto out",
    );
    for (const register of [0, 1, 2, 3, 4, 5])
      this.#add(
        `r${register} = *(u${this.#pick([16, 32, 64, 64])} *)(r7 + ${register * 4})`,
      );
    this.#add("r8 = 0");
    return this.#finish("main", [0, 1, 2, 3, 4, 5], this.#statements);
  }

  subprogram(name: string): string {
    this.#hasFrame = true;
    this.#add("r6 = r3");
    return this.#finish(name, [1, 2], this.#statements / 3);
  }

  /** bpf_loop's: index in r1, the caller's stack in r2; goes on. */
  callback(): string {
    this.#hasFrame = true;
    this.#add("r6 = r2", "r2 = r1");
    return this.#finish("callback", [1, 2], 6, ["r0 &= 1"]);
  }

  #finish(
    name: string,
    live: readonly number[],
    statements: number,
    last: readonly string[] = [],
  ): string {
    this.#live = new Set(live);
    if (name !== "main") this.#add("r8 = 0");
    for (let index = 0; index < statements; index++) this.#statement();
    const registers = [...this.#live];
    const [first] = registers;
    if (!this.#live.has(0))
      this.#add(`r0 = ${first === undefined ? 0 : `r${first}`}`);
    for (const register of registers)
      if (register !== 0) this.#add(`r0 ^= r${register}`);
    this.#add("r0 += r8");
    this.#mixStack();
    this.#add(...last, ...(name === "main" ? ["out:"] : []), "exit");
    return [`function ${name} section "xdp"`, ...this.#lines].join("\n");
  }

  /** All that was written counts, else a wrong store would not be seen. */
  #mixStack(): void {
    for (let at = 0; at < frame; at++)
      if (this.#written[at] === 1 && !this.#isPointerByte(at))
        this.#add(
          `r1 = *(u8 *)(r10 - ${frame - at})`,
          "r0 *= 31",
          "r0 ^= r1",
          "r2 = r0",
          "r2 >>= 32",
          "r0 ^= r2",
        );
  }

  #add(...lines: readonly string[]): void {
    this.#lines.push(...lines);
  }

  #pick<T>(values: readonly T[]): T {
    return this.#random.pick(values);
  }

  #label(): string {
    this.#labels++;
    return `l${this.#labels}`;
  }

  #scalar(): number {
    const live = [...this.#live];
    if (live.length > 0) return this.#pick(live);
    return this.#fresh();
  }

  #fresh(): number {
    const register = this.#random.below(6);
    this.#add(`r${register} = ${this.#immediate()}`);
    this.#live.add(register);
    return register;
  }

  #immediate(): number {
    return this.#random.chance(0.5)
      ? this.#random.below(16)
      : this.#random.u32() | 0;
  }

  /** Everything computed reaches r0 through r8, or a wrong value would not be seen. */
  #statement(): void {
    this.#step();
    if (this.#live.size > 0) this.#add("r8 *= 31", `r8 += r${this.#scalar()}`);
  }

  #step(): void {
    const kinds: readonly (readonly [number, () => void])[] = [
      [8, () => this.#arithmetic()],
      [3, () => this.#unary()],
      [6, () => this.#store()],
      [6, () => this.#load()],
      [2, () => this.#spill()],
      [2, () => this.#reload()],
      [1, () => this.#atomic()],
      [this.#tame ? 0 : 0.5, () => this.#variable()],
      [1, () => this.#eitherPointer()],
      [this.#hasPacket ? 2 : 0, () => this.#packet()],
      [this.#hasFrame ? 3 : 0, () => this.#frame()],
      [this.#depth < 3 ? 3 : 0, () => this.#branch()],
      [this.#depth === 0 ? 0.7 : 0, () => this.#loop()],
      [1, () => this.#lookup()],
      [0.5, () => this.#update()],
      [this.#functions.length > 0 ? 1 : 0, () => this.#call()],
      [this.#hasCallback ? 1 : 0, () => this.#loopHelper()],
    ];
    const total = kinds.reduce((sum, [weight]) => sum + weight, 0);
    let at = this.#random.unit() * total;
    for (const [weight, make] of kinds) {
      at -= weight;
      if (at < 0) return make();
    }
  }

  #arithmetic(): void {
    const dst = this.#scalar();
    const letter = this.#pick(["r", "w"]);
    const limit = letter === "r" ? 64 : 32;
    if (this.#random.chance(0.25)) {
      this.#add(
        `${letter}${dst} ${this.#pick(shifts)} ${this.#random.below(limit)}`,
      );
      return;
    }
    if (this.#random.chance(0.15)) {
      const to = this.#random.below(6);
      const from = this.#random.chance(0.5)
        ? `${letter}${this.#scalar()}`
        : String(this.#immediate());
      this.#add(`${letter}${to} = ${from}`);
      this.#live.add(to);
      return;
    }
    const op = this.#pick(binary);
    const source = this.#random.chance(0.5)
      ? `${letter}${this.#scalar()}`
      : String(this.#immediate() || 1);
    this.#add(`${letter}${dst} ${op} ${source}`);
  }

  #unary(): void {
    const dst = this.#scalar();
    const source = this.#scalar();
    const forms = [
      `r${dst} = -r${dst}`,
      `w${dst} = -w${dst}`,
      `r${dst} = (s8)r${source}`,
      `w${dst} = (s16)w${source}`,
      `r${dst} = (s32)r${source}`,
      `w${dst} = w${source}`,
      ...[
        "le16",
        "le32",
        "be16",
        "be32",
        "be64",
        "bswap16",
        "bswap32",
        "bswap64",
      ].map((op) => `r${dst} = ${op} r${dst}`),
    ];
    this.#add(this.#pick(forms));
  }

  /** An aligned place in the upper, shared part of the frame, as plus-512 index. */
  #place(size: number): number {
    const slots = 96 / size;
    return frame - 96 + size * this.#random.below(slots);
  }

  /** The same for what a callee gets the address of. */
  #shared(size: number): number {
    const base = frame - (this.#mixes ? 96 : 192);
    return base + size * this.#random.below(Math.floor(96 / size));
  }

  #isPointerByte(at: number): boolean {
    return this.#pointers.has(Math.floor(at / 8) * 8);
  }

  #wrote(at: number, size: number): void {
    this.#written.fill(1, at, at + size);
    for (let word = Math.floor(at / 8) * 8; word < at + size; word += 8)
      this.#pointers.delete(word);
  }

  #readable(at: number, size: number): boolean {
    for (let byte = at; byte < at + size; byte++)
      if (this.#written[byte] !== 1 || this.#isPointerByte(byte)) return false;
    return true;
  }

  #store(): void {
    const size = this.#pick(widths);
    const at = this.#place(size);
    const source = this.#random.chance(0.7)
      ? `r${this.#scalar()}`
      : String(this.#immediate());
    this.#add(`*(u${8 * size} *)(r10 - ${frame - at}) = ${source}`);
    this.#overwrite(at, size);
  }

  /** A narrow store over a spilled pointer leaves bytes that may not be read. */
  #overwrite(at: number, size: number): void {
    for (let word = Math.floor(at / 8) * 8; word < at + size; word += 8)
      if (this.#pointers.has(word)) this.#written.fill(0, word, word + 8);
    this.#wrote(at, size);
  }

  #load(): void {
    for (let tries = 0; tries < 12; tries++) {
      const size = this.#pick(widths);
      const at = this.#place(size);
      if (!this.#readable(at, size)) continue;
      const sign = size < 8 && this.#random.chance(0.3) ? "s" : "u";
      const to = this.#random.below(6);
      this.#add(`r${to} = *(${sign}${8 * size} *)(r10 - ${frame - at})`);
      this.#live.add(to);
      return;
    }
  }

  #spill(): void {
    const at = this.#place(8);
    if (this.#hasPacket && this.#random.chance(0.5)) {
      this.#add(`*(u64 *)(r10 - ${frame - at}) = r7`);
      this.#wrote(at, 8);
      this.#pointers.set(at, "packet");
      return;
    }
    if (!this.#spillsAddresses) return;
    const target = this.#place(8);
    const register = this.#random.below(6);
    this.#add(`r${register} = r10`, `r${register} += ${target - frame}`);
    this.#add(`*(u64 *)(r10 - ${frame - at}) = r${register}`);
    this.#live.delete(register);
    this.#wrote(at, 8);
    this.#pointers.set(at, target);
  }

  #reload(): void {
    const spilled = [...this.#pointers];
    if (spilled.length === 0) return;
    const [at, what] = this.#pick(spilled);
    const register = this.#random.below(6);
    this.#add(`r${register} = *(u64 *)(r10 - ${frame - at})`);
    this.#live.delete(register);
    if (what === "packet") {
      this.#add(
        `r${register} = *(u8 *)(r${register} + ${this.#random.below(packetBytes)})`,
      );
      this.#live.add(register);
      return;
    }
    if (this.#random.chance(0.5) && this.#readable(what, 8)) {
      this.#add(`r${register} = *(u32 *)(r${register} + 4)`);
      this.#live.add(register);
      return;
    }
    this.#add(`*(u16 *)(r${register} + 2) = ${this.#random.below(65536)}`);
    this.#overwrite(what + 2, 2);
  }

  #atomic(): void {
    const size = this.#pick([4, 8]);
    const at = this.#shared(size);
    if (!this.#readable(at, size)) return;
    const letter = size === 4 ? "w" : "r";
    const source = this.#scalar();
    const type = `u${8 * size}`;
    const place = `r10 - ${frame - at}`;
    const bits = size === 4 ? "32_32" : "_64";
    const forms = [
      `lock *(${type} *)(${place}) += ${letter}${source}`,
      `lock *(${type} *)(${place}) ^= ${letter}${source}`,
      `${letter}${source} = atomic_fetch_add((${type} *)(${place}), ${letter}${source})`,
      `${letter}${source} = atomic_fetch_or((${type} *)(${place}), ${letter}${source})`,
      `${letter}${source} = xchg${bits}(${place}, ${letter}${source})`,
      ...(this.#live.has(0)
        ? [
            `${letter}0 = cmpxchg${bits}(${place}, ${letter}0, ${letter}${source})`,
          ]
        : []),
    ];
    this.#add(this.#pick(forms));
  }

  /** A byte at an unknown place of a 16-byte buffer. */
  #variable(): void {
    const at = frame - 96 + 8 * this.#random.below(10);
    const index = this.#scalar();
    const value = this.#scalar();
    const free = [0, 1, 2, 3, 4, 5].find((r) => r !== index && r !== value);
    if (
      free === undefined ||
      [at, at + 8].some((word) => this.#pointers.has(word))
    )
      return;
    this.#add(`*(u64 *)(r10 - ${frame - at}) = ${this.#random.below(99)}`);
    this.#add(`*(u64 *)(r10 - ${frame - at - 8}) = ${this.#random.below(99)}`);
    this.#wrote(at, 16);
    this.#add(`r${index} &= 15`, `r${free} = r10`);
    this.#add(`r${free} += ${at - frame}`, `r${free} += r${index}`);
    this.#live.delete(free);
    if (this.#random.chance(0.5))
      this.#add(`*(u8 *)(r${free} + 0) = r${value}`);
    else {
      this.#add(`r${free} = *(u8 *)(r${free} + 0)`);
      this.#live.add(free);
    }
  }

  /** One pointer register, two regions. */
  #eitherPointer(): void {
    const at = this.#mixes ? this.#place(4) : this.#shared(4);
    if (!this.#hasPacket || !this.#readable(at, 4)) return;
    const condition = this.#scalar();
    const register = [0, 1, 2, 3, 4, 5].find((r) => r !== condition) ?? 0;
    const label = this.#label();
    this.#add(`r${register} = r7`);
    this.#add(`if w${condition} s> 5 goto ${label}`);
    this.#add(`r${register} = r10`, `r${register} += ${at - frame}`);
    this.#add(`${label}:`, `r${register} = *(u16 *)(r${register} + 1)`);
    this.#live.add(register);
  }

  #packet(): void {
    const size = this.#pick(widths);
    const at = this.#random.below(packetBytes - size + 1);
    const register = this.#scalar();
    const place = `*(u${8 * size} *)(r7 + ${at})`;
    if (this.#random.chance(0.4)) this.#add(`${place} = r${register}`);
    else this.#add(`r${register} = ${place}`);
  }

  #frame(): void {
    const size = this.#pick(widths);
    const at = size * this.#random.below(16 / size);
    const register = this.#scalar();
    const place = `*(u${8 * size} *)(r6 + ${at})`;
    if (this.#random.chance(0.5)) this.#add(`${place} = r${register}`);
    else this.#add(`r${register} = ${place}`);
  }

  #nested(count: number): void {
    this.#depth++;
    for (let index = 0; index < count; index++) this.#statement();
    this.#depth--;
  }

  #branch(): void {
    const letter = this.#pick(["r", "w"]);
    const left = this.#scalar();
    let right = this.#random.chance(0.5)
      ? `${letter}${this.#scalar()}`
      : String(this.#immediate());
    if (this.#random.chance(0.3)) {
      // Equal in the low half only: tells a comparison's width.
      const half = (left + 1) % 6;
      this.#add(`r${left} *= 1000003`, `r${left} *= 999983`);
      this.#add(`w${half} = w${left}`);
      this.#live.add(half);
      right = `${letter}${half}`;
    }
    const other = this.#label();
    const end = this.#label();
    this.#add(
      `if ${letter}${left} ${this.#pick(comparisons)} ${right} goto ${other}`,
    );
    const before = this.#snapshot();
    this.#nested(this.#random.below(5));
    const after = this.#snapshot();
    this.#restore(before);
    this.#add(`goto ${end}`, `${other}:`);
    if (this.#random.chance(0.6)) this.#nested(this.#random.below(5));
    this.#add(`${end}:`);
    this.#meet(after);
  }

  #snapshot(): Snapshot {
    return {
      live: new Set(this.#live),
      written: this.#written.slice(),
      pointers: new Map(this.#pointers),
    };
  }

  #restore(state: Snapshot): void {
    this.#live = new Set(state.live);
    this.#written = state.written.slice();
    this.#pointers = new Map(state.pointers);
  }

  /** What holds on both ways into here. */
  #meet(other: Snapshot): void {
    for (const register of this.#live)
      if (!other.live.has(register)) this.#live.delete(register);
    for (let at = 0; at < frame; at++) {
      const word = Math.floor(at / 8) * 8;
      const same = this.#pointers.get(word) === other.pointers.get(word);
      if (other.written[at] !== 1 || !same) this.#written[at] = 0;
    }
    for (const [word, what] of this.#pointers)
      if (other.pointers.get(word) !== what) this.#pointers.delete(word);
  }

  #loop(): void {
    const start = this.#label();
    const before = this.#snapshot();
    this.#add("r9 = 0", `${start}:`);
    // The body may rely on nothing that a round of it destroys.
    const at = this.#lines.length;
    const round = this.#random.fork(this.#lines.length).seed;
    const body = (): void => this.#nested(1 + this.#random.below(4));
    body();
    for (;;) {
      const lost =
        [...before.live].some((register) => !this.#live.has(register)) ||
        before.written.some(
          (flag, byte) => flag === 1 && this.#written[byte] !== 1,
        ) ||
        [...before.pointers].some(
          ([word, what]) => this.#pointers.get(word) !== what,
        ) ||
        [...this.#pointers].some(
          ([word]) =>
            !before.pointers.has(word) &&
            before.written.subarray(word, word + 8).includes(1),
        );
      if (!lost) break;
      // Rare enough: drop the body and keep an empty loop.
      this.#lines.length = at;
      this.#restore(before);
    }
    this.#add("r9 += 1", `if r9 < ${2 + (round & 3)} goto ${start}`);
  }

  #clobber(): void {
    for (const register of [1, 2, 3, 4, 5]) this.#live.delete(register);
    this.#live.add(0);
  }

  /** The key's place on the stack; its bytes become memory. */
  #key(): number {
    const at = this.#shared(4);
    this.#add(`r0 = r${this.#scalar()}`, "r0 &= 7");
    this.#add(`*(u32 *)(r10 - ${frame - at}) = r0`);
    this.#overwrite(at, 4);
    return at;
  }

  #lookup(): void {
    const name = this.#pick(["table", "cells"]);
    const at = this.#key();
    const label = this.#label();
    this.#add(`r1 = map ${name} ll`, "r2 = r10", `r2 += ${at - frame}`);
    this.#add("call map_lookup_elem", `if r0 == 0 goto ${label}`);
    this.#add("r1 = *(u64 *)(r0 + 0)", "r1 += 3", "*(u32 *)(r0 + 4) = r1");
    this.#add("r2 = 5", "lock *(u64 *)(r0 + 0) += r2", "r0 = r1", `${label}:`);
    this.#clobber();
  }

  #update(): void {
    const at = this.#key();
    const from = this.#shared(16);
    if (from < at + 4 && at < from + 16) return;
    this.#add(`r3 = r${this.#scalar()}`);
    this.#add(
      `*(u64 *)(r10 - ${frame - from}) = r3`,
      `*(u64 *)(r10 - ${frame - from - 8}) = 7`,
    );
    this.#wrote(from, 16);
    this.#add("r1 = map table ll", "r2 = r10", `r2 += ${at - frame}`);
    this.#add(
      "r3 = r10",
      `r3 += ${from - frame}`,
      "r4 = 0",
      "call map_update_elem",
    );
    this.#clobber();
  }

  /** 16 readable bytes that a callee may change. */
  #buffer(): number {
    const at = this.#shared(16);
    this.#add(
      `*(u64 *)(r10 - ${frame - at}) = r${this.#scalar()}`,
      `*(u64 *)(r10 - ${frame - at - 8}) = 9`,
    );
    this.#wrote(at, 16);
    return at;
  }

  #call(): void {
    const at = this.#buffer();
    const [a, b] = [this.#scalar(), this.#scalar()];
    this.#add(`r3 = r${a}`, `r4 = r${b === 3 ? 3 : b}`, "r1 = r3", "r2 = r4");
    this.#add("r3 = r10", `r3 += ${at - frame}`);
    this.#add(`call function ${this.#pick(this.#functions)}`);
    this.#clobber();
  }

  #loopHelper(): void {
    const at = this.#buffer();
    this.#add(`r1 = ${1 + this.#random.below(4)}`, "r2 = function callback ll");
    this.#add("r3 = r10", `r3 += ${at - frame}`, "r4 = 0", "call loop");
    this.#clobber();
  }
}

interface Snapshot {
  readonly live: ReadonlySet<number>;
  readonly written: Uint8Array;
  readonly pointers: ReadonlyMap<number, "packet" | number>;
}
