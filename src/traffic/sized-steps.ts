/**
 * caida and kth: windows of flows whose sizes follow a sample of real traffic, in
 * random order. Flows of 50 packets and more persist from window to window, the others
 * are new ones each time. A trace of exactly one window has the sample's figures.
 */
import { Bug, type Random } from "../base/index.ts";
import { tcpFlags } from "../packet/index.ts";
import type { GeneratorModel } from "./generator.ts";
import { rankProfiles, rankSizes } from "./rank-sizes.ts";
import type { Step, Steps } from "./step.ts";

/** Packets in a window from which on a flow is in the next one too. */
const persistent = 50;

export function sized(model: GeneratorModel, random: Random): Steps {
  if (model.model !== "caida" && model.model !== "kth")
    throw new Bug(`no flow sizes for ${model.model}`);
  const { port } = model;
  const sizes = rankSizes(rankProfiles[model.model]);
  const order = ranksInARow(sizes);
  const lasting = sizes.findIndex((size) => size < persistent);
  let opened = new Uint8Array(sizes.length);
  let at = order.length;
  let window = -1;
  const next = (): Step => {
    if (at === order.length) {
      at = 0;
      window++;
      shuffle(order, random);
      opened = opened.fill(0, lasting);
    }
    const slot = order[at++] ?? 0;
    const flow =
      slot < lasting ? slot : slot + window * (sizes.length - lasting);
    const flags = opened[slot] === 0 ? tcpFlags.syn : tcpFlags.ack;
    opened[slot] = 1;
    return { flow, reply: false, flags, port, slot };
  };
  return { next, slots: sizes.length };
}

/** Each rank as often as its flow has packets. */
function ranksInARow(sizes: Uint32Array): Uint32Array {
  const row = new Uint32Array(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  for (const [rank, size] of sizes.entries()) {
    row.fill(rank, at, at + size);
    at += size;
  }
  return row;
}

function shuffle(row: Uint32Array, random: Random): void {
  for (let left = row.length - 1; left > 0; left--) {
    const other = random.below(left + 1);
    const value = row[left] ?? 0;
    row[left] = row[other] ?? 0;
    row[other] = value;
  }
}
