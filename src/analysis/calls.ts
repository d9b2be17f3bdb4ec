/**
 * What calls do: which objects they touch under which key, what they make of the
 * state, and what their result is. Driven by isa's signatures; a callee that has
 * none may have written everything it was handed.
 */
import type { IrInstruction } from "../ir/index.ts";
import {
  helperByNumber,
  kfuncByName,
  mapTypeRow,
  type FunctionSignature,
  type HelperArgument,
  type HelperResult,
} from "../isa/index.ts";
import {
  bitsOfBytes,
  loseFrame,
  loseReachable,
  loseSlots,
  readBytes,
  writeFrame,
  writeSlot,
} from "./memory.ts";
import { unknownByte, type State } from "./state.ts";
import type { Form } from "./symbols.ts";
import { ANY_OBJECT } from "./touch.ts";
import { freshIndexAt, holdsKey } from "./linked.ts";
import type { Step } from "./step.ts";
import { inputWord } from "./input-word.ts";
import { binary } from "./arithmetic.ts";
import {
  bitsOf,
  fromBits,
  number,
  opaqueWord,
  pointer,
  type Word,
} from "./word.ts";

type Call = Extract<IrInstruction, { kind: "call" }>;

/** Result of a call, and the state after it. */
export function call(
  state: State,
  instruction: Call,
  step: Step,
): { readonly state: State; readonly result: Word } {
  const { callee } = instruction;
  const args = instruction.args.map((value) => step.word(value));
  switch (callee.kind) {
    case "helper": {
      const signature = helperByNumber(callee.helper);
      const name = signature?.name ?? `helper ${callee.helper}`;
      return signature?.args === undefined
        ? foreignCall(state, name, args, step)
        : describedCall(state, { signature, args, instruction }, step);
    }
    case "kfunc": {
      const signature = kfuncByName(callee.name);
      return signature?.args === undefined
        ? foreignCall(state, callee.name, args, step)
        : describedCall(state, { signature, args, instruction }, step);
    }
    case "function": {
      step.calls(callee.name, state);
      if (step.links.of(callee.name) !== undefined)
        return { state, result: allocatorCall(callee.name, args, step) };
      const after = loseReachable(state, args, step.symbols);
      return {
        state: loseFrame(after),
        result: opaqueWord(step.symbols.unknown(`result of ${callee.name}`)),
      };
    }
    case "raw":
      return foreignCall(state, "an unknown function", args, step);
  }
}

/**
 * A call of an allocator's function, which changes its own cells and entries alone.
 * What it touches there its own analysis tells; here the index that it is handed.
 */
function allocatorCall(name: string, args: readonly Word[], step: Step): Word {
  const { symbols } = step;
  const found = step.links.of(name);
  const lost = symbols.unknown(`result of ${name}`);
  if (found === undefined) return opaqueWord(lost);
  const { linked, role } = found;
  if (role === "allocate") {
    const high = Array.from({ length: 32 }, () => lost);
    return fromBits([...step.fresh(linked.array), ...high]);
  }
  const index = args[0] ?? opaqueWord(lost);
  const cell = binary("add", { left: index, right: number(1n) }, 32, symbols);
  const key = bitsOf(cell, symbols).slice(0, 32);
  step.touch({ op: "write", object: linked.array, key, callee: name });
  return opaqueWord(lost);
}

interface Described {
  readonly signature: FunctionSignature;
  readonly args: readonly Word[];
  readonly instruction: Call;
}

/** … of a map, under a key, if those are known. */
interface OnMap extends Described {
  readonly map: string | undefined;
  readonly key: readonly Form[] | undefined;
}

/** Nothing is known of the callee: it may have touched whatever it could reach. */
function foreignCall(
  state: State,
  name: string,
  args: readonly Word[],
  step: Step,
): { state: State; result: Word } {
  step.note(
    "unknown-callee",
    `${name} is not described: assumed to touch all it is handed`,
  );
  for (const arg of args) {
    if (arg.kind === "pointer" && arg.target.kind === "cell")
      step.touch({ op: "other", object: arg.target.cell.object });
    if (arg.kind === "pointer" && arg.target.kind === "map")
      step.touch({ op: "other", object: arg.target.map });
    if (arg.kind === "bits" && arg.bits.some((form) => form < 0))
      step.touch({ op: "other", object: ANY_OBJECT });
  }
  return {
    state: loseFrame(loseSlots(state, step.symbols)),
    result: opaqueWord(step.symbols.unknown(`result of ${name}`)),
  };
}

