/**
 * Maps that two cores use at once, step by step: while one core is in the middle of an
 * operation, the other does something of its own. The first core's view of the memory
 * calls back at every word of a key or value that it touches, so each way in which two
 * operations can interleave is tried in one thread, and always the same ways.
 *
 * Mutants: without the version check lookups go wrong, without the lock the map does.
 */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { compile, mapState, type MapLayout } from "../../codegen/index.ts";
import type { MapSpec } from "../../isa/index.ts";
import { audit } from "./map-audit.test.kit.ts";
import { MapLock } from "./map-lock.ts";
import { MemoryView } from "./memory-view.ts";
import { PrefixMap } from "./prefix-map.ts";
import { QueueMap } from "./queue-map.ts";
import { TableMap } from "./table-map.ts";
import { mapOf, programOf } from "./twin.test.kit.ts";
import { newMemory } from "./web-assembly.ts";

/** Called at each word that a core reads or writes, but not by itself. */
interface Watch {
  call: (() => void) | undefined;
}

function watched(view: DataView, watch: Watch): DataView {
  const tell = (): void => {
    const { call } = watch;
    watch.call = undefined;
    call?.();
    watch.call ??= call;
  };
  const get = view.getInt32.bind(view);
  const set = view.setInt32.bind(view);
  return Object.assign(view, {
    getInt32: (at: number, little?: boolean): number => {
      tell();
      return get(at, little);
    },
    setInt32: (at: number, value: number, little?: boolean): void => {
      tell();
      set(at, value, little);
    },
  });
}

class NoLock extends MapLock {
  override take(): void {}
  override release(): void {}
}

type Table = typeof TableMap | typeof PrefixMap;
interface Core {
  readonly map: TableMap | PrefixMap;
  readonly memory: MemoryView;
  readonly layout: MapLayout;
  readonly watch: Watch;
  /** Where this core puts keys and values. */
  readonly at: number;
}

/** Two cores on one map. */
function coresOf(
  spec: MapSpec,
  Table: Table,
  makeLock: (memory: MemoryView, map: MapLayout) => MapLock,
): readonly [Core, Core] {
  const program = programOf("r0 = 0\nexit", [spec]);
  const [one, two] = [0, 1].map(
    (core) => compile(program, { cpus: 2, memory: { core, cores: 2 } }).layout,
  );
  const linear = newMemory(one?.pages ?? 1, true);
  const make = (layout: typeof one): Core => {
    if (layout === undefined) throw new RangeError("no core");
    const memory = new MemoryView(linear.buffer, layout);
    const watch: Watch = { call: undefined };
    const view = watched(new DataView(linear.buffer), watch);
    Object.defineProperty(memory, "data", { value: view });
    const [map] = layout.maps;
    if (map === undefined) throw new RangeError("no map");
    const { outside } = layout.cell;
    const table = new Table(memory, map, makeLock(memory, map));
    return { map: table, memory, layout: map, watch, at: outside };
  };
  return [make(one), make(two)];
}

const realLock = (memory: MemoryView, { state }: MapLayout): MapLock =>
  new MapLock(memory.words, state + mapState.lock, 1);
const noLock = (memory: MemoryView, { state }: MapLayout): MapLock =>
  new NoLock(memory.words, state + mapState.lock);

/** Keys are two words; lpm keys a length and an address. */
type Key = readonly [number, number];

function textOf([first, second]: Key): string {
  return `${first},${second}`;
}

function keyOf({ memory, at }: Core, [first, second]: Key): number {
  const { bytes } = memory;
  new DataView(bytes.buffer).setUint32(at, first, true);
  new DataView(bytes.buffer).setUint32(at + 4, second, true);
  return at;
}

/** The value tells its key, twice. */
function put(core: Core, key: Key): number {
  const at = keyOf(core, key);
  core.map.values.given = Uint8Array.from(
    new Uint8Array(Uint32Array.of(...key, ...key).buffer),
  );
  const answer = core.map.update(at, 0);
  core.map.values.given = undefined;
  return answer;
}
const drop = (core: Core, key: Key): number =>
  core.map.remove(keyOf(core, key));

/** Text of the key in the value that a lookup gives. */
function see(core: Core, key: Key): string {
  const at = core.map.find(keyOf(core, key));
  if (at < 0) return "nothing";
  const bytes = core.map.values.read(at);
  const [a, b, c, d] = new Uint32Array(bytes.buffer.slice(0));
  return a === c && b === d ? `${a},${b}` : "torn";
}

/** A lookup of the first core, with the other's work at its n-th word. */
interface Scenario {
  readonly name: string;
  readonly spec: MapSpec;
  readonly start: readonly Key[];
  readonly look: Key;
  readonly meanwhile: (other: Core) => void;
  readonly wants: readonly string[];
}

