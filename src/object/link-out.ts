/**
 * Names → relocations: the inverse of link. As compilers do it, global symbols
 * are named themselves, local ones by their section and an offset, and calls
 * within a section need no relocation.
 *
 * Symbols by key: `f:` function, `m:` map, `s:` section, `v:` variable, `x:` extern.
 */
import { InputError } from "../base/index.ts";
import {
  totalSlots,
  type Callee,
  type FunctionSpec,
  type WideValue,
} from "../isa/index.ts";
import { kconfigSection } from "./data-sections.ts";
import type { ObjectSpec } from "./spec.ts";

export interface Layout {
  /** Functions by section, in order. */
  readonly sections: ReadonlyMap<string, readonly FunctionSpec[]>;
  /** Offset of each function in its section, in bytes. */
  readonly offsets: ReadonlyMap<string, number>;
  readonly functions: ReadonlyMap<string, FunctionSpec>;
}

export function layOutCode(object: ObjectSpec): Layout {
  const sections = new Map<string, FunctionSpec[]>();
  const offsets = new Map<string, number>();
  const ends = new Map<string, number>();
  for (const fn of object.functions) {
    const list = sections.get(fn.section) ?? [];
    list.push(fn);
    sections.set(fn.section, list);
    const offset = ends.get(fn.section) ?? 0;
    offsets.set(fn.name, offset);
    ends.set(fn.section, offset + 8 * totalSlots(fn.instructions));
  }
  const functions = new Map(object.functions.map((fn) => [fn.name, fn]));
  return { sections, offsets, functions };
}

/** Symbols that name a place in a data section themselves, by `section:offset`. */
export function placesOfVariables(object: ObjectSpec): Map<string, string> {
  const places = new Map<string, string>();
  for (const variable of object.variables)
    if (variable.linkage === "global")
      places.set(
        `${variable.section}:${variable.offset}`,
        `v:${variable.section}:${variable.offset}:${variable.name}`,
      );
  for (const extern of object.externs)
    if (extern.kind === "kconfig")
      places.set(`${kconfigSection}:${extern.offset}`, `x:${extern.name}`);
  return places;
}

export interface LinkedWide {
  readonly symbol?: string;
  readonly pseudo: number;
  readonly low: number;
  readonly high: number;
}

export function linkWide(
  value: WideValue,
  layout: Layout,
  places: ReadonlyMap<string, string>,
): LinkedWide {
  const to = (symbol: string, low = 0): LinkedWide => ({
    symbol,
    pseudo: 0,
    low,
    high: 0,
  });
  switch (value.kind) {
    case "map":
      return to(`m:${value.map}`);
    case "map-value": {
      const symbol = places.get(`${value.map}:${value.offset}`);
      if (symbol !== undefined) return to(symbol);
      return to(`s:${value.map}`, value.offset);
    }
    case "function": {
      const fn = functionNamed(layout, value.name);
      return fn.linkage === "global"
        ? to(`f:${fn.name}`)
        : to(`s:${fn.section}`, layout.offsets.get(fn.name) ?? 0);
    }
    case "kernel-symbol":
      return to(`x:${value.name}`);
    case "raw":
      return { pseudo: value.pseudo, low: value.low, high: value.high };
    case "number":
      return {
        pseudo: 0,
        low: Number(value.value & 0xffff_ffffn),
        high: Number((value.value >> 32n) & 0xffff_ffffn),
      };
  }
}

export interface LinkedCall {
  readonly symbol?: string;
  readonly pseudo: number;
  readonly value: number;
  readonly offset?: number;
}

export function linkCall(
  callee: Callee,
  layout: Layout,
  here: { readonly section: string; readonly offset: number },
): LinkedCall {
  switch (callee.kind) {
    case "helper":
      return { pseudo: 0, value: callee.helper };
    case "kfunc":
      return { symbol: `x:${callee.name}`, pseudo: 1, value: -1 };
    case "raw":
      return {
        pseudo: callee.pseudo,
        value: callee.value,
        offset: callee.offset ?? 0,
      };
    case "function": {
      const fn = functionNamed(layout, callee.name);
      const target = layout.offsets.get(fn.name) ?? 0;
      if (fn.section === here.section)
        return { pseudo: 1, value: (target - here.offset) / 8 - 1 };
      return fn.linkage === "global"
        ? { symbol: `f:${fn.name}`, pseudo: 1, value: -1 }
        : { symbol: `s:${fn.section}`, pseudo: 1, value: target / 8 - 1 };
    }
  }
}

function functionNamed(layout: Layout, name: string): FunctionSpec {
  const fn = layout.functions.get(name);
  if (fn !== undefined) return fn;
  throw new InputError(`function ${name} is called, but not in the object`, {
    code: "function-missing",
  });
}
