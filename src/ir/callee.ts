/**
 * What a call tells the lift: how many arguments it reads and what the function
 * it hands to a helper is called with. The rest of a signature is isa's table.
 */
import {
  helperByNumber,
  kfuncByName,
  type Callee,
  type FunctionSignature,
  type MapSpec,
} from "../isa/index.ts";

/** Helper or kfunc; undefined for functions of the program and unknown ones. */
export function signatureOf(callee: Callee): FunctionSignature | undefined {
  switch (callee.kind) {
    case "helper":
      return helperByNumber(callee.helper);
    case "kfunc":
      return kfuncByName(callee.name);
    case "function":
    case "raw":
      return undefined;
  }
}

/** Arguments that a call reads; 5 when nothing is known of the callee. */
export function calleeArity(
  callee: Callee,
  arities: ReadonlyMap<string, number>,
): number {
  if (callee.kind === "function") return arities.get(callee.name) ?? 5;
  return signatureOf(callee)?.args?.length ?? 5;
}

/** What the kernel passes to a callback, parameter by parameter. */
export type CallbackParameter =
  "number" | "map" | "key" | "value" | "kernel" | "context";

// Sources: kernel/bpf/bpf_iter.c (bpf_loop), kernel/bpf/hashtab.c
// (for_each_map_elem), kernel/bpf/helpers.c (timer), kernel/bpf/task_iter.c
// (find_vma), kernel/bpf/ringbuf.c (user_ringbuf_drain).
// prettier-ignore
const callbacks: Readonly<Record<string, readonly CallbackParameter[]>> = {
  loop:               ["number", "context"],
  for_each_map_elem:  ["map", "key", "value", "context"],
  timer_set_callback: ["map", "key", "value"],
  find_vma:           ["kernel", "kernel", "context"],
  user_ringbuf_drain: ["kernel", "context"],
};

export function callbackParameters(
  signature: FunctionSignature,
): readonly CallbackParameter[] | undefined {
  return callbacks[signature.name];
}

/** Name under which the maps inside a map of maps go: `outer[]`. */
export function innerMapName(outer: string): string {
  return `${outer}[]`;
}

/** A map of the program, or the template that `outer[]` stands for. */
export function findMap(
  maps: readonly MapSpec[],
  name: string,
): MapSpec | undefined {
  const found = maps.find((map) => map.name === name);
  if (found !== undefined || !name.endsWith("[]")) return found;
  return findMap(maps, name.slice(0, -2))?.inner;
}
