/**
 * What the invariant of a recognised allocator (StateReport, Allocator) decides of the
 * branches around it. Such an allocator was run against its model, and the analysis has
 * looked at every access of its cells and entries (analysis/belongs.ts), so that:
 *
 *   1  `fresh`, the low half of the head, never falls, and every index that was ever
 *      handed out is below it; an entry holds only an index that was handed out.
 *      So no index that is found in an entry is `fresh` or above.
 *   2  Only `free` marks a cell as free. So where no call of it is left, no cell is.
 *      Where each call left gives back the index of an entry that the very next call
 *      deletes, by the key that it was just found by, some cells are free, but no entry
 *      has the index of one: a cell that is found by the index in an entry is not free.
 *      That says nothing behind such a call, where a pointer to the entry may be old.
 *   3  An entry that is added has the index that its packet was just given, and a cell
 *      in use holds the key of its one entry, which goes when the cell is reclaimed. So
 *      where indices are never given back by hand, there are no more entries than cells
 *      in use, and a table of at least the allocator's capacity has room for the new one.
 *
 * 3 needs that no call of `free` is left but with its entry's deletion, as in 2, where one
 * entry and one cell go together, or behind such an update that failed: that
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
  edgesOf,
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
  /** The same of look-ups of a cell by the index that an entry has. */
  readonly named: ReadonlySet<string>;
  readonly indexOffset: number | undefined;
}

const LOOKUP = 1;
const UPDATE = 2;
const DELETE = 3;
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
      const places = new Map<string, boolean>();
      for (const { op, at, through } of accesses) {
        if (op !== "lookup") continue;
        const place = `${at.function}+${at.instruction}`;
        const isNamed =
          through !== undefined && through.object === allocator.entries;
        places.set(place, (places.get(place) ?? true) && isNamed);
      }
      return [
        {
          name,
          allocator,
          named: new Set(
            [...places].flatMap(([place, isNamed]) => (isNamed ? [place] : [])),
          ),
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

/** Calls of `free` that are left: each with its entry's deletion, or any. */
export function freeCalls(
  chain: Chain,
  program: IrProgram,
): "none" | "deleting" | "any" {
  const { free } = chain.allocator.functions;
  if (free === undefined) return "none";
  let found: "none" | "deleting" = "none";
  for (const [index, fn] of program.functions.entries())
    for (const block of fn.blocks)
      for (const each of block.instructions) {
        if (!callsFunction(each, free)) continue;
        // A subprogram would change entries that its caller still points to.
        if (index > 0 || !deletes(chain, fn, block, each)) return "any";
        found = "deleting";
      }
  return found;
}

/**
 * Lookup of an entry, then `free` of its index, then deletion by the same key; the
 * look-up in the block, or at the end of the only one that leads to it. Between them
 * nothing is written and nothing else called.
 */
function deletes(
  { allocator: { entries, functions }, indexOffset }: Chain,
  fn: IrFunction,
  block: IrFunction["blocks"][number],
  call: IrInstruction,
): boolean {
  if (call.kind !== "call" || indexOffset === undefined) return false;
  const ways = fn.blocks.filter(({ terminator }) =>
    edgesOf(terminator).some((edge) => edge.block === block.id),
  );
  const [only] = ways;
  const line = [
    ...(ways.length === 1 && only !== undefined && only !== block
      ? only.instructions
      : []),
    ...block.instructions,
  ];
  const at = line.indexOf(call);
  const acts = (each: IrInstruction): boolean =>
    each.kind === "call" || each.kind === "store" || each.kind === "atomic";
  const before = line.slice(0, at).findLast(acts);
  const after = line.slice(at + 1).find(acts);
  const isOfEntries = (
    each: IrInstruction | undefined,
    helper: number,
  ): each is IrInstruction & { readonly kind: "call" } => {
    if (each?.kind !== "call" || each.callee.kind !== "helper") return false;
    const map =
      each.args[0] === undefined ? undefined : fn.values[each.args[0]];
    return (
      each.callee.helper === helper &&
      map?.kind === "pointer" &&
      map.region.kind === "map" &&
      map.region.map === entries
    );
  };
  if (!isOfEntries(before, LOOKUP) || !isOfEntries(after, DELETE)) return false;
  if (before.args[1] === undefined || before.args[1] !== after.args[1])
    return false;
  const index = line.find(
    (each) => "result" in each && each.result === call.args[0],
  );
  return (
    functions.free !== undefined &&
    index?.kind === "load" &&
    index.size === 4 &&
    index.address === before.result &&
    index.offset === indexOffset
  );
}

/** Blocks to which such a call leads: an entry found before it may be no more. */
function behindFrees(
  { allocator }: Chain,
  fn: IrFunction,
): ReadonlySet<number> {
  const { free } = allocator.functions;
  const behind = new Set<number>();
  const next = fn.blocks.filter(
    ({ instructions }) =>
      free !== undefined &&
      instructions.some((each) => callsFunction(each, free)),
  );
  for (const block of next) {
    if (behind.has(block.id)) continue;
    behind.add(block.id);
    for (const edge of edgesOf(block.terminator)) {
      const to = fn.blocks[edge.block];
      if (to !== undefined) next.push(to);
    }
  }
  return behind;
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
  /** Chains whose cells are free only without an entry. */
  readonly #paired: ReadonlySet<Chain>;
  /** Chains with room for each new entry. */
  readonly #roomy: ReadonlySet<Chain>;

  constructor(
    chains: readonly Chain[],
    {
      kept,
      paired,
      roomy,
    }: {
      readonly kept: ReadonlySet<Chain>;
      readonly paired: ReadonlySet<Chain>;
      readonly roomy: ReadonlySet<Chain>;
    },
  ) {
    this.#chains = chains;
    this.#kept = kept;
    this.#paired = paired;
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
  #notFree(chain: Chain, branch: Branch, fn: IrFunction): boolean | undefined {
    const { op, width, left, right } = branch;
    if (op !== "jeq" && op !== "jne") return undefined;
    const isPaired = !this.#kept.has(chain);
    if (isPaired && !this.#isFresh(chain, branch, fn)) return undefined;
    const place = {
      map: chain.name,
      offset: PREVIOUS,
      width,
      ...(isPaired ? { heads: chain.named } : {}),
    };
    const constant = this.#constant(right, fn);
    return constant !== undefined &&
      BigInt.asUintN(width, constant) === FREE_CELL &&
      this.#isWordAt(left, fn, place)
      ? op === "jne"
      : undefined;
  }

  /** Do entries that this test follows from still stand? */
  #isFresh(chain: Chain, branch: Branch, fn: IrFunction): boolean {
    if (!this.#paired.has(chain)) return false;
    const block = fn.blocks.find(({ terminator }) => terminator === branch);
    const behind = behindFrees(chain, fn);
    // Without such a call it is a subprogram, and may be called behind one.
    return block !== undefined && behind.size > 0 && !behind.has(block.id);
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
      /** Places of look-ups by which the cell must be found. */
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
