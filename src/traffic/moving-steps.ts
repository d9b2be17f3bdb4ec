/**
 * Models whose mix of flows changes along the trace, for what reacts to change:
 * ramp, flash-crowd, flip-flop, moving-zipf, burst. `epochs` equal parts of the trace
 * are the unit of change.
 */
import type { Random } from "../base/index.ts";
import { tcpFlags } from "../packet/index.ts";
import { flowTuple } from "./frame-mill.ts";
import type { GeneratorModel } from "./generator.ts";
import type { Step, Steps } from "./step.ts";
import { zipfSampler } from "./zipf-sampler.ts";

/** Steps of one way: a flow's first packet is a SYN. */
function opening(
  model: GeneratorModel,
  flows: number,
  pick: (index: number) => number,
): Steps {
  const opened = new Uint8Array(flows);
  let index = 0;
  const next = (): Step => {
    const flow = pick(index++);
    const flags = opened[flow] === 0 ? tcpFlags.syn : tcpFlags.ack;
    opened[flow] = 1;
    return { flow, reply: false, flags, port: model.port, slot: flow };
  };
  return { next, slots: flows };
}

/** From one flow to all of them, in a straight line. */
export function ramp(model: GeneratorModel, random: Random): Steps {
  const { flows, packets } = model;
  return opening(model, flows, (index) =>
    random.below(1 + Math.floor((index * flows) / packets)),
  );
}

/** In the middle third, `share` of the packets are of new clients of one server. */
export function flashCrowd(model: GeneratorModel, random: Random): Steps {
  const { flows, packets, share, seed, hosts, tcp } = model;
  const options = { seed, hosts: hosts === 0 ? 2 * flows : hosts, tcp };
  const { server, serverPort } = flowTuple(0, options);
  const steps = opening(model, 2 * flows, (index) => {
    const isCrowd =
      3 * index >= packets && 3 * index < 2 * packets && random.chance(share);
    return random.below(flows) + (isCrowd ? flows : 0);
  });
  const next = (): Step => {
    const step = steps.next();
    if (step.flow < flows) return step;
    const tuple = flowTuple(step.flow, options);
    return { ...step, tuple: { ...tuple, protocol: 6, server, serverPort } };
  };
  return { next, slots: 2 * flows };
}

/** Two halves of the flows, one of them active in each epoch. */
export function flipFlop(model: GeneratorModel, random: Random): Steps {
  const { flows } = model;
  const half = Math.ceil(flows / 2);
  return opening(model, flows, (index) => {
    const isSecond = epochOf(model, index) % 2 === 1 && flows > 1;
    return isSecond ? half + random.below(flows - half) : random.below(half);
  });
}

/** Zipf ranks move on over the flows: in each epoch another flow is the largest. */
export function movingZipf(model: GeneratorModel, random: Random): Steps {
  const { flows, skew, epochs } = model;
  const pick = zipfSampler(flows, skew, random);
  const stride = Math.max(1, Math.floor(flows / epochs));
  return opening(
    model,
    flows,
    (index) => (pick() + stride * epochOf(model, index)) % flows,
  );
}

/** One flow at a time sends 1 … 2·length − 1 packets in a row. */
export function burst(model: GeneratorModel, random: Random): Steps {
  const { flows, length } = model;
  let flow = 0;
  let left = 0;
  return opening(model, flows, () => {
    if (left === 0) {
      flow = random.below(flows);
      left = 1 + random.below(2 * length - 1);
    }
    left--;
    return flow;
  });
}

function epochOf({ packets, epochs }: GeneratorModel, index: number): number {
  return Math.floor((index * epochs) / packets);
}
