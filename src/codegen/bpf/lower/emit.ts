/**
 * Low code with its registers to instructions, block by block; jumps are still
 * between blocks (layout.ts).
 *
 *   - Operations that the machine does in place get a move in front where the left
 *     operand is in another register; one on the stack is loaded into the result's.
 *   - Where the pieces of an interval meet inside a block, the word moves; where
 *     they meet at an edge, it moves on the edge, together with the arguments.
 *   - A group that has a slot is stored where it is written.
 */
import type { Instruction, Register } from "../../../isa/index.ts";
import type { Group } from "./interval.ts";
import { emitInstruction, type Writer } from "./emit-instruction.ts";
import { Places } from "./places.ts";
import type { Lives } from "./intervals.ts";
import type { Place } from "../../../base/index.ts";
import {
  argumentRegisters,
  successorsOf,
  type LowFunction,
  type LowTerminator,
  type Source,
} from "./low-code.ts";
import {
  intoRegister,
  sequence,
  type Copy,
  type Placed,
} from "./parallel-copy.ts";
import type { StackSlots } from "./stack-slots.ts";

/** The end of a block, with registers. */
export type PlacedEnd = { readonly at: Place } & (
  | { readonly kind: "jump"; readonly to: number }
  | {
      readonly kind: "branch";
      readonly branch: Instruction & { readonly kind: "branch" };
      readonly then: number;
      readonly otherwise: number;
    }
  | {
      readonly kind: "may-goto";
      readonly then: number;
      readonly otherwise: number;
    }
  | { readonly kind: "exit" }
  | { readonly kind: "trap" }
);

export function endTargets(end: PlacedEnd): readonly number[] {
  switch (end.kind) {
    case "jump":
      return [end.to];
    case "branch":
    case "may-goto":
      return [end.then, end.otherwise];
    case "exit":
    case "trap":
      return [];
  }
}

export interface PlacedBlock {
  readonly code: readonly Placed[];
  readonly end: PlacedEnd;
}

export function emit(
  fn: LowFunction,
  lives: Lives,
  groups: readonly Group[],
  slots: StackSlots,
): readonly PlacedBlock[] {
  return new Emitter(fn, lives, groups, slots).run();
}

