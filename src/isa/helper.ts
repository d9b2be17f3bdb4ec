/**
 * The typed form of the helper and kfunc tables, and lookup by number and name.
 * Names are those of the kernel's list, without `bpf_`; lookup takes both.
 */
import { Bug } from "../base/index.ts";
import { helperRows } from "./helper-table.ts";
import { kfuncRows } from "./kfunc-table.ts";

/** How many bytes a memory argument covers. */
export type MemorySize =
  /** The value of that argument (from 0); `zeroAllowed` and null go together. */
  | {
      readonly kind: "argument";
      readonly argument: number;
      readonly zeroAllowed: boolean;
    }
  | { readonly kind: "fixed"; readonly bytes: number };

export type HelperArgument =
  | { readonly kind: "number" }
  /** Number that is the size of the memory argument `of` (from 0). */
  | { readonly kind: "size"; readonly of: number }
  | {
      readonly kind: "memory";
      readonly access: "read" | "write" | "read-write";
      readonly size: MemorySize;
      readonly nullable: boolean;
    }
  | { readonly kind: "context" }
  | { readonly kind: "map" }
  /** Reads keySize bytes of the call's map. */
  | { readonly kind: "map-key" }
  /** valueSize bytes of the call's map. */
  | {
      readonly kind: "map-value";
      readonly access: "read" | "write";
      readonly nullable: boolean;
    }
  /** A function of the program that is called back, with `callback-context` as an argument. */
  | { readonly kind: "callback" }
  | { readonly kind: "callback-context" }
  | { readonly kind: "string" }
  /** A member of a map value that the kernel owns. */
  | { readonly kind: "member"; readonly of: "lock" | "timer" | "kptr" }
  | {
      readonly kind: "kernel-object";
      readonly of: "socket" | "task" | "object";
    }
  | { readonly kind: "record" }
  | { readonly kind: "dynptr"; readonly fresh: boolean }
  /** An iterator on the stack, of so many bytes. */
  | {
      readonly kind: "iterator";
      readonly bytes: number;
      readonly fresh: boolean;
    }
  | { readonly kind: "unsafe-address" };

export type HelperResult =
  | "number"
  | "void"
  /** 0 or a negative errno. */
  | "status"
  /** A count or a negative errno. */
  | "count-or-error"
  /** Action of a redirect; 0 (XDP_ABORTED) or its flag bits on failure. */
  | "verdict"
  | "value-or-null"
  | "record-or-null"
  | "socket-or-null"
  | "memory"
  | "memory-or-null"
  | "object"
  | "object-or-null";

/** What the result depends on besides the arguments. */
// prettier-ignore
export type HelperRead = "time" | "random" | "cpu" | "task" | "packet" | "map" | "kernel";

/** What happens besides writing memory arguments. `packet-resize` invalidates packet pointers. */
// prettier-ignore
export type HelperEffect = "packet-write" | "packet-resize" | "map-write" | "event" | "redirect" | "tail-call" | "lock" | "sleep" | "other";

export interface FunctionSignature {
  readonly name: string;
  /** Undefined: not described; a consumer must refuse the call. */
  readonly args: readonly HelperArgument[] | undefined;
  readonly result: HelperResult;
  readonly reads: readonly HelperRead[];
  readonly effects: readonly HelperEffect[];
  /** Every packet pointer taken before the call is invalid after it. */
  readonly invalidatesPacket: boolean;
}

export interface Helper extends FunctionSignature {
  readonly number: number;
}

// prettier-ignore
const results: Readonly<Record<string, HelperResult>> = {
  num: "number", void: "void", err: "status", len: "count-or-error", verdict: "verdict", "value?": "value-or-null",
  "record?": "record-or-null", "sock?": "socket-or-null", memory: "memory", "memory?": "memory-or-null",
  object: "object", "object?": "object-or-null",
};

// prettier-ignore
const reads: Readonly<Record<string, HelperRead>> = {
  time: "time", random: "random", cpu: "cpu", task: "task", packet: "packet", map: "map", kernel: "kernel",
};

// prettier-ignore
const effects: Readonly<Record<string, HelperEffect>> = {
  "packet-write": "packet-write", resize: "packet-resize", "map-write": "map-write", event: "event",
  redirect: "redirect", "tail-call": "tail-call", lock: "lock", sleep: "sleep", effect: "other",
};

