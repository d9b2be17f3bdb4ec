/** What a search for keys may vary, and its bounds. */
import type { NicProfile } from "./nic-profile.ts";
import type { HashFields } from "./packet-class.ts";

export interface SolveOptions {
  readonly profile: NicProfile;
  /** Default: index where the profile is sure of the index rule. */
  readonly mode?: "index" | "full" | "auto";
  /** Hash fields to try on the settable classes; default: the driver's, then others. */
  readonly fieldSets?: readonly HashFields[];
  /** Default: the profile's table. */
  readonly tableBits?: number;
  /** Queues per port; default 16. */
  readonly cores?: number;
  readonly seed?: number;
  /** Members of the null space to draw; default 200. */
  readonly samples?: number;
  /** Members drawn after those for a better spread of the 1,000 servers; default 1,000. */
  readonly serverDraws?: number;
  /** Busiest core over the mean; default 1.3. */
  readonly maxImbalance?: number;
}