const allRegisters: readonly Register[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

class Emitter {
  readonly #fn: LowFunction;
  readonly #lives: Lives;
  readonly #groups: readonly Group[];
  readonly #slots: StackSlots;
  /** Position → pieces that begin there with a move. */
  readonly #gaps = new Map<number, Copy[]>();
  readonly #places: Places;
  readonly #writer: Writer = {
    put: (...list) => {
      this.#put(...list);
    },
    copy: (copies, free) => {
      this.#copies(copies, free);
    },
    call: (instruction, args) => {
      this.#out.push({ instruction, at: this.#at, args });
    },
    later: (copies) => {
      this.#later = copies;
    },
  };
  /** Results of the call before. */
  #later: readonly Copy[] = [];
  #out: Placed[] = [];
  #at: Place = { function: "", instruction: 0 };

  constructor(
    fn: LowFunction,
    lives: Lives,
    groups: readonly Group[],
    slots: StackSlots,
  ) {
    this.#fn = fn;
    this.#lives = lives;
    this.#groups = groups;
    this.#slots = slots;
    this.#places = new Places(fn.name, groups);
  }

  run(): readonly PlacedBlock[] {
    this.#findGaps();
    const predecessors = this.#fn.blocks.map((): number[] => []);
    for (const [index, block] of this.#fn.blocks.entries())
      for (const successor of successorsOf(block.terminator))
        predecessors[successor]?.push(index);
    return this.#fn.blocks.map((block, index): PlacedBlock => {
      const start = this.#lives.numbering.start(index);
      const end = this.#lives.numbering.end(index);
      this.#out = [];
      this.#at = (block.instructions[0] ?? block.terminator).at;
      if (index === 0) this.#enter();
      const [before, second] = predecessors[index] ?? [];
      if (before !== undefined && second === undefined) {
        const { terminator } = this.#fn.blocks[before] ?? block;
        if (successorsOf(terminator).length > 1) this.#edge(before, index, []);
      }
      for (const [at, instruction] of block.instructions.entries()) {
        const position = start + 2 * (at + 1);
        this.#at = instruction.at;
        this.#gap(position);
        emitInstruction(instruction, position, this.#places, this.#writer);
      }
      this.#at = block.terminator.at;
      this.#gap(end - 2);
      const placedEnd = this.#end(block.terminator, end - 2, index);
      return { code: this.#out, end: placedEnd };
    });
  }

  #findGaps(): void {
    const { numbering } = this.#lives;
    for (const group of new Set(this.#groups))
      for (const [index, piece] of group.pieces.entries()) {
        const before = group.pieces[index - 1];
        const { start, register } = piece;
        if (before?.end !== start || register === undefined) continue;
        if (numbering.start(numbering.blockAt(start)) === start) continue;
        const copy: Copy = {
          to: { kind: "register", register },
          from: this.#places.ofPiece(before, group),
        };
        const list = this.#gaps.get(start);
        if (list === undefined) this.#gaps.set(start, [copy]);
        else list.push(copy);
      }
  }

  #put(...list: readonly Instruction[]): void {
    for (const instruction of list)
      this.#out.push({ instruction, at: this.#at });
  }

  #copies(copies: readonly Copy[], free: readonly Register[]): void {
    this.#out.push(
      ...sequence(copies, {
        at: this.#at,
        free,
        scratch: (index) => this.#slots.scratch(index),
      }),
    );
  }

  #gap(position: number): void {
    const copies = [...this.#later, ...(this.#gaps.get(position) ?? [])];
    this.#later = [];
    if (copies.length > 0) this.#copies(copies, []);
  }

  /** Parameters leave the registers in which they come. */
  #enter(): void {
    const copies = this.#fn.params.flatMap((virtual, index): Copy[] => {
      const register = argumentRegisters[index];
      if (register === undefined) return [];
      const from = { kind: "register", register } as const;
      return this.#places.homes(virtual, 0).map((to) => ({ to, from }));
    });
    this.#copies(copies, []);
  }

  /** Words that live through the edge, and arguments of a jump. */
  #edge(from: number, to: number, args: readonly Source[]): void {
    const { numbering, liveIn } = this.#lives;
    const leave = numbering.end(from) - 1;
    const arrive = numbering.start(to);
    const copies: Copy[] = [];
    const used = new Set<Register>();
    const add = (copy: Copy): void => {
      for (const place of [copy.to, copy.from])
        if (place.kind === "register") used.add(place.register);
      copies.push(copy);
    };
    for (const virtual of liveIn[to] ?? []) {
      const target = this.#places.location(virtual, arrive);
      const source = this.#places.location(virtual, leave);
      // On the stack it is already.
      if (target.kind === "slot") {
        if (source.kind === "register") used.add(source.register);
        continue;
      }
      add({ to: target, from: source });
    }
    for (const [index, param] of (
      this.#fn.blocks[to]?.params ?? []
    ).entries()) {
      const argument = args[index];
      if (argument === undefined) continue;
      const source = this.#places.sourceOf(argument, leave);
      const isSame =
        argument.kind === "virtual" &&
        this.#groups[argument.virtual] === this.#groups[param];
      for (const home of this.#places.homes(param, arrive))
        if (!isSame || home.kind === "register")
          add({ to: home, from: source });
    }
    const free = allRegisters.filter(
      (register) =>
        !used.has(register) &&
        ![...this.#fn.pinned.values()].includes(register),
    );
    this.#copies(copies, free);
  }

  #end(end: LowTerminator, position: number, index: number): PlacedEnd {
    const { at } = end;
    switch (end.kind) {
      case "jump":
        this.#edge(index, end.to, end.args);
        return { kind: "jump", to: end.to, at };
      case "branch": {
        const { op, width, then, otherwise } = end;
        const left = this.#places.register(end.left, position);
        const right = this.#places.operand(end.right, position);
        const branch = {
          kind: "branch",
          op,
          width,
          left,
          right,
          target: 0,
        } as const;
        return { kind: "branch", branch, then, otherwise, at };
      }
      case "may-goto": {
        const { then, otherwise } = end;
        return { kind: "may-goto", then, otherwise, at };
      }
      case "return":
        this.#put(
          ...intoRegister(0, this.#places.sourceOf(end.value, position)),
        );
        return { kind: "exit", at };
      case "trap":
        return { kind: "trap", at };
    }
  }
}
