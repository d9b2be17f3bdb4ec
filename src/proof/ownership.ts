/**
 * Pass 1 of the differential check: which cells does each packet of the
 * sequential program touch, and does the steering give every cell one owner?
 *
 * Packets are reduced to steering inputs: whatever the NIC looks at, interned as
 * a number. A cell then has a set of steering inputs, and owning it is a fact
 * about any steering at all: a changed key or table is judged without a new run.
 * No plan is consulted: cells come from the run, cores from the steering.
 */
import type { Place } from "../base/index.ts";
import type { CellTouch } from "../interp/index.ts";
import type { Mismatch } from "./compare.ts";

/** Core of a steering input. */
export type Steering = (steeringInput: number) => number;

interface Owner {
  readonly map: string;
  readonly inputs: Set<number>;
  writes: boolean;
  readonly at: Place;
  readonly packet: number;
}

/** Collects touches of the objects that must have one owner per cell. */
export class Ownership {
  readonly #cells = new Map<string, Owner>();
  /** Those that more than one steering input reaches: the only ones that can fail. */
  readonly #contested = new Map<string, Owner>();
  readonly #objects: ReadonlySet<string>;

  /** `objects`: names of the maps that are sharded. */
  constructor(objects: ReadonlySet<string>) {
    this.#objects = objects;
  }

  has(object: string): boolean {
    return this.#objects.has(object);
  }

  touch(touch: CellTouch, steeringInput: number, packet: number): void {
    if (!this.#objects.has(touch.map)) return;
    const name = `${touch.map}[${touch.cell}]`;
    let owner = this.#cells.get(name);
    if (owner === undefined) {
      owner = {
        map: touch.map,
        inputs: new Set(),
        writes: false,
        at: touch.at,
        packet,
      };
      this.#cells.set(name, owner);
    }
    if (!owner.inputs.has(steeringInput)) {
      owner.inputs.add(steeringInput);
      if (owner.inputs.size === 2) this.#contested.set(name, owner);
    }
    owner.writes ||= touch.writes;
  }

  get cells(): number {
    return this.#cells.size;
  }

  get contested(): number {
    return this.#contested.size;
  }

  /** Cells that the steering gives to two cores; at most `limit` are described. */
  conflicts(
    steering: Steering,
    unit = "core",
    limit = 5,
  ): { count: number; first: Mismatch[] } {
    const first: Mismatch[] = [];
    let count = 0;
    for (const [name, owner] of this.#contested) {
      let core: number | undefined;
      for (const input of owner.inputs) {
        const next = steering(input);
        core ??= next;
        if (next === core) continue;
        count++;
        if (first.length < limit)
          first.push({
            kind: "ownership",
            packet: owner.packet,
            text: `${name} is touched from ${unit} ${core} and ${unit} ${next}`,
          });
        break;
      }
    }
    return { count, first };
  }

  /** Distinct cells that each core touches, by object: what its share must hold. */
  cellsPerCore(steering: Steering): Map<string, number[]> {
    const counts = new Map<string, number[]>();
    for (const { map, inputs } of this.#cells.values()) {
      const [first] = inputs;
      if (first === undefined) continue;
      const core = steering(first);
      const row = counts.get(map) ?? [];
      row[core] = (row[core] ?? 0) + 1;
      counts.set(map, row);
    }
    return counts;
  }

  /** Is there any cell with two owners? Faster than counting. */
  hasConflict(steering: Steering): boolean {
    for (const { inputs } of this.#contested.values()) {
      let core: number | undefined;
      for (const input of inputs) {
        const next = steering(input);
        core ??= next;
        if (next !== core) return true;
      }
    }
    return false;
  }
}
