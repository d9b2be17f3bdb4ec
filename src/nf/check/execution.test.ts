/**
 * Ranges against execution: network functions are run as plain JavaScript with
 * every number and bigint expression watched, and each value lies in the range
 * that the checker answered for it. Random programs of the subset, and the suite
 * in `nfs/ts`. The same watch notices when a transfer function is broken.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { Random } from "../../base/index.ts";
import { buildFrame } from "../../packet/index.ts";
import { printDiagnostic } from "../front/diagnostics.ts";
import { loadNf } from "../front/load.ts";
import type { LoadedNf } from "../front/loaded.ts";
import type { ts } from "../front/typescript-api.ts";
import * as library from "../library/index.ts";
import { checkNf, type CheckedNf } from "./check.ts";
import { transfers, type Interval, type Transfers } from "./interval.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 20_260);
const root = join(import.meta.dirname, "../../..");

function reader(
  files: Readonly<Record<string, string>>,
): (path: string) => string | undefined {
  return (path) =>
    files[path] ?? (existsSync(path) ? readFileSync(path, "utf8") : undefined);
}

/** The value of an expression was outside of its range. */
type Watch = (id: number, value: unknown) => unknown;

interface Watched {
  readonly nodes: readonly {
    readonly node: ts.Node;
    readonly range: Interval;
  }[];
  readonly nf: library.AnyNf;
  readonly outside: Set<string>;
  readonly count: () => number;
}

/** The program as plain JavaScript, its expressions reporting to a watch. */
function watched(nf: LoadedNf, { facts }: CheckedNf): Watched {
  const nodes: { node: ts.Node; range: Interval }[] = [];
  const outside = new Set<string>();
  let count = 0;
  const watch: Watch = (id, value) => {
    const entry = nodes[id];
    if (entry === undefined) return value;
    if (typeof value !== "number" && typeof value !== "bigint") return value;
    count++;
    const integer =
      typeof value === "bigint" ? value : BigInt(Math.trunc(value));
    const { low, high } = entry.range;
    if (integer < low || integer > high)
      outside.add(
        `${entry.node.getText()} = ${integer}, not in ${low} … ${high}`,
      );
    return value;
  };
  const modules = new Map<string, Record<string, unknown>>();
  const load = (path: string): Record<string, unknown> => {
    const known = modules.get(path);
    if (known !== undefined) return known;
    const file = nf.userFiles.find((one) => resolve(one.fileName) === path);
    ok(file !== undefined, path);
    const exports: Record<string, unknown> = {};
    modules.set(path, exports);
    const { outputText } = nf.ts.transpileModule(
      instrumented(nf, file, facts.rangeOf, nodes),
      {
        compilerOptions: {
          module: nf.ts.ModuleKind.CommonJS,
          target: nf.ts.ScriptTarget.ES2022,
        },
      },
    );
    const require = (name: string): unknown =>
      name.startsWith(".") ? load(resolve(dirname(path), name)) : library;
    // The suite's own text, or this test's: run on purpose.
    // oxlint-disable-next-line no-new-func, typescript/no-implied-eval
    const run = new Function("exports", "require", "$", outputText);
    run(exports, require, watch);
    return exports;
  };
  const made = load(resolve(nf.file.fileName))["default"];
  return { nodes, nf: made as library.AnyNf, outside, count: () => count };
}

/** The text of a file with `$(id, …)` around each expression that has a range. */
function instrumented(
  { ts }: LoadedNf,
  file: ts.SourceFile,
  rangeOf: (node: ts.Node) => Interval | undefined,
  nodes: { node: ts.Node; range: Interval }[],
): string {
  const edits: {
    readonly at: number;
    readonly text: string;
    readonly order: number;
  }[] = [];
  const visit = (node: ts.Node): void => {
    ts.forEachChild(node, visit);
    const range = rangeOf(node);
    const { parent } = node;
    if (range === undefined || !ts.isExpression(node)) return;
    const isTarget =
      (ts.isBinaryExpression(parent) &&
        parent.left === node &&
        parent.operatorToken.getText().endsWith("=") &&
        !/^([=!]==|[<>]=)$/.test(parent.operatorToken.getText())) ||
      ts.isPostfixUnaryExpression(parent) ||
      (ts.isPrefixUnaryExpression(parent) &&
        parent.operator !== ts.SyntaxKind.MinusToken &&
        parent.operator !== ts.SyntaxKind.TildeToken) ||
      ts.isShorthandPropertyAssignment(parent) ||
      ts.isExpressionStatement(parent);
    if (isTarget) return;
    const id = nodes.length;
    nodes.push({ node, range });
    const size = node.getEnd() - node.getStart();
    edits.push({ at: node.getStart(), text: `$(${id}, `, order: -size });
    edits.push({ at: node.getEnd(), text: ")", order: -1e9 + size });
  };
  visit(file);
  // Behind one another from the end; at one place: closings first, inner ones before outer.
  edits.sort((left, right) => left.at - right.at || left.order - right.order);
  let [text, done] = ["", 0];
  for (const edit of edits) {
    text += file.text.slice(done, edit.at) + edit.text;
    done = edit.at;
  }
  return text + file.text.slice(done);
}

