/**
 * Memory accesses: the check in front, if one is needed, and the address.
 *
 *   known place of the own frame or the context   constant address, no check
 *   packet, proved inside (facts.ts)              no check
 *   packet                                        address − data_meta ≥u length − size + 1: fault
 *   map value, known offset, not null             no check; may be null: one comparison
 *   map value, variable offset                    inside the map's values, and inside one of them
 *   frame of a caller                             inside the stack
 *   anything else                                 `check`: each region in turn
 *
 * All checks compare 64-bit addresses, so a wild upper half is caught too. The
 * packet check needs 7 bytes at least; in a shorter frame every checked access faults.
 *
 * What is not caught: running from one frame of the stack into the next through a
 * pointer that was passed to another function, and from one ring buffer record into
 * the next.
 */
import type { Register } from "../../isa/index.ts";
import { i64, op, type Code } from "./encoder.ts";
import {
  factOf,
  isInside,
  isWritten,
  type Fact,
  type Knowledge,
} from "./facts.ts";
import { isWritable } from "./context-layout.ts";
import { frameSize, type Layout, type MapLayout } from "./layout.ts";
import { faultNumber, type ProgramContext } from "./program-context.ts";

/** Locals of every translated function; parameters r1 … r5 come first. */
export const local = {
  wide: 10,
  wide2: 11,
  packetStart: 12,
  packetLength: 13,
  narrow: 14,
  counter: 15,
} as const;
/** Types of the locals behind the five parameters. */
export const localTypes: readonly number[] = [
  i64,
  i64,
  i64,
  i64,
  i64,
  i64,
  i64,
  i64,
  i64,
  0x7f,
  0x7f,
];

export function localOf(register: Register): number {
  return register === 0 ? 5 : register <= 5 ? register - 1 : register;
}

export interface Access {
  readonly base: Register;
  readonly offset: number;
  readonly size: number;
  readonly write: boolean;
  /** A write that reads first, as atomic operations do. */
  readonly reads?: true;
  /** A write that guarded code makes later, by itself. */
  readonly stamps?: boolean;
  readonly site: number;
}

function readsFirst({ write, reads }: Access): boolean {
  return !write || reads === true;
}

/** Where an access goes once its check passed. */
export interface Address {
  /** Leaves an i32 on the stack. */
  readonly push: () => void;
  /** To be added by the load or store. */
  readonly offset: number;
}

export class AccessWriter {
  readonly #code: Code;
  readonly #about: ProgramContext;
  readonly #layout: Layout;
  readonly #frameTop: number;
  /** Whether any check used the packet's bounds in locals. */
  usesPacket = false;
  /** Whether the frame must be zero at entry, because some of it may be read first. */
  readsFresh = false;

  constructor(code: Code, about: ProgramContext, frameTop: number) {
    this.#code = code;
    this.#about = about;
    this.#layout = about.layout;
    this.#frameTop = frameTop;
  }

  /** Emits the check; nothing of the access is on the stack yet. */
  reach(know: Knowledge, access: Access): Address {
    const fact = factOf(know, access.base);
    if (access.write && access.stamps !== true) this.#guardStore(fact, access);
    switch (fact.kind) {
      case "stack":
        if (fact.offset !== undefined) {
          const at = fact.offset + access.offset;
          if (readsFirst(access) && !isWritten(know, at, access.size))
            this.readsFresh = true;
          return this.#frame(at, access);
        }
        this.readsFresh = true;
        this.#area(access, this.#layout.stack.start, this.#layout.stack.end);
        return this.#register(access);
      case "context":
        return this.#context(fact.offset + access.offset, access);
      case "packet":
        if (access.size > 8) return this.#general(access);
        if (!isInside(know, fact, access.offset, access.size))
          this.#packet(access);
        return this.#register(access);
      case "value":
        return this.#value(fact, access);
      case "any":
      case "number":
      case "packet-end":
      case "map":
      case "inner":
      case "function":
        // It may be the frame, by a way that facts did not follow.
        if (readsFirst(access)) this.readsFresh = true;
        return this.#general(access);
    }
  }

