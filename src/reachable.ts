/**
 * What a run of a program should reach: accesses, edges, verdicts. Left out is what no
 * packet can do, and what the analysis has tried by itself: the functions of allocators,
 * which it runs against a model of them (StateReport, Allocator.tried).
 *
 * What no packet can do is found in three ways, each of which argues for itself:
 * - options that are off (ir, decide);
 * - the numbers that operands can be (ir, decideByRange). Compilers and verifiers want
 *   tests for null where there is no need: of a pointer into the packet; of a look-up in
 *   an array by a number below its size, which always finds a cell. How far the number
 *   goes is known from its range, or bit by bit from the key that the analysis found,
 *   or because it is an index of the allocator whose array it is;
 * - the invariants of recognised allocators (chain-facts.ts).
 *
 * One-way sound: what cannot be told counts as reachable.
 */
import {
  returnedConstants,
  type Access,
  type StateReport,
} from "./analysis/index.ts";
import {
  decide,
  decideByRange,
  lift,
  type Call,
  type Decided,
  type Interval,
  type IrFunction,
  type IrProgram,
  type RangeFacts,
} from "./ir/index.ts";
import {
  helperByNumber,
  mapTypeRow,
  programTypeRow,
  type MapSpec,
  type ProgramSpec,
} from "./isa/index.ts";
import { addsOnce, ChainOutcomes, chainsOf, freeCalls } from "./chain-facts.ts";
import {
  edgeName,
  type DifferentialOptions,
  type Excluded,
} from "./proof/index.ts";

export interface ReachableOptions {
  /** A verdict as the run shows it. */
  readonly shown?: (verdict: number) => number;
  /** Maps that are not empty at first. */
  readonly filled?: readonly string[];
}

type Reachable = Pick<
  DifferentialOptions,
  "accesses" | "verdicts" | "infeasible"
> & { readonly excluded: Excluded };

/** Edges that no packet can take, each list with those of the lists before. */
interface Reasons {
  readonly byOptions: Decided["infeasible"];
  readonly byNumbers: Decided["infeasible"];
  readonly all: Decided["infeasible"];
}

export function reachable(
  program: ProgramSpec,
  report: StateReport,
  { shown = (verdict) => verdict, filled = [] }: ReachableOptions = {},
): Reachable {
  const lifted = lift(program);
  const { program: ir, infeasible, ...why } = decideAll(lifted, report, filled);
  const never = unreached(lifted, ir);
  const names = programTypeRow(program.type).verdicts;
  const tried = new Set(
    report.objects.flatMap(({ allocator }) =>
      allocator === undefined ? [] : Object.values(allocator.functions),
    ),
  );
  const edges = new Set(
    infeasible.map(({ taken, ...at }) => edgeName(at, taken)),
  );
  for (const fn of program.functions)
    if (tried.has(fn.name))
      for (const instruction of fn.instructions.keys())
        for (const taken of [true, false])
          edges.add(edgeName({ function: fn.name, instruction }, taken));
  return {
    accesses: report.objects.flatMap((object) =>
      // What a call does stands in the function that it calls.
      object.accesses
        .filter(
          ({ callee, at }) =>
            callee === undefined &&
            !tried.has(at.function) &&
            !never.has(placeName(at)),
        )
        .map(({ at, op }) => ({
          at,
          object: object.name,
          writes:
            object.access !== "read-only" &&
            ["write", "add", "update", "delete"].includes(op),
        })),
    ),
    verdicts: [...returnedConstants(ir)].flatMap((value) => {
      const name = names[shown(value)];
      return name === undefined ? [] : [name];
    }),
    infeasible: edges,
    excluded: excludedBy(why, tried),
  };
}

/** Which edges of the program, but for those of functions that were tried by themselves. */
function excludedBy(
  { byOptions, byNumbers, all }: Reasons,
  tried: ReadonlySet<string>,
): Excluded {
  const count = (edges: Decided["infeasible"]): number =>
    new Set(
      edges.flatMap(({ taken, ...at }) =>
        tried.has(at.function) ? [] : [edgeName(at, taken)],
      ),
    ).size;
  const [options, numbers, every] = [byOptions, byNumbers, all].map(count);
  return {
    options: options ?? 0,
    numbers: (numbers ?? 0) - (options ?? 0),
    allocators: (every ?? 0) - (numbers ?? 0),
  };
}

