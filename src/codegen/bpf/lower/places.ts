/** Where words are after allocation: by virtual register and position. */
import { Bug } from "../../../base/index.ts";
import type { Operand, Register } from "../../../isa/index.ts";
import type { Group } from "./interval.ts";
import type { Base, LowOperand, Source, Virtual } from "./low-code.ts";
import type { Copy, Location } from "./parallel-copy.ts";

export class Places {
  readonly #name: string;
  /** Index = virtual register. */
  readonly #groups: readonly Group[];

  constructor(name: string, groups: readonly Group[]) {
    this.#name = name;
    this.#groups = groups;
  }

  groupOf(virtual: Virtual): Group {
    const group = this.#groups[virtual];
    if (group === undefined) throw new Bug(`no group of ${virtual}`);
    return group;
  }

  ofPiece(
    piece: { readonly register: Register | undefined } | undefined,
    group: Group,
  ): Location {
    const register = piece?.register;
    return register === undefined
      ? { kind: "slot", offset: group.slot }
      : { kind: "register", register };
  }

  location(virtual: Virtual, position: number): Location {
    const group = this.groupOf(virtual);
    return this.ofPiece(group.pieceAt(position), group);
  }

  register(virtual: Virtual, position: number): Register {
    const location = this.location(virtual, position);
    if (location.kind !== "register")
      throw new Bug(
        `${this.#name}: virtual register ${virtual} is on the stack at ${position}`,
      );
    return location.register;
  }

  /** Everywhere that a word written at a position must be. */
  homes(virtual: Virtual, position: number): readonly Location[] {
    const location = this.location(virtual, position);
    const group = this.groupOf(virtual);
    return group.isSpilled && location.kind === "register"
      ? [location, { kind: "slot", offset: group.slot }]
      : [location];
  }

  sourceOf(source: Source, position: number): Copy["from"] {
    return source.kind === "virtual"
      ? this.location(source.virtual, position)
      : source;
  }

  operand(operand: LowOperand, position: number): Operand {
    return operand.kind === "immediate"
      ? operand
      : {
          kind: "register",
          register: this.register(operand.virtual, position),
        };
  }

  base(base: Base, position: number): Register {
    return base.kind === "frame-pointer"
      ? 10
      : this.register(base.virtual, position);
  }
}
