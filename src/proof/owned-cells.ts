/**
 * Which cell a touch counts for, where the state is parted (DESIGN.md, "partitioned"):
 *
 * - inside an allocator's functions: none; free lists and order are a core's own;
 * - a cell of a chain, or of an array that goes with its indices: the entry that holds
 *   the index; for packets that name an index themselves only if they got something by
 *   it, since what they may learn of another's is nothing (R5), as pass 2 shows;
 * - a cell of a sketch: the packet bits that it is a hash of, beside the cell itself;
 * - all others: themselves.
 */
import { toHex } from "../base/index.ts";
import type { CellTouch, PacketInput, State } from "../interp/index.ts";
import { heldAt, type AllocatorCheck } from "./chain-view.ts";
import type { Ownership } from "./ownership.ts";
import type { Partition } from "./partition.ts";

interface Pending {
  readonly touch: CellTouch;
  readonly allocator: AllocatorCheck;
  readonly index: number;
}

export class OwnedCells {
  readonly #ownership: Ownership;
  readonly #state: State;
  readonly #partition: Partition | undefined;
  readonly #byMap = new Map<string, AllocatorCheck>();
  readonly #inside = new Set<string>();
  #pending: Pending[] = [];
  #seen = 0;
  #packet = 0;
  #input: PacketInput | undefined;

  constructor(ownership: Ownership, state: State, partition?: Partition) {
    this.#ownership = ownership;
    this.#state = state;
    this.#partition = partition;
    for (const allocator of partition?.allocators ?? []) {
      for (const name of [allocator.chain, ...allocator.followers])
        this.#byMap.set(name, allocator);
      for (const name of allocator.functions) this.#inside.add(name);
    }
  }

  /** A packet begins, seen by the NIC as `seen`. */
  begin(seen: number, packet: number, input: PacketInput): void {
    this.#seen = seen;
    this.#packet = packet;
    this.#input = input;
  }

  plain(touch: CellTouch): void {
    this.#ownership.touch(touch, this.#seen, this.#packet);
  }

  touch(touch: CellTouch): void {
    const { map, cell } = touch;
    if (this.#inside.has(touch.at.function)) return;
    const allocator = this.#byMap.get(map);
    if (allocator !== undefined) {
      const number = Number.parseInt(
        cell.match(/../g)?.reverse().join("") ?? "0",
        16,
      );
      const index = map === allocator.chain ? number - 1 : number;
      if (index >= 0) this.#pending.push({ touch, allocator, index });
      return;
    }
    const { sketches, sketchKey, aim } = this.#partition ?? {};
    if (
      aim?.isDischarged?.(touch.at) === true &&
      this.#input !== undefined &&
      aim.isAimed(this.#input)
    )
      return;
    if (sketches?.has(map) === true && this.#input !== undefined) {
      const key = sketchKey?.(map, this.#input) ?? "";
      this.plain({ ...touch, cell: `${cell} of ${key}` });
    } else this.plain(touch);
  }

  /**
   * The packet is done: an index that it was given has its key now. `gets`: would have
   * become something else of it, had no index been in use?
   */
  end(gets: (input: PacketInput) => boolean): void {
    if (this.#pending.length === 0) return;
    const pending = this.#pending;
    this.#pending = [];
    const { aim } = this.#partition ?? {};
    const input = this.#input;
    const names = input !== undefined && aim?.isAimed(input) === true;
    let isStranger: boolean | undefined;
    for (const { touch, allocator, index } of pending) {
      const { chain, entries } = allocator;
      if (names && aim?.chain === chain) {
        isStranger ??= !gets(input);
        if (isStranger) continue;
      }
      const held = heldAt(this.#state, allocator, index);
      if (held === undefined || entries === undefined) continue;
      const size =
        this.#state.maps.find(({ name }) => name === entries)?.keySize ?? 0;
      this.plain({
        ...touch,
        map: entries,
        cell: toHex(held.key.subarray(0, size)),
      });
    }
  }
}
