/**
 * Who calls a function, and with which numbers: what its parameters can be.
 *
 * Known only of functions that are called and nothing else: neither the program's entry,
 * nor one whose address is taken (a callback of a helper), nor one that a call may lead
 * back to. Their callers are looked at before them.
 *
 * One-way sound: a parameter lies in the interval, or is said to be anything.
 */
import { anything, greatest, least, type Interval } from "./interval.ts";
import type { IrFunction, IrProgram } from "./program.ts";

/** What was found of one function. */
export interface Solved {
  readonly reached: ReadonlySet<number>;
  readonly outcomes: ReadonlyMap<number, boolean>;
  readonly calls: readonly {
    readonly callee: string;
    readonly args: readonly Interval[];
  }[];
}

export class Callers {
  /** Callers before what they call. */
  readonly order: readonly IrFunction[];
  readonly #open = new Set<string>();
  readonly #given = new Map<string, readonly Interval[]>();

  constructor({ functions }: IrProgram) {
    const byName = new Map(functions.map((fn) => [fn.name, fn]));
    const done: IrFunction[] = [];
    const begun = new Set<string>();
    const finished = new Set<string>();
    const visit = (fn: IrFunction): void => {
      begun.add(fn.name);
      for (const { instructions } of fn.blocks)
        for (const each of instructions) {
          if (each.kind === "function") this.#open.add(each.name);
          if (each.kind !== "call" || each.callee.kind !== "function") continue;
          const { name } = each.callee;
          const callee = byName.get(name);
          if (begun.has(name) && !finished.has(name)) this.#open.add(name);
          if (callee !== undefined && !begun.has(name)) visit(callee);
        }
      finished.add(fn.name);
      done.push(fn);
    };
    for (const [index, fn] of functions.entries()) {
      if (index === 0) this.#open.add(fn.name);
      if (!begun.has(fn.name)) visit(fn);
    }
    this.order = done.reverse();
  }

  /** Of each parameter; fewer: the others may be anything. */
  parameters(name: string): readonly Interval[] {
    return this.#open.has(name) ? [] : (this.#given.get(name) ?? []);
  }

  /** Calls of one function, all that it makes. */
  note(calls: Solved["calls"]): void {
    for (const { callee, args } of calls) {
      const before = this.#given.get(callee);
      this.#given.set(
        callee,
        before === undefined
          ? args
          : args.map((range, at) => {
              const other = before[at] ?? anything;
              return {
                low: least(range.low, other.low),
                high: greatest(range.high, other.high),
              };
            }),
      );
    }
  }
}