function describedCall(
  before: State,
  { signature, args, instruction }: Described,
  step: Step,
): { state: State; result: Word } {
  let state = before;
  const kinds = signature.args ?? [];
  const mapAt = kinds.findIndex(({ kind }) => kind === "map");
  const map = mapAt < 0 ? undefined : mapName(args[mapAt]);
  const spec = map === undefined ? undefined : step.mapSpec(map);
  const described = { signature, args, instruction, map, key: undefined };
  const key = mapAt < 0 ? undefined : touchMap(state, described, step);
  for (const [index, kind] of kinds.entries()) {
    const arg = args[index];
    if (arg === undefined) continue;
    const size = sizeOf(kind, args, spec);
    if (reads(kind)) readArgument(arg, step);
    if (writes(kind)) state = writeArgument(state, arg, size, step);
  }
  state = callBack(state, kinds, { args, step });
  if (signature.name === "spin_lock") state = { ...state, locked: true };
  if (signature.name === "spin_unlock") state = { ...state, locked: false };
  const keepsFront = leavesBytes(signature.name, args[1]);
  if (
    !keepsFront &&
    signature.effects.some((effect) => effect.startsWith("packet"))
  )
    state = loseFrame(state);
  if (signature.effects.includes("tail-call"))
    step.note(
      "tail-call",
      "a tail call leaves this program; what it calls is not in this report",
    );
  return { state, result: resultOf({ ...described, key }, step) };
}

/**
 * Functions handed to a helper run with a state that we do not know, and may have
 * written whatever they could reach from their context.
 */
function callBack(
  state: State,
  kinds: readonly HelperArgument[],
  { args, step }: { readonly args: readonly Word[]; readonly step: Step },
): State {
  const at = kinds.findIndex(({ kind }) => kind === "callback");
  const word = args[at];
  if (word === undefined) return state;
  if (word.kind === "pointer" && word.target.kind === "function")
    step.calls(word.target.name, state);
  else step.touch({ op: "other", object: ANY_OBJECT });
  return loseFrame(loseReachable(state, args, step.symbols));
}

/** Cutting the tail and making room for metadata leave the frame's bytes where they are. */
function leavesBytes(name: string, by: Word | undefined): boolean {
  if (name === "xdp_adjust_meta") return true;
  return (
    name === "xdp_adjust_tail" &&
    by?.kind === "number" &&
    BigInt.asIntN(32, by.value) <= 0n
  );
}

/** Records the touch; answers its key. */
function touchMap(
  state: State,
  { signature, args, instruction, map }: OnMap,
  step: Step,
): readonly Form[] | undefined {
  const object = map ?? ANY_OBJECT;
  const spec = map === undefined ? undefined : step.mapSpec(map);
  const kinds = signature.args ?? [];
  const keyAt = kinds.findIndex(({ kind }) => kind === "map-key");
  const keyWord = args[keyAt];
  let key: readonly Form[] | undefined;
  if (keyAt >= 0 && keyWord !== undefined && spec !== undefined) {
    const bytes = readBytes(state, keyWord, spec.keySize, step.symbols);
    if (bytes !== undefined) key = bitsOfBytes(bytes, step.symbols);
    else key = step.keyBehind(keyWord, spec.keySize);
  } else if (keyAt < 0 && spec !== undefined && mapTypeRow(spec.type).indexed) {
    const at = kinds.findIndex(({ kind }, i) => kind === "number" && i > 0);
    const index = args[at];
    if (index !== undefined) key = bitsOf(index, step.symbols).slice(0, 32);
  } else if (keyAt < 0 && spec?.keySize === 0) key = [];
  const flagWord = args[3];
  const flags =
    signature.name === "map_update_elem" && flagWord?.kind === "number"
      ? Number(flagWord.value & 0xffn)
      : undefined;
  const op = operationOf(signature);
  const value =
    op === "update" && spec !== undefined && args[2] !== undefined
      ? readBytes(state, args[2], spec.valueSize, step.symbols)
      : undefined;
  const bits = value && bitsOfBytes(value, step.symbols);
  step.touch({
    op,
    object,
    key,
    flags,
    atomic: true,
    root: instruction.result,
    value: bits,
    keyed: isKeyed(state, { object, key, value: bits }, step),
  });
  return key;
}

/** Does the update store a fresh index whose cell holds the same key? */
function isKeyed(
  state: State,
  update: {
    readonly object: string;
    readonly key: readonly Form[] | undefined;
    readonly value: readonly Form[] | undefined;
  },
  { links, symbols }: Step,
): boolean {
  const { object, key, value } = update;
  const linked = links.withEntries(object);
  if (linked === undefined || key === undefined || value === undefined)
    return false;
  const load = freshIndexAt(value, linked, symbols);
  const offset = linked.allocator.keyOffset;
  return (
    load !== undefined &&
    offset !== undefined &&
    holdsKey(state, load, { offset, key }, symbols)
  );
}

function operationOf(signature: FunctionSignature) {
  switch (signature.name) {
    case "map_lookup_elem":
    case "map_peek_elem":
    case "redirect_map":
    case "tail_call":
      return "lookup";
    case "map_update_elem":
      return "update";
    case "map_delete_elem":
      return "delete";
    case "for_each_map_elem":
      return "iterate";
    default:
      return signature.effects.includes("map-write") ||
        !signature.effects.includes("redirect")
        ? "other"
        : "lookup";
  }
}

