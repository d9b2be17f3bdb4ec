/**
 * What helpers see of the machine that runs them: arguments, memory, state, packet,
 * environment, and where results such as events and redirects go.
 */
import type { Place, Random } from "../base/index.ts";
import type { CellStore } from "./cell-store.ts";
import { Fault } from "./fault.ts";
import type { ByteSource } from "./format.ts";
import type { Memory } from "./memory.ts";
import type {
  AccessResult,
  CellTouch,
  Environment,
  Observer,
  PacketInput,
  ProgramEvent,
  RedirectTarget,
} from "./outcome.ts";
import type { PacketFrame } from "./packet-frame.ts";
import type { State, Store } from "./state.ts";

/** r1 … r5 of a call, counted from 1 as the registers are. */
export class Arguments {
  readonly view = new DataView(new ArrayBuffer(48));

  word(register: number): bigint {
    return this.view.getBigUint64(8 * register, true);
  }
  /** Low half, unsigned. */
  low(register: number): number {
    return this.view.getUint32(8 * register, true);
  }
  /** Low half, signed. */
  int(register: number): number {
    return this.view.getInt32(8 * register, true);
  }
  /** All 64 bits as a number: exact below 2^53, which every address is. */
  address(register: number): number {
    const at = 8 * register;
    return (
      this.view.getUint32(at + 4, true) * 4294967296 +
      this.view.getUint32(at, true)
    );
  }
}

export interface Host {
  readonly observer: Observer;
  readonly args: Arguments;
  readonly memory: Memory;
  readonly state: State;
  readonly frame: PacketFrame;
  readonly input: PacketInput;
  readonly environment: Environment;
  readonly random: Random;
  /** Where the program now is. */
  readonly at: Place;
  readonly events: ProgramEvent[];
  /** Ring buffer records that were reserved and not yet submitted, by address. */
  readonly records: Map<number, ProgramEvent>;
  redirect: RedirectTarget | undefined;

  /** The map that register names, or a fault. */
  map(register: number): Store;
  /** The same, where only a map with cells makes sense. */
  cells(register: number): CellStore;
  /** Bytes at the address in that register; a view, or a copy of what is read. */
  bytes(register: number, size: number, write?: boolean): Uint8Array;
  /** Runs the function at that address; answers its r0. */
  callBack(address: number, args: readonly (number | bigint)[]): bigint;
  /** Puts bytes into kernel memory of this run; answers their address. */
  allocate(size: number): number;
  touch(
    store: Store,
    cell: string | (() => string),
    op: CellTouch["op"],
    result: AccessResult,
    writes: boolean,
    bytes?: { readonly offset: number; readonly size: number },
  ): void;
}

/** A number is sign-extended to 64 bits; nothing is 0. */
export type HelperAnswer = number | bigint | void;
export type HelperFunction = (host: Host) => HelperAnswer;

/** The run's memory for readers that take a bad address as nothing to read. */
export function readable(host: Host): ByteSource {
  return (address, size) => {
    try {
      return host.memory.bytes(address, size);
    } catch (error) {
      if (error instanceof Fault) return undefined;
      throw error;
    }
  };
}
