/**
 * Random network functions of the subset, as text: functions of words, state and
 * packets that the checker accepts, because the generator keeps ranges too: an
 * expression that might leave them is put into a narrowing.
 *
 * Law for its users: whatever it answers means the same everywhere.
 */
import type { Random } from "#base";

interface Expression {
  readonly text: string;
  readonly low: bigint;
  readonly high: bigint;
}

interface Variable extends Expression {
  /** What narrows a value for it; undefined for constants. */
  readonly type: string | undefined;
  readonly big: boolean;
}

// prettier-ignore
const types: Readonly<Record<string, { readonly low: bigint; readonly high: bigint }>> = {
  u8:  { low: 0n, high: 255n },
  u16: { low: 0n, high: 65_535n },
  u32: { low: 0n, high: 2n ** 32n - 1n },
  i8:  { low: -128n, high: 127n },
  i32: { low: -(2n ** 31n), high: 2n ** 31n - 1n },
};
const numberTypes = ["u8", "u16", "u32", "u32", "i8", "i32", "i32"];
const u64 = { low: 0n, high: 2n ** 64n - 1n };
const most = 2n ** 53n - 1n;

/** A network function of `count` random functions, one after another. */
export function randomNf(random: Random, count: number): string[] {
  return Array.from({ length: count }, (_, at) => randomFunction(random, at));
}

/** The file around the functions. */
export function nfText(functions: readonly string[]): string {
  const names = functions.map(
    (text) => /^function (\w+)/.exec(text)?.[1] ?? "",
  );
  return `import { array, be16, be32, counter, div, drop, hash, hashMap, i16, i32, i64, i8, max, min, mul32, nf, out, pass, struct, tx, u16, u32, u64, u8, vector } from "divisi/nf";
import type { ArrayMap, Counter, HashMap, Packet, ValueOf } from "divisi/nf";

const Key = struct("key", { port: be16, tag: u8 });
const Cell = struct("cell", { total: u64, last: u32, small: u8, sign: i32, list: vector(u16, 4) });
const Pair = struct("pair", { first: u32, second: i32 });
const list = [7, 0, 250, 3, 99, 1, 2, 18];
type Cells = ArrayMap<typeof Cell>;
type Table = HashMap<typeof Key, typeof Pair>;

function lesser(left: number, right: number): number {
  if (left < right) return left;
  return right;
}
function half(value: number): number | undefined {
  if ((value & 1) === 1) return undefined;
  return value >>> 1;
}
function shift(pair: ValueOf<typeof Pair>, by: number): void {
  pair.first = u32(pair.first + by);
  pair.second = i32(pair.second - by);
}
${functions.join("\n")}

export default nf({
  name: "random",
  ports: ["lan", "wan"],
  state: {
    results: array({ value: u64, capacity: ${Math.max(1, functions.length)} }),
    cells: array({ value: Cell, capacity: 4 }),
    table: hashMap({ key: Key, value: Pair, capacity: 3 }),
    events: counter(),
  },
  handle(pkt, ctx) {
    const { results, cells, table, events } = ctx.state;
    const a = pkt.u32(0);
    const b = pkt.u32(4);
    const c = pkt.u8(8);
    const d = pkt.u16(9);
    if (a === undefined || b === undefined || c === undefined || d === undefined) return drop;
    const s = i32(b ^ 0x55);
    const x = (u64(a) << 32n) | u64(b);
    const y = u64(x * 0x9e3779b97f4a7c15n);
    const port = ctx.port;
${names.map((name, at) => `    results.at(${at}).value = u64(${name}(pkt, cells, table, events, a, b, c, d, s, port, x, y, ctx.now));`).join("\n")}
    if ((c & 7) === 0) return tx;
    if ((c & 7) === 1) return out(port === 0 ? 1 : 0);
    return (c & 1) === 0 ? pass : drop;
  },
});
`;
}

function randomFunction(random: Random, at: number): string {
  const maker = new Maker(random);
  const body = maker.block(3 + random.below(5), 0);
  const result = random.chance(0.7) ? maker.number(2).text : maker.big(2).text;
  return `function random${at}(pkt: Packet, cells: Cells, table: Table, events: Counter, a: number, b: number, c: number, d: number, s: number, port: number, x: bigint, y: bigint, now: bigint) {
${body}
  return u64(${result});
}`;
}

class Maker {
  readonly random: Random;
  #variables: Variable[];
  #names = 0;
  #depth = 0;
  #loops = 0;

