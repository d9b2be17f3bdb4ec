/**
 * The search's tree as one line of packets. Paths from the root are appended one after
 * the other to a run that goes on; those whose edges the line has already are left out,
 * those that fill a table come last. A path that was found on a fresh state may meet
 * state that earlier ones left: then it is tried with other addresses.
 */
import type { Place, Random } from "../base/index.ts";
import type { PacketInput, State } from "../interp/index.ts";
import { withData, type Node, type Step } from "./cover-step.ts";
import type { Tracer } from "./cover-tracer.ts";

export interface LineWrite {
  readonly before: number;
  readonly map: string;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export interface Cover {
  readonly packets: readonly PacketInput[];
  /** What user space writes, in order, each before the packet with that index. */
  readonly writes: readonly LineWrite[];
  readonly branches: {
    readonly hit: number;
    readonly total: number;
    /** One entry per edge: a branch of which neither edge was reached is there twice. */
    readonly missing: readonly (Place & { readonly taken: boolean })[];
  };
  /** Runs spent. */
  readonly runs: number;
}

interface Line {
  readonly state: State;
  readonly time: bigint;
  readonly edges: ReadonlySet<number>;
  readonly features: ReadonlySet<string>;
  readonly steps: readonly Placed[];
}

type Placed =
  | { readonly kind: "packet"; readonly input: PacketInput }
  | Extract<Step, { kind: "write" }>;

const variants = 4;

export function drawLine(
  root: Node,
  nodes: readonly Node[],
  { tracer, random }: { readonly tracer: Tracer; readonly random: Random },
): Cover {
  let line: Line = {
    state: root.state,
    time: root.time,
    edges: new Set(),
    features: new Set(),
    steps: [],
  };
  const ordered = [...nodes].sort(
    (left, right) => Number(left.full) - Number(right.full),
  );
  for (const node of ordered) {
    if (node === root || node.edges.every((edge) => line.edges.has(edge)))
      continue;
    line = appendPath(line, pathOf(node), node.edges, { tracer, random });
  }
  // Touches with other results than so far: hits, misses, full tables.
  for (const node of ordered) {
    if (node === root || node.edges.length > 0) continue;
    const longer = run(line, pathOf(node), tracer);
    const isNews = [...longer.features].some(
      (feature) => !feature.includes("&") && !line.features.has(feature),
    );
    if (isNews) line = longer;
  }
  return report(line, tracer);
}

function pathOf(node: Node): readonly Step[] {
  return node.parent === undefined
    ? []
    : [...pathOf(node.parent), ...node.steps];
}

function appendPath(
  line: Line,
  path: readonly Step[],
  wanted: readonly number[],
  { tracer, random }: { readonly tracer: Tracer; readonly random: Random },
): Line {
  let best = line;
  for (let count = 0; count < variants; count++) {
    const steps = count === 0 ? path : renamed(path, random);
    const longer = run(line, steps, tracer);
    if (longer.edges.size > best.edges.size) best = longer;
    if (wanted.every((edge) => best.edges.has(edge))) break;
  }
  return best;
}

function run(line: Line, path: readonly Step[], tracer: Tracer): Line {
  const state = line.state.clone();
  const edges = new Set(line.edges);
  const features = new Set(line.features);
  const steps = [...line.steps];
  let { time } = line;
  for (const step of path) {
    if (step.kind === "write") {
      state.update(step.map, step.key, step.value);
      steps.push(step);
      continue;
    }
    time += step.gap;
    const input = { ...step.input, time };
    const trace = tracer.run(state, input);
    for (const edge of trace.edges) edges.add(edge);
    for (const feature of trace.features) features.add(feature);
    steps.push({ kind: "packet", input });
  }
  return { state, time, edges, features, steps };
}

/** All packets of the path with the same change of IPv4 addresses. */
function renamed(path: readonly Step[], random: Random): readonly Step[] {
  const change = random.bytes(8);
  return path.map((step) => {
    if (step.kind === "write" || step.input.data.length < 34) return step;
    const data = step.input.data.slice();
    for (const [index, byte] of change.entries())
      data[26 + index] = (data[26 + index] ?? 0) ^ byte;
    return withData(step, data);
  });
}

function report(line: Line, tracer: Tracer): Cover {
  const packets: PacketInput[] = [];
  const writes: LineWrite[] = [];
  for (const step of line.steps)
    if (step.kind === "packet") packets.push(step.input);
    else {
      const { map, key, value } = step;
      writes.push({ before: packets.length, map, key, value });
    }
  const missing = tracer.sites.flatMap(
    (at, site): (Place & { taken: boolean })[] =>
      [false, true]
        .filter((taken) => !line.edges.has(2 * site + Number(taken)))
        .map((taken) => ({ ...at, taken })),
  );
  const total = 2 * tracer.sites.length;
  return {
    packets,
    writes,
    branches: { hit: total - missing.length, total, missing },
    runs: tracer.runs,
  };
}