// One bucket: every key is in its chain.
const small = mapOf("table", "hash", [8, 16, 1], {});
const chain = { ...small, maxEntries: 1 };
const table = mapOf("table", "hash", [8, 16, 4]);
const lru = mapOf("table", "lru_hash", [8, 16, 4]);
const trie = mapOf("table", "lpm_trie", [8, 16, 6], { flags: 1 });

// prettier-ignore
const scenarios: readonly Scenario[] = [
  { name: "an element that is updated over and over is never missed", spec: table,
    start: [[1, 1], [2, 2], [3, 3], [4, 4]], look: [1, 1], wants: ["1,1"],
    meanwhile: (other) => { for (let round = 0; round < 3; round++) put(other, [1, 1]); } },
  { name: "neighbours are deleted and their cells used again", spec: table,
    start: [[1, 1], [2, 2], [3, 3], [4, 4]], look: [1, 1], wants: ["1,1"],
    meanwhile: (other) => { for (const key of [2, 3, 4]) drop(other, [key, key]); for (const key of [5, 6, 7]) put(other, [key, key]); } },
  { name: "its cell is used for half its key", spec: chain,
    start: [[1, 1]], look: [1, 2], wants: ["nothing"],
    meanwhile: (other) => { drop(other, [1, 1]); put(other, [2, 2]); } },
  { name: "its cell is used for half its key, the other half", spec: chain,
    start: [[1, 2]], look: [1, 1], wants: ["nothing"],
    meanwhile: (other) => { drop(other, [1, 2]); put(other, [2, 1]); } },
  { name: "the element is deleted, and is there again", spec: table,
    start: [[1, 1], [2, 2]], look: [1, 1], wants: ["1,1"],
    meanwhile: (other) => { drop(other, [1, 1]); put(other, [9, 9]); put(other, [1, 1]); } },
  { name: "LRU: others are evicted", spec: lru,
    start: [[2, 2], [3, 3], [4, 4], [1, 1]], look: [1, 1], wants: ["1,1"],
    meanwhile: (other) => { for (const key of [5, 6, 7]) put(other, [key, key]); } },
];

/** What each lookup saw, by the word at which the other core came in. */
function play(
  scenario: Scenario,
  Table: Table,
): { readonly seen: readonly string[]; readonly wrong: readonly string[] } {
  const seen: string[] = [];
  const wrong: string[] = [];
  for (let step = 0; step < 60; step++) {
    const [one, two] = coresOf(scenario.spec, Table, realLock);
    for (const key of scenario.start) equal(put(two, key), 0);
    let left = step;
    let came = false;
    one.watch.call = () => {
      if (left-- > 0 || came) return;
      came = true;
      scenario.meanwhile(two);
    };
    const text = see(one, scenario.look);
    one.watch.call = undefined;
    if (!came) break;
    seen.push(text);
    wrong.push(...audit(two.memory, two.map));
  }
  return { seen, wrong };
}

for (const scenario of scenarios)
  test(`${scenario.name}: lookups see what was there`, () => {
    const { seen, wrong } = play(scenario, TableMap);
    ok(seen.length > 4, `${seen.length} places to come in`);
    deepEqual(
      seen.filter((text) => !scenario.wants.includes(text)),
      [],
    );
    deepEqual(wrong, []);
  });

test("a longest prefix is that of one moment", () => {
  // At every moment one of the two matches, and a /8 is never the longest.
  const scenario: Scenario = {
    name: "prefixes",
    spec: trie,
    start: [
      [8, 0x0201],
      [24, 0x030201],
    ],
    look: [32, 0x04030201],
    wants: [textOf([24, 0x030201]), textOf([32, 0x04030201])],
    meanwhile: (other) => {
      put(other, [32, 0x04030201]);
      drop(other, [24, 0x030201]);
    },
  };
  const { seen, wrong } = play(scenario, PrefixMap);
  ok(seen.length > 4);
  deepEqual(
    seen.filter((text) => !scenario.wants.includes(text)),
    [],
  );
  deepEqual(wrong, []);
});

/** The module of this room with one piece of its text changed. */
async function mutated(
  file: string,
  text: string,
  instead: string,
): Promise<Record<string, unknown>> {
  const url = new URL(file, import.meta.url);
  const source = readFileSync(url, "utf8");
  ok(source.includes(text), `${file} has ${text}`);
  const changed = source
    .replaceAll(text, instead)
    .replaceAll(/from "(\.[^"]*)"/g, (_, path: string) => {
      return `from ${JSON.stringify(new URL(path, url).href)}`;
    });
  const code = Buffer.from(changed).toString("base64");
  return (await import(`data:text/javascript;base64,${code}`)) as Record<
    string,
    unknown
  >;
}

