/**
 * map get, dump, set and load of a program whose cores have heads of their own: one
 * allocator with one head, as in the original program.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { divisi, root, temporaryFolder } from "./support/cli.ts";
import { delivered } from "./support/load.ts";
import { Network, networkAbsence } from "./support/network.ts";

const absence = await networkAbsence();
const folder = temporaryFolder("map-private");
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

const indices = 48;

function split(name: string, words: readonly string[]): string {
  const directory = join(folder, name);
  // prettier-ignore
  const made = divisi(["split", join(root, "nfs/c/nat.o"), "-o", directory, ...words, "--set", `capacity=${indices}`, "--map-size", `flows=${indices}`, "--map-size", `flows_chain=${indices + 1}`, "--allow-untested", "--trace", "gen:bidirectional,packets=300"]);
  equal(made.status, 0, made.stderr + made.stdout);
  return directory;
}

void test("an allocator over two cores is seen as one", async (t) => {
  if (absence !== undefined) {
    t.skip(absence);
    return;
  }
  const directory = split("nat", ["--cores", "2"]);
  const network = new Network({ pairs: 2 });
  try {
    const attached = network.attach([
      directory,
      "--iface",
      "lan=n0,wan=n1",
      "--apply-nic",
    ]);
    equal(attached.status, 0, attached.stderr);
    const map = (...words: readonly string[]) => {
      const [verb = "", ...rest] = words;
      return network.divisi(["map", verb, "nat", ...rest]);
    };
    // The program drops what is neither TCP nor UDP, questions for addresses too.
    const [link] = JSON.parse(
      network.inNear("ip", "-j", "link", "show", "n0"),
    ) as { address: string }[];
    // prettier-ignore
    network.inFar("ip", "neigh", "replace", "10.77.0.1", "lladdr", link?.address ?? "", "dev", "f0");
    await delivered(network, { flows: 6 });

    const dump = map("dump", "flows_chain").stdout.trimEnd().split("\n");
    equal(dump.length, indices + 2);
    equal(
      dump.at(-1),
      `flows_chain: ${indices + 1} entries, 2 heads, indices 2 × ${indices / 2}`,
    );
    const flows = map("dump", "flows").stdout.trimEnd().split("\n");
    const used = flows.slice(0, -1);
    ok(used.length > 0, "nothing came");
    // Each flow's cell is there under its index, and the list goes through all of them.
    const nextOf = new Map(
      dump.slice(0, -1).map((line) => {
        const [, key = "", rest = ""] =
          /^(?:[0-9a-f]{2} ){4}\((\d+)\) {2}→ {2}(.*)$/.exec(line) ?? [];
        return [Number(key), Number(/next=(\d+)/.exec(rest)?.[1] ?? -1)];
      }),
    );
    const listed: number[] = [];
    for (
      let at = nextOf.get(0) ?? 0;
      at > 0 && listed.length <= indices;
      at = nextOf.get(at) ?? 0
    )
      listed.push(at);
    const indexOf = (line: string): number =>
      Number(/index=(\d+)/.exec(line)?.[1]) + 1;
    deepEqual(
      listed.toSorted((a, b) => a - b),
      used.map(indexOf).sort((a, b) => a - b),
    );

    // The kernel's map is longer: each core's head stands behind the cells.
    const pinned = `${network.pinRoot}/divisi/nat/map-flows_chain`;
    const raw = spawnSync("bpftool", ["map", "show", "-j", "pinned", pinned], {
      encoding: "utf8",
    });
    const { max_entries: entries } = JSON.parse(raw.stdout) as {
      max_entries: number;
    };
    ok(entries > indices + 1);
    equal(map("get", "flows_chain", `=${indices + 1}`).status, 1);

    // What is read can be written, and is the same again.
    const file = join(folder, "chain.json");
    const json = map("dump", "flows_chain", "--json").stdout;
    writeFileSync(file, json);
    match(map("load", "flows_chain", file).stdout, /^flows_chain: 49 entries/);
    equal(map("dump", "flows_chain", "--json").stdout, json);

    // The same directory in its own place between packets: every cell stays.
    const state = () =>
      ["flows", "flows_chain"].map((name) => map("dump", name).stdout);
    const before = state();
    const kept = network.divisi(["upgrade", directory, "--name", "nat"]);
    equal(kept.status, 0, kept.stdout + kept.stderr);
    match(kept.stdout, /^ {2}flows_chain: kept as it is$/m);
    deepEqual(state(), before);
    // Packets go to other cores: nothing is touched.
    const other = split("other", ["--cores", "2", "--seed", "9"]);
    const snapshot = network.snapshot();
    const refused = network.divisi(["upgrade", other, "--name", "nat"]);
    equal(refused.status, 1, refused.stderr);
    match(
      refused.stdout,
      /^not upgraded: nat stays as it is\n.*^ {2}flows_chain: each core has its own part of it, and the new plan has another key,/ms,
    );
    equal(network.snapshot(), snapshot);
    deepEqual(state(), before);
    // The flows that there were are found again.
    await delivered(network, { flows: 6 });
    deepEqual(
      used.filter((line) => !map("dump", "flows").stdout.includes(line)),
      [],
    );
  } finally {
    network.close();
  }
});