function resultOf(
  { signature, args, instruction, map, key }: OnMap,
  step: Step,
): Word {
  const { symbols } = step;
  switch (signature.name) {
    case "map_lookup_elem":
    case "map_lookup_percpu_elem": {
      if (map === undefined)
        return opaqueWord(symbols.unknown("a value of an unknown map"));
      const spec = step.mapSpec(map);
      if (spec !== undefined && mapTypeRow(spec.type).ofMaps)
        return pointer({ kind: "map", map: innerName(map) }, 0);
      return pointer(
        { kind: "cell", cell: { object: map, key, root: instruction.result } },
        0,
      );
    }
    case "get_numa_node_id":
      step.reads("cpu");
      return opaqueWord(symbols.opaque({ kind: "environment", what: "cpu" }));
    case "get_smp_processor_id":
      step.reads("cpu");
      return inputWord("cpu", step.symbols);
    case "ktime_get_ns":
    case "ktime_get_boot_ns":
    case "ktime_get_coarse_ns":
    case "ktime_get_tai_ns":
    case "jiffies64":
      return environment("time", 64, step);
    case "get_prandom_u32":
      return environment("random", 32, step);
  }
  if (pointsToKernel.includes(signature.result))
    return pointer({ kind: "kernel" }, 0);
  if (signature.result === "value-or-null" && map !== undefined) {
    const cell = { object: map, key: undefined, root: instruction.result };
    return pointer({ kind: "cell", cell }, 0);
  }
  if (signature.result === "void") return number(0n);
  if (signature.reads.includes("map") && map !== undefined)
    return opaqueWord(symbols.opaque({ kind: "state", object: map }));
  const sources = args.flatMap((arg) =>
    arg.kind === "pointer" ? [] : bitsOf(arg, symbols),
  );
  return opaqueWord(
    symbols.blame(
      [...sources, symbols.unknown(`result of ${signature.name}`)],
      signature.name,
    ),
  );
}

const pointsToKernel: readonly HelperResult[] = [
  "record-or-null",
  "socket-or-null",
  "memory",
  "memory-or-null",
  "object",
  "object-or-null",
];

/** Name under which the inner maps of an outer one are one object. */
export const innerName = (outer: string): string => `${outer}[]`;

function environment(what: "time" | "random", width: number, step: Step): Word {
  return opaqueWord(step.symbols.opaque({ kind: "environment", what }), width);
}

function mapName(word: Word | undefined): string | undefined {
  return word?.kind === "pointer" && word.target.kind === "map"
    ? word.target.map
    : undefined;
}

function reads(kind: HelperArgument): boolean {
  if (kind.kind === "memory") return kind.access !== "write";
  if (kind.kind === "map-value") return kind.access === "read";
  return kind.kind === "map-key" || kind.kind === "string";
}

function writes(kind: HelperArgument): boolean {
  if (kind.kind === "memory") return kind.access !== "read";
  if (kind.kind === "map-value") return kind.access === "write";
  if (kind.kind === "member") return kind.of !== "lock";
  return (
    kind.kind === "dynptr" ||
    kind.kind === "iterator" ||
    kind.kind === "unsafe-address"
  );
}

function sizeOf(
  kind: HelperArgument,
  args: readonly Word[],
  spec: { readonly valueSize: number } | undefined,
): number | undefined {
  if (kind.kind === "map-value") return spec?.valueSize;
  if (kind.kind === "iterator") return kind.bytes;
  if (kind.kind !== "memory") return undefined;
  if (kind.size.kind === "fixed") return kind.size.bytes;
  const size = args[kind.size.argument];
  return size?.kind === "number" ? Number(size.value) : undefined;
}

function readArgument(arg: Word, step: Step): void {
  if (arg.kind === "pointer" && arg.target.kind === "cell")
    step.touchCell("read", arg.target.cell, { offset: undefined, size: 0 });
}

function writeArgument(
  state: State,
  arg: Word,
  size: number | undefined,
  step: Step,
): State {
  if (arg.kind === "number") return state;
  if (arg.kind === "bits") return loseSlots(state, step.symbols);
  switch (arg.target.kind) {
    case "slot": {
      const lost = unknownByte(step.symbols.unknown("written by a helper"));
      const bytes =
        size === undefined
          ? undefined
          : Array.from({ length: Math.min(size, 512) }, () => lost);
      const place = {
        slot: arg.target.slot,
        offset: bytes === undefined ? undefined : arg.offset,
      };
      return writeSlot(state, place, bytes ?? [], step.symbols);
    }
    case "packet": {
      const lost = unknownByte(step.symbols.unknown("written by a helper"));
      if (size === undefined) return loseFrame(state);
      return writeFrame(
        state,
        { base: arg.target.base, offset: arg.offset },
        Array.from({ length: Math.min(size, 512) }, () => lost),
      );
    }
    case "cell":
      step.touchCell("other", arg.target.cell, { offset: undefined, size: 0 });
      return state;
    case "context":
    case "packet-end":
    case "map":
    case "function":
    case "kernel":
      return state;
  }
}
