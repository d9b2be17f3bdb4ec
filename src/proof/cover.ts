/**
 * A covering sequence: packets that reach as many branch edges of a program as a
 * search finds, in an order that builds the state they need.
 *
 * The search grows a tree. A node is a state with the steps that lead to it from its
 * parent; a candidate runs on a clone of a node's state and becomes its child when it
 * shows a feature (cover-tracer.ts) that none showed before. Candidates are
 * - what comparisons and missed lookups suggest (cover-substitution.ts), first;
 * - blind changes of packets near the node, of the same flow mostly (cover-mutation.ts);
 * - one packet many times over, and many flows, for counters and full tables;
 * - every value of a byte on which a stubborn comparison depends.
 *
 * At the end the tree is walked into one line from the first state, and what that line
 * reaches is what is reported: an edge not in `hit` was not reached *by the packets
 * returned*. Infeasible edges stay missing. Deterministic by seed; `budget` counts runs.
 */
import { Random, toHex } from "../base/index.ts";
import type { Environment, PacketInput, State } from "../interp/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import { drawLine, type Cover } from "./cover-line.ts";
import {
  constantsOf,
  gaps,
  mutate,
  otherFlow,
  type MutationSource,
} from "./cover-mutation.ts";
import { defaultSeeds } from "./cover-seeds.ts";
import {
  withData,
  type Node,
  type PacketStep,
  type Step,
} from "./cover-step.ts";
import {
  solveByWriting,
  solveComparison,
  solveMisses,
} from "./cover-substitution.ts";
import { Tracer, type Comparison, type Trace } from "./cover-tracer.ts";

export interface CoverOptions {
  /** The state to start from, with the program's maps; it is not changed. */
  readonly state: State;
  /** Packets to start from; a few common ones when empty. */
  readonly seeds?: readonly PacketInput[];
  /** Runs of the program that the search may spend. Default 40,000. */
  readonly budget?: number;
  readonly seed?: number;
  /** Interface indices that packets may arrive on. Default: those of the seeds. */
  readonly ports?: readonly number[];
  /** Lengths of packets. Default 0 to 1514; the kernel's test run wants 14 at least. */
  readonly shortest?: number;
  readonly longest?: number;
  /** May this packet be used? Default: every one. */
  readonly accepts?: (input: PacketInput) => boolean;
  /**
   * May user space write maps between packets? Names, or `read-only` for all maps that
   * the program itself never writes. Default: none.
   */
  readonly userWrites?: readonly string[] | "read-only";
  /** Maps that user space does not write even so. */
  readonly frozen?: readonly string[];
  /** Where tail calls may lead. */
  readonly programs?: readonly ProgramSpec[];
  /** Whoever runs the packets again must give the same. */
  readonly environment?: Environment;
}

export function coverProgram(
  program: ProgramSpec,
  options: CoverOptions,
): Cover {
  return new Search(program, options).cover();
}

interface Candidate {
  readonly node: Node;
  readonly steps: readonly Step[];
}

const pendingLimit = 4000;
/** Edges with company: so many kinds of company each count as news. */
const companies = 6;
const burst = 192;
/** How much of the budget goes into them. */
const burstShare = 0.2;
const probeShare = 0.15;

class Search {
  readonly #options: CoverOptions;
  readonly #tracer: Tracer;
  readonly #random: Random;
  readonly #source: MutationSource;
  readonly #packets: PacketStep[];
  readonly #seeds: readonly PacketStep[];
  readonly #budget: number;
  readonly #nodes: Node[] = [];
  readonly #seen = new Set<string>();
  readonly #companies = new Map<string, number>();
  readonly #edges = new Set<number>();
  readonly #attempts = new Map<string, number>();
  /** Newest way to each branch: what to probe when nothing else helps. */
  readonly #witnesses = new Map<
    number,
    { readonly node: Node; readonly step: PacketStep }
  >();
  readonly #pending: Candidate[] = [];
  /** Suggestions in which user space writes first. */
  readonly #writes: Candidate[] = [];
  #burstRuns = 0;
  #probeRuns = 0;

