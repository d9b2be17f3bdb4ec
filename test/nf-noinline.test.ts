/**
 * Functions marked `@noinline` are functions of the program of their own, and mean
 * what they mean inlined: the packet has one time in all of them (the machine's
 * clock runs between readings), what is given and is no word (a map) is each
 * call's own, and what they cannot see is refused.
 */
import { equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "#base";
import type { IrInstruction, IrProgram } from "#ir";
import {
  compileText,
  disagreement,
  type NfProgram,
} from "./support/nf-programs.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

interface Row {
  readonly functions: string;
  readonly state?: string;
  readonly ports?: string;
  readonly handle: string;
}

const total = "totals: array({ value: u64, capacity: 4 })";
const backends =
  "backends: hashMap({ key: be32, value: Backend, capacity: 4, expireAfter: 3_000_000_000n })";
const context = "ctx: Context<Config, State>";

// prettier-ignore
const asksTime: Readonly<Record<string, Row>> = {
  "an expiring map's own question": {
    functions: "/** @noinline */ function alive(backends: Backends, i: number): boolean { return backends.keyAt(i) !== undefined; }",
    state: backends,
    handle: "const ip = pkt.ipv4; if (ip === undefined) return drop; if (alive(ctx.state.backends, 2)) return pass; ctx.state.backends.insert(ip.src, { n: 0n }); return drop;",
  },
  "ctx.now, asked by caller and callee": {
    functions: `/** @noinline */ function late(${context}, n: number): bigint { return u64(ctx.now + u64(n)); }`,
    handle: "ctx.state.totals.at(1).value = late(ctx, pkt.length); ctx.state.totals.at(0).value = ctx.now; return pass;",
  },
  "through another function": {
    functions: `/** @noinline */ function inner(${context}): bigint { return ctx.now; }
      /** @noinline */ function outer(${context}, n: number): bigint { return n > 60 ? inner(ctx) : 7n; }`,
    handle: "ctx.state.totals.at(1).value = outer(ctx, pkt.length); ctx.state.totals.at(0).value = inner(ctx); return pass;",
  },
  "in a loop": {
    functions: `/** @noinline */ function late(${context}, n: number): bigint { return ctx.now >> u64(n & 31); }`,
    handle: "let sum = 0n; for (let i = 0; i < 40; i++) { if (i > pkt.length) break; sum = u64(sum + late(ctx, i)); } ctx.state.totals.at(1).value = sum; return pass;",
  },
};

// prettier-ignore
const others: Readonly<Record<string, Row>> = {
  "two maps": {
    functions: "/** @noinline */ function bump(map: ArrayMap<typeof Backend>, i: number): number { map.at(i & 3).n = u64(map.at(i & 3).n + 1n); return i & 3; }",
    state: "a: array({ value: Backend, capacity: 4 }), b: array({ value: Backend, capacity: 4 })",
    handle: "bump(ctx.state.b, u32(bump(ctx.state.a, pkt.length) + 1)); return pass;",
  },
  "two constant objects": {
    functions: "/** @noinline */ function times(o: { factor: number }, n: number): number { return (n & 0xffff) * (o.factor & 0xff); }",
    handle: "ctx.state.totals.at(0).value = u64(times({ factor: 3 }, pkt.length)); ctx.state.totals.at(1).value = u64(times({ factor: 4 }, pkt.length)); return pass;",
  },
  "a function called as the network function": {
    functions: "/** @noinline */ function probe(n: number): number { return n >>> 1; }",
    handle: "ctx.state.totals.at(0).value = u64(probe(pkt.length)); return pass;",
  },
  "a draw for each reading": {
    functions: `/** @noinline */ function draw(${context}): number { return ctx.random; }`,
    handle: "ctx.state.totals.at(0).value = u64(draw(ctx)); ctx.state.totals.at(1).value = u64(ctx.random); return pass;",
  },
};

// prettier-ignore
const refused: Readonly<Record<string, Row & { readonly says: RegExp }>> = {
  "the time is a parameter too many": {
    functions: `/** @noinline */ function five(${context}, a: number, b: number, c: number, d: number, e: number): bigint { return (ctx.now >> 1n) + u64(a + b + c + d + e); }`,
    handle: "const n = pkt.length; ctx.state.totals.at(0).value = five(ctx, n, n, n, n, n); return pass;",
    says: /asks for the time takes at most four numbers/,
  },
  "the port": {
    functions: `/** @noinline */ function from(${context}): number { return ctx.port; }`,
    ports: 'ports: ["lan", "wan"],',
    handle: "return from(ctx) === 0 ? pass : drop;",
    says: /does not see the port/,
  },
};

function source({ functions, state = total, ports = "", handle }: Row): string {
  return `
import { array, be32, drop, hashMap, nf, pass, struct, u32, u64 } from "divisi/nf";
import type { ArrayMap, Config, Context, ExpiringMap, State } from "divisi/nf";
const Backend = struct("backend", { n: u64 });
type Backends = ExpiringMap<typeof be32, typeof Backend>;
${functions}
export default nf({ name: "probe", ${ports} state: { ${state} }, handle(pkt, ctx) { ${handle} } });
`;
}

function outcome(program: NfProgram, changed?: IrProgram): string | undefined {
  return disagreement(program, { seed, packets: 200 }, changed);
}

for (const [name, row] of Object.entries({ ...asksTime, ...others }))
  test(`${name} (seed ${seed})`, async () => {
    const program = await compileText(source(row));
    for (const engine of ["ir", "bytecode"] as const)
      equal(disagreement(program, { seed, packets: 200, engine }), undefined);
  });

for (const [name, row] of Object.entries(asksTime))
  test(`${name}: a mutant that reads the clock again is caught`, async () => {
    const program = await compileText(source(row));
    const { result, changed } = readsAgain(program.lowered.program);
    ok(changed > 0);
    ok(outcome(program, result) !== undefined);
  });

for (const [name, { says, ...row }] of Object.entries(refused))
  test(`refused: ${name}`, async () => {
    await rejects(compileText(source(row)), (error) => {
      ok(error instanceof InputError);
      equal(error.code, "nf-lowering");
      ok(error.line !== undefined);
      return says.test(error.message);
    });
  });

/** Functions that were handed the time ask the clock for it themselves. */
function readsAgain(program: IrProgram): {
  readonly result: IrProgram;
  readonly changed: number;
} {
  const [entry, ...functions] = program.functions;
  let changed = 0;
  const again = functions.map((fn) => {
    const time = fn.params.at(-1);
    const [first, ...rest] = fn.blocks;
    if (/_chain_/.test(fn.name) || time === undefined || first === undefined)
      return fn;
    const template = program.functions
      .flatMap(({ blocks }) => blocks)
      .flatMap(({ instructions }) => instructions)
      .find(isClock);
    if (template === undefined) return fn;
    changed++;
    const unused = fn.values.length as typeof time;
    return {
      ...fn,
      params: [...fn.params.slice(0, -1), unused],
      values: [...fn.values, { kind: "scalar" as const }],
      blocks: [
        {
          ...first,
          instructions: [{ ...template, result: time }, ...first.instructions],
        },
        ...rest,
      ],
    };
  });
  ok(entry !== undefined);
  return { result: { ...program, functions: [entry, ...again] }, changed };
}

function isClock(
  instruction: IrInstruction,
): instruction is IrInstruction & { readonly kind: "call" } {
  return (
    instruction.kind === "call" &&
    instruction.callee.kind === "helper" &&
    instruction.callee.helper === 5
  );
}
