/**
 * The frame analysis: which loads and stores go to known bytes of the function's
 * own frame, and which bytes of it somebody else may reach through an address.
 *
 * A forward data flow over registers and the 64 aligned stack words, run until
 * nothing changes; then once more to collect. Which bytes escape is an input of
 * the flow (a word in escaped memory is not followed), so the whole is repeated
 * with the larger set until the set stands: two rounds as a rule.
 *
 * Sound as: a byte outside of every slot is read and written only by the
 * instructions whose `access` names it. An address of the frame that is stored
 * where it is not followed, returned, or handed to unknown code makes all 512
 * bytes memory. A helper reaches upward from the address it is given, never
 * down, and no further than its signature says.
 */
import type { FunctionSpec, Instruction, MapSpec } from "../isa/index.ts";
import type { BytecodeGraph } from "./bytecode-graph.ts";
import {
  escapedBytes,
  frameSize,
  insideFrame,
  layoutFrame,
  type FrameLayout,
  type FrameRange,
} from "./frame-layout.ts";
import {
  any,
  equal,
  join,
  ownBase,
  ownOffset,
  parameterBase,
  pointer,
  type FrameState,
  type FrameValue,
} from "./frame-value.ts";
import { refine } from "./frame-arithmetic.ts";
import { transfer, wordCount, type FrameSink } from "./frame-transfer.ts";
import { graphReversePostorder } from "./graph.ts";

/** Bytes that a function touches around the address in one parameter. */
export interface ParameterReach {
  readonly low: number;
  readonly high: number;
}

/** Index = parameter 0 … 4. */
export type FrameSummary = readonly ParameterReach[];

export interface FrameContext {
  readonly maps: readonly MapSpec[];
  /** Of the functions that this one calls; a missing one reaches everything. */
  readonly summaries: ReadonlyMap<string, FrameSummary>;
  readonly arityOf: (name: string) => number;
}

export interface FrameFacts {
  readonly layout: FrameLayout;
  /** Index = instruction: offset from r10 of a load or store in the own frame. */
  readonly access: readonly (number | undefined)[];
  /** Index = instruction: its result is r10 plus this. */
  readonly result: readonly (number | undefined)[];
  readonly summary: FrameSummary;
}

export function analyseFrame(
  fn: FunctionSpec,
  graph: BytecodeGraph,
  context: FrameContext,
): FrameFacts {
  let escaped: Int16Array = new Int16Array(frameSize).fill(-1);
  for (;;) {
    const states = solve(fn, graph, context, escaped);
    const found = collect(fn, graph, context, { states, escaped });
    const next = escapedBytes(found.direct.values(), found.ranges.values());
    const stands = next.every(
      (name, at) => name >= 0 === (escaped[at] ?? -1) >= 0,
    );
    escaped = next;
    if (!stands) continue;
    return {
      layout: layoutFrame([...found.direct.values()], next, found.variable),
      access: found.access,
      result: found.result,
      summary: found.summary,
    };
  }
}

/** In-states of the blocks; undefined where nothing arrives. */
function solve(
  fn: FunctionSpec,
  graph: BytecodeGraph,
  context: FrameContext,
  escaped: Int16Array,
): (FrameValue[] | undefined)[] {
  const order = graphReversePostorder(graph);
  const states: (FrameValue[] | undefined)[] = graph.blocks.map(
    () => undefined,
  );
  states[0] = entryState();
  const visits = new Int32Array(graph.blocks.length);
  const dirty = new Uint8Array(graph.blocks.length);
  dirty[0] = 1;
  for (let changed = true; changed;) {
    changed = false;
    for (const node of order) {
      const block = graph.blocks[node];
      const state = states[node];
      if (block === undefined || state === undefined || dirty[node] === 0)
        continue;
      dirty[node] = 0;
      changed = true;
      const out = [...state];
      for (let at = block.first; at < block.end; at++) {
        const instruction = fn.instructions[at];
        if (instruction !== undefined)
          transfer(instruction, out, { context, escaped });
      }
      const last =
        block.end > block.first ? fn.instructions[block.end - 1] : undefined;
      for (const [edge, successor] of block.successors.entries()) {
        const arriving = refine(last, out, edge === 0);
        visits[successor] = (visits[successor] ?? 0) + 1;
        const widened = (visits[successor] ?? 0) > 16;
        const before = states[successor];
        if (before === undefined) states[successor] = [...arriving];
        else if (!joinInto(before, arriving, widened)) continue;
        dirty[successor] = 1;
      }
    }
  }
  return states;
}

