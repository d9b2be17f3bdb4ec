/**
 * For tests: a module's bytes as functions whose instructions can be run one by one.
 * Labels are resolved: a block knows its end, an if also what is behind its else.
 *
 * Reads what src/codegen/wasm/encoder.ts writes (WebAssembly 2.0, chapter 5, and the threads proposal).
 */
import { Bug } from "../../base/index.ts";

export interface Step {
  readonly op: number;
  /** The second byte, of 0xfc and 0xfe. */
  readonly sub: number;
  /** Index, offset, depth, or where a label leads. */
  readonly at: number;
  /** Of an if: behind its else, or its end. */
  readonly other: number;
  readonly wide: bigint;
}

export interface Body {
  readonly parameters: number;
  readonly results: number;
  /** First values of the locals behind the parameters. */
  readonly locals: readonly (number | bigint)[];
  readonly steps: readonly Step[];
}

export interface ModuleCode {
  readonly imports: readonly {
    readonly name: string;
    readonly parameters: number;
  }[];
  /** Numbered behind the imports. */
  readonly bodies: readonly Body[];
  readonly globals: number;
  readonly exports: ReadonlyMap<string, number>;
}

const wideType = 0x7e;

export function readModule(bytes: Uint8Array): ModuleCode {
  const reader = new Reader(bytes);
  reader.at = 8;
  const types: { parameters: number; results: number }[] = [];
  const imports: { name: string; parameters: number }[] = [];
  const exports = new Map<string, number>();
  const bodies: Body[] = [];
  let own: readonly number[] = [];
  let globals = 0;
  while (reader.at < bytes.length) {
    const section = reader.byte();
    const end = reader.unsigned() + reader.at;
    const count = reader.unsigned();
    if (section === 1)
      for (let index = 0; index < count; index++) {
        reader.at++;
        const parameters = reader.skip(reader.unsigned());
        types.push({ parameters, results: reader.skip(reader.unsigned()) });
      }
    if (section === 2)
      for (let index = 0; index < count; index++) {
        reader.name();
        const name = reader.name();
        if (reader.byte() === 0) {
          const { parameters = 0 } = types[reader.unsigned()] ?? {};
          imports.push({ name, parameters });
        } else {
          const hasMost = (reader.byte() & 1) !== 0;
          reader.unsigned();
          if (hasMost) reader.unsigned();
        }
      }
    if (section === 3)
      own = Array.from({ length: count }, () => reader.unsigned());
    if (section === 6) globals = count;
    if (section === 7)
      for (let index = 0; index < count; index++) {
        const name = reader.name();
        reader.at++;
        exports.set(name, reader.unsigned());
      }
    if (section === 10)
      for (let index = 0; index < count; index++) {
        const size = reader.unsigned();
        const type = types[own[index] ?? 0] ?? { parameters: 0, results: 0 };
        bodies.push({ ...type, ...bodyOf(reader, reader.at + size) });
      }
    reader.at = end;
  }
  return { imports, bodies, globals, exports };
}

function bodyOf(reader: Reader, end: number): Pick<Body, "locals" | "steps"> {
  const locals: (number | bigint)[] = [];
  for (let groups = reader.unsigned(); groups > 0; groups--) {
    const count = reader.unsigned();
    const value = reader.byte() === wideType ? 0n : 0;
    for (let each = 0; each < count; each++) locals.push(value);
  }
  const steps: {
    op: number;
    sub: number;
    at: number;
    other: number;
    wide: bigint;
  }[] = [];
  const open: number[] = [];
  while (reader.at < end) {
    const op = reader.byte();
    const step = { op, sub: 0, at: 0, other: 0, wide: 0n };
    const here = steps.push(step) - 1;
    if (op === 0x02 || op === 0x03 || op === 0x04) {
      reader.at++;
      open.push(here);
    } else if (op === 0x05) {
      const first = steps[open.at(-1) ?? -1];
      if (first !== undefined) first.other = here + 1;
      step.other = open.at(-1) ?? 0;
    } else if (op === 0x0b) {
      const opened = open.pop();
      for (const each of steps)
        if (
          each.op === 0x05 &&
          opened !== undefined &&
          each.other === opened &&
          each.at === 0
        )
          each.at = here;
      const first = opened === undefined ? undefined : steps[opened];
      if (first !== undefined) {
        first.at = here + 1;
        if (first.op === 0x03) first.at = (opened ?? 0) + 1;
        if (first.op === 0x04 && first.other === 0) first.other = here;
      }
    } else immediate(reader, step);
  }
  return { locals, steps };
}

function immediate(
  reader: Reader,
  step: { op: number; sub: number; at: number; wide: bigint },
): void {
  const { op } = step;
  if ((op >= 0x0c && op <= 0x0d) || op === 0x10 || (op >= 0x20 && op <= 0x24))
    step.at = reader.unsigned();
  else if (op === 0x41) step.at = Number(BigInt.asIntN(32, reader.signed()));
  else if (op === 0x42) step.wide = BigInt.asUintN(64, reader.signed());
  else if (op >= 0x28 && op <= 0x3e) {
    reader.unsigned();
    step.at = reader.unsigned();
  } else if (op === 0xfe || op === 0xfc) {
    step.sub = reader.byte();
    reader.at++;
    if (step.sub !== 0x03 || op === 0xfc) step.at = reader.unsigned();
  } else if (op === 0x0e) throw new Bug("a table of branches");
}

class Reader {
  at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }
  byte(): number {
    return this.#bytes[this.at++] ?? 0;
  }
  skip(count: number): number {
    this.at += count;
    return count;
  }
  unsigned(): number {
    return Number(this.#number().value);
  }
  signed(): bigint {
    const { value, bits } = this.#number();
    return BigInt.asIntN(bits, value);
  }
  name(): string {
    const length = this.unsigned();
    this.at += length;
    return new TextDecoder().decode(
      this.#bytes.subarray(this.at - length, this.at),
    );
  }
  #number(): { value: bigint; bits: number } {
    let [value, bits] = [0n, 0];
    for (;;) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << BigInt(bits);
      bits += 7;
      if (byte < 0x80) return { value, bits };
    }
  }
}
