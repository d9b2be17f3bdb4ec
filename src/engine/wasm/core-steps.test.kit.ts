/**
 * For tests: one core of a guarded module as a machine that stops in front of every
 * access that others can see: atomic instructions, and plain loads and stores where
 * `Shared.isSeen` says so. `advance` makes that access and goes on to the next.
 *
 * Waiting (memory.atomic.wait32) is not run over and over: a core that waits for a word
 * to change cannot advance until it has. Its timeout would only make it look again.
 */
import { Bug } from "../../base/index.ts";
import type { Body, ModuleCode, Step } from "./module-code.test.kit.ts";

type Value = number | bigint;

interface Label {
  readonly target: number;
  readonly height: number;
  readonly loops: boolean;
}

interface Frame {
  readonly body: Body;
  readonly locals: Value[];
  readonly labels: Label[];
  /** Height of the operand stack where it began. */
  readonly base: number;
  at: number;
}

/** What cores share. Every store tells, so that it can be taken back. */
export interface Shared {
  load(address: number, size: number): bigint;
  store(address: number, size: number, value: bigint): void;
  copy(to: number, from: number, length: number): void;
  /** Others can see what lies there. */
  isSeen(address: number): boolean;
}

export class CoreSteps {
  readonly #code: ModuleCode;
  readonly #memory: Shared;
  #frames: Frame[] = [];
  #stack: Value[] = [];
  #globals: Value[];
  /** The access in front of it was made. */
  #isPast = false;

  constructor(code: ModuleCode, memory: Shared) {
    this.#code = code;
    this.#memory = memory;
    this.#globals = Array.from({ length: code.globals }, () => 0);
  }

  start(name: string, args: readonly number[]): void {
    this.#stack.push(...args);
    this.#call(this.#code.exports.get(name) ?? -1);
    this.#run();
  }

  get isDone(): boolean {
    return this.#frames.length === 0;
  }

  /** Whether its next access can be made: a word that it waits for has changed. */
  get canAdvance(): boolean {
    const frame = this.#frames.at(-1);
    const step = frame?.body.steps[frame.at];
    if (step === undefined) return false;
    if (step.op !== 0xfe || step.sub !== 0x01) return true;
    const [address, expected] = this.#stack.slice(-3);
    return this.#word(Number(address) + step.at) !== Number(expected) >>> 0;
  }

  advance(): void {
    this.#isPast = true;
    this.#run();
  }

