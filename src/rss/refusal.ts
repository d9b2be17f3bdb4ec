/**
 * Why no key could be found, as a value.
 *
 *   no-rss            the NIC does not hash at all
 *   too-few-queues    the NIC's table names fewer queues than there are cores
 *   unknown-input     the requirement meets a class whose hash input is not known
 *   key-too-short     the NIC's key does not reach over the input
 *   R4-constant-key   all packets of a port must meet: no hash can spread them
 *   R4-unhashable     the key is made of bits that the NIC does not hash
 *   R3-disjoint       each conjunct can be met, all together leave a constant hash
 *   degenerate        a linear hash could, a Toeplitz hash of this shape is constant
 *   rank-too-small    fewer reachable table entries than cores
 *   imbalance         the best key loads one core more than allowed
 */
import type { KeySolution } from "./solution.ts";

export type RssRefusalCode =
  | "no-rss"
  | "too-few-queues"
  | "unknown-input"
  | "key-too-short"
  | "R4-constant-key"
  | "R4-unhashable"
  | "R3-disjoint"
  | "degenerate"
  | "rank-too-small"
  | "imbalance";

export interface RssRefusal {
  readonly kind: "refusal";
  readonly code: RssRefusalCode;
  readonly text: string;
  /** The nearest thing that would work. */
  readonly fix: string;
  /** Conjuncts (by index) to blame, where some are. */
  readonly conjuncts?: readonly number[];
  /** Dimension of the keys' null space, where one was computed. */
  readonly freeBits?: number;
  /** May index mode have an answer, where full mode was solved? */
  readonly tryIndex?: true;
  /** The best key found, not good enough. */
  readonly best?: KeySolution;
}

export const softwareDispatch =
  "dispatch in software: an XDP program hashes the true key and redirects to a CPU map";
