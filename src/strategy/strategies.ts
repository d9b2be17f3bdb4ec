/**
 * The strategies that exist, in the order in which they are preferred per object:
 *
 *   copy        costs nothing and changes nothing: what needs no owner
 *   shard       exact; asks something of the NIC, which all sharded objects share
 *   merge       changes what user space sees of a map
 *   lock, transaction  fit anything; cost time, and the order across cores
 *   sequential  always possible
 */
import type { StateObject } from "../analysis/index.ts";
import { copy } from "./copy.ts";
import type { Context } from "./context.ts";
import { lock, transaction } from "./guarded.ts";
import { merge } from "./merge.ts";
import type { ObjectPart, StrategyName } from "./plan.ts";
import type { Refusal } from "./refusal.ts";
import { sequential } from "./sequential.ts";
import { shard } from "./shard.ts";

type Strategy = (object: StateObject, context: Context) => ObjectPart | Refusal;

export const strategies: Readonly<Record<StrategyName, Strategy>> = {
  copy,
  shard,
  merge,
  lock,
  transaction,
  sequential,
};

/** What is tried where nothing is forced; what costs less wins in the end (cost.ts). */
export const preference: readonly StrategyName[] = [
  "copy",
  "shard",
  "merge",
  "lock",
  "transaction",
];
