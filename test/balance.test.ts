/**
 * `split --trace` writes the balanced table: predicted loads in plan and text, one
 * table for the ports of a key group, elephants named with what would help.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { divisi, root } from "./support/cli.ts";

const scratch = mkdtempSync(join(tmpdir(), "balance-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

interface SplitPlan {
  readonly balance?: readonly {
    readonly ports: readonly string[];
    readonly packets: number;
    readonly before: number;
    readonly after: number;
    readonly moved: number;
    readonly elephants: readonly {
      readonly key: string;
      readonly port: string;
      readonly share: number;
      readonly flow: number;
      readonly strategy?: string;
      readonly notBuilt: string;
    }[];
  }[];
  readonly setup?: {
    readonly ports: readonly {
      readonly name: string;
      readonly table: { readonly entries: readonly number[] };
    }[];
  };
}

function split(nf: string, name: string, ...words: readonly string[]) {
  const directory = join(scratch, name);
  const ran = divisi([
    "split",
    join(root, "nfs/c", `${nf}.o`),
    "-o",
    directory,
    "--cores",
    "4",
    "--seed",
    "1",
    "--port",
    "lan=1",
    "--port",
    "wan=2",
    ...words,
  ]);
  equal(ran.status, 0, ran.stderr);
  const plan = JSON.parse(
    readFileSync(join(directory, "plan.json"), "utf8"),
  ) as SplitPlan;
  return { directory, plan, text: ran.stdout };
}

test("firewall: one table for both ports, balanced for the trace", () => {
  const trace = "gen:bidirectional,packets=20000,flows=300,skew=1.2";
  const { directory, plan, text } = split(
    "firewall",
    "firewall",
    "--trace",
    trace,
  );
  const [group] = plan.balance ?? [];
  ok(group !== undefined && plan.balance?.length === 1);
  deepEqual(group.ports, ["lan", "wan"]);
  equal(group.packets, 20_000);
  ok(group.after < group.before && group.after <= 1.1, JSON.stringify(group));
  const tables = plan.setup?.ports.map(({ table }) => table.entries) ?? [];
  equal(tables.length, 2);
  deepEqual(tables[0], tables[1], "a table per port is bug 1");
  match(
    text,
    /for 20,000 packets of the trace: busiest\s+core 1\.\d\d times\s+the\s+mean\s+\(\d\.\d\d spread\s+evenly;\s+\d+\s+entries\s+moved\)/,
  );
  // What is predicted is what a run meets.
  const ran = divisi([
    "run",
    directory,
    "--trace",
    trace,
    "--seed",
    "1",
    "--json",
  ]);
  const { cores } = JSON.parse(ran.stdout) as {
    cores: readonly { packets: number }[];
  };
  const most = Math.max(...cores.map(({ packets }) => packets));
  ok(Math.abs((most * 4) / 20_000 - group.after) < 1e-6);
  equal(divisi(["check", directory]).status, 0);
});

test("policer: an elephant is named, with what would help", () => {
  const { plan, text } = split(
    "policer",
    "policer",
    "--trace",
    "gen:zipf,packets=20000,flows=50,skew=2,port=1",
  );
  const elephants = (plan.balance ?? []).flatMap((group) => group.elephants);
  const [first] = elephants;
  ok(first !== undefined && first.share > 0.25);
  equal(first.notBuilt, "state-compute replication");
  equal(first.port, "wan");
  match(first.key, /^ipv4\.dst \d+\.\d+\.\d+\.\d+$/);
  match(text, /one key is above a core's share: \d+ % of them are\s+ipv4\.dst/);
  const words = text.replaceAll(/\s+/g, " ");
  match(words, /state-compute replication would, and is not built/);
  match(
    words,
    first.strategy === undefined
      ? /lock and one core are estimated no cheaper/
      : /is estimated cheaper \(--strategy/,
  );
});

test("without a trace of the user's, tables are even", () => {
  const { plan } = split("firewall", "even");
  equal(plan.balance, undefined);
  const entries = plan.setup?.ports[0]?.table.entries ?? [];
  deepEqual(
    entries,
    entries.map((_, entry) => entry % 4),
  );
});

test("a software dispatcher's table is balanced, too, and used", () => {
  const directory = join(scratch, "mac");
  // prettier-ignore
  const ran = divisi(["split", join(root, "testdata/dispatch/mac-meter.o"), "-o", directory, "--dispatch", "software", "--cores", "4", "--seed", "1", "--allow-untested", "--trace", "gen:zipf,packets=5000,flows=300"]);
  equal(ran.status, 0, ran.stderr);
  match(
    ran.stdout,
    /^ +table for 5,000 packets of the trace: busiest core 1\.\d\d times\s+the\s+mean\s+\(1\.\d\d spread evenly; \d+ entries moved\)/m,
  );
  const { dispatchTable, balance } = JSON.parse(
    readFileSync(join(directory, "plan.json"), "utf8"),
  ) as {
    readonly dispatchTable: readonly number[];
    readonly balance: readonly {
      readonly before: number;
      readonly after: number;
    }[];
  };
  equal(dispatchTable.length, 1024);
  const [{ before, after } = { before: 0, after: 1 }] = balance;
  ok(after < before);
  // `run` goes by it: the same packets, the same load.
  // prettier-ignore
  const again = divisi(["run", directory, "--json", "--seed", "1", "--trace", "gen:zipf,packets=5000,flows=300"]);
  const { cores } = JSON.parse(again.stdout) as {
    readonly cores: readonly { readonly packets: number }[];
  };
  const loads = cores.map(({ packets }) => packets);
  equal((Math.max(...loads) * 4) / 5000, after);
});