  constructor(random: Random) {
    this.random = random;
    const number = (text: string, type: string): Variable => {
      const { low, high } = types[type] ?? u64;
      return { text, low, high, type: undefined, big: false };
    };
    const big = (text: string): Variable => {
      return { text, ...u64, type: undefined, big: true };
    };
    this.#variables = [
      number("a", "u32"),
      number("b", "u32"),
      number("c", "u8"),
      number("d", "u16"),
      number("s", "i32"),
      { text: "port", low: 0n, high: 1n, type: undefined, big: false },
      big("x"),
      big("y"),
      big("now"),
    ];
  }

  block(statements: number, indent: number): string {
    const kept = this.#variables;
    this.#variables = [...kept];
    const lines: string[] = [];
    for (let count = 0; count < statements; count++)
      lines.push(this.#statement(indent + 1));
    if (indent > 0) this.#variables = kept;
    return lines.join("\n");
  }

  #statement(indent: number): string {
    const { random } = this;
    const pad = "  ".repeat(indent);
    const nested = indent < 4;
    const kind = random.below(nested ? 14 : 7);
    const name = `v${this.#names++}`;
    const block = (): string =>
      `{\n${this.block(1 + random.below(3), indent)}\n${pad}}`;
    switch (kind) {
      case 0: {
        const made = this.number(3);
        this.#add({ ...made, text: name, type: undefined, big: false });
        return `${pad}const ${name} = ${made.text};`;
      }
      case 1:
      case 2: {
        const type = random.pick(numberTypes);
        const made = this.narrowed(type, 3);
        this.#add({ ...made, text: name, type, big: false });
        return `${pad}let ${name} = ${made.text};`;
      }
      case 3: {
        const made = this.big(2);
        this.#add({ text: name, ...u64, type: "u64", big: true });
        return `${pad}let ${name} = u64(${made.text});`;
      }
      case 4:
      case 5:
      case 6:
        return this.#assignment(pad) ?? `${pad}events.increment();`;
      case 7:
      case 8:
        return random.chance(0.5)
          ? `${pad}if (${this.condition(2)}) ${block()}`
          : `${pad}if (${this.condition(2)}) ${block()} else ${block()}`;
      case 9: {
        const cases = [0, 1, 2].map(
          (value) =>
            `${pad}  case ${value}: {\n${this.block(1, indent + 1)}\n${pad}    break;\n${pad}  }`,
        );
        return `${pad}switch (c & 3) {\n${cases.join("\n")}\n${pad}  default: {\n${this.block(1, indent + 1)}\n${pad}  }\n${pad}}`;
      }
      case 10:
        return this.#loop(name, indent);
      case 11:
        return this.#state(name, indent);
      case 12:
        return this.#packet(name, indent);
      default:
        return `${pad}if (${this.condition(2)}) return ${random.chance(0.5) ? "1n" : `u64(${this.number(2).text})`};`;
    }
  }

  #add(variable: Variable): void {
    this.#variables.push(variable);
  }

  #assignment(pad: string): string | undefined {
    const { random } = this;
    const targets = this.#variables.filter(({ type }) => type !== undefined);
    if (targets.length === 0) return undefined;
    const { text, type = "", big } = random.pick(targets);
    const value = big ? this.big(2).text : this.number(3).text;
    return `${pad}${text} = ${type}(${value});`;
  }

  #loop(name: string, indent: number): string {
    const { random } = this;
    const pad = "  ".repeat(indent);
    if (this.#loops > 1) return `${pad}events.add(2);`;
    const kept = this.#variables;
    const rounds = random.pick([2, 3, 5, 9, 20]);
    this.#variables = [
      ...kept,
      {
        text: name,
        low: 0n,
        high: BigInt(rounds - 1),
        type: undefined,
        big: false,
      },
    ];
    this.#loops++;
    const stop = random.chance(0.5)
      ? `${pad}  if (${this.condition(1)}) ${random.pick(["break", "continue"])};\n`
      : "";
    const body = this.block(1 + random.below(2), indent);
    this.#loops--;
    this.#variables = kept;
    return `${pad}for (let ${name} = 0; ${name} < ${rounds}; ${name}++) {\n${stop}${body}\n${pad}}`;
  }

  #state(name: string, indent: number): string {
    const { random } = this;
    const pad = "  ".repeat(indent);
    const key = `Key({ port: u16(${this.number(1).text}) & 3, tag: ${random.below(2)} })`;
    const number = (): string => this.number(2).text;
    switch (random.below(8)) {
      case 0:
        return `${pad}const ${name} = cells.at(${this.small(3)});\n${pad}${name}.total = u64(${name}.total + ${this.big(1).text});\n${pad}${name}.last = u32(${number()});`;
      case 1:
        return `${pad}const ${name} = cells.get(${number()});\n${pad}if (${name} !== undefined) {\n${pad}  ${name}.small = u8(${name}.small + 1);\n${pad}  ${name}.sign = i32(${number()});\n${pad}}`;
      case 2:
        return `${pad}const ${name} = cells.at(${this.small(3)});\n${pad}${name}.list[${this.small(3)}] = u16(${name}.list[${this.small(3)}] + ${random.below(9)});`;
      case 3:
        return `${pad}const ${name} = ${key};\n${pad}if (!table.set(${name}, { first: u32(${number()}), second: i32(${number()}) })) events.add(3);`;
      case 4:
        return `${pad}const ${name} = table.get(${key});\n${pad}if (${name} !== undefined) {\n${pad}  ${name}.first = u32(${name}.first + ${name}.second);\n${pad}} else {\n${pad}  events.increment();\n${pad}}`;
      case 5:
        return `${pad}if (table.delete(${key})) events.add(u64(${number()}));`;
      case 6:
        return `${pad}if (table.insert(${key}, Pair({ first: u32(${number()}), second: -1 }))) {\n${this.block(1, indent)}\n${pad}}`;
      default:
        return `${pad}const ${name} = Pair({ first: u32(${number()}), second: i32(${number()}) });\n${pad}shift(${name}, u8(${number()}));\n${pad}events.add(u64(${name}.first));`;
    }
  }

  #packet(name: string, indent: number): string {
    const { random } = this;
    const pad = "  ".repeat(indent);
    const number = (): string => this.number(2).text;
    const ip = random.pick([
      "dst = u32(NUMBER)",
      "src = u32(NUMBER)",
      "ttl = u8(NUMBER)",
      "tos = u8(NUMBER)",
      "id = u16(NUMBER)",
    ]);
    const l4 = random.pick(["sport", "dport"]);
    switch (random.below(6)) {
      case 0:
        return `${pad}const ${name} = pkt.ipv4;\n${pad}if (${name} !== undefined && ${this.condition(1)}) ${name}.${ip.replace("NUMBER", number())};`;
      case 1:
        return `${pad}const ${name} = pkt.l4;\n${pad}if (${name} !== undefined) ${name}.${l4} = u16(${name}.${l4} + ${random.below(5)});`;
      case 2:
        return `${pad}const ${name} = pkt.tcp;\n${pad}if (${name} !== undefined) {\n${pad}  ${name}.${random.pick(["window", "urgent"])} = u16(${number()});\n${pad}  ${name}.seq = u32(${name}.seq + ${number()});\n${pad}}`;
      case 3:
        return `${pad}const ${name} = pkt.udp;\n${pad}if (${name} !== undefined) {\n${pad}  const byte${name} = ${name}.payload.u8(${this.small(63)});\n${pad}  if (byte${name} !== undefined) events.add(byte${name});\n${pad}  ${name}.dport = u16(${number()});\n${pad}}`;
      case 4:
        return `${pad}const ${name} = pkt.eth;\n${pad}if (${name} !== undefined) ${name}.${random.pick(["src", "dst"])} = ${this.big(1).text} & 0xffff_ffff_ffffn;`;
      default:
        return `${pad}const ${name} = pkt.ipv6;\n${pad}if (${name} !== undefined) {\n${pad}  ${name}.dstLow = u64(${this.big(1).text});\n${pad}  ${name}.hopLimit = u8(${number()});\n${pad}}`;
    }
  }

  /** A number from 0 to `high`, which is 2^n − 1. */
  small(high: number): string {
    return this.random.chance(0.4)
      ? String(this.random.below(high + 1))
      : `${this.narrowed("u32", 1).text} & ${high}`;
  }

  narrowed(type: string, depth: number): Expression {
    const { low, high } = types[type] ?? u64;
    return { text: `${type}(${this.number(depth).text})`, low, high };
  }

  /** A number whose range is known and exact. */
  number(depth: number): Expression {
    const { random } = this;
    const leaf = (): Expression => {
      const known = this.#variables.filter(({ big }) => !big);
      if (random.chance(0.3)) {
        const value = BigInt(
          random.pick([
            0,
            1,
            2,
            7,
            31,
            255,
            1000,
            65_535,
            2 ** 31,
            2 ** 32 - 1,
            3,
          ]),
        );
        return { text: String(value), low: value, high: value };
      }
      return random.pick(known);
    };
    if (depth === 0) return leaf();
    const a = this.number(depth - 1);
    const op = random.below(15);
    if (op === 0) return leaf();
    const b = this.number(depth - 1);
    const kept = (text: string, low: bigint, high: bigint): Expression =>
      low >= -most && high <= most
        ? { text: `(${text})`, low, high }
        : { text: `u32(${a.text})`, ...(types["u32"] ?? u64) };
    const int32 = types["i32"] ?? u64;
    const uint32 = types["u32"] ?? u64;
    const word = (one: Expression): string =>
      one.low >= 0n && one.high <= uint32.high ? one.text : `u32(${one.text})`;
    const signed = (one: Expression): string =>
      one.low >= int32.low && one.high <= int32.high
        ? one.text
        : `i32(${one.text})`;
    switch (op) {
      case 1:
        return kept(`${a.text} + ${b.text}`, a.low + b.low, a.high + b.high);
      case 2:
        return kept(`${a.text} - ${b.text}`, a.low - b.high, a.high - b.low);
      case 3: {
        const ends = [
          a.low * b.low,
          a.low * b.high,
          a.high * b.low,
          a.high * b.high,
        ];
        return kept(`${a.text} * ${b.text}`, least(ends), greatest(ends));
      }
      case 4:
        return { text: `mul32(${a.text}, ${b.text})`, ...uint32 };
      case 5:
        return {
          text: `(${word(a)} ${random.pick(["&", "|", "^"])} ${word(b)})`,
          ...int32,
        };
      case 6:
        return { text: `(${word(a)} >>> ${random.below(32)})`, ...uint32 };
      case 7:
        return { text: `(${word(a)} >>> (${word(b)} & 31))`, ...uint32 };
      case 8:
        return { text: `(${signed(a)} >> ${random.below(32)})`, ...int32 };
      case 9:
        return { text: `(${signed(a)} << ${random.below(32)})`, ...int32 };
      case 10: {
        const divisor = `max(${word(b)}, ${1 + random.below(3)})`;
        return random.chance(0.5)
          ? { text: `div(${word(a)}, ${divisor})`, ...uint32 }
          : { text: `(${signed(a)} % ${divisor})`, ...int32 };
      }
      case 11:
        return {
          text: `${random.pick(["min", "max"])}(${a.text}, ${b.text})`,
          low: least([a.low, b.low]),
          high: greatest([a.high, b.high]),
        };
      case 12:
        return {
          text: `(${this.condition(1)} ? ${a.text} : ${b.text})`,
          low: least([a.low, b.low]),
          high: greatest([a.high, b.high]),
        };
      case 13:
        return random.chance(0.5)
          ? {
              text: `lesser(${a.text}, ${b.text})`,
              low: least([a.low, b.low]),
              high: greatest([a.high, b.high]),
            }
          : { text: `list[${word(a)} & 7]`, low: 0n, high: 250n };
      default:
        return random.chance(0.5)
          ? {
              text: `hash(Pair, { first: ${word(a)}, second: ${signed(b)} }, 5)`,
              ...uint32,
            }
          : { text: `u32(${this.big(1).text})`, ...uint32 };
    }
  }

  /** A bigint of 64 unsigned bits. */
  big(depth: number): Expression {
    const { random } = this;
    if (depth === 0 || random.chance(0.2)) {
      if (random.chance(0.3)) {
        const value = random.pick([
          0n,
          1n,
          63n,
          255n,
          2n ** 32n,
          2n ** 63n,
          2n ** 64n - 1n,
        ]);
        return { text: `${value}n`, low: value, high: value };
      }
      return random.pick(this.#variables.filter(({ big }) => big));
    }
    const a = this.big(depth - 1).text;
    const b = this.big(depth - 1).text;
    const text = random.pick([
      `u64(${a} + ${b})`,
      `u64(${a} - ${b})`,
      `u64(${a} * ${b})`,
      `(${a} & ${b})`,
      `(${a} | ${b})`,
      `(${a} ^ ${b})`,
      `u64(${a} << ${random.below(64)}n)`,
      `(${a} >> ${random.below(64)}n)`,
      `(${a} >> (${b} & 63n))`,
      `(${a} / max(${b}, ${1 + random.below(4)}n))`,
      `(${a} % max(${b}, 1n))`,
      `u64(${this.number(1).text})`,
      `min(${a}, ${b})`,
      `(${this.condition(1)} ? ${a} : ${b})`,
    ]);
    return { text, ...u64 };
  }

  condition(depth: number): string {
    const { random } = this;
    if (this.#depth++ > 40) {
      this.#depth = 0;
      return "c < 9";
    }
    if (depth > 0 && random.chance(0.4)) {
      const [left, right] = [
        this.condition(depth - 1),
        this.condition(depth - 1),
      ];
      return random.pick([
        `(${left} && ${right})`,
        `(${left} || ${right})`,
        `!(${left})`,
      ]);
    }
    const op = random.pick(["<", "<=", ">", ">=", "===", "!=="]);
    const [a, b] = random.chance(0.75)
      ? [this.number(1).text, this.number(1).text]
      : [this.big(1).text, this.big(1).text];
    return `(${a} ${op} ${b})`;
  }
}

function least(values: readonly bigint[]): bigint {
  return values.reduce((a, b) => (a < b ? a : b));
}

function greatest(values: readonly bigint[]): bigint {
  return values.reduce((a, b) => (a > b ? a : b));
}