function entryState(): FrameValue[] {
  const state: FrameValue[] = Array.from({ length: 10 + wordCount }, () => any);
  for (let index = 0; index < 5; index++)
    state[index + 1] = pointer(parameterBase(index), 0);
  return state;
}

function joinInto(
  state: FrameValue[],
  arriving: FrameState,
  widened: boolean,
): boolean {
  let changed = false;
  for (const [at, value] of arriving.entries()) {
    const before = state[at] ?? any;
    const after = join(before, value, widened);
    if (equal(before, after)) continue;
    state[at] = after;
    changed = true;
  }
  return changed;
}

interface Collected {
  readonly access: (number | undefined)[];
  readonly result: (number | undefined)[];
  readonly direct: ReadonlyMap<string, FrameRange>;
  readonly ranges: ReadonlyMap<string, FrameRange>;
  /** Something goes through an address of the frame with unknown offset. */
  readonly variable: boolean;
  readonly summary: FrameSummary;
}

function collect(
  fn: FunctionSpec,
  graph: BytecodeGraph,
  context: FrameContext,
  flow: {
    readonly states: readonly (FrameState | undefined)[];
    readonly escaped: Int16Array;
  },
): Collected {
  const access: (number | undefined)[] = fn.instructions.map(() => undefined);
  const result: (number | undefined)[] = fn.instructions.map(() => undefined);
  const direct = new Map<string, FrameRange>();
  const ranges = new Map<string, FrameRange>();
  const summary: ParameterReach[] = Array.from({ length: 5 }, () => ({
    low: 0,
    high: 0,
  }));
  let variable = false;
  let instructionAt = 0;
  const reach = (value: FrameValue, low: number, high: number): void => {
    if (value.kind !== "pointer") return;
    const from = value.low + low;
    const to = value.high + high;
    for (let index = 0; index < 5; index++) {
      const before = summary[index];
      if ((value.bases & parameterBase(index)) === 0 || before === undefined)
        continue;
      summary[index] = {
        low: Math.min(before.low, from, value.low),
        high: Math.max(before.high, to, value.high + 1),
      };
    }
    if ((value.bases & ownBase) === 0) return;
    if (value.low !== value.high) variable = true;
    // The address itself belongs to the range, so that its slot is one slot.
    const range = {
      low: Math.max(Math.min(from, value.low), -frameSize),
      high: Math.min(Math.max(to, value.high + 1), 0),
    };
    if (range.low < range.high) ranges.set(`${range.low} ${range.high}`, range);
  };
  const sink: FrameSink = {
    reach,
    access: (address, offset, size) => {
      const own = ownOffset(address);
      const low = (own ?? 0) + offset;
      if (own === undefined || !insideFrame(low, low + size)) {
        reach(address, offset, offset + size);
        return;
      }
      access[instructionAt] = low;
      direct.set(`${low} ${size}`, { low, high: low + size });
    },
  };
  for (const [node, block] of graph.blocks.entries()) {
    const start = flow.states[node];
    if (start === undefined) continue;
    const state = [...start];
    for (let at = block.first; at < block.end; at++) {
      const instruction = fn.instructions[at];
      if (instruction === undefined) continue;
      instructionAt = at;
      transfer(instruction, state, { context, escaped: flow.escaped, sink });
      const written = destinationOf(instruction);
      const value = written === undefined ? undefined : state[written];
      if (value !== undefined) result[at] = ownOffset(value);
    }
  }
  return { access, result, direct, ranges, variable, summary };
}

/** The register whose new value `result` speaks of: moves and additions only. */
function destinationOf(instruction: Instruction): number | undefined {
  return instruction.kind === "alu" ? instruction.dst : undefined;
}
