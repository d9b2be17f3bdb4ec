/**
 * What the invariant of a recognised allocator (StateReport, Allocator) decides of the
 * branches around it. Such an allocator was run against its model, and the analysis has
 * looked at every access of its cells and entries (analysis/belongs.ts), so that:
 *
 *   1  `fresh`, the low half of the head, never falls, and every index that was ever
 *      handed out is below it; an entry holds only an index that was handed out.
 *      So no index that is found in an entry is `fresh` or above.
 *   2  Only `free` marks a cell as free. So where no call of it is left, no cell is.
 *   3  An entry that is added has the index that its packet was just given, and a cell
 *      in use holds the key of its one entry, which goes when the cell is reclaimed. So
 *      where indices are never given back by hand, there are no more entries than cells
 *      in use, and a table of at least the allocator's capacity has room for the new one.
 *
 * 3 needs that no call of `free` is left but behind such an update that failed: that
 * follows from itself, packet by packet, from an empty table on. It also needs one
 * update and one allocation, outside of loops, so that no index gets two entries.
 * Nothing is decided of tables that are not empty at first, or that user space writes.
 *
 * Not promised: that a kernel has memory for the update. Where it has not, what the
 * program does is as untested as the certificate says for every edge left out.
 */
import {
  indexOffsetOf,
  type Allocator,
  type StateReport,
} from "./analysis/index.ts";
import {
  loops,
  type Branch,
  type IrFunction,
  type IrInstruction,
  type IrProgram,
  type ValueId,
} from "./ir/index.ts";

export interface Chain {
  /** The array of cells. */
  readonly name: string;
  readonly allocator: Allocator;
  /** `function+instruction` of look-ups of its head. */
  readonly heads: ReadonlySet<string>;
  readonly indexOffset: number | undefined;
}

const UPDATE = 2;
const FREE_CELL = 0xffff_ffffn;
/** Where in a cell `previous` is, and in a head `fresh`. */
const PREVIOUS = 12;
const FRESH = 0;

/** Allocators whose tables are empty at first and the program's own. */
export function chainsOf(
  { maps }: Pick<IrProgram, "maps">,
  { objects }: StateReport,
  filled: ReadonlySet<string>,
): readonly Chain[] {
  return objects.flatMap(
    ({ name, allocator, accesses, userWrites }): Chain[] => {
      if (allocator === undefined || userWrites) return [];
      const entries = maps.find((map) => map.name === allocator.entries);
      if (filled.has(name) || filled.has(entries?.name ?? name)) return [];
      const heads = accesses.filter(
        ({ op, own }) => op === "lookup" && own === "head",
      );
      return [
        {
          name,
          allocator,
          heads: new Set(
            heads.map(({ at }) => `${at.function}+${at.instruction}`),
          ),
          indexOffset:
            entries === undefined ? undefined : indexOffsetOf(entries),
        },
      ];
    },
  );
}

/** Is invariant 3 one, as far as the shape of the program says? */
export function addsOnce(chain: Chain, program: IrProgram): boolean {
  const { entries, capacity, functions } = chain.allocator;
  const map = program.maps.find(({ name }) => name === entries);
  if (map?.type !== "hash" || map.maxEntries < capacity) return false;
  // A subprogram may be called more than once: there, each counts as many.
  const count = (is: (each: IrInstruction, fn: IrFunction) => boolean) =>
    program.functions.reduce(
      (sum, fn, index) => sum + placesIn(fn, is) * (index === 0 ? 1 : 2),
      0,
    );
  return (
    count((each) => callsFunction(each, functions.allocate)) === 1 &&
    count((each, fn) => updates(each, fn, map.name)) === 1
  );
}

/** Is a call of `free` left? */
export function callsFree(chain: Chain, program: IrProgram): boolean {
  const { free } = chain.allocator.functions;
  return (
    free !== undefined &&
    program.functions.some((fn) =>
      fn.blocks.some(({ instructions }) =>
        instructions.some((each) => callsFunction(each, free)),
      ),
    )
  );
}

function callsFunction(each: IrInstruction, name: string): boolean {
  return (
    each.kind === "call" &&
    each.callee.kind === "function" &&
    each.callee.name === name
  );
}

/** An update of the map that takes what is there and what is not. */
function updates(
  each: IrInstruction,
  fn: IrFunction,
  map: string,
): each is IrInstruction & { readonly kind: "call" } {
  if (each.kind !== "call" || each.callee.kind !== "helper") return false;
  const [first] = each.args;
  const type = first === undefined ? undefined : fn.values[first];
  return (
    each.callee.helper === UPDATE &&
    type?.kind === "pointer" &&
    (type.region.kind !== "map" || type.region.map === map)
  );
}

/** How often, at most, a packet passes such an instruction once; in a loop: many. */
function placesIn(
  fn: IrFunction,
  is: (each: IrInstruction, fn: IrFunction) => boolean,
): number {
  const forest = loops(fn);
  const inLoops = new Set([
    ...forest.loops.flatMap(({ blocks }) => blocks),
    ...forest.irreducible,
  ]);
  return fn.blocks.reduce(
    (sum, { id, instructions }) =>
      sum +
      instructions.filter((each) => is(each, fn)).length *
        (inLoops.has(id) ? 2 : 1),
    0,
  );
}

