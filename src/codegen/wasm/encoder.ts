/**
 * The WebAssembly binary format, as far as the translator needs it: a growing
 * list of bytes with LEB128, the opcodes used, and a module that is put
 * together from types, imports, functions, one memory, globals and exports.
 *
 * It decides nothing and checks nothing: `WebAssembly.Module` validates.
 *
 * Source: WebAssembly Core Specification 2.0, chapter 5 (binary format).
 */

/** Value types. */
export const i32 = 0x7f;
export const i64 = 0x7e;
/** The block type of a block without parameters and results. */
export const nothing = 0x40;

// prettier-ignore
export const op = {
  unreachable: 0x00, nop: 0x01, block: 0x02, loop: 0x03, if: 0x04, else: 0x05, end: 0x0b, br: 0x0c, brIf: 0x0d, brTable: 0x0e,
  return: 0x0f, call: 0x10, drop: 0x1a, select: 0x1b,
  localGet: 0x20, localSet: 0x21, localTee: 0x22, globalGet: 0x23, globalSet: 0x24,
  i32Load: 0x28, i64Load: 0x29, i32Load8S: 0x2c, i32Load8U: 0x2d, i32Load16S: 0x2e, i32Load16U: 0x2f,
  i64Load8S: 0x30, i64Load8U: 0x31, i64Load16S: 0x32, i64Load16U: 0x33, i64Load32S: 0x34, i64Load32U: 0x35,
  i32Store: 0x36, i64Store: 0x37, i32Store8: 0x3a, i32Store16: 0x3b, i64Store8: 0x3c, i64Store16: 0x3d, i64Store32: 0x3e,
  i32Const: 0x41, i64Const: 0x42,
  i32Eqz: 0x45, i32Eq: 0x46, i32Ne: 0x47, i32LtS: 0x48, i32LtU: 0x49, i32GtS: 0x4a, i32GtU: 0x4b,
  i32LeS: 0x4c, i32LeU: 0x4d, i32GeS: 0x4e, i32GeU: 0x4f,
  i64Eqz: 0x50, i64Eq: 0x51, i64Ne: 0x52, i64LtS: 0x53, i64LtU: 0x54, i64GtS: 0x55, i64GtU: 0x56,
  i64LeS: 0x57, i64LeU: 0x58, i64GeS: 0x59, i64GeU: 0x5a,
  i32Add: 0x6a, i32Sub: 0x6b, i32Mul: 0x6c, i32DivS: 0x6d, i32DivU: 0x6e, i32RemS: 0x6f, i32RemU: 0x70,
  i32And: 0x71, i32Or: 0x72, i32Xor: 0x73, i32Shl: 0x74, i32ShrS: 0x75, i32ShrU: 0x76, i32Rotl: 0x77, i32Rotr: 0x78,
  i64Add: 0x7c, i64Sub: 0x7d, i64Mul: 0x7e, i64DivS: 0x7f, i64DivU: 0x80, i64RemS: 0x81, i64RemU: 0x82,
  i64And: 0x83, i64Or: 0x84, i64Xor: 0x85, i64Shl: 0x86, i64ShrS: 0x87, i64ShrU: 0x88, i64Rotl: 0x89,
  i32WrapI64: 0xa7, i64ExtendI32S: 0xac, i64ExtendI32U: 0xad,
  i32Extend8S: 0xc0, i32Extend16S: 0xc1, i64Extend8S: 0xc2, i64Extend16S: 0xc3, i64Extend32S: 0xc4,
  memoryCopy: [0xfc, 0x0a, 0, 0], memoryFill: [0xfc, 0x0b],
} as const satisfies Record<string, number | readonly number[]>;

/**
 * Second bytes of the atomic instructions, behind 0xfe. Their alignment is no hint:
 * an address that is not a multiple of the size traps.
 * Source: WebAssembly threads proposal, binary format.
 */
