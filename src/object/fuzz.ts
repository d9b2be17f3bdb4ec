/**
 * Hostile object files, made from real ones by seeded mutation, and the judge of
 * what reading them may do: give a value or an InputError, in bounded time. Two
 * in five values go on: written, read again and relocated against themselves.
 *
 * Used by the test beside it and, for longer runs, by scripts/fuzz.mjs.
 */
import { InputError, Random } from "../base/index.ts";
import { applyCoreRelocations } from "./apply-core.ts";
import { readElf, type Elf, type ElfSection } from "./elf.ts";
import { programSpec } from "./program.ts";
import { readObject } from "./read-object.ts";
import { writeObject } from "./write-object.ts";

export interface FuzzInput {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface FuzzOptions {
  readonly seed: number;
  readonly cases: number;
  /** Milliseconds, from anywhere. */
  readonly now: () => number;
  /** Stop early at this time. */
  readonly until?: number;
}

export interface FuzzFailure {
  readonly input: string;
  readonly case: number;
  readonly mutation: string;
  readonly error: unknown;
}

export interface FuzzReport {
  readonly cases: number;
  /** Cases whose ELF headers and symbols were taken, so that deeper readers ran. */
  readonly pastHeaders: number;
  /** Cases that gave a value. */
  readonly values: number;
  /** InputErrors by code. */
  readonly codes: ReadonlyMap<string, number>;
  /** Anything else that was thrown, and errors that name no file. */
  readonly failures: readonly FuzzFailure[];
  readonly slowest: { readonly ms: number; readonly case: number };
}

export function fuzzObjects(
  inputs: readonly FuzzInput[],
  options: FuzzOptions,
): FuzzReport {
  const prepared = inputs.map((input) => ({
    ...input,
    elf: readElf(input.bytes),
  }));
  const codes = new Map<string, number>();
  const failures: FuzzFailure[] = [];
  let pastHeaders = 0;
  let values = 0;
  let slowest = { ms: 0, case: -1 };
  let count = 0;
  for (; count < options.cases; count++) {
    if (options.until !== undefined && options.now() > options.until) break;
    const random = new Random(options.seed).fork(count);
    const input = random.pick(prepared);
    const mutation = random.pick(mutations);
    const bytes = mutation.apply(input.bytes.slice(), input.elf, random);
    const start = options.now();
    const fail = (error: unknown): void => {
      failures.push({
        input: input.name,
        case: count,
        mutation: mutation.name,
        error,
      });
    };
    try {
      readElf(bytes);
      pastHeaders++;
    } catch {
      // Judged below: readObject reads the headers again.
    }
    try {
      exercise(bytes, input.name, random.chance(0.4));
      values++;
    } catch (error) {
      if (!(error instanceof InputError)) fail(error);
      else {
        if (error.file === undefined) fail(error);
        codes.set(error.code, (codes.get(error.code) ?? 0) + 1);
      }
    }
    const ms = options.now() - start;
    if (ms > slowest.ms) slowest = { ms, case: count };
  }
  return { cases: count, pastHeaders, values, codes, failures, slowest };
}

/** What the room does with a file: reads it and, if `deep`, the rest as well. */
function exercise(bytes: Uint8Array, file: string, deep: boolean): void {
  const object = readObject(bytes, file);
  if (!deep) return;
  // From here on InputErrors are answers too, but the file was read.
  allowInputErrors(() => {
    for (const { name } of object.programs.slice(0, 4))
      programSpec(object, { entry: name, type: "xdp" });
    readObject(writeObject(object), file);
  });
  allowInputErrors(() => {
    if (object.btf !== undefined) applyCoreRelocations(object, object.btf);
  });
}

function allowInputErrors(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
  }
}

interface Mutation {
  readonly name: string;
  /** Changes `bytes`, its own copy, or gives others. */
  readonly apply: (bytes: Uint8Array, elf: Elf, random: Random) => Uint8Array;
}

/** Numbers at which sizes, counts and ids go wrong. */
// prettier-ignore
const edges: readonly bigint[] = [
  0n, 1n, 2n, 7n, 8n, 0x7fn, 0xffn, 0xffffn, 0x10000n, 0xffffffn, 0x7fffffffn, 0x80000000n,
  0xfffffff8n, 0xffffffffn, 0x100000000n, 0x1fffffffffffffn, 0x7fffffffffffffffn, 0xffffffffffffffffn,
];

