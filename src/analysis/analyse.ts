/**
 * The state report of one program: lift, inline, run the dataflow, gather.
 */
import type { Diagnostic, Place } from "../base/index.ts";
import {
  decide,
  inlineCalls,
  lift,
  unrollLoops,
  type IrProgram,
} from "../ir/index.ts";
import type { MapSpec, ProgramSpec } from "../isa/index.ts";
import { objectsOf } from "./accesses.ts";
import { recogniseAllocators, type Recognised } from "./allocator.ts";
import { innerName } from "./calls.ts";
import { Belongs } from "./belongs.ts";
import { comparisonOf, meetComparisons, type Comparison } from "./compared.ts";
import { runDataflow } from "./dataflow.ts";
import { joinFacts, noFacts } from "./facts.ts";
import { Interchanges } from "./interchanges.ts";
import { Links } from "./linked.ts";
import { racesOf } from "./races.ts";
import type { Allocator, CoreNumber, StateReport } from "./report.ts";
import { lesserBounds, type State } from "./state.ts";
import { Symbols } from "./symbols.ts";
import { ANY_OBJECT, type Touch } from "./touch.ts";
import type { Analysis } from "./step.ts";
import { additionsOf, spotOf, type Additions } from "./uses.ts";

export interface AnalyseOptions {
  /** Maps that user space changes while the program runs. */
  readonly userWrites?: readonly string[];
}

/** Instructions that the entry may have once calls are inlined. */
const INLINED = 100_000;

/** Loops that are looked at round by round. */
const unrolled = { rounds: 64, instructions: 20_000 };

export function analyse(
  program: ProgramSpec,
  options: AnalyseOptions = {},
): StateReport {
  const lifted = lift(program);
  const recognised = recogniseAllocators(program, lifted);
  const maps = new Map(program.maps.map((map) => [map.name, map]));
  const keep = new Links(recognised.allocators, maps).functions;
  const inlined =
    lifted.functions.length === 1
      ? lifted
      : inlineCalls(lifted, { budget: INLINED, keep });
  // An option that is off does nothing; a loop that counts is a row of rounds.
  const ir = unrollLoops(decide(inlined).program, unrolled);
  const instructions = program.functions.reduce(
    (sum, fn) => sum + fn.instructions.length,
    0,
  );
  return reportOf(ir, { ...options, instructions, recognised });
}

/** The same for a program that is lifted already. */
export function analyseIr(
  ir: IrProgram,
  options: AnalyseOptions & { readonly instructions?: number } = {},
): StateReport {
  return reportOf(ir, options);
}

function reportOf(
  ir: IrProgram,
  options: AnalyseOptions & {
    readonly instructions?: number;
    readonly recognised?: Recognised;
  },
): StateReport {
  const maps = ir.maps.flatMap(withInner);
  const userWrites = new Set(options.userWrites);
  const allocators = options.recognised?.allocators ?? new Map();
  const { explored, belongs, broken } = exploreFamilies(ir, {
    maps,
    allocators,
    userWrites,
  });
  const { touches, symbols, notes, numbers } = explored;
  const additions = gatherAdditions(ir, touches);
  const interchanges = new Interchanges({
    ...explored,
    fn: ir.functions[0],
    belongs,
    maps: new Map(maps.map((map) => [map.name, map])),
  });
  const objects = objectsOf(maps, {
    touches,
    additions,
    symbols,
    userWrites,
    allocators,
    belongs,
    interchanges,
  });
  const tested = portsOf(objects);
  // No packet comes in on interface 0: there stands a variable that nobody has set.
  const testedPorts = tested.filter((ifindex) => ifindex !== 0);
  return {
    program: ir.name,
    instructions: options.instructions ?? countInstructions(ir),
    objects,
    races: racesOf(objects, touches, additions.dependent),
    notes: [
      ...(options.recognised?.notes ?? []),
      ...broken,
      ...notes.values(),
      ...(tested.includes(0) ? [portUnset] : []),
    ],
    testsPort: testedPorts.length > 0,
    testedPorts,
    ...(numbers.size === 0 ? {} : { coreNumbers: [...numbers].sort() }),
  };
}

const portUnset: Diagnostic = {
  code: "port-unset",
  severity: "note",
  message:
    "the program tests for ingress interface 0, which no packet has: a variable that is set before loading? --set NAME=IFINDEX says it",
};

interface Explored {
  readonly touches: readonly Touch[];
  readonly symbols: Symbols;
  readonly notes: ReadonlyMap<string, Diagnostic>;
  readonly numbers: ReadonlySet<CoreNumber>;
  readonly links: Links;
  /** By block of the entry function. */
  readonly comparisons: ReadonlyMap<number, Comparison>;
}

/**
 * Explores the program on the assumption that the families of its allocators are what
 * they seem, checks that of what was found, and starts again without those that are not.
 */