  /** Like `reach`, of as many bytes as `pushSize` leaves as an i32; 0 bytes always fit. */
  reachDynamic(know: Knowledge, access: Access, pushSize: () => void): Address {
    this.escape(know, access.base);
    if (access.write)
      this.#guardStore(factOf(know, access.base), { ...access, size: 9 });
    return this.#general(access, pushSize);
  }

  /** A register is handed to where the frame cannot be followed. */
  escape(know: Knowledge, register: Register): void {
    if (factOf(know, register).kind === "stack") this.readsFresh = true;
  }

  clearFrame(code: Code): void {
    code
      .i32Const(this.#frameTop - frameSize)
      .i32Const(0)
      .i32Const(frameSize);
    code.ops(...op.memoryFill, 0);
  }

  /** Loads what the packet checks compare with. */
  loadPacketBounds(code: Code): void {
    const { dataMeta, dataEnd } = this.#about.context;
    const at = (pointer: number): Code =>
      code.i32Const(0).memory(op.i64Load32U, pointer);
    at(dataMeta).set(local.packetStart);
    at(dataEnd).get(local.packetStart).byte(op.i64Sub);
    code.set(local.packetLength);
    // Too short for the form of the check: what is not proved inside then faults.
    code.get(local.packetLength).i64Const(7).byte(op.i64LtU).if();
    code.i64Const(1n << 62n).set(local.packetStart);
    code.i64Const(7).set(local.packetLength).end();
  }

  pushRegister(register: Register): void {
    if (register === 10) this.#code.i64Const(this.#frameTop);
    else this.#code.get(localOf(register));
  }

  fault(site: number, number: number): void {
    this.#code.i32Const(site).i32Const(number);
    this.#code.callByName("fault").byte(op.unreachable);
  }

  /** Guarded code asks before a store; 9 bytes are any number of them. */
  #guardStore(fact: Fact, access: Access): void {
    this.#about.guard?.stores(this.#code, fact, access.size, () =>
      this.#pushAddress(access),
    );
  }

  #frame(at: number, access: Access): Address {
    if (at < -512 || at + access.size > 0) return this.#never(access);
    return this.#constant(this.#frameTop + at);
  }

  #context(at: number, access: Access): Address {
    const { context } = this.#about;
    if (at < 0 || at + access.size > context.size) return this.#never(access);
    if (access.write && !isWritable(context, at, access.size))
      return this.#never(access);
    return this.#constant(this.#layout.cell.context + at);
  }

  #packet(access: Access): void {
    const code = this.#code;
    this.usesPacket = true;
    this.#pushAddress(access);
    code.get(local.packetStart).byte(op.i64Sub).get(local.packetLength);
    if (access.size > 1) code.i64Const(access.size - 1).byte(op.i64Sub);
    code.byte(op.i64GeU);
    this.#faultIf(access);
  }

  #value(fact: Fact & { readonly kind: "value" }, access: Access): Address {
    const map = this.#layout.maps[fact.map];
    const all = fact.set === undefined ? [map] : this.#setOf(fact.set);
    if (map === undefined) return this.#general(access);
    if (access.write && all.some((each) => each?.spec.readOnly !== false))
      return all.length > 1 ? this.#general(access) : this.#never(access);
    if (fact.offset === undefined) {
      const last = map.values + map.valuesSize - map.stride;
      this.#area(access, map.values, last + map.spec.valueSize);
      if (map.valuesSize > map.stride) this.#insideOne(access, map);
      return this.#register(access);
    }
    const at = fact.offset + access.offset;
    const size = Math.min(...all.map((each) => each?.spec.valueSize ?? 0));
    if (at < 0 || at + access.size > size)
      return all.length > 1 ? this.#general(access) : this.#never(access);
    if (fact.mayBeNull) {
      this.pushRegister(access.base);
      this.#code.i64Const(fact.offset).byte(op.i64Eq);
      this.#faultIf(access);
    }
    return this.#register(access);
  }

  #setOf(set: number): readonly (MapLayout | undefined)[] {
    const indices = this.#about.innerSets[set] ?? [];
    return indices.map((index) => this.#layout.maps[index]);
  }

  #area(access: Access, start: number, end: number): void {
    this.#pushAddress(access);
    this.#code.i64Const(start).byte(op.i64Sub);
    this.#code.i64Const(Math.max(0, end - start - access.size + 1));
    this.#code.byte(op.i64GeU);
    this.#faultIf(access);
  }

  /** Not across the end of one value, given that it is inside all of them. */
  #insideOne(access: Access, map: MapLayout): void {
    this.#pushAddress(access);
    this.#code.byte(op.i32WrapI64).i32Const(map.values).byte(op.i32Sub);
    this.#code.i32Const(map.stride).byte(op.i32RemU);
    this.#code.i32Const(map.spec.valueSize - access.size).byte(op.i32GtS);
    this.#faultIf(access);
  }

  #general(access: Access, pushSize?: () => void): Address {
    this.#pushAddress(access);
    if (pushSize === undefined) this.#code.i32Const(access.size);
    else pushSize();
    this.#code.i32Const(access.write ? 1 : 0).i32Const(access.site);
    this.#code.callByName("check");
    return this.#register(access);
  }

  /** An access that can only fault. */
  #never(access: Access): Address {
    this.fault(access.site, faultNumber.memory);
    return this.#constant(0);
  }

  #faultIf(access: Access): void {
    this.#code.if();
    this.fault(access.site, faultNumber.memory);
    this.#code.end();
  }

  #pushAddress(access: Access): void {
    this.pushRegister(access.base);
    if (access.offset !== 0) this.#code.i64Const(access.offset).byte(op.i64Add);
  }

  #constant(address: number): Address {
    return { push: () => this.#code.i32Const(address), offset: 0 };
  }

  #register({ base, offset }: Access): Address {
    const code = this.#code;
    const push = (): void => {
      this.pushRegister(base);
      code.byte(op.i32WrapI64);
      if (offset < 0) code.i32Const(offset).byte(op.i32Add);
    };
    return { push, offset: Math.max(0, offset) };
  }
}

