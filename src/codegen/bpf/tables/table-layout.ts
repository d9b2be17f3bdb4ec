/**
 * Where everything lies in a private table: a hash table inside one value of an array,
 * one value for each core. Generated code (table-functions.ts) and readers
 * (table-contents.ts) both go by this description, and nobody else knows it.
 *
 *   0   u64 seed   odd, drawn at the first insertion; 0 until then
 *   8   u32 fresh  entries that were ever taken, without the first spare one
 *   12  u32 free   first free entry; its link leads to the next one
 *   16  u32 spare  where the next update of an existing key goes; 0: the first entry
 *   64  entries    capacity + 1 of them
 *         value    rounded up to 8
 *         key      words of 8 bytes; the last one as long as the key if that is 1, 2 or 4
 *         link     u32, the next entry of the chain
 *       buckets    a u32 for each: the first entry of the chain
 *
 * A link is 1 + the distance of an entry from the first one, in units of 8 bytes; 0 is
 * none. So zeros are an empty table, and a link becomes an address without a
 * multiplication, still a multiple of 8 in the verifier's eyes (which atomics need).
 *
 * An update of an existing key fills the spare entry and puts it in the old one's place,
 * which becomes the spare one: as in the kernel's hash map, a pointer looked up before
 * still reads the old value.
 *
 * An entry of up to 64 bytes takes a power of two, so that it lies in one cache line:
 * the map is mmapable, hence its values start at a page, and tables are multiples of 64.
 *
 * Hash: h = seed; for each word w of the key, zero-extended: h = (h ^ w) · seed, then
 * h ^= h >> 32; at last h = h · seed. The bucket is the upper bits of h. Without the last
 * product, keys that count upward fall into few buckets for one seed in 700. The seed is
 * secret and random; it is not promised to withstand who can measure chains.
 *
 * A chain has at most `longestChain` entries: an insertion behind it answers as if the
 * table were full. There are at least 3 buckets for 2 entries; if the hash spreads keys
 * as chance does, a full table of 65,536 has such a chain once in 10^11. Not proved.
 *
 * Source: kernel/bpf/hashtab.c (results), kernel/bpf/arraymap.c (values of mmapable
 * arrays are page-aligned).
 */
import { Bug } from "../../../base/index.ts";
import type { MapSpec } from "../../../isa/index.ts";

export const header = { seed: 0, fresh: 8, free: 12, spare: 16, size: 64 };
export const longestChain = 16;
/** What the kernel takes as one value, and a link can reach. */
export const largestTable = 1 << 29;
const line = 64;
const mmapable = 1 << 10;

/** Bytes of a key that are read at once, and where. */
export interface KeyWord {
  readonly at: number;
  /** Bytes of the key in it: 1 to 8. */
  readonly bytes: number;
  /** Bytes that it takes in an entry: 1, 2, 4 or 8. */
  readonly size: 1 | 2 | 4 | 8;
}

export interface TableLayout {
  readonly keySize: number;
  readonly valueSize: number;
  /** Entries of each core's table. */
  readonly capacities: readonly number[];
  readonly words: readonly KeyWord[];
  /** Offsets in an entry; its value is at 0. */
  readonly keyAt: number;
  readonly linkAt: number;
  /** Bytes from one entry to the next. */
  readonly stride: number;
  /** Entries in each table: the largest capacity, and the spare one. */
  readonly entries: number;
  /** The bucket is this many upper bits of the hash. */
  readonly bucketBits: number;
  readonly bucketsAt: number;
  /** Bytes of one table. */
  readonly size: number;
}

export function tableLayout(
  { keySize, valueSize }: Pick<MapSpec, "keySize" | "valueSize">,
  capacities: readonly number[],
): TableLayout {
  const most = Math.max(...capacities);
  if (keySize < 1 || valueSize < 1 || !(most >= 1))
    throw new Bug(`no table of ${keySize} + ${valueSize} bytes × ${most}`);
  const words = keyWords(keySize);
  const keyAt = up(valueSize, 8);
  const last = words.at(-1);
  const linkAt = up(keyAt + (last === undefined ? 0 : last.at + last.size), 4);
  const stride = strideOf(linkAt + 4);
  const entries = most + 1;
  // A shift by 64 is none: at least two buckets.
  const bucketBits = Math.max(1, Math.ceil(Math.log2(1.5 * most)));
  const bucketsAt = up(header.size + entries * stride, line);
  const size = up(bucketsAt + 4 * 2 ** bucketBits, line);
  // prettier-ignore
  return { keySize, valueSize, capacities, words, keyAt, linkAt, stride, entries, bucketBits, bucketsAt, size };
}

/** The map of tables that stands in for a hash map, under its name. */
export function tableMap(map: MapSpec, layout: TableLayout): MapSpec {
  const { name, section, readOnly, pinning, numaNode } = map;
  return {
    name,
    type: "array",
    keySize: 4,
    valueSize: layout.size,
    maxEntries: layout.capacities.length,
    flags: mmapable,
    section,
    readOnly,
    ...(pinning === undefined ? {} : { pinning }),
    ...(numaNode === undefined ? {} : { numaNode }),
  };
}

function keyWords(keySize: number): readonly KeyWord[] {
  const words: KeyWord[] = [];
  for (let at = 0; at < keySize; at += 8) {
    const bytes = Math.min(8, keySize - at);
    const size = bytes === 1 || bytes === 2 || bytes === 4 ? bytes : 8;
    words.push({ at, bytes, size });
  }
  return words;
}

function strideOf(bytes: number): number {
  if (bytes > line) return up(bytes, 8);
  return 2 ** Math.ceil(Math.log2(Math.max(8, bytes)));
}

function up(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
