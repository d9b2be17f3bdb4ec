/** What a run on several cores is asked for; parallel.ts says what it promises. */
import type { GuardOptions } from "../../codegen/index.ts";
import type { PacketInput } from "../../interp/index.ts";
import type { ProgramSpec } from "../../isa/index.ts";
import type { Keep, Sabotage } from "./core-messages.ts";
import type { PackedPackets } from "./packed-packets.ts";
import type { LoadOptions } from "./prepare.ts";

type OwnOptions = Pick<LoadOptions, "contents" | "capacities">;

export interface ParallelOptions extends Omit<
  LoadOptions,
  "beforeHelper" | "memory" | "environment"
> {
  readonly program: ProgramSpec;
  readonly cores: number;
  /** What a packet says must stay as it is until the run is over. */
  readonly packets:
    | PackedPackets
    | readonly PacketInput[]
    | Iterable<PacketInput>
    | AsyncIterable<PacketInput>;
  /** Core of each packet by its position. cpu and rx queue become that number. */
  readonly steer: Uint8Array;
  /** Contents and capacities of single cores, instead of the common ones. */
  readonly perCore?: readonly (OwnOptions | undefined)[];
  /** Whether each core has maps of its own (default), or all have the same. */
  readonly memory?: "private" | "shared";
  /**
   * Shared maps: which of them are guarded, and how; every packet then runs as if alone,
   * in the order of tickets.
   */
  readonly guard?: GuardOptions;
  /** What to keep of every packet. Default: verdicts, which cost nothing. */
  readonly keep?: Keep;
  /** A worker that stays at one packet for that long is ended. Default 10,000. */
  readonly stallMs?: number;
  /** Most heap of a worker, in MiB; default: Node's. Linear memory is not in it. */
  readonly heapMb?: number;
  /**
   * To measure: packets between two looks of a core at its clock (abreast.ts). Cores of
   * one memory then begin each batch together.
   */
  readonly window?: number;
  /** For tests: how a core dies. */
  readonly sabotage?: Sabotage;
}