/** The program without those ways, and the edges that go with them. */
function decideAll(
  lifted: IrProgram,
  report: StateReport,
  filled: readonly string[],
): Decided & Reasons {
  const options = decide(lifted);
  const certain = certainLookups(lifted.maps, report);
  const keepsLength = !resizesPackets(lifted);
  const chains = chainsOf(lifted, report, new Set(filled));
  const notNull: RangeFacts["notNull"] = (call, fn, key) =>
    certain.has(placeName(call.at)) || isBelowSize(call, fn, key, lifted);
  const decided = (
    kept: readonly (typeof chains)[number][],
    roomy: readonly (typeof chains)[number][],
    paired: readonly (typeof chains)[number][] = [],
  ): Decided => {
    const outcomes = new ChainOutcomes(chains, {
      kept: new Set(kept),
      paired: new Set(paired),
      roomy: new Set(roomy),
    });
    return decideByRange(options.program, {
      keepsLength,
      notNull,
      outcome: (branch, fn) => outcomes.of(branch, fn),
    });
  };
  const { program: plain } = decided([], []);
  const numbersOnly = decideByRange(options.program, {
    keepsLength,
    notNull,
  });
  const roomy = chains.filter((chain) => addsOnce(chain, plain));
  // That new entries have room holds where with it nothing is given back by hand.
  const held: (typeof chains)[number][] = [];
  const kept: (typeof chains)[number][] = [];
  const paired: (typeof chains)[number][] = [];
  for (const chain of chains) {
    const left = roomy.includes(chain)
      ? freeCalls(chain, decided([], [chain]).program)
      : "any";
    if (left !== "any") held.push(chain);
    const calls = left === "any" ? freeCalls(chain, plain) : left;
    if (calls === "none") kept.push(chain);
    if (calls === "deleting") paired.push(chain);
  }
  const rest = decided(kept, held, paired);
  const byOptions = options.infeasible;
  const all = [...byOptions, ...rest.infeasible];
  return {
    program: rest.program,
    infeasible: all,
    byOptions,
    // Invariant 1 needs no hypothesis: it is among the allocators' here.
    byNumbers: [...byOptions, ...numbersOnly.infeasible],
    all,
  };
}

/** Is any call such that the frame has another length afterwards, or could it be? */
function resizesPackets({ functions }: IrProgram): boolean {
  return functions.some(({ blocks }) =>
    blocks.some(({ instructions }) =>
      instructions.some(
        (each) =>
          each.kind === "call" &&
          each.callee.kind !== "function" &&
          (each.callee.kind !== "helper" ||
            helperByNumber(each.callee.helper)?.invalidatesPacket !== false),
      ),
    ),
  );
}

const LOOKUP = 1;

/** A look-up in an array by a number that is below its size. */
function isBelowSize(
  { callee, args }: Call,
  fn: IrFunction,
  key: Interval | undefined,
  { maps }: IrProgram,
): boolean {
  if (callee.kind !== "helper" || callee.helper !== LOOKUP) return false;
  const type = args[0] === undefined ? undefined : fn.values[args[0]];
  if (type?.kind !== "pointer" || type.region.kind !== "map") return false;
  const { map: name } = type.region;
  const map = maps.find((each) => each.name === name);
  return (
    key !== undefined &&
    (map?.type === "array" || map?.type === "percpu_array") &&
    map.keySize === 4 &&
    key.high < BigInt(map.maxEntries)
  );
}

const placeName = (at: {
  readonly function: string;
  readonly instruction: number;
}): string => `${at.function}+${at.instruction}`;

/** `function+instruction` of what was in blocks of which none is left. */
function unreached(before: IrProgram, after: IrProgram): ReadonlySet<string> {
  const placesOf = ({ functions }: IrProgram): Set<string> =>
    new Set(
      functions.flatMap(({ blocks }) =>
        blocks.map(({ terminator }) => placeName(terminator.at)),
      ),
    );
  const left = placesOf(after);
  const gone = new Set<string>();
  for (const { blocks } of before.functions)
    for (const { instructions, terminator } of blocks)
      if (!left.has(placeName(terminator.at)))
        for (const { at } of instructions) gone.add(placeName(at));
  return gone;
}

/** `function+instruction` of calls that never answer null. */
function certainLookups(
  maps: readonly MapSpec[],
  { objects }: StateReport,
): ReadonlySet<string> {
  const certain = new Set<string>();
  for (const { name, accesses } of objects) {
    const map = maps.find((each) => each.name === name);
    if (map === undefined || mapTypeRow(map.type).indexed !== true) continue;
    const lookups = accesses.filter(({ op }) => op === "lookup");
    const every = new Map<string, boolean>();
    for (const access of lookups) {
      const place = `${access.at.function}+${access.at.instruction}`;
      // What an allocator's own links and entries name are cells of its array.
      const isNamed = access.through !== undefined || access.own !== undefined;
      const isBelow = isNamed || mostOf(access) < BigInt(map.maxEntries);
      every.set(place, (every.get(place) ?? true) && isBelow);
    }
    for (const [place, isCertain] of every) if (isCertain) certain.add(place);
  }
  return certain;
}

/** The largest index: bytes of a key in memory, the first one the lowest. */
function mostOf({ key }: Access): bigint {
  let most = 0n;
  for (const [at, bit] of key.bits.entries()) {
    const isZero =
      bit.kind === "linear" && bit.bits.length === 0 && bit.constant === 0;
    if (isZero) continue;
    most |= 1n << BigInt((at & ~7) + 7 - (at & 7));
  }
  return key.bits.length === 32 ? most : 1n << 64n;
}
