/**
 * A program that does with a map what its packet says and writes the answer into it:
 * with a hash map by helpers, or with private tables by generated functions. Nothing
 * else differs, so equal packets must come out equal.
 *
 *   14 operation  15 flags  16 queue  17 which byte to add 1 to
 *   24 u64 answer of the operation; of a look-up 1 or 0
 *   32 key, then at a multiple of 8 the value, given or found
 */
import {
  tableFunction,
  tableFunctionName,
  tableLayout,
  tableLookupText,
  tableMap,
  type Alignment,
  type TableFunction,
  type TableOperation,
} from "#codegen";
import {
  parseFunction,
  type FunctionSpec,
  type MapSpec,
  type ProgramSpec,
} from "#isa";

export const operations = {
  lookup: 0,
  update: 1,
  delete: 2,
  /** Looked up, updated, then read through the pointer from before. */
  updatedBehind: 3,
  deletedBehind: 4,
} as const;

type Operation = "lookup" | TableOperation;

export interface TableCase {
  readonly keySize: number;
  readonly valueSize: number;
  readonly capacities: readonly number[];
  /** What divides the addresses of key and value. */
  readonly alignment: Alignment;
  /** Key and value are handed over where they are in the packet. */
  readonly inPacket?: boolean;
}

export function hashMap(
  { keySize, valueSize }: TableCase,
  maxEntries: number,
): MapSpec {
  return {
    name: "cells",
    type: "hash",
    keySize,
    valueSize,
    maxEntries,
    flags: 0,
    section: ".maps",
    readOnly: false,
  };
}

export function packetSize({ keySize, valueSize }: TableCase): number {
  return Math.max(64, valueAt(keySize) + valueSize);
}

export function valueAt(keySize: number): number {
  return 32 + Math.ceil(keySize / 8) * 8;
}

export function hashProgram(shape: TableCase, maxEntries: number): ProgramSpec {
  const call = (operation: Operation): string =>
    `r1 = map cells ll\n call map_${operation}_elem`;
  return program(shape, call, {
    functions: [],
    maps: [hashMap(shape, maxEntries)],
  });
}

export function tableProgram(
  shape: TableCase,
  change: (fn: FunctionSpec) => FunctionSpec = (fn) => fn,
): ProgramSpec {
  const { alignment, inPacket = false } = shape;
  const layout = tableLayout(shape, shape.capacities);
  const request = (operation: TableOperation): TableFunction => ({
    map: "cells",
    layout,
    operation,
    key: alignment,
    value: operation === "update" ? alignment : 8,
  });
  const { keyFrame, below } = frameOf(shape);
  // Its key is known to be in the frame, or not known.
  const lookup = tableLookupText({
    map: "cells",
    layout,
    key: inPacket
      ? { base: "r2", offset: 0, alignment }
      : { base: "r10", offset: keyFrame, alignment },
    core: below - 8,
    scratch: below - 24,
  });
  const call = (operation: Operation): string =>
    operation === "lookup"
      ? `r1 = *(u8 *)(r7 + 16)\n *(u64 *)(r10 + ${below - 8}) = r1\n ${lookup}`
      : `r1 = *(u8 *)(r7 + 16)\n call function ${tableFunctionName(request(operation))}`;
  const whole = program(shape, call, {
    functions: (["update", "delete"] as const).map((operation) =>
      tableFunction(request(operation)),
    ),
    maps: [tableMap(hashMap(shape, 1), layout)],
  });
  return { ...whole, functions: whole.functions.map(change) };
}

/** Addresses in the frame that are a multiple of `alignment` and of no more; below is free. */
function frameOf({ keySize, valueSize, alignment }: TableCase) {
  const odd = alignment === 8 ? 0 : alignment;
  const valueFrame = -(Math.ceil(valueSize / 8) * 8 + 8) + odd;
  const keyFrame = valueFrame - odd - Math.ceil(keySize / 8) * 8 - 8 + odd;
  return { valueFrame, keyFrame, below: keyFrame - odd };
}

function program(
  shape: TableCase,
  call: (operation: Operation) => string,
  more: Pick<ProgramSpec, "functions" | "maps">,
): ProgramSpec {
  const { keySize, valueSize, inPacket = false } = shape;
  const given = valueAt(keySize);
  const { keyFrame, valueFrame } = frameOf(shape);
  const copy = (from: string, to: string, size: number): string =>
    Array.from(
      { length: size },
      (_, at) =>
        `r1 = *(u8 *)(${from} + ${at})\n *(u8 *)(${to} + ${at}) = r1\n`,
    ).join("");
  const frameCopy = (at: number, frame: number, size: number): string =>
    Array.from(
      { length: size },
      (_, byte) =>
        `r1 = *(u8 *)(r7 + ${at + byte})\n *(u8 *)(r10 - ${-(frame + byte)}) = r1\n`,
    ).join("");
  const address = (register: string, at: number, frame: number): string =>
    inPacket
      ? `${register} = r7\n ${register} += ${at}\n`
      : `${register} = r10\n ${register} += ${frame}\n`;
  const key = address("r2", 32, keyFrame);
  const update = (flags: string): string => `
    ${key}
    ${address("r3", given, valueFrame)}
    r4 = ${flags}
    ${call("update")}`;
  // The value read goes out through the frame that the packet gave it in.
  const show = (from: string): string => `
    r2 = r7
    r2 += ${given}
    ${copy(from, "r2", valueSize)}`;
  const text = `
    r6 = r1
    r7 = *(u32 *)(r6 + 0)
    r8 = *(u32 *)(r6 + 4)
    r1 = r7
    r1 += ${packetSize(shape)}
    if r1 > r8 goto short
    ${frameCopy(32, keyFrame, keySize)}
    ${frameCopy(given, valueFrame, valueSize)}
    r9 = *(u8 *)(r7 + 14)
    if r9 == ${operations.update} goto update
    if r9 == ${operations.delete} goto delete
    ${key}
    ${call("lookup")}
    if r0 == 0 goto answer
    r8 = r0
    if r9 == ${operations.updatedBehind} goto updated
    if r9 == ${operations.deletedBehind} goto deleted
    ${show("r8")}
    r1 = *(u8 *)(r8 + 0)
    r1 += 1
    *(u8 *)(r8 + 0) = r1
    r0 = 1
    goto answer
  updated:
    ${update("0")}
    r9 = r0
    ${show("r8")}
    r0 = r9
    goto answer
  deleted:
    ${key}
    ${call("delete")}
    r9 = r0
    ${show("r8")}
    r0 = r9
    goto answer
  update:
    r9 = *(u8 *)(r7 + 15)
    ${update("r9")}
    goto answer
  delete:
    ${key}
    ${call("delete")}
  answer:
    *(u64 *)(r7 + 24) = r0
    r0 = 2
    exit
  short:
    r0 = 1
    exit`;
  return {
    file: "cells",
    name: "cells",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: [
      parseFunction(`function cells\n${text.replaceAll("+ -", "- ")}`),
      ...more.functions,
    ],
    maps: more.maps,
  };
}