test("mutant: without the version of the bucket lookups go wrong", async () => {
  const module = await mutated(
    "table-map.js",
    "Atomics.load(words, head + 1)",
    "0",
  );
  const Mutant = module["TableMap"] as typeof TableMap;
  const failing = scenarios.filter((scenario) =>
    play(scenario, Mutant).seen.some((text) => !scenario.wants.includes(text)),
  );
  ok(
    failing.length >= 3,
    failing.map(({ name }) => name).join("; ") || "nothing seen",
  );
});

test("mutant: without the version of the map a prefix of no moment is found", async () => {
  const module = await mutated(
    "prefix-map.js",
    "Atomics.load(words, this.#version)",
    "0",
  );
  const Mutant = module["PrefixMap"] as typeof PrefixMap;
  const { seen } = play(
    {
      name: "prefixes",
      spec: trie,
      start: [[24, 0x030201]],
      look: [32, 0x04030201],
      wants: [],
      meanwhile: (other) => {
        put(other, [32, 0x04030201]);
        drop(other, [24, 0x030201]);
      },
    },
    Mutant,
  );
  ok(seen.includes("nothing"), seen.join(" "));
});

/** Two changes at once, the second at the n-th word of the first. */
// prettier-ignore
const changes: readonly { readonly name: string; readonly spec: MapSpec; readonly first: (core: Core) => number; readonly second: (core: Core) => number }[] = [
  { name: "two updates of one element", spec: table, first: (core) => put(core, [1, 1]), second: (core) => put(core, [2, 2]) },
  { name: "two insertions of one key", spec: table, first: (core) => put(core, [8, 8]), second: (core) => put(core, [8, 8]) },
  { name: "two insertions at the last free cell", spec: { ...table, maxEntries: 3 }, first: (core) => put(core, [8, 8]), second: (core) => put(core, [9, 9]) },
  { name: "an update and a deletion", spec: table, first: (core) => put(core, [1, 1]), second: (core) => drop(core, [1, 1]) },
  { name: "two evictions", spec: { ...lru, maxEntries: 2 }, first: (core) => put(core, [8, 8]), second: (core) => put(core, [9, 9]) },
];

for (const { name, spec, first, second } of changes)
  test(`${name}: one waits for the other; without the lock the map breaks`, () => {
    const run = (makeLock: typeof realLock): readonly string[] => {
      const wrong: string[] = [];
      for (let step = 0; step < 60; step++) {
        const [one, two] = coresOf(spec, TableMap, makeLock);
        put(two, [1, 1]);
        put(two, [2, 2]);
        let left = step;
        let came = false;
        one.watch.call = () => {
          if (left-- > 0 || came) return;
          came = true;
          // The words before the lock is taken are the hash of the key.
          const held = one.memory.u32(two.map.layout.state) !== 0;
          if (held) throws(() => second(two), /was not released for 1 ms/);
          else second(two);
        };
        const before = two.map.size;
        const answer = first(one);
        one.watch.call = undefined;
        if (!came) break;
        ok(answer <= 0 && before >= 0);
        wrong.push(...audit(two.memory, two.map));
      }
      return wrong;
    };
    deepEqual(run(realLock), []);
    ok(run(noLock).length > 0, "the mutant is seen");
  });

test("queues: values go in and out one at a time; without the lock one is lost", () => {
  const spec = mapOf("table", "queue", [0, 8, 4]);
  const word = ({ memory, at }: Core, value: number): number => {
    memory.bytes.set(Uint8Array.of(value, value, value, value, 7, 7, 7, 7), at);
    return at;
  };
  const run = (makeLock: typeof realLock): readonly string[] => {
    const wrong: string[] = [];
    for (let step = 0; step < 12; step++) {
      const [one, two] = coresOf(spec, TableMap, makeLock);
      const [first, second] = [one, two].map(({ memory, layout }) => {
        return new QueueMap(memory, layout, makeLock(memory, layout));
      });
      if (first === undefined || second === undefined) return ["no queues"];
      equal(second.push(word(two, 1), 0), 0);
      let left = step;
      let came = false;
      one.watch.call = () => {
        if (left-- > 0 || came) return;
        came = true;
        const push = (): number => second.push(word(two, 3), 0);
        if (one.memory.u32(two.layout.state) === 0) equal(push(), 0);
        else throws(push, /was not released for 1 ms/);
      };
      equal(first.push(word(one, 2), 0), 0);
      one.watch.call = undefined;
      if (!came) break;
      const values = second.all().map(([value]) => value);
      const text = values.join(" ");
      if (text !== "1 2" && text !== "1 2 3" && text !== "1 3 2")
        wrong.push(text);
    }
    return wrong;
  };
  deepEqual(run(realLock), []);
  ok(run(noLock).length > 0, "the mutant is seen");
});
