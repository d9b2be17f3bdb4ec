/**
 * An index allocator over cores, in the code: every look-up of its array finds the
 * own head or a cell of the own range (chain-layout.ts says which), and `allocate` is
 * written anew. `refresh`, `free` and what is inlined elsewhere stay as they are
 * between their look-ups.
 *
 * In the frame of every function that looks cells up:
 *
 *   range + 0    u32  first key of the own range (first index + 1)
 *   range + 4    u32  how many indices the core has
 *   range + 8    u32  key of the own head
 *   range + 12   u32  key of the own free cell, behind it
 *
 * On a queue that the plan has not, there is no range and no head.
 */
import { UnsupportedError } from "../../../base/index.ts";
import {
  editFunction,
  type Edit,
  type FunctionSpec,
} from "../../../isa/index.ts";
import { assembled } from "../patch/assembled.ts";
import {
  functionOf,
  mapOf,
  withBody,
  withFunctions,
  withReplacedMap,
  type Code,
} from "../patch/code.ts";
import { freeSlot } from "../patch/frame.ts";
import { callsWith } from "../patch/map-calls.ts";
import type { OwnCore } from "../patch/own-core.ts";
import { allocateRangeAt, allocateText } from "./allocate-text.ts";
import { evenSplit } from "./capacities.ts";
import {
  cellLayout,
  chainLayout,
  entriesOf,
  type ChainFacts,
  type ChainLayout,
} from "./chain-layout.ts";

export interface AllocatorPart {
  /** The array with the cells. */
  readonly object: string;
  readonly layout: "allocator";
  readonly allocator: ChainFacts;
}

const lookUps: ReadonlySet<string> = new Set(["map_lookup_elem"]);

/** `allocate` anew; its look-ups need no translation. */
export function withOwnAllocate<T extends Code>(
  code: T,
  { object, allocator }: AllocatorPart,
): T {
  checkPart(code, { object, allocator });
  const standing = functionOf(code, allocator.functions.allocate);
  return withFunctions(code, [
    withBody(standing, allocateText(object, allocator)),
  ]);
}

/** Functions that look cells up. */
export function chainUsers(
  code: Code,
  { object, allocator }: Pick<AllocatorPart, "object" | "allocator">,
): readonly string[] {
  return [
    ...callsWith(code, object, lookUps).keys(),
    allocator.functions.allocate,
  ];
}

/** Every look-up translated, and the array as long as it has to be. */
export function withOwnHeads<T extends Code>(
  code: T,
  { object, allocator }: AllocatorPart,
  { cores, own }: { cores: number; own: ReadonlyMap<string, OwnCore> },
): T {
  const map = mapOf(code, object);
  const layout = chainLayout(map.maxEntries, cores, allocator);
  const { allocate } = allocator.functions;
  const calls = callsWith(code, object, lookUps);
  const functions = [...calls].map(([name, found]) => {
    const fn = functionOf(code, name);
    const core = own.get(name);
    if (core === undefined) return fn;
    const isOurs = name === allocate;
    const range = isOurs ? allocateRangeAt : freeSlot(fn, 16);
    const translated = isOurs
      ? []
      : found.map(({ at }): Edit => ({
          kind: "replace",
          at,
          instructions: assembled(lookUpText(range, layout)),
        }));
    return withRange(fn, { core, range, layout, translated });
  });
  return withReplacedMap(withFunctions(code, functions), {
    ...map,
    maxEntries: entriesOf(layout),
  });
}

function withRange(
  fn: FunctionSpec,
  {
    core,
    range,
    layout,
    translated,
  }: {
    readonly core: OwnCore;
    readonly range: number;
    readonly layout: ChainLayout;
    readonly translated: readonly Edit[];
  },
): FunctionSpec {
  return editFunction(fn, [
    {
      kind: "insert",
      at: core.at,
      instructions: assembled(rangeText(core.slot, range, layout)),
      reach: "fall-through",
    },
    ...translated,
  ]);
}

/** r1 to r5 are the caller's; of the others none is in use yet. */
function rangeText(own: number, range: number, layout: ChainLayout): string {
  const { cores, capacities, stride, firstHead } = layout;
  const capacity = capacities.reduce((sum, each) => sum + each, 0);
  const { least, more } = evenSplit(capacity, cores);
  const uneven = `
    if r6 >= ${more} goto others
    r7 += 1
    r9 += r6
    goto ranged
  others:
    r9 += ${more}
  ranged:`;
  return `
    r6 = *(u64 *)(r10 + ${own})
    r7 = 0
    r8 = -2
    r9 = 0
    if r6 >= ${cores} goto known
    r7 = ${least}
    r9 = r6
    r9 *= ${least}
    r9 += 1
    ${more === 0 ? "" : uneven}
    r8 = r6
    r8 *= ${stride}
    r8 += ${firstHead}
  known:
    *(u32 *)(r10 + ${range}) = r9
    *(u32 *)(r10 + ${range + 4}) = r7
    *(u32 *)(r10 + ${range + 8}) = r8
    r8 += 1
    *(u32 *)(r10 + ${range + 12}) = r8`;
}

/** In the place of a look-up: r1 is the array, r2 points to the key. */
function lookUpText(range: number, { cells }: ChainLayout): string {
  return `
    r0 = *(u32 *)(r2 + 0)
    if r0 == 0 goto head
    r3 = *(u32 *)(r10 + ${range})
    r4 = r0
    w4 -= w3
    r3 = *(u32 *)(r10 + ${range + 4})
    if r4 < r3 goto look
    if r0 < ${cells} goto foreign
    r0 = 0
    goto done
  foreign:
    r2 = r10
    r2 += ${range + 12}
    call map_lookup_elem
    if r0 == 0 goto done
    *(u32 *)(r0 + ${cellLayout.previous}) = -1
    goto done
  head:
    r2 = r10
    r2 += ${range + 8}
  look:
    call map_lookup_elem
  done:`;
}

function checkPart(
  code: Code,
  { object, allocator }: Pick<AllocatorPart, "object" | "allocator">,
): void {
  const { type, keySize, valueSize } = mapOf(code, object);
  if (type !== "array" || keySize !== 4 || valueSize !== allocator.cellSize)
    throw new UnsupportedError(`${object} is no array of its chain's cells`, {
      feature: `allocators in a map of type ${type}`,
    });
}
