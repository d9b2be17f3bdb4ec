/**
 * What helpers see of the machine that runs them: arguments, memory, state, packet,
 * environment, and where results such as events and redirects go.
 */
import type { Place, Random } from "../base/index.ts";
import type { CellStore } from "./cell-store.ts";
import { Fault } from "./fault.ts";
import type { ByteSource } from "./format.ts";
import type {
  AccessResult,
  CellTouch,
  Environment,
  Observer,
  PacketInput,
  ProgramEvent,
  RedirectTarget,
} from "./outcome.ts";
import type { ProgramTypeName } from "../isa/index.ts";
import type { State, Store } from "./state.ts";

/** r1 … r5 of a call, counted from 1 as the registers are. */
export class Arguments {
  /** Eight bytes a register. */
  readonly view: DataView;

  constructor(view: DataView = new DataView(new ArrayBuffer(48))) {
    this.view = view;
  }

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

/** Memory as the program addresses it. What is not the program's to touch is a Fault. */
export interface HostMemory {
  /** Where `locate` found the bytes: `at` in `chunk`. */
  readonly chunk: { readonly bytes: Uint8Array; readonly view: DataView };
  readonly at: number;
  locate(address: number, size: number, write: boolean): void;
  /** A view, not a copy; valid until the next access. */
  bytes(address: number, size: number, write?: boolean): Uint8Array;
}

/** The packet of a run and the context that shows it. Errors are negated numbers. */
export interface HostFrame {
  readonly type: ProgramTypeName;
  readonly length: number;
  /** Address of the packet's first byte. */
  readonly data: number;
  /** Address of the context. */
  readonly contextAddress: number;
  /** A copy of the packet as it now is. */
  content(): Uint8Array;
  /** The packet's own bytes, a view. */
  bytes(offset: number, size: number): Uint8Array;
  adjustHead(delta: number): number;
  adjustMeta(delta: number): number;
  adjustTail(delta: number): number;
  /** Opens (or closes, when negative) `delta` bytes at `offset`; new ones are zero. */
  resizeAt(offset: number, delta: number): number;
  /** A field of the context by its name; 0 where the type has none. */
  getField(name: string): number;
  setField(name: string, value: number | bigint): void;
}

/** What helpers see of the engine that runs them; interp's own is Machine. */
export interface Host {
  readonly observer: Observer;
  readonly args: Arguments;
  readonly memory: HostMemory;
  readonly state: State;
  readonly frame: HostFrame;
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
  /** Address of one CPU's copy of a value. */
  addressOf(store: CellStore, cell: number, copy: number): number;
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