  constructor(program: ProgramSpec, options: CoverOptions) {
    this.#options = options;
    this.#budget = options.budget ?? 40_000;
    this.#random = new Random(options.seed ?? 1);
    this.#tracer = new Tracer(program, options.state, {
      seed: options.seed ?? 1,
      ...(options.programs === undefined ? {} : { programs: options.programs }),
      environment: options.environment ?? {},
    });
    const given = options.seeds ?? [];
    const words = constantsOf(program.functions);
    const common = defaultSeeds(options.ports?.[0] ?? 1);
    const seeds =
      given.length > 0 ? [...given, ...missing(given, common, words)] : common;
    this.#packets = seeds.map((input) => ({
      kind: "packet",
      input,
      gap: 1000n,
    }));
    this.#seeds = this.#packets.slice();
    this.#source = {
      random: this.#random,
      ports: options.ports ?? [...new Set(seeds.map(({ ifindex }) => ifindex))],
      words,
      packets: this.#packets,
      shortest: options.shortest ?? 0,
      longest: options.longest ?? 1514,
    };
  }

  cover(): Cover {
    const root: Node = {
      parent: undefined,
      steps: [],
      state: this.#options.state.clone(),
      time: this.#packets[0]?.input.time ?? 0n,
      edges: [],
      full: false,
    };
    this.#nodes.push(root);
    for (const step of this.#seeds)
      for (const ifindex of this.#source.ports)
        this.#try({
          node: root,
          steps: [{ ...step, input: { ...step.input, ifindex } }],
        });
    let lastNews = 0;
    let nodes = this.#nodes.length;
    while (this.#tracer.runs < this.#budget) {
      // Suggestions first, but not only: there may be many that lead nowhere.
      const next = this.#next();
      if (next === undefined) this.#explore();
      else this.#try(next);
      if (this.#nodes.length !== nodes) {
        nodes = this.#nodes.length;
        lastNews = this.#tracer.runs;
      }
      const idle = this.#tracer.runs - lastNews;
      const done = this.#edges.size === 2 * this.#tracer.sites.length;
      if (idle > this.#budget / (done ? 10 : 2)) break;
      if (idle > 300 && this.#probeRuns < this.#tracer.runs * probeShare) {
        const before = this.#tracer.runs;
        this.#probe();
        this.#probeRuns += this.#tracer.runs - before;
      }
    }
    return drawLine(root, this.#nodes, {
      tracer: this.#tracer,
      random: this.#random,
    });
  }

  /** Runs the steps on a clone of the node's state; keeps what shows something new. */
  #try({ node, steps }: Candidate): Trace | undefined {
    const state = node.state.clone();
    let { time } = node;
    let { full } = node;
    let last: Trace | undefined;
    for (const [index, step] of steps.entries()) {
      if (step.kind === "write") {
        if (state.update(step.map, step.key, step.value) < 0) return last;
        continue;
      }
      if (this.#options.accepts?.(step.input) === false) return last;
      time += step.gap;
      last = this.#tracer.run(state, { ...step.input, time });
      full ||= last.touches.some(({ result }) => result === "full");
      const edges = this.#news(last);
      if (edges !== undefined) {
        const done = steps.slice(0, index + 1);
        this.#nodes.push({
          parent: node,
          steps: done,
          state,
          time,
          edges,
          full,
        });
        this.#packets.push(step);
        // What user space wrote may matter to every kind of packet.
        const newest = this.#nodes.at(-1);
        if (newest !== undefined && done.some(({ kind }) => kind === "write"))
          for (const seed of this.#seeds)
            this.#queue({ node: newest, steps: [seed] });
      }
      if (index === steps.length - 1 || edges !== undefined) {
        const before = steps.slice(0, index);
        this.#follow(node, before, step, last);
        if (edges !== undefined) return last;
      }
    }
    return last;
  }

  /** New edges; undefined when no feature is new. */
  #news(trace: Trace): readonly number[] | undefined {
    let news = false;
    for (const feature of trace.features) {
      if (this.#seen.has(feature)) continue;
      const at = feature.indexOf("&");
      if (at >= 0) {
        const edge = feature.slice(0, at);
        const count = this.#companies.get(edge) ?? 0;
        if (count >= companies) continue;
        this.#companies.set(edge, count + 1);
      }
      this.#seen.add(feature);
      news = true;
    }
    const edges = [...trace.edges].filter((edge) => !this.#edges.has(edge));
    for (const edge of edges) this.#edges.add(edge);
    return news ? edges : undefined;
  }

  /** Queues what this run suggests. */
  #follow(
    node: Node,
    before: readonly Step[],
    step: PacketStep,
    trace: Trace,
  ): void {
    const add = (steps: readonly Step[]): void => {
      this.#queue({ node, steps: [...before, ...steps] });
    };
    if (before.length > 2) return;
    const open = new Set<Comparison>();
    for (const comparison of trace.comparisons) {
      if (!this.#isOpen(comparison.site)) continue;
      open.add(comparison);
      this.#witnesses.set(comparison.site, { node, step });
    }
    for (const comparison of open) {
      const { site, left, right } = comparison;
      if (!this.#attempt(`${site} ${left} ${right}`, 2)) continue;
      if (!this.#attempt(`${site}`, 60) && !this.#random.chance(0.05)) continue;
      for (const each of solveComparison(step, comparison, this.#source))
        add([each]);
    }
    if (this.#random.chance(0.1))
      for (const each of solveMisses(step, trace, node.state)) add([each]);
    if (this.#options.userWrites !== undefined && open.size > 0)
      for (const steps of solveByWriting(step, trace, node.state, (map) =>
        this.#mayWrite(map),
      ))
        if (this.#attempt(writeName(steps), 2)) add(steps);
  }

  /** The newest suggestions are tried first, the oldest forgotten when there are many. */
  #queue(candidate: Candidate): void {
    const writes = candidate.steps.some(({ kind }) => kind === "write");
    const queue = writes ? this.#writes : this.#pending;
    queue.push(candidate);
    if (queue.length > pendingLimit) queue.splice(0, pendingLimit / 2);
  }

  #next(): Candidate | undefined {
    const [first, second] = this.#random.chance(0.25)
      ? [this.#writes, this.#pending]
      : [this.#pending, this.#writes];
    return first.pop() ?? second.pop();
  }

  /** Is there an edge of the branch that nothing reached? */
  #isOpen(site: number): boolean {
    if (site < 0) return true;
    return !this.#edges.has(2 * site) || !this.#edges.has(2 * site + 1);
  }

  #attempt(what: string, most: number): boolean {
    const count = this.#attempts.get(what) ?? 0;
    this.#attempts.set(what, count + 1);
    return count < most;
  }

  #mayWrite(map: string): boolean {
    const { userWrites = [], frozen = [] } = this.#options;
    if (frozen.includes(map)) return false;
    return userWrites === "read-only"
      ? !this.#tracer.written.has(map)
      : userWrites.includes(map);
  }

  #explore(): void {
    const random = this.#random;
    const recent = this.#nodes.slice(-8);
    const node = random.pick(random.chance(0.5) ? recent : this.#nodes);
    const own = node.steps.filter((step) => step.kind === "packet");
    const near = own.length > 0 && random.chance(0.6);
    const base = random.pick(near ? own : this.#packets);
    if (
      this.#burstRuns < this.#tracer.runs * burstShare &&
      random.chance(0.1)
    ) {
      const before = this.#tracer.runs;
      this.#try({ node, steps: this.#burst(base) });
      this.#burstRuns += this.#tracer.runs - before;
      return;
    }
    const changed = random.chance(0.1) ? base : mutate(this.#source, base);
    const gap = random.chance(0.7)
      ? 1000n
      : random.pick([changed.gap, ...gaps]);
    this.#try({ node, steps: [{ ...changed, gap }] });
  }

  /** The same packet over and over, or one of many flows. */
  #burst(base: PacketStep): Step[] {
    const random = this.#random;
    const flows = random.chance(0.4);
    const first = random.chance(0.8) ? base : mutate(this.#source, base);
    const data = new Uint8Array(this.#source.longest);
    data.set(first.input.data);
    const big = random.chance(0.4) ? withData(first, data) : first;
    const gap = random.chance(0.9) ? 1n : big.gap;
    const count = random.pick([8, 32, burst]);
    return Array.from({ length: count }, (): Step => {
      const step = { ...big, gap };
      return flows ? otherFlow(random, step) : step;
    });
  }

  /** Finds the bytes that a stubborn comparison depends on; tries all their values. */
  #probe(): void {
    const sites = [...this.#witnesses.keys()].filter(
      (site) =>
        this.#isOpen(site) && (this.#attempts.get(`probe ${site}`) ?? 0) < 3,
    );
    if (sites.length === 0) return;
    const site = this.#random.pick(sites);
    const witness = this.#witnesses.get(site);
    if (witness === undefined || !this.#attempt(`probe ${site}`, 3)) return;
    const { node, step } = witness;
    const operands = (data: Uint8Array): string => {
      const input = { ...step.input, data, time: node.time + step.gap };
      const trace = this.#tracer.run(node.state.clone(), input);
      const found = trace.comparisons.find((each) => each.site === site);
      return found === undefined ? "" : `${found.left} ${found.right}`;
    };
    const { data } = step.input;
    const normal = operands(data);
    let tried = 0;
    for (let at = 0; at < Math.min(data.length, 64) && tried < 4; at++) {
      // Bit by bit, since most changes of a header byte lead elsewhere.
      const matters = [0, 1, 2, 3, 4, 5, 6, 7].some((bit) => {
        const other = operands(filled(data, at, (data[at] ?? 0) ^ (1 << bit)));
        return other !== "" && other !== normal;
      });
      if (!matters) continue;
      tried++;
      for (let value = 0; value < 256 && this.#isOpen(site); value++)
        this.#try({ node, steps: [withData(step, filled(data, at, value))] });
    }
  }
}

/** Common frames of EtherTypes that the program names and no given packet has. */
function missing(
  given: readonly PacketInput[],
  common: readonly PacketInput[],
  words: readonly bigint[],
): readonly PacketInput[] {
  const typeOf = ({ data }: PacketInput): number =>
    ((data[12] ?? 0) << 8) | (data[13] ?? 0);
  const had = new Set(given.map(typeOf));
  const named = new Set(words);
  return common.filter((packet) => {
    const type = typeOf(packet);
    const swapped = ((type & 0xff) << 8) | (type >> 8);
    return (
      !had.has(type) && (named.has(BigInt(type)) || named.has(BigInt(swapped)))
    );
  });
}

function filled(data: Uint8Array, at: number, value: number): Uint8Array {
  const copy = data.slice();
  copy[at] = value;
  return copy;
}

function writeName(steps: readonly Step[]): string {
  return steps
    .map((step) =>
      step.kind === "write"
        ? `${step.map} ${toHex(step.key)} ${toHex(step.value)}`
        : "",
    )
    .join();
}
