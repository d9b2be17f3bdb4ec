/**
 * Network functions with private tables in place of their hash maps: on one core
 * nothing differs on any machine, state included; on two cores each core's packets fare
 * as in a program of its own with that core's capacities. Objects load as they are
 * written, with types for the new functions.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { UnsupportedError } from "#base";
import { openKernel, type Kernel } from "#engine";
import { BytecodeMachine, createState } from "#interp";
import { programSpec, readObject, writeObject } from "#object";
import { divisi, root, temporaryFolder } from "./support/cli.ts";
import { asHashes, asTables, tableParts } from "./support/as-tables.ts";
import {
  compared,
  runInterp,
  runKernel,
  runPortable,
  type Ran,
} from "./support/machines.ts";
import { entriesOf, episodeOf, subjectOf } from "./support/subjects.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const folder = join(root, "nfs/c");
const suite = readdirSync(folder)
  .filter((name) => name.endsWith(".o"))
  .map((name) => join(folder, name))
  .filter((path) => {
    const object = readObject(readFileSync(path), basename(path));
    return tableParts(object, 1).length > 0;
  });

const kernel = await openKernel().catch((error: unknown) => {
  if (error instanceof UnsupportedError) return error;
  throw error;
});
after(() => {
  if (!(kernel instanceof UnsupportedError)) kernel.close();
});

function kernelTest(name: string, body: (kernel: Kernel) => void): void {
  void test(`${name} (seed ${seed})`, (t: TestContext) => {
    if (kernel instanceof UnsupportedError) t.skip(kernel.message);
    else body(kernel);
  });
}

test("programs with hash maps were found", () => {
  ok(suite.length >= 18, suite.join(" "));
});

for (const path of suite) {
  const name = basename(path, ".o");
  kernelTest(`${name}: tables on one core change nothing`, (using) => {
    const [entry = ""] = entriesOf(path);
    const subject = subjectOf(path, { seed, entry, budget: 3_000 });
    const { program: plain } = subject;
    const parts = tableParts(plain, 1);
    const changed = {
      ...subject,
      program: asTables(plain, plain.name, parts),
    };
    const whole = episodeOf(subject, 0, 1_500);
    const isTable = ({ map }: { readonly map: string }): boolean =>
      parts.some(({ object }) => object === map);
    const episode = {
      ...whole,
      writes: whole.writes.filter((write) => !isTable(write)),
    };
    const want = runInterp(subject, episode);
    const seen = ({ record, watched }: Ran): Ran => ({
      watched,
      record: {
        ...record,
        state: asHashes(record.state, plain.maps, parts),
      },
    });
    let entries = 0;
    for (const { object } of parts)
      entries += want.record.state.get(object)?.size ?? 0;
    ok(entries > 0, "nothing was put in");
    for (const ran of [
      runInterp(changed, episode),
      runPortable(changed, episode),
      runKernel(changed, episode, { kernel: using }),
    ])
      deepEqual(compared(subject, want, seen(ran)).first, []);
  });

  kernelTest(`${name}: written for two cores, and loaded`, (using) => {
    const object = readObject(readFileSync(path), basename(path));
    const [entry = ""] = entriesOf(path);
    const parts = tableParts(object, 2);
    const split = asTables(object, entry, parts);
    const again = readObject(writeObject(split), basename(path));
    const { btf } = again;
    const loaded = using.load(
      [programSpec(again, { entry })],
      btf === undefined ? {} : { btf },
    );
    ok((loaded.program().processed ?? 0) < 100_000);
    loaded.close();
  });
}

/** Programs whose state is all in tables: cores share nothing. */
for (const name of ["policer", "conntrack", "flow-counter", "source-counter"])
  void test(`${name}: two cores, each with a table (seed ${seed})`, () => {
    const path = join(folder, `${name}.o`);
    const [entry = ""] = entriesOf(path);
    const subject = subjectOf(path, { seed, entry, budget: 3_000 });
    const { program: plain, contents } = subject;
    const parts = tableParts(plain, 2);
    const split = asTables(plain, plain.name, parts);
    const { packets } = episodeOf(subject, 0, 1_500);
    const machine = new BytecodeMachine(
      split,
      createState(split.maps, { contents }),
      { seed },
    );
    const own = [0, 1].map((core) => {
      const maps = plain.maps.map((map) => {
        const part = parts.find(({ object }) => object === map.name);
        const maxEntries = part?.capacities[core] ?? map.maxEntries;
        return { ...map, maxEntries };
      });
      const program = { ...plain, maps };
      return new BytecodeMachine(program, createState(maps, { contents }), {
        seed,
      });
    });
    const verdicts = new Set<number>();
    for (const [at, packet] of packets.entries()) {
      // No owner of keys: any packet on any core is right for tables of their own.
      const rxQueue = (at * 7 + packet.data.length) % 2;
      const want = own[rxQueue]?.run({ ...packet, rxQueue });
      const have = machine.run({ ...packet, rxQueue });
      deepEqual(have, want);
      verdicts.add(have.verdict);
    }
    ok(verdicts.size > 0);
    // A queue that the plan has not: no state, and no fault.
    const before = machine.state.lookup(
      parts[0]?.object ?? "",
      Uint8Array.of(0, 0, 0, 0),
    );
    for (const packet of packets)
      equal(machine.run({ ...packet, rxQueue: 2 }).fault, undefined);
    deepEqual(
      machine.state.lookup(parts[0]?.object ?? "", Uint8Array.of(0, 0, 0, 0)),
      before,
    );
  });

void test("split --layout: private tables, checked; auto where it weakens nothing", () => {
  const folders = temporaryFolder("layout");
  const path = join(folder, "source-counter.o");
  const objectOf = (out: string) => {
    const plan = JSON.parse(readFileSync(join(out, "plan.json"), "utf8")) as {
      grade: string;
      objects: { name: string; layout: string; capacities?: number[] }[];
    };
    const part = plan.objects.find(({ name }) => name === "sources");
    const core = readObject(readFileSync(join(out, "core.o")), "core.o");
    const map = core.maps.find(({ name }) => name === "sources");
    return [plan.grade, part?.layout, part?.capacities, map?.type];
  };
  const split = (name: string, ...words: readonly string[]) => {
    const out = join(folders, name);
    // prettier-ignore
    const { status, stderr, stdout } = divisi(["split", path, "-o", out, "--trace", "gen:uniform,packets=200", ...words]);
    equal(status, 0, stderr + stdout);
    return objectOf(out);
  };
  try {
    deepEqual(split("own", "--cores", "2", "--layout", "private"), [
      "partitioned",
      "table",
      [32768, 32768],
      "array",
    ]);
    // prettier-ignore
    const again = divisi(["check", join(folders, "own"), "--trace", "gen:uniform,packets=200"]);
    equal(again.status, 0, again.stdout);
    // Where it costs a grade, auto leaves the map as it is; one core loses nothing.
    const shared = ["exact", "as-is", undefined, "hash"];
    deepEqual(split("auto", "--cores", "2", "--layout", "auto"), shared);
    deepEqual(split("one", "--cores", "1", "--layout", "auto"), [
      "exact",
      "table",
      [65536],
      "array",
    ]);
    // prettier-ignore
    deepEqual(split("written", "--cores", "1", "--layout", "private", "--user-writes", "sources"), shared);
    deepEqual(
      split("default", "--cores", "1"),
      split("one", "--cores", "1", "--force"),
    );
    deepEqual(split("default", "--cores", "2", "--force"), shared);
    deepEqual(split("as-is", "--cores", "1", "--layout", "shared"), shared);
  } finally {
    rmSync(folders, { recursive: true, force: true });
  }
});