// prettier-ignore
export const atomic = {
  notify: 0x00, wait32: 0x01, i32Load: 0x10, i32Store: 0x17, i32Add: 0x1e, i32Cmpxchg: 0x48, i32Xchg: 0x41,
  i64Load: 0x11, i64Load8: 0x14, i64Load16: 0x15, i64Load32: 0x16,
  i64Store: 0x18, i64Store8: 0x1b, i64Store16: 0x1c, i64Store32: 0x1d,
  i64Add: 0x1f, i64Add32: 0x24, i64And: 0x2d, i64And32: 0x32, i64Or: 0x34, i64Or32: 0x39,
  i64Xor: 0x3b, i64Xor32: 0x40, i64Xchg: 0x42, i64Xchg32: 0x47, i64Cmpxchg: 0x49, i64Cmpxchg32: 0x4e,
} as const;

/** Bytes that grow at the end; the body of a function, a section, a module. */
export class Code {
  /** Calls by name, for `link`: where the five bytes of the index are. */
  readonly calls: { readonly at: number; readonly callee: string }[] = [];
  #bytes = new Uint8Array(256);
  #length = 0;

  get length(): number {
    return this.#length;
  }
  byte(value: number): this {
    if (this.#length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.#length++] = value;
    return this;
  }
  /** Opcodes without immediates, in order. */
  ops(...codes: readonly number[]): this {
    for (const code of codes) this.byte(code);
    return this;
  }
  /** Unsigned LEB128 of 0 … 2^32 − 1. */
  unsigned(value: number): this {
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    return this.byte(rest);
  }
  /** Signed LEB128 of a 32-bit number; unsigned spellings are taken too. */
  signed(value: number): this {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && low & 0x40))
        return this.byte(low);
      this.byte(low | 0x80);
    }
  }
  signedWide(value: bigint): this {
    let rest = BigInt.asIntN(64, value);
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && (low & 0x40) === 0) || (rest === -1n && low & 0x40))
        return this.byte(low);
      this.byte(low | 0x80);
    }
  }
  i32Const(value: number): this {
    return this.byte(op.i32Const).signed(value);
  }
  i64Const(value: bigint | number): this {
    return this.byte(op.i64Const).signedWide(BigInt(value));
  }
  get(local: number): this {
    return this.byte(op.localGet).unsigned(local);
  }
  set(local: number): this {
    return this.byte(op.localSet).unsigned(local);
  }
  tee(local: number): this {
    return this.byte(op.localTee).unsigned(local);
  }
  globalGet(global: number): this {
    return this.byte(op.globalGet).unsigned(global);
  }
  globalSet(global: number): this {
    return this.byte(op.globalSet).unsigned(global);
  }
  call(fn: number): this {
    return this.byte(op.call).unsigned(fn);
  }
  /** A call whose index `link` fills in: imports come to light late. */
  callByName(callee: string): this {
    this.byte(op.call);
    this.calls.push({ at: this.#length, callee });
    return this.ops(0x80, 0x80, 0x80, 0x80, 0);
  }
  link(indexOf: (callee: string) => number): void {
    for (const { at, callee } of this.calls) {
      const index = indexOf(callee);
      for (let part = 0; part < 5; part++)
        this.#bytes[at + part] =
          ((index >>> (7 * part)) & 0x7f) | (part < 4 ? 0x80 : 0);
    }
  }
  br(depth: number): this {
    return this.byte(op.br).unsigned(depth);
  }
  brIf(depth: number): this {
    return this.byte(op.brIf).unsigned(depth);
  }
  block(): this {
    return this.byte(op.block).byte(nothing);
  }
  loop(): this {
    return this.byte(op.loop).byte(nothing);
  }
  if(): this {
    return this.byte(op.if).byte(nothing);
  }
  end(): this {
    return this.byte(op.end);
  }
  /** A load or store; `offset` is added to the address on the stack. */
  memory(code: number, offset: number): this {
    return this.byte(code).byte(0).unsigned(offset);
  }
  /** `align`: log2 of the size. */
  atomic(code: number, align: number, offset: number): this {
    return this.byte(0xfe).byte(code).byte(align).unsigned(offset);
  }
  /** No access before it is seen behind one after it. */
  fence(): this {
    return this.ops(0xfe, 0x03, 0);
  }
  append(other: Code): this {
    for (const { at, callee } of other.calls)
      this.calls.push({ at: at + this.#length, callee });
    return this.raw(other.bytes());
  }
  raw(bytes: Uint8Array): this {
    if (this.#length + bytes.length > this.#bytes.length)
      this.#grow(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }
  name(text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.unsigned(bytes.length).raw(bytes);
  }
  /** A view that the next write may leave behind. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #grow(size: number): void {
    const next = new Uint8Array(
      Math.max(this.#length + size, this.#bytes.length * 2),
    );
    next.set(this.#bytes);
    this.#bytes = next;
  }
}

export interface FunctionType {
  readonly parameters: readonly number[];
  readonly results: readonly number[];
}

export interface FunctionBody {
  readonly type: FunctionType;
  /** Types of the locals behind the parameters. */
  readonly locals: readonly number[];
  /** Without the final `end`. */
  readonly code: Code;
}

export interface ModuleParts {
  /** Functions imported from module `e`; they come first in the numbering. */
  readonly imports: readonly {
    readonly name: string;
    readonly type: FunctionType;
  }[];
  /** Imported memory `e.m`, in pages of 64 KiB. */
  readonly memoryPages: number;
  /** Whether other threads may see the memory. */
  readonly memoryShared: boolean;
  readonly functions: readonly FunctionBody[];
  /** Mutable globals and their first values. */
  readonly globals: readonly {
    readonly type: number;
    readonly value: number;
  }[];
  /** Exported functions by index over imports and functions. */
  readonly exports: readonly { readonly name: string; readonly fn: number }[];
}

/** The same function type always gets the same index. */
export class FunctionTypes {
  readonly #indices = new Map<string, number>();
  readonly all: FunctionType[] = [];

  indexOf(type: FunctionType): number {
    const key = `${type.parameters.join()}>${type.results.join()}`;
    let index = this.#indices.get(key);
    if (index === undefined) {
      index = this.all.push(type) - 1;
      this.#indices.set(key, index);
    }
    return index;
  }
}

/** The module's bytes. `types` holds what bodies refer to by index already. */
export function encodeModule(
  parts: ModuleParts,
  types: FunctionTypes,
): Uint8Array {
  const module = new Code();
  module.raw(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
  const importTypes = parts.imports.map(({ type }) => types.indexOf(type));
  const ownTypes = parts.functions.map(({ type }) => types.indexOf(type));

  section(module, 1, types.all, (code, type) => {
    code
      .byte(0x60)
      .unsigned(type.parameters.length)
      .ops(...type.parameters);
    code.unsigned(type.results.length).ops(...type.results);
  });
  const imports = new Code();
  imports.unsigned(parts.imports.length + 1);
  imports.name("e").name("m").byte(2);
  if (parts.memoryShared)
    imports.byte(3).unsigned(parts.memoryPages).unsigned(parts.memoryPages);
  else imports.byte(0).unsigned(parts.memoryPages);
  for (const [index, { name }] of parts.imports.entries())
    imports
      .name("e")
      .name(name)
      .byte(0)
      .unsigned(importTypes[index] ?? 0);
  wrap(module, 2, imports);
  section(module, 3, ownTypes, (code, type) => code.unsigned(type));
  section(module, 6, parts.globals, (code, { type, value }) => {
    code.byte(type).byte(1);
    if (type === i64) code.i64Const(value);
    else code.i32Const(value);
    code.end();
  });
  section(module, 7, parts.exports, (code, { name, fn }) =>
    code.name(name).byte(0).unsigned(fn),
  );
  section(module, 10, parts.functions, (code, { locals, code: body }) => {
    const one = new Code();
    const runs = runLengths(locals);
    one.unsigned(runs.length);
    for (const [count, type] of runs) one.unsigned(count).byte(type);
    one.append(body).end();
    code.unsigned(one.length).append(one);
  });
  return module.bytes().slice();
}

function section<T>(
  module: Code,
  id: number,
  items: readonly T[],
  encode: (code: Code, item: T) => void,
): void {
  const content = new Code().unsigned(items.length);
  for (const item of items) encode(content, item);
  wrap(module, id, content);
}

function wrap(module: Code, id: number, content: Code): void {
  module.byte(id).unsigned(content.length).append(content);
}

function runLengths(types: readonly number[]): [number, number][] {
  const runs: [number, number][] = [];
  for (const type of types) {
    const last = runs.at(-1);
    if (last?.[1] === type) last[0]++;
    else runs.push([1, type]);
  }
  return runs;
}
