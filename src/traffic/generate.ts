/**
 * The packets of a generator model. Deterministic: a function of the model, whose
 * seed decides flows, sizes and order. Times start at one second (programs take 0
 * for "never") and advance by 1/rate. The first client packet of a TCP flow is a
 * SYN, its first reply SYN+ACK, later ones carry ACK; sequence numbers follow.
 */
import { Bug, InputError, Random } from "../base/index.ts";
import { tcpFlags } from "../packet/index.ts";
import { attack } from "./attack-steps.ts";
import {
  dressed,
  FrameMill,
  flowTuple,
  headerLength,
  mix,
} from "./frame-mill.ts";
import type { GeneratorModel, ModelName, SizeMix } from "./generator.ts";
import {
  burst,
  flashCrowd,
  flipFlop,
  movingZipf,
  ramp,
} from "./moving-steps.ts";
import type { TracePacket } from "./packet.ts";
import { sized } from "./sized-steps.ts";
import { bidirectional, churn, oneWay } from "./steady-steps.ts";
import type { MakeSteps } from "./step.ts";

// prettier-ignore
const steps: Readonly<Record<Exclude<ModelName, "coverage">, MakeSteps>> = {
  uniform: oneWay, zipf: oneWay, "single-flow": oneWay, bidirectional, churn,
  caida: sized, kth: sized, attack,
  ramp, "flash-crowd": flashCrowd, "flip-flop": flipFlop, "moving-zipf": movingZipf, burst,
};

const firstTime = 1_000_000_000;

export function* generate(
  model: GeneratorModel,
): Generator<TracePacket, void, undefined> {
  if (model.model === "coverage")
    throw new InputError("gen:coverage needs a program to cover", {
      code: "generator",
      kind: "usage",
    });
  const random = new Random(model.seed);
  const { next, slots } = steps[model.model](model, random.fork(1));
  const sizeOf = sizeSampler(model.size, random.fork(2));
  const mill = new FrameMill();
  // Next sequence number of client and server.
  const sequence = new Uint32Array(2 * slots);
  for (let slot = 0; slot < 2 * slots; slot++) sequence[slot] = mix(slot);
  const hosts = model.hosts === 0 ? model.flows : model.hosts;
  const tupleOptions = { seed: model.seed, hosts, tcp: model.tcp };
  const gap = 1e9 / model.rate;
  for (let index = 0; index < model.packets; index++) {
    const time = BigInt(firstTime + Math.floor(index * gap));
    const step = next();
    const { flow, reply, flags, port, slot, frame } = step;
    if (frame !== undefined) {
      yield { data: frame, wireLength: frame.length, time, port };
      continue;
    }
    const tuple = dressed(step.tuple ?? flowTuple(flow, tupleOptions), model);
    const headers = headerLength(tuple);
    const size = Math.max(sizeOf(), headers);
    const own = 2 * slot + (reply ? 1 : 0);
    const seq = sequence[own] ?? 0;
    const other = sequence[own ^ 1] ?? 0;
    const ack = (flags & tcpFlags.ack) === 0 ? 0 : other;
    const data = mill.make(tuple, { reply, size, flags, seq, ack });
    sequence[own] = seq + (size - (tuple.protocol === 6 ? headers : 54));
    yield { data, wireLength: size, time, port };
  }
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
