/**
 * Ids of kernel functions and variables in the running kernel's own types, read
 * at the first question and kept. Source: /sys/kernel/btf/vmlinux.
 */
import { readFileSync } from "node:fs";
import { UnsupportedError } from "../../base/index.ts";
import { readBtf } from "../../object/index.ts";

const path = "/sys/kernel/btf/vmlinux";
let functions: ReadonlyMap<string, number> | undefined;
let variables: ReadonlyMap<string, number> | undefined;

function read(): void {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new UnsupportedError(
      `the kernel's types (${path}) are not readable`,
      {
        feature: "kernel BTF",
        cause,
      },
    );
  }
  const byName = {
    function: new Map<string, number>(),
    variable: new Map<string, number>(),
  };
  for (const [id, type] of readBtf(bytes).types.entries())
    if (type.kind === "function" || type.kind === "variable")
      byName[type.kind].set(type.name, id);
  functions = byName.function;
  variables = byName.variable;
}

export function kernelFunctionId(name: string): number {
  if (functions === undefined) read();
  return found(functions?.get(name), `kernel function ${name}`);
}

export function kernelVariableId(name: string): number {
  if (variables === undefined) read();
  return found(variables?.get(name), `kernel variable ${name}`);
}

function found(id: number | undefined, what: string): number {
  if (id === undefined)
    throw new UnsupportedError(`this kernel has no ${what}`, { feature: what });
  return id;
}
