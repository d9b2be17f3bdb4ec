/**
 * A call in the frame analysis: which bytes each argument lets the callee reach,
 * by its summary (a function of the program) or its signature (helpers, kfuncs),
 * and what the registers hold afterwards. A callee that neither is known of may
 * reach upward without end from every argument; a function without a summary,
 * everywhere.
 */
import {
  mapTypeRow,
  type FunctionSignature,
  type HelperArgument,
  type Instruction,
} from "../isa/index.ts";
import {
  callbackParameters,
  findMap,
  innerMapName,
  signatureOf,
} from "./callee.ts";
import type { FrameContext } from "./frame.ts";
import {
  any,
  unbounded,
  type FrameState,
  type FrameValue,
} from "./frame-value.ts";

/** Somebody else, or we through memory, may touch address + low … high − 1. */
export type Reach = (address: FrameValue, low: number, high: number) => void;

export interface CallOptions {
  readonly context: FrameContext;
  readonly reach: Reach | undefined;
}

export function call(
  instruction: Instruction & { readonly kind: "call" },
  state: FrameValue[],
  { context, reach }: CallOptions,
): void {
  const { callee } = instruction;
  const values = [1, 2, 3, 4, 5].map((register) => state[register] ?? any);
  const signature = signatureOf(callee);
  if (callee.kind === "function") {
    const count = context.arityOf(callee.name);
    const summary = context.summaries.get(callee.name);
    for (const [index, value] of values.slice(0, count).entries()) {
      const known = summary?.[index];
      if (known === undefined) reach?.(value, ...unbounded);
      else if (known.low < known.high) reach?.(value, known.low, known.high);
    }
  } else if (signature?.args === undefined) {
    for (const value of values) reach?.(value, 0, Infinity);
  } else if (reach !== undefined) {
    for (const [index, argument] of signature.args.entries())
      reachArgument(argument, index, { values, signature, context, reach });
  }
  clobber(state, callResult(signature, values, context));
}

/** A map's value that is itself a map keeps its template's name. */
function callResult(
  signature: FunctionSignature | undefined,
  values: FrameState,
  context: FrameContext,
): FrameValue {
  const first = values[0];
  if (signature?.name !== "map_lookup_elem" || first?.kind !== "map")
    return any;
  const map = findMap(context.maps, first.name);
  if (map === undefined || mapTypeRow(map.type).ofMaps !== true) return any;
  return { kind: "map", name: innerMapName(map.name) };
}

function reachArgument(
  argument: HelperArgument,
  index: number,
  call: {
    readonly values: FrameState;
    readonly signature: FunctionSignature;
    readonly context: FrameContext;
    readonly reach: Reach;
  },
): void {
  const value = call.values[index] ?? any;
  if (value.kind !== "pointer") return;
  const up = (bytes: number): void => {
    if (bytes > 0) call.reach(value, 0, bytes);
  };
  const mapArgument = call.values.find((other) => other.kind === "map");
  const map =
    mapArgument?.kind === "map"
      ? findMap(call.context.maps, mapArgument.name)
      : undefined;
  switch (argument.kind) {
    case "number":
    case "size":
    case "context":
    case "map":
    case "callback":
      return;
    case "map-key":
      return up(map?.keySize ?? Infinity);
    case "map-value":
      return up(map?.valueSize ?? Infinity);
    case "memory": {
      if (argument.size.kind === "fixed") return up(argument.size.bytes);
      const size = call.values[argument.size.argument];
      return up(
        size?.kind === "number" && size.low >= 0 ? size.high : Infinity,
      );
    }
    case "iterator":
      return up(argument.bytes);
    case "dynptr":
      return up(16);
    case "callback-context": {
      const at = callbackParameters(call.signature)?.indexOf("context") ?? -1;
      const target = call.values.find((other) => other.kind === "function");
      const summary =
        target?.kind === "function"
          ? call.context.summaries.get(target.name)
          : undefined;
      const reach = summary?.[at];
      if (reach === undefined) call.reach(value, ...unbounded);
      else if (reach.low < reach.high) call.reach(value, reach.low, reach.high);
      return;
    }
    case "string":
    case "member":
    case "kernel-object":
    case "record":
    case "unsafe-address":
      return up(Infinity);
  }
}

/** Calls destroy r1 … r5. */
export function clobber(state: FrameValue[], result: FrameValue): void {
  state[0] = result;
  for (let register = 1; register <= 5; register++) state[register] = any;
}
