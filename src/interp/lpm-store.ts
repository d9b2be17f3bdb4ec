/**
 * lpm_trie: the longest stored prefix of a key (kernel/bpf/lpm_trie.c).
 *
 * A key is a u32 prefix length in bits, then data. Stored here as a map from (length,
 * masked data), tried from the key's own length down: no trie, and plainly right.
 */
import type { MapSpec } from "../isa/index.ts";
import { indexOf } from "./array-store.ts";
import { CellStore, updateFlag } from "./cell-store.ts";
import { Cells } from "./cells.ts";
import { errno } from "./errno.ts";
import { keyText, type KeyText } from "./key-text.ts";

export class LpmStore extends CellStore {
  #cells = new Map<KeyText, number>();
  /** By cell: the key as it was given. */
  #keys: Uint8Array[] = [];
  #free: number[] = [];
  /** How many elements each prefix length has. */
  #lengths: number[] = [];
  #shared = false;
  #next = 0;
  #spare: number;

  constructor(spec: MapSpec, capacity: number, cells?: Cells) {
    super(
      spec,
      capacity,
      cells ??
        new Cells({
          name: spec.name,
          valueSize: spec.valueSize,
          copies: 1,
          capacity: capacity + 1,
          readOnly: spec.readOnly,
        }),
    );
    this.#spare = capacity;
  }

  get #maxLength(): number {
    return 8 * (this.spec.keySize - 4);
  }

  override find(key: Uint8Array): number {
    const length = indexOf(key);
    if (length > this.#maxLength) return -1;
    for (let shorter = length; shorter >= 0; shorter--) {
      if ((this.#lengths[shorter] ?? 0) === 0) continue;
      const cell = this.#cells.get(masked(key, shorter));
      if (cell !== undefined) return cell;
    }
    return -1;
  }
  override used(): void {}

  override claim(key: Uint8Array, flags: number): number {
    this.fresh = false;
    if (flags >>> 0 > updateFlag.exist) return -errno.EINVAL;
    const length = indexOf(key);
    if (length > this.#maxLength) return -errno.EINVAL;
    const text = masked(key, length);
    const old = this.#cells.get(text);
    if (old === undefined && flags === updateFlag.exist) return -errno.ENOENT;
    if (old !== undefined && flags === updateFlag.noExist) return -errno.EEXIST;
    if (old === undefined && this.#cells.size >= this.capacity)
      return -errno.ENOSPC;
    this.#own();
    const cell =
      old === undefined ? (this.#free.pop() ?? this.#next++) : this.#spare;
    if (old === undefined) {
      this.#lengths[length] = (this.#lengths[length] ?? 0) + 1;
      this.fresh = true;
    } else this.#spare = old;
    this.#cells.set(text, cell);
    this.#keys[cell] = key.slice();
    return cell;
  }

  override remove(key: Uint8Array): number {
    const length = indexOf(key);
    if (length > this.#maxLength) return -errno.EINVAL;
    const text = masked(key, length);
    const cell = this.#cells.get(text);
    if (cell === undefined) return -errno.ENOENT;
    this.#own();
    this.#cells.delete(text);
    this.#free.push(cell);
    this.#lengths[length] = (this.#lengths[length] ?? 1) - 1;
    return 0;
  }

  override *keys(): Iterable<readonly [Uint8Array, number]> {
    // A callback may change the map while it is walked.
    const cells = Array.from(this.#cells.values());
    for (const cell of cells) yield [this.keyOf(cell), cell];
  }
  override keyOf(cell: number): Uint8Array {
    return this.#keys[cell] ?? new Uint8Array(this.spec.keySize);
  }

  override clone(): LpmStore {
    const twin = new LpmStore(this.spec, this.capacity, this.cells.clone());
    twin.region = this.region;
    twin.#cells = this.#cells;
    twin.#keys = this.#keys;
    twin.#free = this.#free;
    twin.#lengths = this.#lengths;
    twin.#next = this.#next;
    twin.#spare = this.#spare;
    this.#shared = true;
    twin.#shared = true;
    return twin;
  }

  #own(): void {
    if (!this.#shared) return;
    this.#shared = false;
    this.#cells = new Map(this.#cells);
    this.#keys = [...this.#keys];
    this.#free = [...this.#free];
    this.#lengths = [...this.#lengths];
  }
}

/** The key's first `length` bits with that length, as an identity. */
function masked(key: Uint8Array, length: number): KeyText {
  const bytes = new Uint8Array(key.length);
  bytes[0] = length;
  bytes[1] = length >>> 8;
  for (let index = 4; index < key.length; index++) {
    const bits = Math.min(8, Math.max(0, length - 8 * (index - 4)));
    bytes[index] = (key[index] ?? 0) & (0xff00 >> bits);
  }
  return keyText(bytes);
}