  clone(): CoreSteps {
    const twin = new CoreSteps(this.#code, this.#memory);
    twin.#frames = this.#frames.map((frame) => ({
      ...frame,
      locals: [...frame.locals],
      labels: [...frame.labels],
    }));
    twin.#stack = [...this.#stack];
    twin.#globals = [...this.#globals];
    return twin;
  }

  /** Equal for equal states. */
  get text(): string {
    if (this.isDone) return "done";
    const frames = this.#frames.map(
      ({ body, at, locals }) =>
        `${this.#code.bodies.indexOf(body)}:${at}:${locals.join()}`,
    );
    return `${frames.join(";")}|${this.#stack.join()}|${this.#globals.join()}`;
  }

  #word(address: number): number {
    return Number(this.#memory.load(address, 4));
  }

  #call(index: number): void {
    const { imports, bodies } = this.#code;
    const wanted = imports[index];
    if (wanted !== undefined) {
      if (wanted.name === "fault") throw new Bug("the program faults");
      this.#stack.length -= wanted.parameters;
      return;
    }
    const body = bodies[index - imports.length];
    if (body === undefined) throw new Bug(`no function ${index}`);
    const base = this.#stack.length - body.parameters;
    const locals = [...this.#stack.splice(base), ...body.locals];
    this.#frames.push({ body, locals, labels: [], base, at: 0 });
  }

  /** Up to the next access that others can see. */
  #run(): void {
    for (;;) {
      const frame = this.#frames.at(-1);
      if (frame === undefined) return;
      const step = frame.body.steps[frame.at];
      if (step === undefined) throw new Bug("behind the end");
      if (!this.#isPast && this.#isAccess(step)) return;
      this.#isPast = false;
      frame.at++;
      this.#step(frame, step);
    }
  }

  #isAccess({ op, sub, at }: Step): boolean {
    if (op === 0xfe) return sub !== 0x03;
    const isLoad = op >= 0x28 && op <= 0x35;
    if (!isLoad && !(op >= 0x36 && op <= 0x3e)) return false;
    const address = Number(this.#stack.at(isLoad ? -1 : -2) ?? 0) >>> 0;
    return this.#memory.isSeen(address + at);
  }

  #step(frame: Frame, step: Step): void {
    const stack = this.#stack;
    const { op, at } = step;
    switch (op) {
      case 0x02: // block
      case 0x03: // loop
        return this.#open(frame, at, op === 0x03);
      case 0x04: // if
        if (this.#number() !== 0) return this.#open(frame, at, false);
        // In front of the end: no label was opened, and none must be closed.
        if (frame.body.steps[step.other]?.op === 0x0b && step.other + 1 === at)
          frame.at = at;
        else {
          this.#open(frame, at, false);
          frame.at = step.other;
        }
        return;
      case 0x05: // else, from above
        frame.at = at;
        return;
      case 0x0b: // end
        if (frame.labels.pop() === undefined) this.#leave(frame);
        return;
      case 0x0c: // br
        return this.#branch(frame, at);
      case 0x0d: // br_if
        if (this.#number() !== 0) this.#branch(frame, at);
        return;
      case 0x0f: // return
        return this.#leave(frame);
      case 0x10:
        return this.#call(at);
      case 0x1a: // drop
        stack.pop();
        return;
      case 0x1b: {
        const isFirst = this.#number() !== 0;
        const second = stack.pop() ?? 0;
        if (!isFirst) stack[stack.length - 1] = second;
        return;
      }
      case 0x20:
        stack.push(frame.locals[at] ?? 0);
        return;
      case 0x21:
        frame.locals[at] = stack.pop() ?? 0;
        return;
      case 0x22:
        frame.locals[at] = stack.at(-1) ?? 0;
        return;
      case 0x23:
        stack.push(this.#globals[at] ?? 0);
        return;
      case 0x24:
        this.#globals[at] = stack.pop() ?? 0;
        return;
      case 0x41:
        stack.push(at);
        return;
      case 0x42:
        stack.push(step.wide);
        return;
      case 0xfc: {
        if (step.sub !== 0x0a) throw new Bug(`0xfc ${step.sub}`);
        const [length, from, to] = [
          this.#number(),
          this.#number(),
          this.#number(),
        ];
        return this.#memory.copy(to >>> 0, from >>> 0, length >>> 0);
      }
      case 0xfe:
        return this.#atomic(step);
      default:
        if (op >= 0x28 && op <= 0x3e) return this.#plain(step);
        return this.#arithmetic(op);
    }
  }

  #open(frame: Frame, target: number, loops: boolean): void {
    frame.labels.push({ target, height: this.#stack.length, loops });
  }

  #branch(frame: Frame, depth: number): void {
    const place = frame.labels.length - 1 - depth;
    const label = frame.labels[place];
    if (label === undefined) return this.#leave(frame);
    this.#stack.length = label.height;
    frame.labels.length = place + (label.loops ? 1 : 0);
    frame.at = label.target;
  }

  #leave(frame: Frame): void {
    const { results } = frame.body;
    const kept = results === 0 ? [] : this.#stack.slice(-results);
    this.#stack.length = frame.base;
    this.#stack.push(...kept);
    this.#frames.pop();
    if (this.#frames.length === 0) this.#stack.length = 0;
  }

  #number(): number {
    return Number(this.#stack.pop() ?? 0);
  }
  #wide(): bigint {
    return BigInt.asUintN(64, BigInt(this.#stack.pop() ?? 0));
  }
  #address(at: number): number {
    return (this.#number() >>> 0) + at;
  }

  #plain({ op, at }: Step): void {
    const row = loads[op];
    if (row !== undefined) {
      const word = this.#memory.load(this.#address(at), row.size);
      const value = row.signed ? BigInt.asIntN(8 * row.size, word) : word;
      this.#stack.push(
        row.wide ? BigInt.asUintN(64, value) : Number(BigInt.asIntN(32, value)),
      );
      return;
    }
    const size = stores[op];
    if (size === undefined) throw new Bug(`opcode ${op}`);
    const value = this.#wide();
    this.#memory.store(
      this.#address(at),
      size,
      BigInt.asUintN(8 * size, value),
    );
  }

  /** 32-bit atomics; notify wakes nobody, since nobody sleeps. */
  #atomic({ sub, at }: Step): void {
    const memory = this.#memory;
    const old = (address: number, next: (word: number) => number): void => {
      const word = this.#word(address);
      memory.store(address, 4, BigInt(next(word) >>> 0));
      this.#stack.push(word | 0);
    };
    switch (sub) {
      case 0x03:
        return;
      case 0x00:
        this.#number();
        this.#address(at);
        this.#stack.push(0);
        return;
      case 0x01:
        this.#stack.length -= 3;
        this.#stack.push(1);
        return;
      case 0x10:
        this.#stack.push(this.#word(this.#address(at)) | 0);
        return;
      case 0x17: {
        const value = this.#number();
        memory.store(this.#address(at), 4, BigInt(value >>> 0));
        return;
      }
      case 0x1e: {
        const value = this.#number();
        return old(this.#address(at), (word) => word + value);
      }
      case 0x41: {
        const value = this.#number();
        return old(this.#address(at), () => value);
      }
      case 0x48: {
        const [value, expected] = [this.#number(), this.#number()];
        return old(this.#address(at), (word) =>
          word === expected >>> 0 ? value : word,
        );
      }
      default:
        throw new Bug(`atomic ${sub}`);
    }
  }

  #arithmetic(op: number): void {
    const unary = unaries[op];
    if (unary !== undefined) {
      this.#stack.push(unary(this.#stack.pop() ?? 0));
      return;
    }
    if (op in narrow) {
      const [right, left] = [this.#number(), this.#number()];
      this.#stack.push((narrow[op]?.(left, right) ?? 0) | 0);
    } else if (op in wideToNarrow) {
      const [right, left] = [this.#wide(), this.#wide()];
      this.#stack.push(wideToNarrow[op]?.(left, right) === true ? 1 : 0);
    } else if (op in wides) {
      const [right, left] = [this.#wide(), this.#wide()];
      this.#stack.push(BigInt.asUintN(64, wides[op]?.(left, right) ?? 0n));
    } else throw new Bug(`opcode 0x${op.toString(16)}`);
  }
}

// prettier-ignore
const loads: Readonly<Record<number, { readonly size: number; readonly wide: boolean; readonly signed: boolean }>> = {
  0x28: { size: 4, wide: false, signed: false }, 0x29: { size: 8, wide: true, signed: false },
  0x2c: { size: 1, wide: false, signed: true }, 0x2d: { size: 1, wide: false, signed: false },
  0x2e: { size: 2, wide: false, signed: true }, 0x2f: { size: 2, wide: false, signed: false },
  0x30: { size: 1, wide: true, signed: true }, 0x31: { size: 1, wide: true, signed: false },
  0x32: { size: 2, wide: true, signed: true }, 0x33: { size: 2, wide: true, signed: false },
  0x34: { size: 4, wide: true, signed: true }, 0x35: { size: 4, wide: true, signed: false },
};
// prettier-ignore
const stores: Readonly<Record<number, number>> = {
  0x36: 4, 0x37: 8, 0x3a: 1, 0x3b: 2, 0x3c: 1, 0x3d: 2, 0x3e: 4,
};
const unaries: Readonly<Record<number, (value: Value) => Value>> = {
  0x45: (value) => (value === 0 ? 1 : 0),
  0x50: (value) => (value === 0n ? 1 : 0),
  0xa7: (value) => Number(BigInt.asIntN(32, BigInt(value))),
  0xac: (value) => BigInt.asUintN(64, BigInt(value)),
  0xad: (value) => BigInt(Number(value) >>> 0),
};
// prettier-ignore
const narrow: Readonly<Record<number, (left: number, right: number) => number>> = {
  0x46: (left, right) => Number(left === right), 0x47: (left, right) => Number(left !== right),
  0x48: (left, right) => Number(left < right), 0x49: (left, right) => Number(left >>> 0 < right >>> 0),
  0x4a: (left, right) => Number(left > right), 0x4b: (left, right) => Number(left >>> 0 > right >>> 0),
  0x4e: (left, right) => Number(left >= right), 0x4f: (left, right) => Number(left >>> 0 >= right >>> 0),
  0x4d: (left, right) => Number(left >>> 0 <= right >>> 0),
  0x6a: (left, right) => left + right, 0x6b: (left, right) => left - right, 0x6c: Math.imul,
  0x71: (left, right) => left & right, 0x72: (left, right) => left | right, 0x73: (left, right) => left ^ right,
  0x74: (left, right) => left << right, 0x76: (left, right) => left >>> right,
};
// prettier-ignore
const wideToNarrow: Readonly<Record<number, (left: bigint, right: bigint) => boolean>> = {
  0x51: (left, right) => left === right, 0x52: (left, right) => left !== right,
  0x54: (left, right) => left < right, 0x56: (left, right) => left > right,
  0x58: (left, right) => left <= right, 0x5a: (left, right) => left >= right,
};
// prettier-ignore
const wides: Readonly<Record<number, (left: bigint, right: bigint) => bigint>> = {
  0x7c: (left, right) => left + right, 0x7d: (left, right) => left - right, 0x7e: (left, right) => left * right,
  0x83: (left, right) => left & right, 0x84: (left, right) => left | right, 0x85: (left, right) => left ^ right,
  0x86: (left, right) => left << (right & 63n), 0x88: (left, right) => left >> (right & 63n),
};
