/**
 * What programs name of the running kernel: ids of its functions, variables and
 * tracepoints in its own types, and addresses of symbols that have no type. Read at
 * the first question and kept.
 *
 * Functions of modules are not looked up: their types are in other files.
 *
 * Source: /sys/kernel/btf/vmlinux; /proc/kallsyms; libbpf
 * bpf_object__resolve_ksym_var_btf_id, find_attach_btf_id.
 */
import { readFileSync } from "node:fs";
import { UnsupportedError } from "../../../base/index.ts";
import { readBtf } from "../../../object/index.ts";

const path = "/sys/kernel/btf/vmlinux";

interface KernelIds {
  readonly functions: Map<string, number>;
  readonly variables: Map<string, number>;
  /** `btf_trace_NAME`, by NAME. */
  readonly tracepoints: Map<string, number>;
}

let ids: KernelIds | undefined;
let addresses: ReadonlyMap<string, bigint> | undefined;

function read(): KernelIds {
  if (ids !== undefined) return ids;
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new UnsupportedError(
      `the kernel's types (${path}) are not readable`,
      {
        feature: "kernel BTF",
        firstKernel: "5.4",
        fix: "use a kernel with CONFIG_DEBUG_INFO_BTF",
        cause,
      },
    );
  }
  const prefix = "btf_trace_";
  const found: KernelIds = {
    functions: new Map(),
    variables: new Map(),
    tracepoints: new Map(),
  };
  for (const [id, type] of readBtf(bytes).types.entries()) {
    if (type.kind === "function") found.functions.set(type.name, id);
    else if (type.kind === "variable") found.variables.set(type.name, id);
    else if (type.kind === "typedef" && type.name.startsWith(prefix))
      found.tracepoints.set(type.name.slice(prefix.length), id);
  }
  ids = found;
  return found;
}

export function kernelFunctionId(name: string): number | undefined {
  return read().functions.get(name);
}

export function kernelVariableId(name: string): number | undefined {
  return read().variables.get(name);
}

export function kernelTracepointId(name: string): number | undefined {
  return read().tracepoints.get(name);
}

/** Of a symbol without a type; undefined where there is none, or addresses are hidden. */
export function kernelAddress(name: string): bigint | undefined {
  if (addresses === undefined) {
    const found = new Map<string, bigint>();
    for (const line of readFileSync("/proc/kallsyms", "latin1").split("\n")) {
      const [address = "", , symbol = ""] = line.split(/[ \t]/);
      if (address !== "" && !found.has(symbol))
        found.set(symbol, BigInt(`0x${address}`));
    }
    addresses = found;
  }
  const address = addresses.get(name);
  return address === 0n ? undefined : address;
}

/** This kernel lacks what a program cannot do without. */
export function absent(what: string): UnsupportedError {
  return new UnsupportedError(`this kernel has no ${what}`, { feature: what });
}
