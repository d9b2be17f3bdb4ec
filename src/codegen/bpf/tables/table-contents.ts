/**
 * A private table's bytes as entries, and entries as the bytes of a table: what the
 * generated functions would find, and would have left.
 *
 * Reading follows the chains, as a look-up does. A table that a program is changing may
 * show an entry twice or not at all; a link that leads nowhere ends its chain, and no
 * chain is followed for longer than a table has entries.
 */
import { Bug, toHex } from "../../../base/index.ts";
import { header, longestChain, type TableLayout } from "./table-layout.ts";

export interface TableEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Offset of the value in the table. */
  readonly at: number;
}

/** By bucket, then in the order of the chain; values are views of `bytes`. */
export function tableEntries(
  bytes: Uint8Array,
  layout: TableLayout,
): readonly TableEntry[] {
  const table = new Table(bytes, layout);
  const found: TableEntry[] = [];
  for (let bucket = 0; bucket < 2 ** layout.bucketBits; bucket++)
    found.push(...table.chain(layout.bucketsAt + 4 * bucket));
  return found;
}

export function tableEntry(
  bytes: Uint8Array,
  layout: TableLayout,
  key: Uint8Array,
): TableEntry | undefined {
  const table = new Table(bytes, layout);
  const wanted = toHex(key);
  return [...table.chain(table.bucketOf(key))].find(
    (entry) => toHex(entry.key) === wanted,
  );
}

export type TableChange = "done" | "full";

/** `bytes` with the entry put in, changed in place; `seed` (odd) if it had none. */
export function putTableEntry(
  bytes: Uint8Array,
  layout: TableLayout,
  entry: {
    readonly key: Uint8Array;
    readonly value: Uint8Array;
    readonly capacity: number;
    readonly seed: bigint;
  },
): TableChange {
  const { key, value, capacity, seed } = entry;
  const table = new Table(bytes, layout);
  if (table.seed === 0n) table.seed = seed | 1n;
  const standing = tableEntry(bytes, layout, key);
  if (standing !== undefined) {
    standing.value.set(value);
    return "done";
  }
  const bucket = table.bucketOf(key);
  const chain = [...table.chain(bucket)];
  if (chain.length >= longestChain) return "full";
  const at = table.take(capacity);
  if (at === undefined) return "full";
  const last = chain.at(-1);
  table.fill(at, key, value);
  table.setLink(
    last === undefined ? bucket : last.at + layout.linkAt,
    table.linkTo(at),
  );
  return "done";
}

/** Takes the key out, in place; false: it was not there. */
export function removeTableEntry(
  bytes: Uint8Array,
  layout: TableLayout,
  key: Uint8Array,
): boolean {
  const table = new Table(bytes, layout);
  const wanted = toHex(key);
  let where = table.bucketOf(key);
  for (const entry of table.chain(where)) {
    const linkAt = entry.at + layout.linkAt;
    if (toHex(entry.key) === wanted) {
      table.setLink(where, table.link(linkAt));
      table.setLink(linkAt, table.link(header.free));
      table.setLink(header.free, table.linkTo(entry.at));
      return true;
    }
    where = linkAt;
  }
  return false;
}

class Table {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #layout: TableLayout;

  constructor(bytes: Uint8Array, layout: TableLayout) {
    if (bytes.length !== layout.size)
      throw new Bug(`a table of ${bytes.length} bytes, not ${layout.size}`);
    this.#bytes = bytes;
    this.#layout = layout;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get seed(): bigint {
    return this.#view.getBigUint64(header.seed, true);
  }
  set seed(seed: bigint) {
    this.#view.setBigUint64(header.seed, seed, true);
  }

  link(at: number): number {
    return this.#view.getUint32(at, true);
  }
  setLink(at: number, link: number): void {
    this.#view.setUint32(at, link, true);
  }
  linkTo(entry: number): number {
    return 1 + (entry - header.size) / 8;
  }

  /** Entries from the link at `from` on. */
  *chain(from: number): Generator<TableEntry> {
    const { keyAt, keySize, valueSize, linkAt, entries } = this.#layout;
    let where = from;
    for (let step = 0; step < entries; step++) {
      const at = this.#target(this.link(where));
      if (at === undefined) return;
      yield {
        key: this.#bytes.slice(at + keyAt, at + keyAt + keySize),
        value: this.#bytes.subarray(at, at + valueSize),
        at,
      };
      where = at + linkAt;
    }
  }

  bucketOf(key: Uint8Array): number {
    const { words, bucketBits, bucketsAt } = this.#layout;
    let hash = this.seed;
    for (const { at, bytes } of words) {
      let word = 0n;
      for (let byte = bytes - 1; byte >= 0; byte--)
        word = (word << 8n) | BigInt(key[at + byte] ?? 0);
      hash = BigInt.asUintN(64, (hash ^ word) * this.seed);
      hash ^= hash >> 32n;
    }
    hash = BigInt.asUintN(64, hash * this.seed);
    return bucketsAt + 4 * Number(hash >> BigInt(64 - bucketBits));
  }

  /** A free entry, no longer free. */
  take(capacity: number): number | undefined {
    const { linkAt, stride } = this.#layout;
    const free = this.#target(this.link(header.free));
    if (free !== undefined) {
      this.setLink(header.free, this.link(free + linkAt));
      return free;
    }
    const fresh = this.link(header.fresh);
    if (fresh >= capacity) return undefined;
    this.setLink(header.fresh, fresh + 1);
    return header.size + (fresh + 1) * stride;
  }

  /** With a link to nowhere; bytes of its words beyond the key are zeros. */
  fill(at: number, key: Uint8Array, value: Uint8Array): void {
    const { keyAt, linkAt, valueSize } = this.#layout;
    this.#bytes.fill(0, at, at + linkAt + 4);
    this.#bytes.set(value.subarray(0, valueSize), at);
    this.#bytes.set(key, at + keyAt);
  }

  #target(link: number): number | undefined {
    const { entries, stride } = this.#layout;
    const distance = (link - 1) * 8;
    return link === 0 || distance > (entries - 1) * stride
      ? undefined
      : header.size + distance;
  }
}