function anyFrame(random: Random): Uint8Array {
  const address = (): bigint =>
    random.chance(0.3)
      ? BigInt(random.u32())
      : 0x0a000000n + BigInt(random.below(4));
  const port = (): number =>
    random.chance(0.3) ? random.below(65_536) : 78 + random.below(30);
  const ports = { sport: port(), dport: port() };
  const station = BigInt(random.below(5)) << 40n;
  const frame = buildFrame({
    eth: { src: station, dst: BigInt(random.below(5)) },
    ipv4: {
      src: address(),
      dst: address(),
      ttl: random.below(256),
      tos: random.below(256),
      id: random.below(65_536),
    },
    ...(random.chance(0.6)
      ? { tcp: { ...ports, flags: random.below(32), seq: random.u32() } }
      : { udp: ports }),
    payload: Uint8Array.from({ length: random.below(80) }, () =>
      random.below(256),
    ),
  });
  if (random.chance(0.2)) frame[random.below(frame.length)] = random.below(256);
  return random.chance(0.1) ? frame.slice(0, random.below(60)) : frame;
}

function run(program: Watched, random: Random, packets: number): void {
  const instance = library.open(program.nf);
  let now = random.u64() >> 8n;
  for (let packet = 0; packet < packets; packet++) {
    now +=
      BigInt(random.below(2 ** 31)) ** (random.chance(0.1) ? 2n : 1n) / 1000n;
    const ports = program.nf.ports.length;
    instance.packet(anyFrame(random), {
      port: ports === 0 ? 0 : random.below(ports),
      now,
      random: () => random.u32(),
    });
  }
}

async function checkedProgram(
  text: string,
  table: Transfers = transfers,
): Promise<{ readonly nf: LoadedNf; readonly checked: CheckedNf }> {
  const loaded = await loadNf({
    path: "/random/nf.ts",
    read: reader({ "/random/nf.ts": text }),
  });
  const checked = checkNf(loaded, { transfers: table });
  ok(
    loaded.kind === "loaded",
    checked.diagnostics.map(printDiagnostic).join("\n"),
  );
  return { nf: loaded.nf, checked };
}

/** Programs of the subset by chance; most of them are correct. */
class Author {
  readonly random: Random;
  numbers = [
    "l4.sport",
    "l4.dport",
    "ip.ttl",
    "ip.src",
    "ip.id",
    "pkt.length",
    "ctx.random",
    "a.value",
    "s.small",
    "s.wide",
    "s.signed",
  ];
  bigints = ["ctx.now", "eth.src", "s.long"];
  #next = 0;

  constructor(random: Random) {
    this.random = random;
  }

