/**
 * The packets of a generator model. Deterministic: a function of the model, whose
 * seed decides flows, sizes and order. Times start at one second (programs take 0
 * for "never") and advance by 1/rate. The first client packet of a TCP flow is a
 * SYN, its first reply SYN+ACK, later ones carry ACK; sequence numbers follow.
 */
import { Bug, InputError, Random } from "../base/index.ts";
import { tcpFlags } from "../packet/index.ts";
import { FrameMill, flowTuple, mix, type FlowTuple } from "./frame-mill.ts";
import type { GeneratorModel, ModelName, SizeMix } from "./generator.ts";
import type { TracePacket } from "./packet.ts";

/** What the next packet is; the rest of a packet follows from the model. */
interface Step {
  /** Number of the flow; flows of churn are numbered on. */
  readonly flow: number;
  readonly reply: boolean;
  readonly flags: number;
  readonly port: number;
  /** Where the flow's sequence numbers are kept. */
  readonly slot: number;
}

type Steps = (model: GeneratorModel, random: Random) => () => Step;

const steps: Readonly<Partial<Record<ModelName, Steps>>> = {
  uniform: oneWay,
  zipf: oneWay,
  "single-flow": oneWay,
  bidirectional,
  churn,
};

const firstTime = 1_000_000_000;

export function* generate(
  model: GeneratorModel,
): Generator<TracePacket, void, undefined> {
  const make = steps[model.model];
  if (make === undefined) throw notHere(model);
  const random = new Random(model.seed);
  const next = make(model, random.fork(1));
  const sizeOf = sizeSampler(model.size, random.fork(2));
  const mill = new FrameMill();
  const slots = model.flows + 1;
  // Next sequence number of client and server.
  const sequence = new Uint32Array(2 * slots);
  for (let slot = 0; slot < 2 * slots; slot++) sequence[slot] = mix(slot);
  const hosts = model.hosts === 0 ? model.flows : model.hosts;
  const tupleOptions = { seed: model.seed, hosts, tcp: model.tcp };
  const gap = 1e9 / model.rate;
  for (let index = 0; index < model.packets; index++) {
    const { flow, reply, flags, port, slot } = next();
    const tuple: FlowTuple = flowTuple(flow, tupleOptions);
    const size = sizeOf();
    const own = 2 * slot + (reply ? 1 : 0);
    const seq = sequence[own] ?? 0;
    const other = sequence[own ^ 1] ?? 0;
    const ack = (flags & tcpFlags.ack) === 0 ? 0 : other;
    const data = mill.make(tuple, { reply, size, flags, seq, ack });
    sequence[own] = seq + (size - 54);
    const time = BigInt(firstTime + Math.floor(index * gap));
    yield { data, wireLength: size, time, port };
  }
}

function notHere(model: GeneratorModel): Error {
  if (model.model === "coverage")
    return new InputError("gen:coverage needs a program to cover", {
      code: "generator",
      kind: "usage",
    });
  return new Bug(`no packets for generator ${model.model}`);
}

/** uniform, zipf and single-flow differ in the skew and the number of flows only. */
function oneWay(model: GeneratorModel, random: Random): () => Step {
  const pick = zipfSampler(model.flows, model.skew, random);
  const opened = new Uint8Array(model.flows);
  const { port } = model;
  return () => {
    const flow = pick();
    const flags = opened[flow] === 0 ? tcpFlags.syn : tcpFlags.ack;
    opened[flow] = 1;
    return { flow, reply: false, flags, port, slot: flow };
  };
}

function bidirectional(model: GeneratorModel, random: Random): () => Step {
  const { flows, lan, wan, replies, unsolicited } = model;
  const pick = zipfSampler(flows, model.skew, random);
  // 0: unheard of; 1: the client has sent; 2: both have.
  const state = new Uint8Array(flows);
  const { syn, ack } = tcpFlags;
  return () => {
    if (random.chance(unsolicited)) {
      const flow = flows + random.below(flows);
      return { flow, reply: true, flags: ack, port: wan, slot: flows };
    }
    const flow = pick();
    const before = state[flow] ?? 0;
    if (before === 0) {
      state[flow] = 1;
      return { flow, reply: false, flags: syn, port: lan, slot: flow };
    }
    if (!random.chance(replies))
      return { flow, reply: false, flags: ack, port: lan, slot: flow };
    state[flow] = 2;
    const flags = before === 1 ? syn | ack : ack;
    return { flow, reply: true, flags, port: wan, slot: flow };
  };
}

/** `flows` connections at a time; one that has ended is followed by a new one. */
function churn(model: GeneratorModel, random: Random): () => Step {
  const { flows, length, port } = model;
  const { syn, ack, fin } = tcpFlags;
  const current = new Float64Array(flows);
  const sent = new Uint32Array(flows);
  const total = new Uint32Array(flows);
  let connections = 0;
  return () => {
    const slot = random.below(flows);
    if (sent[slot] === 0) {
      current[slot] = connections++;
      // Uniform in 2 … 2·length − 2, so that the mean is `length`.
      total[slot] = 2 + random.below(2 * length - 3);
    }
    const number = (sent[slot] ?? 0) + 1;
    const isLast = number === total[slot];
    sent[slot] = isLast ? 0 : number;
    const flags = number === 1 ? syn : isLast ? fin | ack : ack;
    return { flow: current[slot] ?? 0, reply: false, flags, port, slot };
  };
}

function sizeSampler(mix: SizeMix, random: Random): () => number {
  const { sizes } = mix;
  const [first] = sizes;
  if (first === undefined) throw new Bug("a size mix without sizes");
  if (sizes.length === 1) return () => first.size;
  const all = sizes.reduce((sum, { weight }) => sum + weight, 0);
  return () => {
    let rest = random.unit() * all;
    for (const { size, weight } of sizes) {
      rest -= weight;
      if (rest < 0) return size;
    }
    return first.size;
  };
}

/**
 * Ranks 0 … count − 1 with P(rank) ~ (rank + 1)^-skew in constant time each, by the
 * alias method (Vose 1991): column i holds rank i up to `keep`, its alias above.
 */
export function zipfSampler(
  count: number,
  skew: number,
  random: Random,
): () => number {
  if (skew === 0 || count === 1) return () => random.below(count);
  const { keep, alias } = aliasTable(count, skew);
  return () => {
    const column = random.below(count);
    return random.unit() < (keep[column] ?? 1) ? column : (alias[column] ?? 0);
  };
}

function aliasTable(
  count: number,
  skew: number,
): { readonly keep: Float64Array; readonly alias: Uint32Array } {
  const keep = new Float64Array(count);
  let total = 0;
  for (let rank = 0; rank < count; rank++)
    total += keep[rank] = (rank + 1) ** -skew;
  const small: number[] = [];
  const large: number[] = [];
  for (let rank = 0; rank < count; rank++) {
    const scaled = ((keep[rank] ?? 0) * count) / total;
    keep[rank] = scaled;
    (scaled < 1 ? small : large).push(rank);
  }
  const alias = new Uint32Array(count);
  for (;;) {
    const low = small.pop();
    const high = large.pop();
    if (low === undefined || high === undefined) {
      // What is left over is 1 up to rounding.
      for (const rank of [low, high, ...small, ...large])
        if (rank !== undefined) keep[rank] = 1;
      return { keep, alias };
    }
    alias[low] = high;
    const rest = (keep[high] ?? 0) - (1 - (keep[low] ?? 0));
    keep[high] = rest;
    (rest < 1 ? small : large).push(high);
  }
}
