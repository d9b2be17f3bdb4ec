/**
 * The rewriting half of slot promotion: variables are the pieces of all slots
 * that slotUses gave a layout; loads of them vanish, stores rename. Addresses
 * that remain are made again, in the slots that remain.
 */
import { id } from "../base/index.ts";
import { graphOf } from "./graph.ts";
import { mapInstruction, mapTerminator } from "./operands.ts";
import type {
  Block,
  IrFunction,
  IrInstruction,
  Slot,
  SlotId,
  ValueId,
} from "./program.ts";
import type { SlotUses } from "./slot-uses.ts";
import { planSsa, type SsaPlan } from "./ssa.ts";
import { scalar } from "./value-type.ts";

export function rewriteSlots(fn: IrFunction, uses: SlotUses): IrFunction {
  return new Rewrite(fn, uses).run();
}

/** A load or store of promoted bytes. */
interface PieceAccess {
  /** Variables, lowest byte first. */
  readonly variables: readonly number[];
  readonly sizes: readonly number[];
}

class Rewrite {
  readonly #fn: IrFunction;
  readonly #uses: SlotUses;
  /** First variable of each slot. */
  readonly #firstVariable = new Map<SlotId, number>();
  readonly #variables: number;
  readonly #slots: Slot[] = [];
  /** What became of each old slot: itself, or the runs that still escape. */
  readonly #parts = new Map<SlotId, Slot[]>();
  readonly #values: IrFunction["values"][number][];
  readonly #replaced = new Map<ValueId, ValueId>();
  /** Addresses by slot and offset, in front of everything. */
  readonly #head = new Map<string, IrInstruction & { readonly kind: "slot" }>();
  readonly #instructions: IrInstruction[][];

