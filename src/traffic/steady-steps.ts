/** Models whose mix of flows stays: uniform, zipf, single-flow, bidirectional, churn. */
import type { Random } from "../base/index.ts";
import { tcpFlags } from "../packet/index.ts";
import type { GeneratorModel } from "./generator.ts";
import type { Step, Steps } from "./step.ts";
import { zipfSampler } from "./zipf-sampler.ts";

/** uniform, zipf and single-flow differ in the skew and the number of flows only. */
export function oneWay(model: GeneratorModel, random: Random): Steps {
  const pick = zipfSampler(model.flows, model.skew, random);
  const opened = new Uint8Array(model.flows);
  const { port } = model;
  const next = (): Step => {
    const flow = pick();
    const flags = opened[flow] === 0 ? tcpFlags.syn : tcpFlags.ack;
    opened[flow] = 1;
    return { flow, reply: false, flags, port, slot: flow };
  };
  return { next, slots: model.flows };
}

export function bidirectional(model: GeneratorModel, random: Random): Steps {
  const { flows, lan, wan, replies, unsolicited } = model;
  const pick = zipfSampler(flows, model.skew, random);
  // 0: unheard of; 1: the client has sent; 2: both have.
  const state = new Uint8Array(flows);
  const { syn, ack } = tcpFlags;
  const next = (): Step => {
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
  return { next, slots: flows + 1 };
}

/** `flows` connections at a time; one that has ended is followed by a new one. */
export function churn(model: GeneratorModel, random: Random): Steps {
  const { flows, length, port } = model;
  const { syn, ack, fin } = tcpFlags;
  const current = new Float64Array(flows);
  const sent = new Uint32Array(flows);
  const total = new Uint32Array(flows);
  let connections = 0;
  const next = (): Step => {
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
  return { next, slots: flows };
}
