/**
 * Which registers and spill slots are wanted, over blocks of instructions.
 *
 * A set is a bigint: bits 0 … 9 are registers, bit 10 + k the k-th spill slot. Spill
 * slots are accessed by r10 and their own offset only, eight bytes at a time.
 */
import type { Instruction, Operand, Register } from "../../../isa/index.ts";
import { endTargets, type PlacedBlock } from "./emit.ts";

export type WantedSet = bigint;

interface Effect {
  readonly reads: WantedSet;
  readonly writes: WantedSet;
}

export function registerBit(register: Register): WantedSet {
  return 1n << BigInt(register);
}

const clobbered = 0b11_1111n;

export class MachineLiveness {
  readonly #slots: ReadonlyMap<number, WantedSet>;

  /** `slots`: offsets of the spill slots from r10. */
  constructor(slots: readonly number[]) {
    this.#slots = new Map(
      slots.map((offset, index) => [offset, 1n << BigInt(10 + index)]),
    );
  }

  /** Index = block: what is wanted at its start. */
  solve(blocks: readonly PlacedBlock[]): WantedSet[] {
    const predecessors: number[][] = blocks.map(() => []);
    for (const [index, block] of blocks.entries())
      for (const target of endTargets(block.end))
        predecessors[target]?.push(index);
    const effects = blocks.map((block) => this.#blockEffect(block));
    const wanted: WantedSet[] = blocks.map(() => 0n);
    const isQueued = new Uint8Array(blocks.length).fill(1);
    const work = blocks.map((_, index) => index);
    for (let at = work.pop(); at !== undefined; at = work.pop()) {
      isQueued[at] = 0;
      const block = blocks[at];
      const effect = effects[at];
      if (block === undefined || effect === undefined) continue;
      const after = this.after(block, wanted);
      const before = effect.reads | (after & ~effect.writes);
      if (before === wanted[at]) continue;
      wanted[at] = before;
      for (const predecessor of predecessors[at] ?? []) {
        if (isQueued[predecessor] === 1) continue;
        isQueued[predecessor] = 1;
        work.push(predecessor);
      }
    }
    return wanted;
  }

  /** What is wanted behind the end of a block. */
  after(block: PlacedBlock, wanted: readonly WantedSet[]): WantedSet {
    let set = 0n;
    for (const target of endTargets(block.end)) set |= wanted[target] ?? 0n;
    return set;
  }

  endReads({ end }: PlacedBlock): WantedSet {
    if (end.kind === "exit") return 1n;
    return end.kind === "branch" ? this.effect(end.branch).reads : 0n;
  }

  #blockEffect(block: PlacedBlock): Effect {
    let reads = this.endReads(block);
    let writes = 0n;
    for (const { instruction, args } of block.code.toReversed()) {
      const effect = this.effect(instruction, args);
      reads = (reads & ~effect.writes) | effect.reads;
      writes |= effect.writes;
    }
    return { reads, writes };
  }

  /** `args`: how many argument registers a call reads. */
  effect(instruction: Instruction, args = 5): Effect {
    switch (instruction.kind) {
      case "alu": {
        const dst = registerBit(instruction.dst);
        const isMove = instruction.op.startsWith("mov");
        return {
          reads: operandBit(instruction.src) | (isMove ? 0n : dst),
          writes: dst,
        };
      }
      case "neg":
      case "endian": {
        const dst = registerBit(instruction.dst);
        return { reads: dst, writes: dst };
      }
      case "address-cast":
        return {
          reads: registerBit(instruction.src),
          writes: registerBit(instruction.dst),
        };
      case "load-wide":
        return { reads: 0n, writes: registerBit(instruction.dst) };
      case "load":
      case "load-acquire": {
        const { base, offset, dst } = instruction;
        return {
          reads: this.#slot(base, offset) ?? baseBit(base),
          writes: registerBit(dst),
        };
      }
      case "store": {
        const { base, offset, src } = instruction;
        const slot = this.#slot(base, offset);
        return {
          reads: operandBit(src) | (slot === undefined ? baseBit(base) : 0n),
          writes: slot ?? 0n,
        };
      }
      case "store-release":
        return {
          reads: baseBit(instruction.base) | registerBit(instruction.src),
          writes: 0n,
        };
      case "atomic": {
        const { base, src, op, fetch } = instruction;
        const exchanges = op === "cmpxchg";
        const reads = baseBit(base) | registerBit(src) | (exchanges ? 1n : 0n);
        if (!fetch) return { reads, writes: 0n };
        return { reads, writes: exchanges ? 1n : registerBit(src) };
      }
      case "branch":
        return {
          reads: registerBit(instruction.left) | operandBit(instruction.right),
          writes: 0n,
        };
      case "call":
        return { reads: ((1n << BigInt(args)) - 1n) << 1n, writes: clobbered };
      case "load-packet": {
        const { index } = instruction;
        return {
          reads:
            registerBit(6) | (index === undefined ? 0n : registerBit(index)),
          writes: clobbered,
        };
      }
      case "exit":
        return { reads: 1n, writes: 0n };
      case "jump":
      case "may-goto":
      case "call-register":
        return { reads: 0n, writes: 0n };
    }
  }

  /** The spill slot that an access goes to, if it goes to one. */
  #slot(base: Register, offset: number): WantedSet | undefined {
    return base === 10 ? this.#slots.get(offset & ~7) : undefined;
  }
}

function baseBit(base: Register): WantedSet {
  return base === 10 ? 0n : registerBit(base);
}

function operandBit(operand: Operand): WantedSet {
  return operand.kind === "register" && operand.register !== 10
    ? registerBit(operand.register)
    : 0n;
}