/** The one outcome that the invariants leave a branch. */
export class ChainOutcomes {
  readonly #definitions = new WeakMap<
    IrFunction,
    ReadonlyMap<ValueId, IrInstruction>
  >();
  readonly #chains: readonly Chain[];
  /** Chains none of whose cells is free by hand. */
  readonly #kept: ReadonlySet<Chain>;
  /** Chains with room for each new entry. */
  readonly #roomy: ReadonlySet<Chain>;

  constructor(
    chains: readonly Chain[],
    {
      kept,
      roomy,
    }: {
      readonly kept: ReadonlySet<Chain>;
      readonly roomy: ReadonlySet<Chain>;
    },
  ) {
    this.#chains = chains;
    this.#kept = kept;
    this.#roomy = roomy;
  }

  of(branch: Branch, fn: IrFunction): boolean | undefined {
    for (const chain of this.#chains) {
      const found =
        this.#belowFresh(chain, branch, fn) ??
        this.#notFree(chain, branch, fn) ??
        this.#hasRoom(chain, branch, fn);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Invariant 1. */
  #belowFresh(
    { name, allocator, heads, indexOffset }: Chain,
    { op, width, left, right }: Branch,
    fn: IrFunction,
  ): boolean | undefined {
    const isIndex = (value: ValueId): boolean =>
      this.#isWordAt(value, fn, {
        map: allocator.entries,
        offset: indexOffset,
        width,
      });
    const isFresh = (value: ValueId): boolean =>
      this.#isWordAt(value, fn, { map: name, offset: FRESH, width, heads });
    if (isIndex(left) && isFresh(right))
      return ({ jge: false, jlt: true } as Partial<Record<string, boolean>>)[
        op
      ];
    if (isFresh(left) && isIndex(right))
      return ({ jgt: true, jle: false } as Partial<Record<string, boolean>>)[
        op
      ];
    return undefined;
  }

  /** Invariant 2. */
  #notFree(
    chain: Chain,
    { op, width, left, right }: Branch,
    fn: IrFunction,
  ): boolean | undefined {
    if (!this.#kept.has(chain) || (op !== "jeq" && op !== "jne"))
      return undefined;
    const place = { map: chain.name, offset: PREVIOUS, width };
    const constant = this.#constant(right, fn);
    return constant !== undefined &&
      BigInt.asUintN(width, constant) === FREE_CELL &&
      this.#isWordAt(left, fn, place)
      ? op === "jne"
      : undefined;
  }

  /** Invariant 3. */
  #hasRoom(
    chain: Chain,
    { op, left, right }: Branch,
    fn: IrFunction,
  ): boolean | undefined {
    if (!this.#roomy.has(chain) || (op !== "jeq" && op !== "jne"))
      return undefined;
    const call = this.#definition(left, fn);
    const { entries = "" } = chain.allocator;
    if (call === undefined || !updates(call, fn, entries)) return undefined;
    const flags = call.args[3];
    if (flags === undefined || this.#constant(flags, fn) !== 0n)
      return undefined;
    return this.#constant(right, fn) === 0n ? op === "jeq" : undefined;
  }

  /** Is it those 32 bits of a cell of the map, compared as such? */
  #isWordAt(
    value: ValueId,
    fn: IrFunction,
    place: {
      readonly map: string | undefined;
      readonly offset: number | undefined;
      readonly width: 32 | 64;
      /** Places of look-ups that the cell must be found by. */
      readonly heads?: ReadonlySet<string>;
    },
  ): boolean {
    let low = place.width === 32;
    let load = this.#definition(value, fn);
    while (load !== undefined && isLowHalf(load)) {
      low = true;
      load = this.#definition(load.value, fn);
    }
    if (load?.kind !== "load" || load.signed) return false;
    if (load.size !== 4 && !(load.size === 8 && low)) return false;
    const type = fn.values[load.address];
    if (type?.kind !== "pointer" || type.region.kind !== "map-value")
      return false;
    if (type.region.map !== place.map || place.offset === undefined)
      return false;
    if (load.offset + (type.offset ?? Number.NaN) !== place.offset)
      return false;
    if (place.heads === undefined) return true;
    const call = this.#definition(load.address, fn);
    return (
      call?.kind === "call" &&
      place.heads.has(`${call.at.function}+${call.at.instruction}`)
    );
  }

  #constant(value: ValueId, fn: IrFunction): bigint | undefined {
    const found = this.#definition(value, fn);
    return found?.kind === "const" ? found.value : undefined;
  }

  #definition(value: ValueId, fn: IrFunction): IrInstruction | undefined {
    let known = this.#definitions.get(fn);
    if (known === undefined) {
      known = new Map(
        fn.blocks.flatMap(({ instructions }) =>
          instructions.flatMap((each) =>
            "result" in each ? [[each.result, each] as const] : [],
          ),
        ),
      );
      this.#definitions.set(fn, known);
    }
    return known.get(value);
  }
}

function isLowHalf(
  each: IrInstruction,
): each is IrInstruction & { readonly kind: "unary" | "extract" } {
  return (
    (each.kind === "unary" && each.op === "zext32") ||
    (each.kind === "extract" && each.start === 0 && each.size === 4)
  );
}
