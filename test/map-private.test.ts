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

void test("an allocator over two cores is seen as one", async (t) => {
  if (absence !== undefined) {
    t.skip(absence);
    return;
  }
  const directory = join(folder, "nat");
  // prettier-ignore
  const made = divisi(["split", join(root, "nfs/c/nat.o"), "-o", directory, "--cores", "2", "--set", `capacity=${indices}`, "--map-size", `flows=${indices}`, "--map-size", `flows_chain=${indices + 1}`, "--allow-untested", "--trace", "gen:bidirectional,packets=300"]);
  equal(made.status, 0, made.stderr + made.stdout);
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
  } finally {
    network.close();
  }
});
