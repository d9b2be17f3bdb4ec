/**
 * The state report of one program: lift, inline, run the dataflow, gather.
 */
import type { Diagnostic, Place } from "../base/index.ts";
import { inlineCalls, lift, type IrProgram } from "../ir/index.ts";
import type { MapSpec, ProgramSpec } from "../isa/index.ts";
import { objectsOf } from "./accesses.ts";
import { recogniseAllocators, type Recognised } from "./allocator.ts";
import { innerName } from "./calls.ts";
import { runDataflow } from "./dataflow.ts";
import { joinFacts, noFacts, type Facts } from "./facts.ts";
import { racesOf } from "./races.ts";
import type { CoreNumber, StateReport } from "./report.ts";
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

export function analyse(
  program: ProgramSpec,
  options: AnalyseOptions = {},
): StateReport {
  const lifted = lift(program);
  const ir =
    lifted.functions.length === 1
      ? lifted
      : inlineCalls(lifted, { budget: INLINED });
  const instructions = program.functions.reduce(
    (sum, fn) => sum + fn.instructions.length,
    0,
  );
  const recognised = recogniseAllocators(program, lifted);
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
  const symbols = new Symbols();
  const touches: Touch[] = [];
  const notes = new Map<string, Diagnostic>();
  const called = new Map<string, Facts>();
  const numbers = new Set<CoreNumber>();
  const analysis: Analysis = {
    symbols,
    type: ir.type,
    maps: new Map(maps.map((map) => [map.name, map])),
    touch: (touch) => void touches.push(touch),
    note(code, message, at: Place) {
      notes.set(`${code} ${message}`, { code, severity: "note", message, at });
    },
    reads: (what) => void numbers.add(what),
    calls(name, state) {
      const known = called.get(name);
      called.set(
        name,
        known === undefined ? state.facts : joinFacts(known, state.facts),
      );
    },
  };
  const done = new Set<number>();
  runFunction(0, noFacts);
  // Functions that stay calls: with no argument known, and the facts of no caller
  // in particular, so that one run covers all calls.
  for (const name of called.keys()) {
    const index = ir.functions.findIndex((fn) => fn.name === name);
    if (index > 0 && !done.has(index)) runFunction(index, noFacts);
  }
  function runFunction(index: number, facts: Facts): void {
    const fn = ir.functions[index];
    if (fn === undefined) return;
    done.add(index);
    runDataflow(fn, { index, entry: index === 0, facts }, analysis);
  }

  const additions = gatherAdditions(ir, touches);
  const objects = objectsOf(maps, {
    touches,
    additions,
    symbols,
    userWrites: new Set(options.userWrites),
    allocators: options.recognised?.allocators ?? new Map(),
  });
  const testedPorts = portsOf(objects);
  return {
    program: ir.name,
    instructions: options.instructions ?? countInstructions(ir),
    objects,
    races: racesOf(objects, touches, additions.dependent),
    notes: [...(options.recognised?.notes ?? []), ...notes.values()],
    testsPort: testedPorts.length > 0,
    testedPorts,
    ...(numbers.size === 0 ? {} : { coreNumbers: [...numbers].sort() }),
  };
}

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
