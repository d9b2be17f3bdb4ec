/**
 * Types of all values by forward inference, through calls: a parameter is the
 * join over the call sites, a call's result the join over the returns.
 *
 * Pointers start at the context, its packet fields, maps, slots and helper
 * results; adding a constant keeps the offset, adding anything else loses it.
 * A null test changes no type: `nullable` says what the value was born as.
 *
 * Not promised: a word loaded from memory is a scalar even when an address was
 * stored there. An access through a scalar is an access to the unknown.
 */
import { Bug, id } from "../base/index.ts";
import { mapTypeRow, programTypeRow } from "../isa/index.ts";
import {
  callbackParameters,
  findMap,
  innerMapName,
  signatureOf,
} from "./callee.ts";
import { edgesOf, reversePostorder } from "./graph.ts";
import type {
  IrFunction,
  IrInstruction,
  IrProgram,
  ValueId,
  ValueType,
} from "./program.ts";
import {
  joinTypes,
  nullType,
  pointerTo,
  sameType,
  scalar,
  unknownPointer,
  type FlowType,
} from "./value-type.ts";

/** The same program with `values` of every function inferred anew. */
export function inferTypes(program: IrProgram): IrProgram {
  const flow = new Flow(program);
  flow.solve();
  return {
    ...program,
    functions: program.functions.map((fn) => ({
      ...fn,
      values: flow.typesOf(fn),
    })),
  };
}

type Call = IrInstruction & { readonly kind: "call" };

interface FunctionFlow {
  readonly fn: IrFunction;
  readonly order: readonly number[];
  readonly types: (FlowType | undefined)[];
  readonly constants: (bigint | undefined)[];
  readonly callers: Set<FunctionFlow>;
  result: FlowType | undefined;
}

class Flow {
  readonly #program: IrProgram;
  readonly #functions: ReadonlyMap<string, FunctionFlow>;
  readonly #dirty = new Set<FunctionFlow>();

