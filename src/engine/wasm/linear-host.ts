/**
 * The engine that interp's helpers see when they work on a compiled program's memory:
 * arguments from cells, addresses checked against the same regions as compiled code
 * checks them, the packet area as the frame.
 *
 * Map values are not interp's here, so helpers on maps with values are not among
 * those that run on it (bridged-maps.ts has them).
 */
import { Bug, type Place, type Random } from "../../base/index.ts";
import { descriptor } from "../../codegen/index.ts";
import {
  Arguments,
  EventStore,
  Fault,
  fault,
  type Environment,
  type Host,
  type HostMemory,
  type PacketInput,
  type ProgramEvent,
  type RedirectTarget,
  type State,
} from "../../interp/index.ts";
import type { HelperHost } from "./helper-host.ts";
import type { PacketArea } from "./packet-area.ts";

const frameStride = 1024;
const frameSize = 512;

/** Linear memory as one chunk; addresses are positions in it. */
class LinearMemory implements HostMemory {
  readonly chunk: HostMemory["chunk"];
  at = 0;
  readonly #host: HelperHost;

  constructor(host: HelperHost) {
    this.#host = host;
    const { bytes, data } = host.memory;
    this.chunk = { bytes, view: data };
  }

  locate(address: number, size: number, write: boolean): void {
    if (!this.#isInside(address, size, write))
      fault(`${size} bytes at 0x${address.toString(16)} are no memory`);
    this.at = address;
  }
  bytes(address: number, size: number, write = false): Uint8Array {
    if (size === 0) return new Uint8Array(0);
    this.locate(address, size, write);
    return this.chunk.bytes.subarray(address, address + size);
  }

  #isInside(address: number, size: number, write: boolean): boolean {
    const { layout, packets } = this.#host;
    const within = (start: number, end: number): boolean =>
      address >= start && address + size <= end;
    const { stack, records, maps } = layout;
    if (within(...packets.bounds)) return true;
    if (within(stack.start, stack.end))
      return ((address - stack.start) % frameStride) + size <= frameSize;
    if (within(records.start, records.end)) return true;
    if (
      !write &&
      within(
        packets.contextAddress,
        packets.contextAddress + packets.contextSize,
      )
    )
      return true;
    return maps.some(
      ({ values, valuesSize, stride, spec }) =>
        within(values, values + valuesSize) &&
        !(write && spec.readOnly) &&
        ((address - values) % stride) + size <= spec.valueSize,
    );
  }
}

export class LinearHost implements Host {
  readonly observer = {};
  readonly args: Arguments;
  readonly memory: LinearMemory;
  readonly frame: PacketArea;
  readonly environment: Environment;
  readonly #host: HelperHost;
  readonly #stores: readonly EventStore[];
  readonly #records = new Map<number, ProgramEvent>();
  #allocated = 0;
  /** Descriptor and events of the packet that records and allocations belong to. */
  #events: ProgramEvent[] | undefined;

  constructor(host: HelperHost) {
    this.#host = host;
    const { memory, packets, layout } = host;
    // Eight bytes a register from r1 on; r0 would be in front.
    this.args = new Arguments(
      new DataView(memory.bytes.buffer, memory.cell.args - 8, 48),
    );
    this.memory = new LinearMemory(host);
    this.frame = packets;
    this.environment = host.environment;
    this.#stores = layout.maps.map(
      ({ spec, capacity }) => new EventStore(spec, capacity),
    );
  }

  get input(): PacketInput {
    return this.#host.input();
  }
  get random(): Random {
    return this.#host.random();
  }
  get at(): Place {
    throw new Bug("no observer asked for the place");
  }
  get state(): State {
    throw new Bug("there is no interpreter's state here");
  }
  get events(): ProgramEvent[] {
    const events = this.#host.events();
    if (events !== this.#events) {
      // Another packet: what was allocated and reserved for the last one is gone.
      this.#events = events;
      this.#allocated = 0;
      this.#records.clear();
    }
    return events;
  }
  get records(): Map<number, ProgramEvent> {
    return this.events === this.#events ? this.#records : new Map();
  }

  get redirect(): RedirectTarget | undefined {
    throw new Bug("a helper asked for the redirect");
  }
  set redirect(target: RedirectTarget | undefined) {
    const { memory } = this.#host;
    const at = memory.current;
    memory.setU32(at + descriptor.redirectKind, target === undefined ? 0 : 1);
    memory.setU32(at + descriptor.redirectTo, target?.ifindex ?? 0);
    memory.setU32(
      at + descriptor.redirectFlags,
      Number(BigInt.asUintN(32, target?.flags ?? 0n)),
    );
  }

  /** Number of the map that a register names, or a fault. */
  mapNumber(register: number): number {
    const number = this.args.address(register) - 1;
    if (this.#stores[number] === undefined) fault(`r${register} is no map`);
    return number;
  }
  map(register: number): EventStore {
    const store = this.#stores[this.mapNumber(register)];
    return store ?? fault(`r${register} is no map`);
  }
  cells(register: number): never {
    return fault(`r${register} is no map of values`);
  }
  addressOf(): never {
    throw new Bug("there are no interpreter's cells here");
  }
  bytes(register: number, size: number, write = false): Uint8Array {
    return this.memory.bytes(this.args.address(register), size, write);
  }

  callBack(address: number, args: readonly (number | bigint)[]): bigint {
    const { memory, callback } = this.#host;
    const site = memory.u32(memory.cell.site);
    for (const [index, word] of args.entries())
      this.args.view.setBigUint64(
        8 * index + 8,
        BigInt.asUintN(64, BigInt(word)),
        true,
      );
    callback(address);
    memory.setU32(memory.cell.site, site);
    return memory.data.getBigUint64(memory.cell.result, true);
  }

  allocate(size: number): number {
    const { start, end } = this.#host.layout.records;
    const { bytes } = this.#host.memory;
    if (this.events.length === 0 && this.#records.size > 0)
      throw new Bug("records without events");
    const at = start + this.#allocated;
    // A gap of eight bytes, so that running out of one piece is noticed at the end.
    const next = at + Math.ceil(size / 8) * 8 + 8;
    if (next > end) fault("out of kernel memory");
    bytes.fill(0, at, next);
    this.#allocated = next - start;
    return at;
  }

  /** The packet in hand is run again from its start. */
  forget(): void {
    this.#events = undefined;
    this.#allocated = 0;
    this.#records.clear();
  }

  touch(): void {}

  /** Runs a helper of interp's; a fault in it is the program's. */
  guard<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      if (error instanceof Fault) return this.#host.fault(error.message);
      throw error;
    }
  }
}