// prettier-ignore
const plainArguments: Readonly<Record<string, HelperArgument>> = {
  num: { kind: "number" }, ctx: { kind: "context" }, map: { kind: "map" }, key: { kind: "map-key" },
  value: { kind: "map-value", access: "read", nullable: false }, "value?": { kind: "map-value", access: "read", nullable: true },
  "value-out": { kind: "map-value", access: "write", nullable: false },
  callback: { kind: "callback" }, cbctx: { kind: "callback-context" }, str: { kind: "string" },
  lock: { kind: "member", of: "lock" }, timer: { kind: "member", of: "timer" }, kptr: { kind: "member", of: "kptr" },
  sock: { kind: "kernel-object", of: "socket" }, task: { kind: "kernel-object", of: "task" }, object: { kind: "kernel-object", of: "object" },
  record: { kind: "record" }, dynptr: { kind: "dynptr", fresh: false }, "dynptr-out": { kind: "dynptr", fresh: true },
  unsafe: { kind: "unsafe-address" },
};

function signature(
  name: string,
  args: string,
  result: string,
  tags: string,
): FunctionSignature {
  const kind = results[result];
  if (kind === undefined) throw new Bug(`${name}: result ${result}`);
  const words = split(tags);
  const unknown = words.find((word) => !(word in reads) && !(word in effects));
  if (unknown !== undefined) throw new Bug(`${name}: tag ${unknown}`);
  return {
    name,
    args: args === "-" ? undefined : argumentsOf(name, split(args)),
    result: kind,
    reads: words.flatMap((word) => reads[word] ?? []),
    effects: words.flatMap((word) => effects[word] ?? []),
    invalidatesPacket: words.includes("resize"),
  };
}

function split(words: string): readonly string[] {
  return words === "" ? [] : words.split(" ");
}

function argumentsOf(
  name: string,
  words: readonly string[],
): readonly HelperArgument[] {
  return words.map((word, index): HelperArgument => {
    const plain = plainArguments[word];
    if (plain !== undefined) return plain;
    if (word === "size" || word === "size0")
      return { kind: "size", of: index - 1 };
    const match = /^(in|out|inout|iter|iter-out)(?::(\d+))?(\?)?$/.exec(word);
    if (match === null) throw new Bug(`${name}: argument ${word}`);
    const [, mode, bytes, nullable] = match;
    if (mode === "iter" || mode === "iter-out")
      // prettier-ignore
      return { kind: "iterator", bytes: Number(bytes), fresh: mode === "iter-out" };
    const next = words[index + 1];
    if (bytes === undefined && next !== "size" && next !== "size0")
      throw new Bug(`${name}: memory argument ${index} without size`);
    return {
      kind: "memory",
      // prettier-ignore
      access: mode === "in" ? "read" : mode === "out" ? "write" : "read-write",
      size:
        bytes === undefined
          ? // prettier-ignore
            { kind: "argument", argument: index + 1, zeroAllowed: next === "size0" }
          : { kind: "fixed", bytes: Number(bytes) },
      nullable: nullable !== undefined,
    };
  });
}

/** All helpers, by number from 1. */
export const helpers: readonly Helper[] = helperRows.map(
  ([number, name, args, result, tags]) => ({
    number,
    ...signature(name, args, result, tags),
  }),
);

/** The kernel functions that are known here, by name. */
export const kfuncs: readonly FunctionSignature[] = kfuncRows.map(
  ([name, args, result, tags]) => signature(name, args, result, tags),
);

const byNumber = new Map(helpers.map((helper) => [helper.number, helper]));
const byName = new Map(helpers.map((helper) => [helper.name, helper]));
const kfuncsByName = new Map(kfuncs.map((kfunc) => [kfunc.name, kfunc]));

export function helperByNumber(number: number): Helper | undefined {
  return byNumber.get(number);
}

/** With or without the `bpf_` in front. */
export function helperByName(name: string): Helper | undefined {
  return byName.get(name) ?? byName.get(name.replace(/^bpf_/, ""));
}

export function kfuncByName(name: string): FunctionSignature | undefined {
  return kfuncsByName.get(name);
}