  constructor(program: IrProgram) {
    this.#program = program;
    this.#functions = new Map(
      program.functions.map((fn) => [fn.name, functionFlow(fn)]),
    );
  }

  typesOf(fn: IrFunction): readonly ValueType[] {
    const types = this.#functions.get(fn.name)?.types ?? [];
    const parameters = new Set(fn.params);
    return types.map((type, at) => {
      if (type === undefined)
        return parameters.has(id(at)) ? unknownPointer : scalar;
      return type.kind === "null" ? scalar : type;
    });
  }

  solve(): void {
    const [entry] = this.#functions.values();
    const context = entry?.fn.params[0];
    if (entry !== undefined && context !== undefined)
      entry.types[context] = pointerTo({ kind: "context" }, 0);
    for (const flow of this.#functions.values()) this.#dirty.add(flow);
    for (const flow of this.#dirty) {
      this.#dirty.delete(flow);
      while (this.#sweep(flow));
    }
  }

  #sweep(flow: FunctionFlow): boolean {
    let changed = false;
    const set = (value: ValueId, type: FlowType | undefined): void => {
      if (type === undefined) return;
      const before = flow.types[value];
      const after = joinTypes(before, type);
      if (sameType(before, after)) return;
      flow.types[value] = after;
      changed = true;
    };
    for (const at of flow.order) {
      const block = flow.fn.blocks[at];
      if (block === undefined) continue;
      for (const instruction of block.instructions) {
        if (instruction.kind === "call") this.#call(flow, instruction);
        if ("result" in instruction)
          set(instruction.result, this.#resultType(flow, instruction));
      }
      for (const edge of edgesOf(block.terminator)) {
        const params = flow.fn.blocks[edge.block]?.params ?? [];
        for (const [index, param] of params.entries()) {
          const argument = edge.args[index];
          if (argument !== undefined) set(param, flow.types[argument]);
        }
      }
      if (block.terminator.kind === "return")
        this.#return(flow, flow.types[block.terminator.value]);
    }
    return changed;
  }

  #return(flow: FunctionFlow, type: FlowType | undefined): void {
    if (type === undefined) return;
    const after = joinTypes(flow.result, outward(type));
    if (sameType(flow.result, after)) return;
    flow.result = after;
    for (const caller of flow.callers) this.#dirty.add(caller);
  }

  #pass(target: FunctionFlow, index: number, type: FlowType | undefined): void {
    const param = target.fn.params[index];
    if (param === undefined || type === undefined) return;
    const before = target.types[param];
    const after = joinTypes(before, outward(type));
    if (sameType(before, after)) return;
    target.types[param] = after;
    this.#dirty.add(target);
  }

  /** What the call hands to functions of the program. */
  #call(flow: FunctionFlow, call: Call): void {
    const types = call.args.map((argument) => flow.types[argument]);
    if (call.callee.kind === "function") {
      const target = this.#functions.get(call.callee.name);
      if (target === undefined) return;
      target.callers.add(flow);
      for (const [index, type] of types.entries())
        this.#pass(target, index, type);
      return;
    }
    const signature = signatureOf(call.callee);
    const parameters =
      signature === undefined ? undefined : callbackParameters(signature);
    if (signature?.args === undefined || parameters === undefined) return;
    const at = (kind: string): FlowType | undefined =>
      types[signature.args?.findIndex((arg) => arg.kind === kind) ?? -1];
    const callback = at("callback");
    if (callback?.kind !== "pointer" || callback.region.kind !== "function")
      return;
    const target = this.#functions.get(callback.region.name);
    if (target === undefined) return;
    const map = at("map");
    for (const [index, parameter] of parameters.entries()) {
      const types = {
        number: scalar,
        map: map ?? unknownPointer,
        key: pointerTo({ kind: "kernel", what: "map key" }, 0),
        value: this.#valueOf(map, false) ?? unknownPointer,
        kernel: pointerTo({ kind: "kernel", what: "object" }, 0),
        context: at("callback-context"),
      };
      this.#pass(target, index, types[parameter]);
    }
  }

  /** A pointer to the value of the map that a pointer points to. */
  #valueOf(
    map: FlowType | undefined,
    nullable: boolean,
  ): ValueType | undefined {
    if (map?.kind !== "pointer" || map.region.kind !== "map") return undefined;
    const name = map.region.map;
    const spec = findMap(this.#program.maps, name);
    const ofMaps = spec !== undefined && mapTypeRow(spec.type).ofMaps === true;
    return ofMaps
      ? pointerTo({ kind: "map", map: innerMapName(name) }, 0, nullable)
      : pointerTo({ kind: "map-value", map: name }, 0, nullable);
  }

  #resultType(
    flow: FunctionFlow,
    instruction: IrInstruction,
  ): FlowType | undefined {
    switch (instruction.kind) {
      case "const":
        return instruction.value === 0n ? nullType : scalar;
      case "map":
        return pointerTo({ kind: "map", map: instruction.map }, 0);
      case "map-value":
        return pointerTo(
          { kind: "map-value", map: instruction.map },
          instruction.offset,
        );
      case "function":
        return pointerTo({ kind: "function", name: instruction.name }, 0);
      case "kernel-symbol":
        return pointerTo({ kind: "kernel", what: instruction.name }, 0);
      case "slot":
        return pointerTo(
          { kind: "slot", slot: instruction.slot },
          instruction.offset,
        );
      case "binary":
        return binaryType(flow, instruction);
      case "load":
        return this.#loadType(flow, instruction);
      case "call":
        return this.#callType(flow, instruction);
      case "address-cast":
        return pointerTo({ kind: "kernel", what: "arena" });
      case "unary":
      case "extract":
      case "concat":
      case "undefined":
      case "atomic":
      case "load-packet":
        return scalar;
      case "store":
        throw new Bug("a store has no result");
    }
  }

  #loadType(
    flow: FunctionFlow,
    load: IrInstruction & { readonly kind: "load" },
  ): FlowType | undefined {
    const address = flow.types[load.address];
    if (address === undefined) return undefined;
    if (address.kind !== "pointer" || address.region.kind !== "context")
      return scalar;
    if (address.offset === undefined || load.signed) return scalar;
    const offset = address.offset + load.offset;
    const field = programTypeRow(this.#program.type).context.find(
      (row) => row.offset === offset && row.size === load.size,
    );
    switch (field?.meaning) {
      case "packet":
      case "packet-end":
      case "packet-meta":
        return pointerTo({ kind: field.meaning }, 0);
      case "socket":
        return pointerTo({ kind: "kernel", what: "socket" }, 0, true);
      case "ingress-ifindex":
      case "egress-ifindex":
      case "rx-queue":
      case "packet-length":
      case "protocol":
      case "scalar":
      case undefined:
        return scalar;
    }
  }

  #callType(flow: FunctionFlow, call: Call): FlowType | undefined {
    if (call.callee.kind === "function") {
      const target = this.#functions.get(call.callee.name);
      return target === undefined ? unknownPointer : target.result;
    }
    const signature = signatureOf(call.callee);
    if (signature === undefined) return unknownPointer;
    const first = call.args[0];
    const map = first === undefined ? undefined : flow.types[first];
    const kernel = (what: string, nullable: boolean): ValueType =>
      pointerTo({ kind: "kernel", what }, 0, nullable);
    switch (signature.result) {
      case "number":
      case "void":
      case "status":
      case "count-or-error":
      case "verdict":
        return scalar;
      case "value-or-null":
        return (
          this.#valueOf(map, true) ??
          pointerTo({ kind: "unknown" }, undefined, true)
        );
      case "record-or-null":
        return kernel("record", true);
      case "socket-or-null":
        return kernel("socket", true);
      case "memory":
        return this.#valueOf(map, false) ?? kernel("memory", false);
      case "memory-or-null":
        return kernel("memory", true);
      case "object":
        return kernel("object", false);
      case "object-or-null":
        return kernel("object", true);
    }
  }
}

