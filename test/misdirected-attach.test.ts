/**
 * Packets that come on another queue than the plan's, at a real interface: `status` and
 * `run --iface` say how many. The far end has one queue, so all arrive on queue 0.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { chmodSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { after, test } from "node:test";
import { buildFrame } from "#packet";
import { portConfig, queueOf, type NicSetup } from "#rss";
import { divisi, temporaryFolder } from "./support/cli.ts";
import { Network, networkAbsence } from "./support/network.ts";

const absence = await networkAbsence();
const folder = temporaryFolder("misdirected-attach");
chmodSync(folder, 0o755);
after(() => spawnSync("rm", ["-rf", folder]));

function split(name: string, words: readonly string[] = []): string {
  const directory = join(folder, name);
  // prettier-ignore
  const made = divisi(["split", "nfs/c/source-counter.o", "-o", directory, "--cores", "2", "--allow-untested", "--trace", "gen:uniform,packets=300", ...words]);
  equal(made.status, 0, made.stderr);
  return directory;
}

const counter = split("counter");
const { setup, strategy } = JSON.parse(
  readFileSync(join(counter, "plan.json"), "utf8"),
) as { setup: NicSetup; strategy: string };

function networkTest(name: string, body: (network: Network) => void): void {
  void test(name, (t) => {
    if (absence !== undefined) return t.skip(absence);
    const network = new Network();
    try {
      // Nobody else's packets are to be among the first.
      const quiet = "echo 1 > /proc/sys/net/ipv6/conf/f0/disable_ipv6";
      network.inFar("bash", "-c", quiet);
      body(network);
    } finally {
      network.close();
    }
  });
}

/** An address of the far end whose packets the plan gives that queue. */
function sourceFor(queue: number): string {
  const config = portConfig(setup, setup.ports[0]?.name ?? "");
  for (let host = 10; host < 250; host++) {
    const src = `10.77.0.${host}`;
    const frame = buildFrame({
      ipv4: { src, dst: "10.77.0.1" },
      udp: { sport: 7, dport: 9 },
    });
    if (queueOf(frame, config).queue === queue) return src;
  }
  throw new Error(`no source for queue ${queue}`);
}

const packets = 6_000;
const send = `const [from] = process.argv.slice(-1);
const socket = require("node:dgram").createSocket("udp4");
let left = ${packets};
const next = () => {
  if (left-- === 0) return socket.close();
  socket.send("x", 9, "10.77.0.1", next);
};
socket.bind(7, from, next);`;

function sendFrom(network: Network, source: string): void {
  network.inFar("ip", "addr", "add", `${source}/24`, "dev", "f0");
  network.inFar(process.execPath, "-e", send, source);
}

interface Said {
  readonly misdirected: string;
  readonly checked: string;
}

function status(network: Network): readonly [number, number] {
  const { stdout, stderr } = network.divisi(["status", "--json"]);
  const { attachments } = JSON.parse(stdout) as { attachments: Said[] };
  const [first] = attachments;
  ok(first !== undefined, stderr);
  return [Number(first.misdirected), Number(first.checked)];
}

networkTest("status counts packets on a wrong queue", (network) => {
  equal(strategy, "shard");
  const words = [counter, "--iface", "n0", "--apply-nic"];
  const attached = network.attach(words);
  equal(attached.status, 0, attached.stderr);
  deepEqual(status(network), [0, 0]);
  sendFrom(network, sourceFor(0));
  const [none, checked] = status(network);
  equal(none, 0);
  // One in 1,024 of each core's, but for the few of others that are unchecked.
  ok(checked >= 2 && checked <= 10, `${checked} checked`);
  sendFrom(network, sourceFor(1));
  const [some, all] = status(network);
  ok(some >= 2 && some <= 10, `${some} of ${all}`);
  equal(all - checked, some);
  match(
    network.divisi(["status"]).stdout,
    new RegExp(`\n {2}misdirected ${some} of ${all} checked\n`),
  );
  // The count is the program's, and no state of the user's.
  const maps = network.divisi(["map", "list", "counter"]);
  ok(!maps.stdout.includes("misdirected"), maps.stdout);
  const upgraded = network.divisi(["upgrade", counter]);
  equal(upgraded.status, 0, upgraded.stdout + upgraded.stderr);
  ok(!upgraded.stdout.includes("misdirected"), upgraded.stdout);
  deepEqual(status(network), [0, 0]);
});

networkTest("a plan that chooses no queues counts none", (network) => {
  const alone = split("alone", ["--strategy", "sequential"]);
  const attached = network.attach([alone, "--iface", "n0", "--apply-nic"]);
  equal(attached.status, 0, attached.stderr);
  const { stdout } = network.divisi(["status"]);
  match(stdout, /\n {2}misdirected not counted by this program\n/);
});
