/** What the functions behind helper calls are given, and what shape they have. */
import type { Random } from "../../base/index.ts";
import type { Layout } from "../../codegen/index.ts";
import type {
  Environment,
  PacketInput,
  ProgramEvent,
} from "../../interp/index.ts";
import type { MemoryView } from "./memory-view.ts";
import type { PacketArea } from "./packet-area.ts";
import type { LinearMap } from "./value-maps.ts";

export type Helper = (...args: number[]) => number | void;

/** What helpers work on. */
export interface HelperHost {
  readonly memory: MemoryView;
  readonly layout: Layout;
  readonly packets: PacketArea;
  readonly maps: readonly (LinearMap | undefined)[];
  readonly environment: Environment;
  readonly input: () => PacketInput;
  /** Runs the function at that address; arguments and result are in cells. */
  readonly callback: (address: number) => void;
  /** Random numbers of the current packet. */
  readonly random: () => Random;
  /** Events of the current packet. */
  readonly events: () => ProgramEvent[];
  /** Ends the current packet's run as a fault of the program. */
  readonly fault: (text: string) => never;
}

/** Makes the function of one helper, for calls on map number `map` if it takes one. */
export type Maker = (host: HelperHost, map: number) => Helper;
