/**
 * What an index allocator and its neighbours are to each other, in the terms of the
 * dataflow: which functions are its, and where in an entry its index stands.
 *
 *   entries[K] = { …, index: i }      chain[i + 1] = { links, K }
 */
import type { MapSpec } from "../isa/index.ts";
import type { Allocator } from "./report.ts";
import type { Byte, State } from "./state.ts";
import type { Loaded } from "./sources.ts";
import type { Form, Symbols } from "./symbols.ts";
import { bitsOfBytes } from "./memory.ts";

/** An allocator with the array of its cells. */
export interface Linked {
  readonly array: string;
  readonly allocator: Allocator;
  /** Where in a value of its entries the index stands. */
  readonly indexOffset: number;
}

export type Role = "allocate" | "refresh" | "free";

/** Bytes of a cell that the allocator owns. */
export const LINKS = 16;
/** -1 as an index is one below its cell's number. */
export const BELOW = 0xffff_ffff;

export class Links {
  readonly all: readonly Linked[];
  readonly #functions = new Map<string, { linked: Linked; role: Role }>();

  constructor(
    allocators: ReadonlyMap<string, Allocator>,
    maps: ReadonlyMap<string, MapSpec>,
  ) {
    this.all = [...allocators].map(([array, allocator]) => {
      const entries = maps.get(allocator.entries ?? "");
      const indexOffset = entries === undefined ? 0 : indexOffsetOf(entries);
      return { array, allocator, indexOffset };
    });
    for (const linked of this.all) {
      const { allocate, refresh, free } = linked.allocator.functions;
      this.#functions.set(allocate, { linked, role: "allocate" });
      if (refresh !== undefined)
        this.#functions.set(refresh, { linked, role: "refresh" });
      if (free !== undefined)
        this.#functions.set(free, { linked, role: "free" });
    }
  }

  /** How many indices a loaded word can name, where it is the index of an entry. */
  indices({ kind, object, offset, size }: Loaded): number | undefined {
    const linked = this.withEntries(object);
    return kind === "load" && size === 4 && linked?.indexOffset === offset
      ? linked.allocator.capacity
      : undefined;
  }

  get functions(): ReadonlySet<string> {
    return new Set(this.#functions.keys());
  }
  of(fn: string): { readonly linked: Linked; readonly role: Role } | undefined {
    return this.#functions.get(fn);
  }
  withEntries(map: string): Linked | undefined {
    return this.all.find(({ allocator }) => allocator.entries === map);
  }
  withArray(map: string): Linked | undefined {
    return this.all.find(({ array }) => array === map);
  }
}

/** A member called index, or the last four bytes. */
export function indexOffsetOf({ valueFields, valueSize }: MapSpec): number {
  const field = valueFields?.find(
    ({ path, bits }) => path === "index" && bits === 32,
  );
  return field === undefined ? valueSize - 4 : field.bitOffset / 8;
}

const nameOf = (load: number, at: number): string => `${load}.${at}`;

/** The state after bytes were stored into the cell of a fresh index. */
export function enter(
  state: State,
  load: number,
  place: {
    readonly offset: number | undefined;
    readonly bytes: readonly Byte[];
  },
): State {
  const { offset, bytes } = place;
  const entered = new Map(state.entered);
  if (offset === undefined) {
    for (const name of entered.keys())
      if (name.startsWith(`${load}.`)) entered.delete(name);
  } else
    for (const [at, byte] of bytes.entries())
      entered.set(nameOf(load, offset + at), byte);
  return { ...state, entered };
}

/** Does the cell of the fresh index hold this key? */
export function holdsKey(
  state: State,
  load: number,
  place: { readonly offset: number; readonly key: readonly Form[] },
  symbols: Symbols,
): boolean {
  const { offset, key } = place;
  for (let at = 0; at < key.length / 8; at++) {
    const byte = state.entered.get(nameOf(load, offset + at));
    if (byte === undefined) return false;
    const bits = bitsOfBytes([byte], symbols);
    if (bits.some((form, bit) => form !== key[8 * at + bit])) return false;
  }
  return true;
}

/** The fresh index that a value of the entries holds. */
export function freshIndexAt(
  value: readonly Form[],
  { array, indexOffset }: Linked,
  symbols: Symbols,
): number | undefined {
  const at = 8 * indexOffset;
  const word = symbols.wordOf(value.slice(at, at + 32));
  if (word === undefined || word.plus !== BELOW) return undefined;
  const { kind, object } = symbols.sources.load(word.load);
  return kind === "fresh" && object === array ? word.load : undefined;
}