  constructor(fn: IrFunction, uses: SlotUses) {
    this.#fn = fn;
    this.#uses = uses;
    this.#values = [...fn.values];
    this.#instructions = fn.blocks.map(() => []);
    let count = 0;
    for (const slot of fn.slots) {
      const layout = uses.layouts.get(slot.id);
      if (layout === undefined) {
        this.#addSlot(slot.id, slot);
        continue;
      }
      this.#firstVariable.set(slot.id, count);
      count += layout.pieces.length;
      for (const part of layout.slots)
        this.#addSlot(slot.id, {
          offset: slot.offset + slot.size + part.offset,
          size: part.size,
        });
    }
    this.#variables = count;
  }

  #addSlot(old: SlotId, place: Pick<Slot, "offset" | "size">): Slot {
    const { offset, size } = place;
    const made: Slot = { id: id(this.#slots.length), offset, size };
    this.#slots.push(made);
    const parts = this.#parts.get(old);
    if (parts === undefined) this.#parts.set(old, [made]);
    else parts.push(made);
    return made;
  }

  run(): IrFunction {
    const fn = this.#fn;
    const plan = planSsa(graphOf(fn), this.#variables, this.#variableUses());
    const out: (Int32Array | undefined)[] = fn.blocks.map(() => undefined);
    const params = fn.blocks.map((block) => [...block.params]);
    for (const node of plan.tree.order) {
      const parent = plan.tree.parent[node] ?? -1;
      const here = new Int32Array(this.#variables).fill(-1);
      if (parent >= 0) here.set(out[parent] ?? []);
      for (const variable of plan.parameters[node] ?? []) {
        const value = this.#newValue();
        here[variable] = value;
        params[node]?.push(value);
      }
      for (const instruction of fn.blocks[node]?.instructions ?? [])
        this.#rewrite(node, instruction, here);
      out[node] = here;
    }
    const blocks = fn.blocks.map((block, node): Block => ({
      id: block.id,
      params: params[node] ?? [],
      instructions: this.#instructions[node] ?? [],
      terminator: this.#end(node, plan, out[node]),
    }));
    const [entry, ...rest] = blocks;
    if (entry === undefined) return fn;
    return {
      ...fn,
      blocks: [
        {
          ...entry,
          instructions: [...this.#head.values(), ...entry.instructions],
        },
        ...rest,
      ],
      values: this.#values,
      slots: this.#slots,
    };
  }

  #newValue(): ValueId {
    this.#values.push(scalar);
    return id<"v">(this.#values.length - 1);
  }

  #access(instruction: IrInstruction): PieceAccess | undefined {
    if (instruction.kind !== "load" && instruction.kind !== "store")
      return undefined;
    const address = this.#uses.addressOf(instruction.address);
    if (address === undefined) return undefined;
    const { slot, offset } = address;
    const layout = this.#uses.layouts.get(slot.id);
    const pieces = layout?.piecesOf(
      offset + instruction.offset - slot.size,
      instruction.size,
    );
    const first = this.#firstVariable.get(slot.id);
    if (layout === undefined || pieces === undefined || first === undefined)
      return undefined;
    return {
      variables: pieces.map((piece) => first + piece),
      sizes: pieces.map((piece) => layout.pieces[piece]?.size ?? 0),
    };
  }

  #variableUses(): { uses: Set<number>; defines: Set<number> }[] {
    return this.#fn.blocks.map((block) => {
      const uses = new Set<number>();
      const defines = new Set<number>();
      for (const instruction of block.instructions)
        for (const variable of this.#access(instruction)?.variables ?? [])
          if (instruction.kind === "store") defines.add(variable);
          else if (!defines.has(variable)) uses.add(variable);
      return { uses, defines };
    });
  }

  /** An operand as it is now: replaced loads, and addresses in new slots. */
  #operand(value: ValueId, at: IrInstruction["at"]): ValueId {
    let name = value;
    for (
      let next = this.#replaced.get(name);
      next !== undefined;
      next = this.#replaced.get(name)
    )
      name = next;
    const address = this.#uses.addressOf(name);
    if (address === undefined) return name;
    const frameOffset = address.slot.offset + address.offset;
    const slot = this.#partAt(address.slot.id, frameOffset);
    const key = `${slot.id} ${frameOffset}`;
    const known = this.#head.get(key);
    if (known !== undefined) return known.result;
    const result = this.#newValue();
    this.#head.set(key, {
      kind: "slot",
      slot: slot.id,
      offset: frameOffset - slot.offset,
      result,
      at,
    });
    return result;
  }

  /** The part of a slot that holds an offset from r10, or ends there. */
  #partAt(old: SlotId, offset: number): Slot {
    const parts = this.#parts.get(old) ?? [];
    return (
      parts.find(
        (part) => part.offset <= offset && offset < part.offset + part.size,
      ) ??
      parts.find((part) => part.offset + part.size === offset) ??
      (this.#uses.layouts.has(old) ? undefined : parts[0]) ??
      this.#addSlot(old, { offset, size: 0 })
    );
  }

  #rewrite(node: number, instruction: IrInstruction, here: Int32Array): void {
    const into = this.#instructions[node] ?? [];
    const { at } = instruction;
    const emit = (
      draft:
        | { kind: "undefined" }
        | { kind: "extract"; value: ValueId; start: number; size: number }
        | { kind: "concat"; parts: { value: ValueId; size: number }[] }
        | { kind: "unary"; op: "sext8" | "sext16" | "sext32"; value: ValueId },
    ): ValueId => {
      const result = this.#newValue();
      into.push({ ...draft, result, at });
      return result;
    };
    // Where a slot's address was made it is made anew, at its first use.
    if (instruction.kind === "slot") return;
    const access = this.#access(instruction);
    if (access === undefined) {
      into.push(
        mapInstruction(instruction, { value: (v) => this.#operand(v, at) }),
      );
      return;
    }
    if (instruction.kind === "store") {
      const value = this.#operand(instruction.value, at);
      let start = 0;
      for (const [index, variable] of access.variables.entries()) {
        const size = access.sizes[index] ?? 0;
        here[variable] =
          size === 8 ? value : emit({ kind: "extract", value, start, size });
        start += size;
      }
      return;
    }
    if (instruction.kind !== "load") return;
    const parts = access.variables.map((variable, index) => {
      let value = here[variable] ?? -1;
      if (value < 0) value = emit({ kind: "undefined" });
      here[variable] = value;
      return { value: id<"v">(value), size: access.sizes[index] ?? 0 };
    });
    const [only] = parts;
    let value =
      only !== undefined && parts.length === 1
        ? only.value
        : emit({ kind: "concat", parts });
    if (instruction.signed && instruction.size < 8) {
      const op =
        instruction.size === 1
          ? "sext8"
          : instruction.size === 2
            ? "sext16"
            : "sext32";
      value = emit({ kind: "unary", op, value });
    }
    this.#replaced.set(instruction.result, value);
  }

  #end(
    node: number,
    plan: SsaPlan,
    here: Int32Array | undefined,
  ): Block["terminator"] {
    const terminator = this.#fn.blocks[node]?.terminator ?? {
      kind: "trap",
      reason: "no end",
      at: { function: this.#fn.name, instruction: 0 },
    };
    const { at } = terminator;
    const operand = (value: ValueId): ValueId => this.#operand(value, at);
    return mapTerminator(terminator, operand, (edge) => ({
      block: edge.block,
      args: [
        ...edge.args.map(operand),
        ...(plan.parameters[edge.block] ?? []).map((variable): ValueId => {
          const value = here?.[variable] ?? -1;
          if (value >= 0) return id(value);
          const result = this.#newValue();
          this.#instructions[node]?.push({ kind: "undefined", result, at });
          return result;
        }),
      ],
    }));
  }
}