const mutations: readonly Mutation[] = [
  { name: "truncate", apply: truncate },
  { name: "flip bits", apply: (bytes, _, random) => flip(bytes, random, 0) },
  { name: "flip bits in a section", apply: flipInSection },
  { name: "flip bits in a section", apply: flipInSection },
  { name: "section header", apply: sectionHeader },
  { name: "symbol", apply: words((s) => s.type === 2, 8) },
  { name: "relocation", apply: words((s) => s.type === 9, 8) },
  { name: "BTF", apply: words((s) => s.name === ".BTF", 4) },
  { name: "BTF", apply: words((s) => s.name === ".BTF", 4) },
  { name: "BTF.ext", apply: words((s) => s.name === ".BTF.ext", 4) },
  { name: "map definitions", apply: words((s) => /maps/.test(s.name), 4) },
  { name: "code", apply: words((s) => (s.flags & 4) !== 0, 4) },
  { name: "copy a block", apply: copyBlock },
];

function truncate(bytes: Uint8Array, elf: Elf, random: Random): Uint8Array {
  const section = random.pick(elf.sections);
  const end = random.chance(0.5)
    ? random.below(bytes.length + 1)
    : section.offset + random.below(section.bytes.length + 1);
  return bytes.slice(0, end);
}

function flip(
  bytes: Uint8Array,
  random: Random,
  start: number,
  size = bytes.length,
): Uint8Array {
  if (size === 0) return bytes;
  for (let count = 1 + random.below(8); count > 0; count--) {
    const at = start + random.below(size);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
  }
  return bytes;
}

function flipInSection(
  bytes: Uint8Array,
  elf: Elf,
  random: Random,
): Uint8Array {
  const read = elf.sections.filter(({ name }) => !/debug/.test(name));
  const section = random.pick(read);
  return flip(bytes, random, section.offset, section.bytes.length);
}

/** One to three fields of one section's header become edge values. */
function sectionHeader(
  bytes: Uint8Array,
  elf: Elf,
  random: Random,
): Uint8Array {
  const view = new DataView(bytes.buffer);
  const table = Number(view.getBigUint64(40, true));
  const at = table + 64 * random.below(elf.sections.length);
  const other = random.pick(elf.sections);
  const field = random.pick([
    [0, 4],
    [4, 4],
    [8, 8],
    [24, 8],
    [32, 8],
    [40, 4],
    [44, 4],
  ] as const);
  const value = random.chance(0.4)
    ? BigInt(random.pick([other.offset, other.size, other.index, other.type]))
    : random.pick(edges);
  put(view, at + field[0], field[1], value);
  return bytes;
}

/** Words of a chosen section become edge values, or small ids. */
function words(
  wanted: (section: ElfSection) => boolean,
  size: 4 | 8,
): Mutation["apply"] {
  return (bytes, elf, random) => {
    const fitting = elf.sections.filter(
      (section) => wanted(section) && section.bytes.length >= size,
    );
    if (fitting.length === 0) return flip(bytes, random, 0);
    const section = random.pick(fitting);
    const view = new DataView(bytes.buffer);
    const room = Math.floor(section.bytes.length / size);
    for (let count = 1 + random.below(3); count > 0; count--) {
      const at = section.offset + size * random.below(room);
      const value = random.chance(0.5)
        ? random.pick(edges)
        : BigInt(random.below(128));
      put(view, at, size, value);
    }
    return bytes;
  };
}

function copyBlock(bytes: Uint8Array, _: Elf, random: Random): Uint8Array {
  const size = 1 + random.below(256);
  const from = random.below(bytes.length);
  const to = random.below(bytes.length);
  bytes.copyWithin(to, from, Math.min(from + size, bytes.length));
  return bytes;
}

function put(view: DataView, at: number, size: 4 | 8, value: bigint): void {
  if (at + size > view.byteLength) return;
  if (size === 4) view.setUint32(at, Number(value & 0xffff_ffffn), true);
  else view.setBigUint64(at, value, true);
}
