/**
 * Calls in guarded code: functions of the same variant, and those of chains, which age
 * (ageing.ts); what a helper does to others is asked first.
 */
import { localOf, type AccessWriter } from "./access.ts";
import { writeBeforeAllocate } from "./ageing.ts";
import { op, type Code } from "./encoder.ts";
import type { Knowledge } from "./facts.ts";
import type { Guard } from "./guard.ts";
import { guardHelper } from "./guard-helpers.ts";
import type { ChainLayout } from "./guard-layout.ts";
import type { HelperCall } from "./helper-calls.ts";
import type { MapLayout } from "./map-layout.ts";
import type { ProgramContext } from "./program-context.ts";

export class GuardedCalls {
  readonly #about: ProgramContext;
  readonly #guard: Guard;
  readonly #code: Code;
  readonly #access: AccessWriter;

  constructor(
    about: ProgramContext,
    guard: Guard,
    code: Code,
    access: AccessWriter,
  ) {
    this.#about = about;
    this.#guard = guard;
    this.#code = code;
    this.#access = access;
  }

  helper(
    helper: HelperCall,
    know: Knowledge,
    map: MapLayout | undefined,
  ): void {
    const { maps } = this.#about.layout;
    guardHelper(this.#code, this.#guard, { helper, know, map, maps });
  }

  /** Leaves r0. */
  functionCall(index: number, site: number): void {
    const { layout } = this.#about;
    const { chains } = this.#guard.layout;
    const code = this.#code;
    const chain = chains.find((each) =>
      [each.allocate, each.refresh, each.free].includes(index),
    );
    if (chain === undefined) return this.#plainCall(index);
    code.i32Const(0).i32Const(site).memory(op.i32Store, layout.cell.site);
    if (this.#guard.attempts) {
      if (index !== chain.refresh) return this.#plainCall(index);
      this.#access.pushRegister(1);
      code.byte(op.i32WrapI64);
      this.#access.pushRegister(2);
      code.callByName(`refresh:${chain.map}`).i64Const(0);
      return;
    }
    if (index === chain.allocate) writeBeforeAllocate(code, layout, chain);
    this.#plainCall(index);
    this.#placed(chain, index === chain.allocate);
  }

  /** The cell that was moved: allocate answers its number, the others are told its index. */
  #placed(chain: ChainLayout, isAllocate: boolean): void {
    const code = this.#code;
    code.set(localOf(0));
    if (isAllocate) {
      code.get(localOf(0)).byte(op.i32WrapI64);
      code.callByName(`placed:${chain.map}`);
    } else {
      this.#access.pushRegister(1);
      code.byte(op.i32WrapI64).i32Const(1).byte(op.i32Add);
      code.callByName(`placed:${chain.map}`);
    }
    code.get(localOf(0));
  }

  #plainCall(index: number): void {
    for (const register of [1, 2, 3, 4, 5] as const)
      this.#access.pushRegister(register);
    this.#code.callByName(this.#about.own(`f${index}`));
  }
}
