/**
 * Operands of selection: which values have virtual registers, which are made
 * where they are needed, which are other values, and which distances fit an access.
 */
import type { Place } from "../../../base/index.ts";
import type { IrFunction, SlotId, ValueId } from "../../../ir/index.ts";
import type { Width } from "../../../isa/index.ts";
import type {
  Base,
  Fresh,
  LowInstruction,
  LowOperand,
  Source,
  Virtual,
} from "./low-code.ts";
import type { ValueFacts } from "./value-facts.ts";

export interface Surroundings {
  readonly slotOffset: (slot: SlotId) => number;
  /** The value that stands for a value. */
  readonly same: (value: ValueId) => ValueId;
}

/** Instructions that an operand needs in front, and their place. */
export interface Front {
  readonly at: Place;
  readonly put: (instruction: LowInstruction) => void;
}

export class Operands {
  readonly fn: IrFunction;
  readonly facts: ValueFacts;
  readonly #surroundings: Surroundings;
  readonly #virtuals = new Map<ValueId, Virtual>();
  #pinned: Virtual | undefined;
  #count = 0;

  constructor(fn: IrFunction, facts: ValueFacts, surroundings: Surroundings) {
    this.fn = fn;
    this.facts = facts;
    this.#surroundings = surroundings;
  }

  get count(): number {
    return this.#count;
  }

  /** The virtual register of the context, for LD_ABS and LD_IND. */
  get pinned(): Virtual | undefined {
    return this.#pinned;
  }

  newVirtual(): Virtual {
    return this.#count++;
  }

  pin(contexts: ReadonlySet<ValueId>): Virtual {
    const [first] = contexts;
    const only =
      first !== undefined && contexts.size === 1 && this.fn.params[0] === first;
    this.#pinned = only ? this.virtualOf(first) : this.newVirtual();
    return this.#pinned;
  }

  /** Of the value itself; from now on it is used. */
  virtualOf(value: ValueId): Virtual {
    const known = this.#virtuals.get(value);
    if (known !== undefined) return known;
    const made = this.newVirtual();
    this.#virtuals.set(value, made);
    return made;
  }

  /** Undefined when nothing wants it. */
  resultOf(value: ValueId): Virtual | undefined {
    return this.#virtuals.get(value);
  }

  source(value: ValueId): Source {
    const same = this.#surroundings.same(value);
    return (
      this.#fresh(same) ?? { kind: "virtual", virtual: this.virtualOf(same) }
    );
  }

  /** In a register of its own or the value's. */
  register(value: ValueId, front: Front): Virtual {
    const source = this.source(value);
    return source.kind === "virtual"
      ? source.virtual
      : this.#make(source, front);
  }

  /** An immediate where the constant fits, at the operation's width. */
  operand(value: ValueId, width: Width, front: Front): LowOperand {
    const source = this.source(value);
    if (source.kind === "virtual") return source;
    if (source.kind === "constant") {
      const number = immediateOf(source.value, width);
      if (number !== undefined) return { kind: "immediate", value: number };
    }
    return { kind: "virtual", virtual: this.#make(source, front) };
  }

  #make(value: Fresh, front: Front): Virtual {
    const dst = this.newVirtual();
    front.put({ kind: "make", dst, value, at: front.at });
    return dst;
  }

  constant(value: ValueId): bigint | undefined {
    const source = this.#fresh(this.#surroundings.same(value));
    return source?.kind === "constant" ? source.value : undefined;
  }

  bits(value: ValueId): number {
    return this.facts.bits(value);
  }

  address(
    value: ValueId,
    offset: number,
    front: Front,
  ): { readonly base: Base; readonly offset: number } {
    const same = this.#surroundings.same(value);
    const fresh = this.#fresh(same);
    if (fresh?.kind === "frame")
      return { base: { kind: "frame-pointer" }, offset: fresh.offset + offset };
    const folded = this.#distance(same);
    if (folded !== undefined && isOffset(folded.distance + offset))
      return {
        base: { kind: "virtual", virtual: this.register(folded.base, front) },
        offset: folded.distance + offset,
      };
    return {
      base: { kind: "virtual", virtual: this.register(same, front) },
      offset,
    };
  }

  /** Base and distance of `base + constant`, when only accesses use it. */
  #distance(
    value: ValueId,
  ): { readonly base: ValueId; readonly distance: number } | undefined {
    const definition = this.facts.definition(value);
    if (definition?.kind !== "binary" || definition.width !== 64)
      return undefined;
    if (definition.op !== "add" || !this.facts.isAddressOnly(value))
      return undefined;
    const distance = this.constant(definition.right);
    if (distance === undefined) return undefined;
    const signed = Number(BigInt.asIntN(64, distance));
    // An access adds less than this; then the whole has room as well.
    if (Math.abs(signed) > 0x3fff) return undefined;
    if (this.#farthest(value) > 0x3fff) return undefined;
    return { base: definition.left, distance: signed };
  }

  #far: Int32Array | undefined;

  /** Largest offset of an access through the value. */
  #farthest(value: ValueId): number {
    if (this.#far === undefined) {
      const far = new Int32Array(this.fn.values.length);
      for (const block of this.facts.order)
        for (const instruction of block.instructions)
          if ("address" in instruction) {
            const { address, offset } = instruction;
            far[address] = Math.max(far[address] ?? 0, Math.abs(offset));
          }
      this.#far = far;
    }
    return this.#far[value] ?? 0;
  }

  #fresh(value: ValueId): Fresh | undefined {
    const definition = this.facts.definition(value);
    switch (definition?.kind) {
      case "const":
        return { kind: "constant", value: definition.value };
      case "undefined":
        return { kind: "constant", value: 0n };
      case "map":
        return {
          kind: "wide",
          value: { kind: "map", map: definition.map },
        };
      case "map-value": {
        const { map, offset } = definition;
        return { kind: "wide", value: { kind: "map-value", map, offset } };
      }
      case "function":
        return {
          kind: "wide",
          value: { kind: "function", name: definition.name },
        };
      case "kernel-symbol":
        return {
          kind: "wide",
          value: { kind: "kernel-symbol", name: definition.name },
        };
      case "slot":
        return {
          kind: "frame",
          offset:
            this.#surroundings.slotOffset(definition.slot) + definition.offset,
        };
      case undefined:
      case "binary":
      case "unary":
      case "extract":
      case "concat":
      case "load":
      case "store":
      case "atomic":
      case "call":
      case "address-cast":
      case "load-packet":
        return undefined;
    }
  }

  isUndefined(value: ValueId): boolean {
    return (
      this.facts.definition(this.#surroundings.same(value))?.kind ===
      "undefined"
    );
  }
}

export function isOffset(offset: number): boolean {
  return offset >= -0x8000 && offset <= 0x7fff;
}

/** The immediate that stands for the word at this width, if one does. */
export function immediateOf(word: bigint, width: Width): number | undefined {
  if (width === 32) return Number(BigInt.asIntN(32, word));
  const signed = BigInt.asIntN(64, word);
  return signed === BigInt.asIntN(32, signed) ? Number(signed) : undefined;
}
