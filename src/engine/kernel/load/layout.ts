/**
 * The functions of a program as the kernel takes them: one run of slots, entry
 * first, with names resolved to map descriptors, distances and kernel ids.
 *
 *   slot 0                       entry
 *   slot start(f)                function f      calls hold slot distances
 */
import { Bug, InputError, type Place } from "../../../base/index.ts";
import {
  encode,
  placeOf,
  slotOf,
  totalSlots,
  type FunctionSpec,
  type LinkedCall,
  type LinkedValue,
  type ProgramSpec,
} from "../../../isa/index.ts";

export interface PlacedFunction {
  readonly fn: FunctionSpec;
  /** First slot. */
  readonly start: number;
  /** First slot of each instruction, within the function. */
  readonly slots: readonly number[];
}

/** Where names lead to in the running kernel. */
export interface KernelNames {
  readonly mapFd: (name: string) => number;
  readonly kfunc: (name: string) => LinkedCall;
  readonly symbol: (name: string) => LinkedValue;
}

export function placeFunctions(
  program: ProgramSpec,
): readonly PlacedFunction[] {
  let start = 0;
  return program.functions.map((fn) => {
    const placed = { fn, start, slots: slotOf(fn.instructions) };
    start += totalSlots(fn.instructions);
    return placed;
  });
}

export function linkProgram(
  placed: readonly PlacedFunction[],
  names: KernelNames,
): Uint8Array {
  const starts = new Map(placed.map(({ fn, start }) => [fn.name, start]));
  const distance = (name: string, from: number): number => {
    const start = starts.get(name);
    if (start === undefined)
      throw new InputError(`function ${name} is named and not there`, {
        code: "function-missing",
      });
    return start - from - 1;
  };
  const parts = placed.map(({ fn, start }) =>
    encode(fn.instructions, {
      wide: (value, _at, slot): LinkedValue => {
        switch (value.kind) {
          case "map":
            return { pseudo: 1, low: names.mapFd(value.map), high: 0 };
          case "map-value":
            // prettier-ignore
            return { pseudo: 2, low: names.mapFd(value.map), high: value.offset };
          case "function":
            // prettier-ignore
            return { pseudo: 4, low: distance(value.name, start + slot), high: 0 };
          case "kernel-symbol":
            return names.symbol(value.name);
          case "number":
          case "raw":
            throw new Bug(`a ${value.kind} needs no link`);
        }
      },
      call: (callee, _at, slot): LinkedCall => {
        switch (callee.kind) {
          case "function":
            return { pseudo: 1, value: distance(callee.name, start + slot) };
          case "kfunc":
            return names.kfunc(callee.name);
          case "helper":
          case "raw":
            throw new Bug(`a ${callee.kind} needs no link`);
        }
      },
    }),
  );
  const bytes = new Uint8Array(
    parts.reduce((sum, part) => sum + part.length, 0),
  );
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The place in the user's program of a slot that the kernel names. */
export function placeOfSlot(
  placed: readonly PlacedFunction[],
  slot: number,
): Place | undefined {
  const holder = placed.findLast(({ start }) => start <= slot);
  if (holder === undefined) return undefined;
  const at = holder.slots.findLastIndex((own) => holder.start + own <= slot);
  return at < 0 ? undefined : placeOf(holder.fn, at);
}