function functionFlow(fn: IrFunction): FunctionFlow {
  const constants: (bigint | undefined)[] = fn.values.map(() => undefined);
  for (const block of fn.blocks)
    for (const instruction of block.instructions)
      if (instruction.kind === "const")
        constants[instruction.result] = instruction.value;
  return {
    fn,
    order: reversePostorder(fn),
    types: fn.values.map(() => undefined),
    constants,
    callers: new Set(),
    result: undefined,
  };
}

/** Across a call, a slot of one function is the frame of another. */
function outward(type: FlowType): FlowType {
  if (type.kind !== "pointer" || type.region.kind !== "slot") return type;
  return pointerTo({ kind: "frame" }, undefined, type.nullable === true);
}

function binaryType(
  flow: FunctionFlow,
  { op, width, left, right }: IrInstruction & { readonly kind: "binary" },
): FlowType | undefined {
  const leftType = flow.types[left];
  const rightType = flow.types[right];
  if (leftType === undefined || rightType === undefined) return undefined;
  if (width === 32) return scalar;
  const leftPointer = leftType.kind === "pointer" ? leftType : undefined;
  const rightPointer = rightType.kind === "pointer" ? rightType : undefined;
  if (leftPointer === undefined && rightPointer === undefined) return scalar;
  switch (op) {
    case "add": {
      if (leftPointer !== undefined && rightPointer !== undefined)
        return unknownPointer;
      const pointer = leftPointer ?? rightPointer;
      if (pointer === undefined) return scalar;
      const step = flow.constants[leftPointer === undefined ? left : right];
      return moved(pointer, step);
    }
    case "sub": {
      if (leftPointer === undefined) return scalar;
      if (rightPointer !== undefined) return scalar;
      const step = flow.constants[right];
      return moved(leftPointer, step === undefined ? undefined : -step);
    }
    case "and":
    case "or":
    case "xor":
      return unknownPointer;
    case "mul":
    case "div":
    case "sdiv":
    case "mod":
    case "smod":
    case "lsh":
    case "rsh":
    case "arsh":
      return scalar;
  }
}

function moved(
  pointer: ValueType & { readonly kind: "pointer" },
  step: bigint | undefined,
): ValueType {
  const offset =
    step === undefined || pointer.offset === undefined
      ? undefined
      : pointer.offset + Number(BigInt.asIntN(64, step));
  return pointerTo(
    pointer.region,
    Number.isSafeInteger(offset) ? offset : undefined,
    pointer.nullable === true,
  );
}
