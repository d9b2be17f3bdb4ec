/**
 * What one run of one packet touched, as far as two runs are compared by it: indices
 * that it was given, tables that it found full, cells outside the allocators.
 */
import type { CellTouch, Observer } from "../interp/index.ts";
import type { AllocatorCheck } from "./chain-view.ts";

export class TouchNotes {
  /** Indices handed out to this packet, by chain, in order. */
  readonly given = new Map<string, number[]>();
  /** Indices whose cells were looked at outside the allocator's functions. */
  readonly seen = new Map<string, Set<number>>();
  /** Cells outside the allocators, as `map[cell]`. */
  readonly cells = new Set<string>();
  full = 0;
  /** Cells that were ever written, by map; `clear` keeps them. */
  readonly written = new Map<string, Set<string>>();
  readonly observer: Required<Pick<Observer, "touch">>;
  readonly #chains = new Map<string, AllocatorCheck>();
  readonly #inside = new Set<string>();
  /** Where each allocator's function touches its chain first, and how often it did. */
  readonly #entries = new Map<string, number>();
  readonly #asked = new Map<string, number>();

  constructor(allocators: readonly AllocatorCheck[]) {
    for (const allocator of allocators) {
      this.#chains.set(allocator.chain, allocator);
      for (const name of allocator.functions) this.#inside.add(name);
    }
    this.observer = { touch: (touch) => this.touch(touch) };
  }

  clear(): void {
    this.given.clear();
    this.seen.clear();
    this.cells.clear();
    this.#asked.clear();
    this.full = 0;
  }

  touch({ map, cell, op, result, at, offset, writes }: CellTouch): void {
    if (result === "full") this.full++;
    if (writes) {
      const cells = this.written.get(map);
      if (cells === undefined) this.written.set(map, new Set([cell]));
      else cells.add(cell);
    }
    const allocator = this.#chains.get(map);
    if (allocator === undefined) {
      // What an allocator deletes on the way is expired: nobody's.
      if (!this.#inside.has(at.function)) this.cells.add(`${map}[${cell}]`);
      return;
    }
    if (at.function === allocator.allocate) {
      const first = this.#entries.get(map) ?? at.instruction;
      this.#entries.set(map, first);
      if (first === at.instruction)
        this.#asked.set(map, (this.#asked.get(map) ?? 0) + 1);
    }
    const number = numberOf(cell);
    if (number === 0) return;
    if (this.#inside.has(at.function)) {
      if (at.function === allocator.allocate && op === "store" && offset === 0)
        add(this.given, map, number - 1);
    } else {
      const indices = this.seen.get(map) ?? new Set();
      indices.add(number - 1);
      this.seen.set(map, indices);
    }
  }

  /**
   * Equal in two runs that had room for the same: what was refused, by table, and behind
   * which look-ups: of two entries wanted in turn, one run may refuse the first, the
   * other the second.
   */
  get room(): string {
    const refused = [...this.#asked].flatMap(([chain, asked]) => {
      const missing = asked - (this.given.get(chain)?.length ?? 0);
      if (missing === 0) return [];
      const entries = this.#chains.get(chain)?.entries;
      const keys = [...this.cells].filter(
        (cell) => entries !== undefined && cell.startsWith(`${entries}[`),
      );
      return [`${chain} ${missing} ${keys.sort().join()}`];
    });
    return `${this.full}; ${refused.sort().join()}`;
  }
}

/** Key bytes of an array's cell as hexadecimal, little-endian. */
function numberOf(cell: string): number {
  let number = 0;
  for (let at = cell.length - 2; at >= 0; at -= 2)
    number = number * 256 + Number.parseInt(cell.slice(at, at + 2), 16);
  return number;
}

function add(to: Map<string, number[]>, name: string, index: number): void {
  const known = to.get(name);
  if (known === undefined) to.set(name, [index]);
  else known.push(index);
}
