/**
 * Loading over a made-up library of one declaration: constants, settings, state
 * as real objects, callees, and every message of a broken definition.
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import { printDiagnostic } from "./diagnostics.ts";
import { loadNf } from "./load.ts";
import type { LoadedNf, LoadResult } from "./loaded.ts";
import type { ts } from "./typescript-api.ts";

const librarySource = `
export class Inner { kind = "array"; has(key: number): boolean { return key < 0; } }
export class Table { kind = "composite"; inner = new Inner(); readonly capacity: number; constructor(capacity: number) { this.capacity = capacity; }
  has(key: number): boolean { return key < 0; }
  twice(key: number): boolean { return this.inner.has(double(key)) && this.capacity > 0; } }
function double(x: number): number { return x * 2; }
export function table(options: { capacity: number }): Table { return new Table(options.capacity); }
export function u32(value: number): number { return value >>> 0; }
export type u32 = number;
export function u64(value: bigint): bigint { return value; }
export function mac(text: string): bigint { return BigInt(text.length); }
export function add(a: number, b: number): number { return a + b; }
export const drop = { kind: "drop" };
export function nf<C, S>(d: { name: string; ports?: string[]; config?: C; state?: (config: C) => S;
  handle: (pkt: { length: number }, ctx: { config: C; state: S; now: bigint }) => unknown }) { return d; }
`;
class Inner {
  readonly kind = "array";
}
class Table {
  readonly kind = "composite";
  readonly inner = new Inner();
  readonly capacity: number;
  constructor(capacity: number) {
    this.capacity = capacity;
  }
}
const library = {
  Table,
  table: (options: { capacity: number }) => {
    if (options.capacity < 1) throw new RangeError("a table holds something");
    return new Table(options.capacity);
  },
  u32: (value: number) => value >>> 0,
  u64: (value: bigint) => value,
  mac: () => 5n,
  nf: (definition: unknown) => definition,
};

async function load(
  text: string,
  set: Readonly<Record<string, string>> = {},
  others: Readonly<Record<string, string>> = {},
): Promise<LoadResult> {
  const files: Readonly<Record<string, string>> = {
    ...others,
    "/lib/index.ts": librarySource,
    "/user/nf.ts": text.replace("from NF", `from "divisi/nf"`),
  };
  return loadNf(
    { path: "/user/nf.ts", read: (path) => files[path] },
    { library, libraryPath: "/lib/index.ts", set },
  );
}

async function loaded(...args: Parameters<typeof load>): Promise<LoadedNf> {
  const result = await load(...args);
  deepEqual(result.diagnostics.map(printDiagnostic), []);
  ok(result.kind === "loaded");
  return result.nf;
}

const program = `
import { add, drop, nf, table, u32, u64, mac } from NF;
import { size } from "./sizes.ts";
const base = 1 << 4;
export default nf({
  name: "first",
  ports: ["lan", "wan"],
  config: { capacity: u32(size * base), expiry: u64(5n), fast: true, wan: mac("02:00:00:00:00:02") },
  state: (config) => {
    const double = config.capacity * 2;
    return { flows: table({ capacity: double }) };
  },
  handle(pkt, ctx) {
    const { flows } = ctx.state;
    if (flows.twice(pkt.length)) return helper(flows, 3);
    return add(ctx.config.capacity, base);
  },
});
function helper(t: { has(key: number): boolean }, n: number) {
  return t.has(n) ? drop : undefined;
}
`;
const sizes = { "/user/sizes.ts": "export const size = 4;" };

test("definition, configuration and state are real values", async () => {
  const nf = await loaded(program, {}, sizes);
  equal(nf.name, "first");
  deepEqual(nf.ports, ["lan", "wan"]);
  deepEqual(nf.config, [
    { name: "capacity", type: "u32", value: 64 },
    { name: "expiry", type: "u64", value: 5n },
    { name: "fast", type: "bool", value: true },
    { name: "wan", type: "mac", value: 5n },
  ]);
  deepEqual(nf.state.get("flows"), new Table(128));
});

test("settings reach the declarations, parsed by the value's type", async () => {
  const set = {
    capacity: "0x10",
    fast: "false",
    wan: "02:00:00:00:00:09",
    expiry: "1_000",
  };
  const nf = await loaded(program, set, sizes);
  deepEqual(
    nf.config.map((entry) => entry.value),
    [16, 1000n, false, 0x020000000009n],
  );
  deepEqual(nf.state.get("flows"), new Table(32));
  const wrong: readonly (readonly [Record<string, string>, RegExp])[] = [
    [{ capacty: "1" }, /no configuration value `capacty`/],
    [{ capacity: "-1" }, /from 0 to 4294967295/],
    [{ capacity: "many" }, /expected a number/],
    [{ fast: "2" }, /true or false/],
    [{ wan: "02:00" }, /address like/],
  ];
  for (const [given, message] of wrong)
    await rejects(load(program, given, sizes), message);
});

test("calls are resolved in their scope", async () => {
  const nf = await loaded(program, {}, sizes);
  const seen: string[] = [];
  const visit = (node: ts.Node, scope = nf.handleScope): void => {
    if (nf.ts.isCallExpression(node)) {
      const callee = nf.calleeOf(node, scope);
      ok(callee, node.getText());
      seen.push(
        `${node.getText()}: ${callee.kind}${callee.kind === "operation" ? ` ${callee.name} of ${callee.object.constructor.name}` : ""}`,
      );
      if (callee.kind === "function" && callee.node.body !== undefined)
        visit(callee.node.body, nf.enter(callee, node, scope));
    }
    nf.ts.forEachChild(node, (child) => {
      visit(child, scope);
    });
  };
  ok(nf.handle.body);
  visit(nf.handle.body);
  deepEqual(seen, [
    "flows.twice(pkt.length): function",
    "this.inner.has(double(key)): operation has of Inner",
    "double(key): function",
    "helper(flows, 3): function",
    "t.has(n): function",
    "add(ctx.config.capacity, base): primitive",
  ]);
});

test("what is wrong is said all at once, with its line", async () => {
  const result = await load(`import { nf, table } from NF;
let changing = 3;
export default nf({
  name: "bad name",
  config: { size: changing },
  state: () => ({ a: table({ capacity: 0 }) }),
  handle(pkt) { return pkt.lenght; },
});
`);
  equal(result.kind, "failed");
  deepEqual(
    result.diagnostics.map(
      (one) =>
        `${one.start.line}:${one.start.column} ${one.code} ${one.message}`,
    ),
    [
      "7:28 nf-typescript Property 'lenght' does not exist on type '{ length: number; }'. Did you mean 'length'?",
      "4:3 nf-definition `bad name` cannot be the name of a network function",
      "5:19 nf-not-constant this must be known before any packet, but `changing` may change",
      "6:22 nf-declaration a table holds something",
    ],
  );
  const first = result.diagnostics[0];
  ok(first);
  equal(
    printDiagnostic(first),
    [
      "/user/nf.ts:7:28: error: Property 'lenght' does not exist on type '{ length: number; }'. Did you mean 'length'? [nf-typescript]",
      "  7 |   handle(pkt) { return pkt.lenght; },",
      "    |                            ^^^^^^",
    ].join("\n"),
  );
});

test("a file that exports no network function says so", async () => {
  const result = await load("export const nothing = 1;");
  deepEqual(
    result.diagnostics.map((one) => one.code),
    ["nf-no-definition"],
  );
});

test("a relative path stays as it was given, whatever TypeScript prints", async () => {
  const files: Readonly<Record<string, string>> = {
    "/lib/index.ts": librarySource,
    "../user/nf.ts": `import { nf } from "divisi/nf";
import { half } from "./half.ts";
const seen: boolean = nf;
export default nf({ handle(pkt) { return half(pkt.length) + seen; } });
`,
    "../user/half.ts": `import { table } from "divisi/nf";
export function half(x: number): string { return table({ capacity: x }); }
`,
  };
  const result = await loadNf(
    { path: "../user/nf.ts", read: (path) => files[path] },
    { library, libraryPath: "/lib/index.ts" },
  );
  deepEqual(
    result.diagnostics.map(({ file, start, code }) => [file, start.line, code]),
    [
      ["../user/nf.ts", 3, "nf-typescript"],
      ["../user/nf.ts", 4, "nf-typescript"],
      ["../user/half.ts", 2, "nf-typescript"],
      ["../user/nf.ts", 4, "nf-definition"],
    ],
  );
  for (const { message } of result.diagnostics)
    ok(!/import\(|divisi-here/.test(message), message);
});

test("what is nested too deeply is refused, and the next program is not harmed", async () => {
  const nested = (depth: number, open: string, close: string): string =>
    program.replace(
      "return add(",
      `${open.repeat(depth)}1${close.repeat(depth)};\nreturn add(`,
    );
  for (const text of [nested(20_000, "(", ")"), nested(20_000, "{", "}")])
    await rejects(load(text, {}, sizes), {
      code: "nf-too-complex",
      file: "/user/nf.ts",
    });
  await loaded(program, {}, sizes);
});