  number(depth: number): string {
    const { random } = this;
    if (depth <= 0)
      return random.chance(0.25)
        ? String(
            random.pick([
              0,
              1,
              2,
              7,
              31,
              255,
              65_535,
              -3,
              2 ** 31,
              2 ** 32 - 1,
            ]),
          )
        : random.pick(this.numbers);
    const one = (): string => this.number(depth - 1);
    const small = (): string => `(${one()} & ${random.pick([1, 7, 63, 255])})`;
    switch (random.below(16)) {
      case 0:
        return `u32(${one()} + ${one()})`;
      case 1:
        return `i32(${one()} - ${one()})`;
      case 2:
        return `(${small()} * ${small()} - ${small()})`;
      case 3:
        return `div(${one()}, ${small()} + ${1 + random.below(3)})`;
      case 4:
        return `(${one()} % (${small()} + ${1 + random.below(9)}))`;
      case 5:
        return `(${one()} ${random.pick(["&", "|", "^"])} ${one()})`;
      case 6:
        return `(${one()} ${random.pick(["<<", ">>>"])} ${random.chance(0.5) ? random.below(32) : `(${one()} & 31)`})`;
      case 7:
        return `(i32(${one()}) >> (${one()} & ${random.pick([3, 31])}))`;
      case 8:
        return `(${this.condition(depth - 1)} ? ${one()} : ${one()})`;
      case 9:
        return `${random.pick(["min", "max", "Math.min", "Math.max"])}(${one()}, ${one()})`;
      case 10:
        return `mul32(${small()}, ${one()})`;
      case 11:
        return `${random.pick(["u8", "u16", "i8", "i16", "be16", "be32"])}(${one()})`;
      case 12:
        return `u32(${this.bigint(depth - 1)})`;
      case 13:
        return `Math.trunc(${one()} / ${3 + random.below(9)})`;
      case 14:
        return random.chance(0.5) ? `~${one()}` : `(-${small()})`;
      default:
        return `pick(${one()}, ${one()})`;
    }
  }

  bigint(depth: number): string {
    const { random } = this;
    if (depth <= 0)
      return random.chance(0.3)
        ? random.pick([
            "0n",
            "1n",
            "255n",
            "1_000_000_007n",
            "18446744073709551615n",
          ])
        : random.pick(this.bigints);
    const one = (): string => this.bigint(depth - 1);
    switch (random.below(9)) {
      case 0:
        return `u64(${one()} ${random.pick(["+", "-", "*"])} ${one()})`;
      case 1:
        return `i64(${one()} ${random.pick(["+", "-"])} ${one()})`;
      case 2:
        return `(u64(${one()}) ${random.pick(["&", "|", "^"])} u64(${one()}))`;
      case 3:
        return `(u64(${one()}) >> ${random.below(64)}n)`;
      case 4:
        return `((${one()} & 65535n) << u64(${this.number(depth - 1)} & 31))`;
      case 5:
        return `(${one()} ${random.pick(["/", "%"])} ${1 + random.below(1000)}n)`;
      case 6:
        return `u64(${this.number(depth - 1)})`;
      case 7:
        return `(${this.condition(depth - 1)} ? u64(${one()}) : u64(${one()}))`;
      default:
        return `${random.pick(["min", "max"])}(u64(${one()}), u64(${one()}))`;
    }
  }

  condition(depth: number): string {
    const { random } = this;
    const compare = random.pick(["<", "<=", ">", ">=", "===", "!=="]);
    switch (random.below(depth <= 0 ? 2 : 5)) {
      case 0:
        return `${this.bigint(depth - 1)} ${compare} ${this.bigint(depth - 1)}`;
      case 2:
        return `(${this.condition(depth - 1)} ${random.pick(["&&", "||"])} ${this.condition(depth - 1)})`;
      case 3:
        return `!(${this.condition(depth - 1)})`;
      default:
        return `${this.number(depth - 1)} ${compare} ${this.number(depth - 1)}`;
    }
  }

  statement(depth: number): string {
    const { random } = this;
    const name = `v${this.#next++}`;
    const inner = (): string => {
      const [numbers, bigints] = [[...this.numbers], [...this.bigints]];
      const text = this.statement(depth - 1);
      [this.numbers, this.bigints] = [numbers, bigints];
      return text;
    };
    switch (random.below(depth <= 0 ? 4 : 8)) {
      case 0: {
        const text = `const ${name} = ${this.bigint(2)};`;
        this.bigints.push(name);
        return text;
      }
      case 1:
        return random.pick([
          () => `s.small = u8(${this.number(2)});`,
          () => `s.signed = i16(${this.number(2)});`,
          () => `a.value = u32(${this.number(2)});`,
          () => `s.long = u64(${this.bigint(2)});`,
          () => `ip.ttl = u8(${this.number(2)});`,
        ])();
      case 4: {
        const text = `let ${name} = ${this.number(1)};\nif (${this.condition(2)}) {\n${inner()}\n${name} = ${this.number(2)};\n} else {\n${inner()}\n}`;
        this.numbers.push(name);
        return text;
      }
      case 5: {
        const rounds = random.pick([3, 20, 200]);
        const text = `let ${name} = 0;\nfor (let i${name} = 0; i${name} < ${rounds}; i${name}++) {\nif (${this.condition(1)}) ${random.pick(["break", "continue"])};\n${name} = ${random.pick([`u32(${name} + ${this.number(1)})`, `(${name} + i${name}) & 1023`, `${name} + 1`])};\n${inner()}\n}`;
        this.numbers.push(name);
        return text;
      }
      case 6: {
        const text = `let ${name} = ${this.number(1)};\nswitch (${this.number(1)} & 3) {\ncase 0:\n${name} = ${this.number(1)};\nbreak;\ncase 1:\ncase 2:\n${name} = ${this.number(2)};\nbreak;\ndefault:\n${name} = 5;\n}`;
        this.numbers.push(name);
        return text;
      }
      default: {
        const text = `const ${name} = ${this.number(3)};`;
        this.numbers.push(name);
        return text;
      }
    }
  }

