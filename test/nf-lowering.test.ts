/**
 * A lowered network function does what the same source does as plain JavaScript.
 * One row per construct: widths, shifts, division and comparisons at the extremes,
 * control flow, structs, state, packets.
 *
 * Rows are functions of one network function, so that one load tests them all; a
 * difference names the row.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import type { Random } from "#base";
import type { IrProgram } from "#ir";
import {
  compileText,
  disagreement,
  type NfProgram,
} from "./support/nf-programs.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

// Parameters: a, b u32; c u8; s, t i32; x, y u64; z i64; p boolean.
// prettier-ignore
const rows: Readonly<Record<string, string>> = {
  "add": "return a + b;",
  "sub": "return u64(a - b);",
  "mul in range": "return (a >>> 8) * (b >>> 8);",
  "mul32": "return mul32(a, b);",
  "mul signed": "return u64((s >> 8) * (t >> 8));",
  "add32 wraps": "return u32(a + b);",
  "sub32 wraps": "return u32(a - b);",
  "u8": "return u8(a);",
  "u16": "return u16(a - b);",
  "i8": "return u64(i8(a));",
  "i16": "return u64(i16(a));",
  "i32": "return u64(i32(a + b));",
  "negative": "return u64(-s);",
  "div": "return div(a, max(b, 1));",
  "div by constant": "return div(a, 7);",
  "div by a power of two": "return div(a, 16);",
  "div signed": "return u64(div(s, min(t, -1)));",
  "div signed by constant": "return u64(div(s, -7));",
  "trunc": "return Math.trunc(a / max(b, 1));",
  "mod": "return a % max(b, 1);",
  "mod by constant": "return a % 10;",
  "mod by a power of two": "return a % 64;",
  "mod signed": "return u64(s % max(t, 3));",
  "and": "return u64(a & b);",
  "and mask": "return a & 0xff;",
  "or": "return u64(a | b);",
  "xor": "return (a ^ b) >>> 0;",
  "not": "return u64(~a);",
  "not signed": "return u64(~s);",
  "shift left": "return u64(a << 5);",
  "shift left by": "return u64(c << (b & 7));",
  "shift left to the sign": "return u64(a << (b & 31));",
  "shift right": "return a >>> 5;",
  "shift right by": "return a >>> (b & 31);",
  "shift right signed": "return u64(s >> 3);",
  "shift right signed by": "return u64(s >> (b & 31));",
  "shift right of signed": "return s >>> 4;",
  "to u32": "return s >>> 0;",
  "imul": "return u64(Math.imul(a, b));",
  "min": "return min(a, b);",
  "max": "return max(a, b);",
  "min signed": "return u64(min(s, t));",
  "max big": "return max(x, y);",
  "less": "return u64(a < b ? 1 : 0);",
  "less or equal": "return u64(a <= b ? 1 : 0);",
  "greater signed": "return u64(s > t ? 1 : 0);",
  "greater or equal signed": "return u64(s >= t ? 1 : 0);",
  "equal": "return u64(a === b ? 1 : 0);",
  "not equal signed": "return u64(s !== t ? 1 : 0);",
  "mixed signs": "return u64(s < a ? 1 : 0);",
  "less big": "return u64(x < y ? 1 : 0);",
  "less big signed": "return u64(z < 0n ? 1 : 0);",
  "big mixed signs": "return u64((z < x ? 1 : 0) + (z === x ? 2 : 0) + (x <= z ? 4 : 0));",
  "equal big": "return u64(x === y ? 1 : 0);",
  "boolean": "const less = a < b; return u64(less ? 1 : 2);",
  "boolean kept": "const less = a < b; const other = s < t; return u64((less ? 1 : 0) + (other ? 2 : 0) + (less === other ? 4 : 0));",
  "boolean parameter": "return u64(p ? 1 : 0);",
  "not boolean": "return u64(!p ? 1 : 0);",
  "and also": "return u64(a < b && s < t ? 1 : 0);",
  "or else": "return u64(a < b || s < t ? 1 : 0);",
  "and or": "return u64((a < b && s < t) || (x < y && !(c > 7)) ? 1 : 0);",
  "add big": "return u64(x + y);",
  "sub big": "return u64(x - y);",
  "mul big": "return u64(x * y);",
  "shift big": "return u64(x << 7n);",
  "shift big by": "return u64(x << u64(c & 63));",
  "shift big right": "return x >> 9n;",
  "shift big right by": "return x >> u64(c & 63);",
  "shift big signed": "return u64(z >> 5n);",
  "div big": "return x / max(y, 1n);",
  "mod big": "return x % max(y, 1n);",
  "div big by constant": "return x / 1_000_000_000n;",
  "mod big by a power of two": "return x % 4096n;",
  "and big": "return x & y;",
  "or big": "return x | y;",
  "xor big": "return x ^ y;",
  "narrow big": "return u32(x);",
  "narrow big to 16": "return u16(x >> 3n);",
  "widen": "return u64(a);",
  "widen signed": "return u64(s);",
  "signed big": "return u64(i64(x) + 0n < 0n ? 1 : 0);",
  "be32": "return be32(a + 1);",
  "mac": "return mac(x);",
  "switch": "switch (c) { case 1: return 10; case 2: case 3: return 20; default: return 30; }",
  "switch falls out": "let r = 0; switch (c & 3) { case 0: r = 5; break; case 1: r = 6; break; default: r = 7; } return r;",
  "if else": "if (a < b) return 1; else if (s < t) return 2; return 3;",
  "let": "let r = a; if (s < t) r = b; return r;",
  "let twice": "let r = a; if (s < t) r = b; if (x < y) r = u32(r + 1); return r;",
  "compound": "let r = a >>> 1; r += 3; r -= 1; r *= 2; r &= 0xffff; r |= 1; r ^= 5; r <<= 2; r >>>= 1; return r;",
  "increment": "let r = 0; r++; ++r; r--; return r;",
  "constant loop": "let r = 0; for (let i = 0; i < 4; i++) r += (a >>> (8 * i)) & 0xff; return r;",
  "loop": "let r = 0; for (let i = 0; i < 20; i++) { if (i === c) break; r += i; } return r;",
  "loop with continue": "let r = 0; for (let i = 0; i < 12; i++) { if ((i & 1) === 0) continue; r += c; } return r;",
  "loop with return": "for (let i = 0; i < 32; i++) if (((a >>> i) & 1) === 1) return i; return 99;",
  "nested loops": "let r = 0; for (let i = 0; i < 10; i++) for (let j = 0; j < 3; j++) { if (j > i) break; r += j; } return r;",
  "loop over big": "let r = 1n; for (let i = 0; i < 16; i++) r = u64(r * x + y); return r;",
  "loop until a variable": "let r = 0; for (let i = 0; i < 40; i++) { if (i >= c) break; r = u32(r + a); } return r;",
  "function": "return helper(a, b);",
  "function of struct": "const q = Pair({ first: a, second: b }); bump(q); bump(q); return q.first;",
  "functions in a row": "return u64(helper(helper(a, b), c) + helper(b, a));",
  "maybe": "const m = maybe(a, b); if (m === undefined) return 77; return m;",
  "maybe else": "const m = maybe(a, b); return m !== undefined && m > 5 ? 1 : 2;",
  "struct": "const q = Pair({ first: a, second: b }); q.second = c; return u64(q.first + q.second);",
  "struct alias": "const q = Pair({ first: a, second: b }); const r = q; r.first = c; return q.first;",
  "struct of structs": "const q = Nested({ small: c, pair: { first: a, second: b }, big: x }); q.pair.first = 5; return u64(q.pair.first + q.pair.second + q.small);",
  "struct chosen": "const q = a < b ? Pair({ first: a, second: 1 }) : Pair({ first: b, second: 2 }); return u64(q.first + q.second);",
  "struct in a loop": "const q = Pair({ first: 0, second: 0 }); for (let i = 0; i < 12; i++) { q.first = u32(q.first + a); if (i === c) q.second = i; } return u64(q.first + q.second);",
  "literal": "const q = { n: a, m: b }; return u64(q.n + q.m);",
  "vector": "const v = Vector({ items: [a, b, c, 4] }); return u64(v.items[0] + v.items[2]);",
  "vector by index": "const v = Vector({ items: [a, b, c, 4] }); return v.items[c & 3];",
  "vector assigned by index": "const v = Vector({ items: [a, b, c, 4] }); v.items[c & 3] = 9; return u64(v.items[0] + v.items[1] + v.items[2] + v.items[3]);",
  "vector in a loop": "const v = Vector({ items: [a, b, c, 4] }); let r = 0; for (let i = 0; i < 4; i++) r += v.items[i]; return r;",
  "table": "return table[c & 7];",
  "big table": "return bigs[c & 1];",
  "table in a loop": "let r = 0; for (let i = 0; i < table.length; i++) if (table[i] === c) r = i; return r;",
  "constants": "return answer + table.length;",
  "hash": "return hash(Pair, { first: a, second: b }, 7);",
  "hash odd": "return hash(Odd, { tag: c, port: u16(a), who: mac(x) }, 3);",
  "hash scalar": "return hash(be32, a, 1);",
};

const signature =
  "a: number, b: number, c: number, s: number, t: number, x: bigint, y: bigint, z: bigint, p: boolean";

function constructs(names: readonly string[]): string {
  const functions = names
    .map(
      (name, at) =>
        `function row${at}(${signature}): number | bigint { ${rows[name] ?? ""} }`,
    )
    .map((text) =>
      // The result's type is the row's own; nothing is demanded of unused parameters.
      text.replace("): number | bigint {", ") {"),
    );
  return `
import { array, be16, be32, div, drop, hash, i16, i32, i64, i8, mac, max, min, mul32, nf, pass, struct, u16, u32, u64, u8, vector } from "divisi/nf";
import type { ValueOf } from "divisi/nf";

const Pair = struct("pair", { first: u32, second: u32 });
type Pair = ValueOf<typeof Pair>;
const Nested = struct("nested", { small: u8, pair: Pair, big: u64 });
const Vector = struct("vector", { items: vector(u32, 4) });
const Odd = struct("odd", { tag: u8, port: be16, who: mac });
const table = [3, 1, 4, 1, 5, 9, 2, 250];
const bigs = [18_446_744_073_709_551_615n, 7n];
const answer = 40 + 2;

function helper(m: number, n: number): number {
  if (m > n) return m - n;
  return n - m;
}
function bump(pair: Pair): void {
  pair.first = u32(pair.first + pair.second);
}
function maybe(m: number, n: number): number | undefined {
  if (m === n) return undefined;
  return m > n ? 3 : 9;
}
${functions.join("\n")}

export default nf({
  name: "constructs",
  state: { results: array({ value: u64, capacity: ${names.length} }) },
  handle(pkt, ctx) {
    const { results } = ctx.state;
    const a = pkt.u32(0);
    const b = pkt.u32(4);
    const s0 = pkt.u32(8);
    const t0 = pkt.u32(12);
    const x0 = pkt.u32(16);
    const x1 = pkt.u32(20);
    const y0 = pkt.u32(24);
    const y1 = pkt.u32(28);
    const c = pkt.u8(32);
    if (a === undefined || b === undefined || s0 === undefined || t0 === undefined) return drop;
    if (x0 === undefined || x1 === undefined || y0 === undefined || y1 === undefined || c === undefined) return drop;
    const s = i32(s0);
    const t = i32(t0);
    const x = (u64(x0) << 32n) | u64(x1);
    const y = (u64(y0) << 32n) | u64(y1);
    const z = i64(y);
    const p = (c & 1) === 1;
${names.map((_, at) => `    results.at(${at}).value = u64(row${at}(a, b, c, s, t, x, y, z, p));`).join("\n")}
    return pass;
  },
});
`;
}

const extremes = [
  0, 1, 2, 3, 7, 31, 32, 63, 64, 255, 256, 0x7fff, 0x8000, 0xffff, 0x10000,
  0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff,
];

function operands(random: Random): Uint8Array {
  const frame = new Uint8Array(33 + random.below(8));
  const view = new DataView(frame.buffer);
  for (let at = 0; at < 32; at += 4)
    view.setUint32(
      at,
      random.chance(0.5) ? random.pick(extremes) : random.u32(),
    );
  frame[32] = random.chance(0.5) ? random.below(8) : random.u32();
  return frame;
}

const names = Object.keys(rows);

test(`constructs (seed ${seed})`, async (t) => {
  const program = await compileText(constructs(names));
  const found = disagreement(program, { seed, packets: 600, frame: operands });
  const cell = /map results\n([0-9a-f]{8})/.exec(found ?? "")?.[1];
  const at = cell === undefined ? -1 : Number.parseInt(cell.slice(0, 2), 16);
  equal(found, undefined, names[at]);
  await t.test("a mutant of each kind is caught", () => {
    mutants(program);
  });
});

/** Changes one instruction of the lowered program at a time; some row must notice. */
function mutants(program: NfProgram): void {
  const { program: ir } = program.lowered;
  const kinds = new Map<string, { tried: number; caught: number }>();
  const [entry] = ir.functions;
  ok(entry !== undefined);
  for (const [blockAt, block] of entry.blocks.entries())
    for (const [at, instruction] of block.instructions.entries()) {
      if (instruction.kind !== "binary" && instruction.kind !== "unary")
        continue;
      const kind = `${instruction.kind} ${instruction.op}`;
      const count = kinds.get(kind) ?? { tried: 0, caught: 0 };
      if (count.caught > 0 || count.tried > 12) continue;
      kinds.set(kind, count);
      const instructions = [...block.instructions];
      instructions[at] =
        instruction.kind === "binary"
          ? { ...instruction, op: instruction.op === "add" ? "sub" : "add" }
          : {
              ...instruction,
              op: instruction.op === "neg64" ? "zext8" : "neg64",
            };
      const mutant: IrProgram = {
        ...ir,
        functions: [
          {
            ...entry,
            blocks: entry.blocks.map((each, index) =>
              index === blockAt ? { ...block, instructions } : each,
            ),
          },
          ...ir.functions.slice(1),
        ],
      };
      count.tried++;
      const trial = { seed, packets: 20, frame: operands };
      if (disagreement(program, trial, mutant) !== undefined) count.caught++;
    }
  deepEqual(
    [...kinds].filter(([, { caught }]) => caught === 0).map(([kind]) => kind),
    [],
  );
  ok(kinds.size > 10, `${kinds.size} kinds of instructions`);
}
