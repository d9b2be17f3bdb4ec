/**
 * What the library offers and the suite does not use: compiled and interpreted, it
 * gives the verdicts, the events and the maps of the plain JavaScript run.
 */
import { deepEqual, ok, rejects } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { InputError, Random, UnsupportedError, toHex } from "#base";
import { openKernel } from "#engine";
import { IrMachine, createState, type MapEntry } from "#interp";
import { checkNf, loadNf, lowerNf } from "#nf";
import { programSpec } from "#object";
import { buildFrame } from "#packet";
import { compileNf } from "divisi";
import * as library from "divisi/nf";
import {
  open,
  type AnyNf,
  type Config,
  type Emitted,
  type Instance,
  type State,
  type Type,
  type ValueOf,
} from "divisi/nf";
import { root } from "./support/cli.ts";
import allocator from "./support/library-nfs/allocator.ts";
import expiring from "./support/library-nfs/expiring.ts";
import primitives from "./support/library-nfs/primitives.ts";
import sketches from "./support/library-nfs/sketches.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const xdp = { drop: 1, pass: 2 } as const;

const pathOf = (name: string): string =>
  join(root, `test/support/library-nfs/${name}.ts`);

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

async function compiled(name: string): Promise<ReturnType<typeof lowerNf>> {
  const result = await loadNf({ path: pathOf(name), read }, { library });
  const { diagnostics, isCorrect, facts } = checkNf(result);
  deepEqual(
    diagnostics.map(
      ({ code, message, start }) => `${code} ${start.line}: ${message}`,
    ),
    [],
  );
  ok(isCorrect && result.kind === "loaded");
  return lowerNf(result.nf, facts);
}

const lines = (entries: readonly MapEntry[], size: number): readonly string[] =>
  entries
    .map(({ key, value }) => `${toHex(key)} ${toHex(value.subarray(0, size))}`)
    .sort();

const routes = ["0.0.0.0/0", "10.0.0.0/8", "128.0.0.0/1", "10.128.0.0/9"];
const nfs: Readonly<Record<string, AnyNf>> = {
  allocator,
  expiring,
  sketches,
  primitives,
};

const segment = (random: Random): Uint8Array =>
  buildFrame({
    ipv4: { src: "10.0.0.1", dst: "10.0.0.2" },
    tcp: { sport: 1, dport: 2, flags: random.below(64) },
  });

/** Events in the bytes that a ring carries. */
function emitted(
  { state }: Pick<Instance<Config, State>, "state">,
  events: readonly Emitted[],
): string {
  return events
    .map(({ ring, value }) => {
      const declaration = state[ring];
      ok(declaration instanceof library.RingEvents);
      const held = value as ValueOf<Type>;
      return toHex(library.bytesOf(declaration.value, held));
    })
    .join();
}

/** Where the compiled function and the one run as JavaScript part; at most one place. */
async function differences(
  name: string,
  set: Readonly<Record<string, bigint>> = {},
): Promise<readonly string[]> {
  const { program } = await compiled(name);
  const nf = nfs[name];
  ok(nf !== undefined);
  const instance = open(nf, { set });
  const trie = instance.state["routes"];
  if (trie instanceof library.LpmTrie)
    for (const [index, route] of routes.entries()) trie.set(route, index);
  const state = createState(program.maps, { cpus: 1 });
  const first = instance.contents()["routes"];
  if (first !== undefined) state.load("routes", first);
  const machine = new IrMachine(program, state);
  const random = new Random(seed);
  let now = 0n;
  for (let step = 0; step < 4000; step++) {
    now += BigInt(random.pick([0, 0, 1, 3, 20]));
    const data = random.chance(0.3)
      ? segment(random)
      : random.bytes(14 + random.below(80));
    data[0] = random.below(256);
    data[1] = random.below(6);
    if (name === "sketches") data[0] = random.below(24);
    const plain = instance.packet(data, { now });
    const input = { data, ifindex: 1, rxQueue: 0, cpu: 0, time: now };
    const run = machine.run(input);
    const { kind } = plain.verdict;
    ok(kind === "pass" || kind === "drop");
    const have = [
      run.fault?.text,
      run.verdict,
      toHex(run.data),
      run.events.map(({ data }) => toHex(data)).join(),
    ];
    const want = [
      undefined,
      xdp[kind],
      toHex(plain.frame),
      emitted(instance, plain.events),
    ];
    if (have.join(" ") !== want.join(" "))
      return [`packet ${step}: ${have.join(" ")} not ${want.join(" ")}`];
  }
  return Object.entries(instance.contents())
    .filter(([map, entries]) => {
      const size = entries[0]?.value.length ?? 0;
      const [have, want] = [
        lines(state.entries(map), size),
        lines(entries, size),
      ];
      return have.join("\n") !== want.join("\n");
    })
    .map(([map]) => `map ${map}`);
}

for (const name of Object.keys(nfs))
  test(`${name}: compiled, it is what it is in JavaScript`, async () => {
    deepEqual(await differences(name), []);
  });

test("the kernel's verifier takes them", async (t) => {
  const kernel = await openKernel().catch((error: unknown) => {
    if (error instanceof UnsupportedError) return error;
    throw error;
  });
  if (kernel instanceof UnsupportedError) {
    t.skip(kernel.message);
    return;
  }
  for (const name of Object.keys(nfs)) {
    const result = await compileNf({ path: pathOf(name), read });
    ok(result.kind === "object", name);
    const { object } = result;
    const btf = object.btf === undefined ? {} : { btf: object.btf };
    kernel
      .load([programSpec(object)], { externs: object.externs, ...btf })
      .close();
  }
  kernel.close();
});

test("a struct that may be one of two is read, copied, and not assigned to", async () => {
  const source = (meeting: string): string => `
import { array, nf, pass, struct, u32 } from "divisi/nf";
const Pair = struct("pair", { a: u32, b: u32 });
export default nf({
  name: "meeting",
  state: { seen: array({ value: u32, capacity: 1 }) },
  handle(pkt, ctx) {
    const first = Pair({ a: 1, b: 2 });
    let either = first;
    if (pkt.length > 60) either = Pair({ a: 3, b: 4 });
    ${meeting}
    ctx.state.seen.at(0).value = u32(either.a + first.b);
    return pass;
  },
});
`;
  const path = "/meeting.ts";
  const compile = (meeting: string): ReturnType<typeof compileNf> =>
    compileNf({
      path,
      read: (file) => (file === path ? source(meeting) : read(file)),
    });
  for (const good of ["", "const mine = Pair(either); mine.a = 5;"])
    ok((await compile(good)).kind === "object", good);
  // In JavaScript each of these is seen through both names, or not, by the packet.
  for (const bad of ["either.a = 5;", "first.a = 5;"])
    await rejects(
      compile(bad),
      (error) =>
        error instanceof InputError &&
        error.code === "nf-lowering" &&
        error.line === 11 &&
        /may be one of two/.test(error.message),
      bad,
    );
});

test("mutants: another expiry or rate is noticed", async () => {
  for (const [name, set] of [
    ["allocator", { expiry: 11n }],
    ["expiring", { expiry: 9n }],
    ["sketches", { rate: 500_000_000n }],
  ] as const)
    ok((await differences(name, set)).length > 0, name);
});
