/**
 * Kernel functions and variables that a program names → what its instructions hold.
 *
 *   kfunc, found             call src 2, imm id
 *   kfunc, weak and absent   call of a helper that no kernel has: the verifier
 *                            takes it only where it is never reached
 *   variable with a type     lddw src 3, imm id; so is the address of a kfunc
 *   variable without a type  lddw, its address
 *   weak and absent          lddw, 0: programs test it
 *
 * Source: libbpf bpf_object__relocate_data, poison_kfunc_call.
 */
import { InputError } from "../../../base/index.ts";
import type { LinkedCall, LinkedValue } from "../../../isa/index.ts";
import type { Btf, ExternSpec } from "../../../object/index.ts";
import {
  absent,
  kernelAddress,
  kernelFunctionId,
  kernelVariableId,
} from "./kernel-symbols.ts";

/** As libbpf's: the verifier's log then names a number that says what it was. */
const poison = 2_002_000_000;
const nothing: LinkedValue = { pseudo: 0, low: 0, high: 0 };

export class KernelExterns {
  readonly #externs: ReadonlyMap<string, ExternSpec>;
  readonly #untyped: ReadonlySet<string>;

  constructor(externs: readonly ExternSpec[], btf: Btf | undefined) {
    this.#externs = new Map(externs.map((extern) => [extern.name, extern]));
    this.#untyped = new Set(
      (btf?.types ?? []).flatMap((type) =>
        type.kind === "variable" &&
        type.linkage === "extern" &&
        isVoid(btf, type.type)
          ? [type.name]
          : [],
      ),
    );
  }

  kfunc(name: string): LinkedCall {
    const id = kernelFunctionId(name);
    if (id !== undefined) return { pseudo: 2, value: id };
    if (this.#isWeak(name)) return { pseudo: 0, value: poison };
    throw absent(`kernel function ${name}`);
  }

  symbol(name: string): LinkedValue {
    if (this.#untyped.has(name)) return this.#address(name);
    const id =
      this.#externs.get(name)?.kind === "function"
        ? kernelFunctionId(name)
        : (kernelVariableId(name) ?? kernelFunctionId(name));
    if (id !== undefined) return { pseudo: 3, low: id, high: 0 };
    if (this.#isWeak(name)) return nothing;
    throw absent(`kernel variable ${name}`);
  }

  #address(name: string): LinkedValue {
    const address = kernelAddress(name);
    if (address === undefined) {
      if (this.#isWeak(name)) return nothing;
      throw absent(`kernel symbol ${name}`);
    }
    return {
      pseudo: 0,
      low: Number(BigInt.asIntN(32, address)),
      high: Number(BigInt.asIntN(32, address >> 32n)),
    };
  }

  #isWeak(name: string): boolean {
    const extern = this.#externs.get(name);
    if (extern?.kind === "kconfig")
      throw new InputError(`${name} is no symbol of the kernel`, {
        code: "extern-kind",
      });
    return extern?.weak === true;
  }
}

/** `extern const void x`. */
function isVoid(btf: Btf | undefined, id: number): boolean {
  const type = btf?.types[id];
  return (
    type?.kind === "void" || (type?.kind === "const" && isVoid(btf, type.type))
  );
}
