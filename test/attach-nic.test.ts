/**
 * attach --apply-nic on an interface whose driver has receive-side scaling, which a
 * stand-in for ethtool plays: what is not as planned is named, it is set up, detach
 * and undo restore it, also after a kill in the middle of nic/apply.sh.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { nicProfile } from "#rss";
import { divisi, temporaryFolder } from "./support/cli.ts";
import { Network, networkAbsence } from "./support/network.ts";
import { lab, settings, type Lab } from "./support/nic-lab.ts";

const absence = await networkAbsence();
const folder = temporaryFolder("attach-nic");
after(() => {
  rmSync(folder, { recursive: true, force: true });
});
const directory = join(folder, "counter");
// prettier-ignore
const made = divisi(["split", "nfs/c/source-counter.o", "-o", directory, "--cores", "2", "--allow-untested", "--trace", "gen:uniform,packets=300"]);
equal(made.status, 0, made.stderr);

interface Machine {
  readonly network: Network;
  readonly nic: Lab;
  readonly env: Readonly<Record<string, string>>;
}

function nicTest(name: string, body: (machine: Machine) => void): void {
  void test(name, (t) => {
    if (absence !== undefined) {
      t.skip(absence);
      return;
    }
    const network = new Network();
    try {
      const nic = lab(nicProfile("generic"), ["n0"]);
      const env = {
        PATH: `${join(nic.folder, "bin")}:${process.env["PATH"] ?? ""}`,
        FAKE: nic.folder,
        DIVISI_ROOT: join(nic.folder, "root"),
      };
      body({ network, nic, env });
    } finally {
      network.close();
    }
  });
}

const words = [directory, "--iface", "n0"];

nicTest(
  "a NIC that is not as planned is refused, set up when asked, restored",
  ({ network, nic, env }) => {
    const before = settings(nic);
    const refused = network.attach(words, env);
    equal(refused.status, 4);
    equal(
      refused.stderr,
      "divisi: n0 has 8 receive queues, the plan divides over 2 cores; n0: 8 channels, wanted 2\n  --apply-nic does it, or: nic/apply.sh port0=n0\n",
    );
    deepEqual(settings(nic), before);
    const attached = network.attach([...words, "--apply-nic"], env);
    deepEqual([attached.status, attached.stderr], [0, ""]);
    equal(settings(nic)["n0 channels"], "2");
    ok(settings(nic)["n0 key"] !== before["n0 key"]);
    deepEqual(
      [settings(nic)["n0 irq 0"], settings(nic)["n0 irq 1"]],
      ["0", "1"],
    );
    equal(network.divisi(["detach", "counter"], env).status, 0);
    deepEqual(settings(nic), before);
    deepEqual(readdirSync(network.state).sort(), [
      "attachments",
      "journal",
      "lock",
    ]);
  },
);

nicTest(
  "another key, a moved interrupt, irqbalance: each is named",
  ({ network, nic, env }) => {
    const script = join(directory, "nic/apply.sh");
    const applied = spawnSync("bash", [script, "n0"], {
      env: { ...process.env, ...env, DIVISI_STATE_DIR: network.state },
    });
    equal(applied.status, 0, String(applied.stderr));
    const expectNamed = (path: string, content: string, said: string): void => {
      const file = join(nic.folder, path);
      const old = existsSync(file) ? readFileSync(file) : undefined;
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
      const { status, stderr } = network.attach(words, env);
      deepEqual([status, stderr.split("\n")[0]], [4, `divisi: ${said}`]);
      if (old === undefined) rmSync(file);
      else writeFileSync(file, old);
    };
    expectNamed("nic/n0/key", "00:00", "n0: another hash key than planned");
    expectNamed(
      "root/proc/irq/401/smp_affinity_list",
      "0-7",
      "n0: queue 1 runs on CPU 0-7, wanted 1",
    );
    expectNamed(
      "root/proc/77/comm",
      "irqbalance\n",
      "irqbalance runs and would move the interrupts of the queues",
    );
    equal(network.attach(words, env).status, 0);
  },
);

nicTest(
  "killed while the NIC is set up: undo restores it",
  ({ network, nic, env }) => {
    const before = settings(nic);
    const snapshot = network.snapshot();
    for (const at of [1, 3, 5]) {
      writeFileSync(join(nic.folder, "changes"), "0\n");
      const killed = network.attach([...words, "--apply-nic"], {
        ...env,
        KILL_NODE_AT: String(at),
      });
      equal(killed.status, 70, `${at}: ${killed.stderr}`);
      deepEqual(network.programs(), [0]);
      const { status, stdout } = network.divisi(["undo"], env);
      deepEqual([status, stdout], [0, "undid attach counter\n"]);
      deepEqual(settings(nic), before, `killed at change ${at}`);
      equal(network.snapshot(), snapshot);
    }
  },
);