  program(): string {
    const body = Array.from({ length: 14 }, () => this.statement(2)).join("\n");
    return `
import { array, be16, be32, div, drop, i16, i32, i64, i8, max, min, mul32, nf, pass, struct, u16, u32, u64, u8 } from NF;
const S = struct("s", { small: u8, signed: i16, wide: u32, long: u64 });
function pick(x: number, y: number): number {
  if (x < y) return x;
  if (x === 5 && y > 2) return y;
  return x > 100 ? 100 : u8(y);
}
export default nf({ name: "random", state: { as: array({ value: u32, capacity: 1 }), ss: array({ value: S, capacity: 1 }) },
  handle(pkt, ctx) {
    const { eth, ipv4: ip, l4 } = pkt;
    if (eth === undefined || ip === undefined || l4 === undefined) return drop;
    const a = ctx.state.as.at(0);
    const s = ctx.state.ss.at(0);
    ${body}
    return ip.ttl > 3 ? pass : drop;
  } });
`.replace("from NF", `from "divisi/nf"`);
  }
}

interface Written {
  readonly text: string;
  readonly nf: LoadedNf;
  readonly checked: CheckedNf;
}

async function write(count: number): Promise<readonly Written[]> {
  const random = new Random(seed);
  const written: Written[] = [];
  for (let tries = 0; tries < 5 * count && written.length < count; tries++) {
    const text = new Author(random).program();
    const { nf, checked } = await checkedProgram(text);
    if (checked.isCorrect) written.push({ text, nf, checked });
  }
  equal(written.length, count, "too few of the random programs are correct");
  return written;
}

const programs = write(40);

test(`random programs compute within the ranges (seed ${seed})`, async () => {
  let count = 0;
  for (const { nf, checked, text } of await programs) {
    const program = watched(nf, checked);
    run(program, new Random(seed), 60);
    deepEqual([...program.outside], [], text);
    count += program.count();
  }
  ok(count > 100_000, `${count} values were watched`);
});

test(`a transfer function that forgets a half is noticed (seed ${seed})`, async () => {
  const half = (name: keyof Transfers, isLow: boolean): Transfers => ({
    ...transfers,
    [name]: (left: Interval, right: Interval): Interval => {
      const { low, high } = transfers[name](left, right);
      const middle = (low + high) / 2n;
      return isLow ? { low: middle, high } : { low, high: middle };
    },
  });
  const missed: string[] = [];
  for (const name of Object.keys(transfers) as (keyof Transfers)[]) {
    let isNoticed = false;
    for (const { nf } of await programs) {
      for (const isLow of [true, false]) {
        const checked = checkNf(
          { kind: "loaded", nf, diagnostics: [] },
          { transfers: half(name, isLow) },
        );
        const program = watched(nf, checked);
        run(program, new Random(seed), 12);
        if (program.outside.size > 0) isNoticed = true;
      }
      if (isNoticed) break;
    }
    if (!isNoticed) missed.push(name);
  }
  deepEqual(missed, []);
});

const suite = join(root, "nfs/ts");
for (const file of readdirSync(suite).filter((name) => name.endsWith(".ts")))
  test(`${file} computes within the ranges (seed ${seed})`, async () => {
    const loaded = await loadNf({ path: join(suite, file), read: reader({}) });
    const checked = checkNf(loaded);
    deepEqual(checked.diagnostics.map(printDiagnostic), []);
    ok(loaded.kind === "loaded");
    const program = watched(loaded.nf, checked);
    run(program, new Random(seed), 600);
    deepEqual([...program.outside], []);
  });