function exploreFamilies(
  ir: IrProgram,
  given: {
    readonly maps: readonly MapSpec[];
    readonly allocators: ReadonlyMap<string, Allocator>;
    readonly userWrites: ReadonlySet<string>;
  },
): {
  readonly explored: Explored;
  readonly belongs: Belongs;
  readonly broken: readonly Diagnostic[];
} {
  const allocators = new Map(given.allocators);
  const notes: Diagnostic[] = [];
  for (;;) {
    const explored = explore(ir, given.maps, allocators);
    const { links, symbols, touches } = explored;
    const belongs = new Belongs(links, symbols, {
      touches,
      nameOf: ({ where }) => ir.functions[where.function]?.name,
      arrays: given.maps
        .filter(({ type, readOnly }) => type === "array" && !readOnly)
        .map(({ name }) => name),
    });
    const broken = belongs.broken(touches, given.userWrites);
    if (broken.size === 0) return { explored, belongs, broken: notes };
    for (const [array, note] of broken) {
      allocators.delete(array);
      notes.push(note);
    }
  }
}

function explore(
  ir: IrProgram,
  maps: readonly MapSpec[],
  allocators: ReadonlyMap<string, Allocator>,
): Explored {
  const symbols = new Symbols();
  const touches: Touch[] = [];
  const notes = new Map<string, Diagnostic>();
  const called = new Map<string, Known>();
  const numbers = new Set<CoreNumber>();
  const comparisons = new Map<number, Comparison>();
  const byName = new Map(maps.map((map) => [map.name, map]));
  const links = new Links(allocators, byName);
  symbols.indices = (loaded) => links.indices(loaded);
  const analysis: Analysis = {
    symbols,
    links,
    type: ir.type,
    maps: byName,
    touch: (touch) => void touches.push(touch),
    compared(where, test) {
      if (where.function !== 0 || links.all.length === 0) return;
      const now = comparisonOf(test, symbols);
      const known = comparisons.get(where.block);
      comparisons.set(
        where.block,
        known === undefined ? now : meetComparisons(known, now),
      );
    },
    note(code, message, at: Place) {
      notes.set(`${code} ${message}`, { code, severity: "note", message, at });
    },
    reads: (what) => void numbers.add(what),
    calls(name, { facts, bounds }) {
      const known = called.get(name);
      called.set(
        name,
        known === undefined
          ? { facts, bounds }
          : {
              facts: joinFacts(known.facts, facts),
              bounds: lesserBounds(known.bounds, bounds),
            },
      );
    },
  };
  const done = new Set<number>();
  const nothing: Known = { facts: noFacts, bounds: new Map() };
  runFunction(0, nothing);
  // Functions that stay calls: with no argument known, and the facts of no caller
  // in particular, so that one run covers all calls. Those of an allocator come last,
  // with what holds at all of their calls.
  for (const own of [false, true])
    for (const [name, known] of called) {
      if ((links.of(name) !== undefined) !== own) continue;
      const index = ir.functions.findIndex((fn) => fn.name === name);
      if (index > 0 && !done.has(index))
        runFunction(index, own ? known : nothing);
    }
  function runFunction(index: number, known: Known): void {
    const fn = ir.functions[index];
    if (fn === undefined) return;
    done.add(index);
    runDataflow(fn, { index, entry: index === 0, ...known }, analysis);
  }
  return { touches, symbols, notes, numbers, links, comparisons };
}

type Known = Pick<State, "facts" | "bounds">;

function withInner(map: MapSpec): MapSpec[] {
  if (map.inner === undefined) return [map];
  return [map, { ...map.inner, name: innerName(map.name) }];
}

function gatherAdditions(ir: IrProgram, touches: readonly Touch[]): Additions {
  const bySpot = new Map<string, Touch[]>();
  for (const touch of touches) {
    const spot = spotOf(touch.where);
    const known = bySpot.get(spot);
    if (known === undefined) bySpot.set(spot, [touch]);
    else known.push(touch);
  }
  const all = ir.functions.map((fn, index) => additionsOf(fn, index, bySpot));
  const union = (part: keyof Additions) =>
    new Set(all.flatMap((one) => [...one[part]]));
  // A touch of an unknown object may be of the same cell.
  const wild = touches.some(({ object }) => object === ANY_OBJECT);
  return {
    stores: wild ? new Set() : union("stores"),
    loads: wild ? new Set() : union("loads"),
    unused: union("unused"),
    dependent: union("dependent"),
  };
}

function portsOf(objects: StateReport["objects"]): readonly number[] {
  const ports = new Set<number>();
  for (const { accesses } of objects)
    for (const { guard } of accesses)
      for (const port of [
        ...(guard.ifindex ?? []),
        ...(guard.notIfindex ?? []),
      ])
        ports.add(port);
  return [...ports].sort((a, b) => a - b);
}

function countInstructions(ir: IrProgram): number {
  return ir.functions.reduce(
    (sum, fn) =>
      sum +
      fn.blocks.reduce(
        (inner, block) => inner + block.instructions.length + 1,
        0,
      ),
    0,
  );
}