/**
 * The body of `check(address: i64, size: i32, write: i32, site: i32)`: returns when
 * some region holds all the bytes, else faults. The order is by likelihood.
 */
export function writeGeneralCheck(
  code: Code,
  { layout, context }: ProgramContext,
): void {
  const [address, size, write, site] = [0, 1, 2, 3];
  code.get(size).byte(op.i32Eqz).if().byte(op.return).end();
  const within = (start: () => void, length: () => void): void => {
    // size ≤ length and address − start ≤ length − size, all 64 bits.
    code.get(size).byte(op.i64ExtendI32U);
    length();
    code.byte(op.i64LeU);
    code.get(address);
    start();
    code.byte(op.i64Sub);
    length();
    code.get(size).ops(op.i64ExtendI32U, op.i64Sub, op.i64LeU, op.i32And);
  };
  const constant = (value: number) => () => code.i64Const(value);
  const accept = (): unknown => code.if().byte(op.return).end();
  const field = (pointer: number): unknown =>
    code.i32Const(0).memory(op.i64Load32U, pointer);
  within(
    () => field(context.dataMeta),
    () => {
      field(context.dataEnd);
      field(context.dataMeta);
      code.byte(op.i64Sub);
    },
  );
  accept();
  for (const { start, end } of [layout.stack, layout.records]) {
    within(constant(start), constant(end - start));
    accept();
  }
  within(constant(layout.cell.context), constant(context.size));
  code.get(write).ops(op.i32Eqz, op.i32And);
  accept();
  for (const { start, end } of context.writable) {
    within(constant(layout.cell.context + start), constant(end - start));
    accept();
  }
  for (const map of layout.maps) {
    if (map.valuesSize === 0) continue;
    within(constant(map.values), constant(map.valuesSize));
    if (map.spec.readOnly) code.get(write).ops(op.i32Eqz, op.i32And);
    code.get(address).byte(op.i32WrapI64).i32Const(map.values).byte(op.i32Sub);
    code.i32Const(map.stride).byte(op.i32RemU).byte(op.i64ExtendI32U);
    code.get(size).ops(op.i64ExtendI32U, op.i64Add);
    code.i64Const(map.spec.valueSize).ops(op.i64LeU, op.i32And);
    accept();
  }
  code.get(site).i32Const(faultNumber.memory);
  code.callByName("fault").byte(op.unreachable);
}
