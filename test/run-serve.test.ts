/**
 * `divisi run … --iface IF` without a trace: it serves, counts, and takes everything
 * back: at its end, at a signal, and through `divisi undo` after kill -9.
 */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { divisi, root, temporaryFolder } from "./support/cli.ts";
import { Network, networkAbsence } from "./support/network.ts";

const absence = await networkAbsence();
const folder = temporaryFolder("serve");
chmodSync(folder, 0o755);

const counter = join(folder, "counter");
// prettier-ignore
const made = divisi(["split", "nfs/c/source-counter.o", "-o", counter, "--cores", "2", "--allow-untested", "--trace", "gen:uniform,packets=300"]);
equal(made.status, 0, made.stderr);

function networkTest(
  name: string,
  body: (network: Network) => void | Promise<void>,
): void {
  void test(name, async (t) => {
    if (absence !== undefined) return t.skip(absence);
    const network = new Network();
    try {
      await body(network);
    } finally {
      network.close();
    }
  });
}

interface Served {
  readonly packets: number;
  readonly verdicts: Readonly<Record<string, number>>;
  readonly misdirected: number;
  readonly checked: number;
  readonly interfaces: readonly {
    readonly name: string;
    readonly queues?: readonly number[];
  }[];
}

interface Serving {
  readonly supervisor: ChildProcess;
  readonly answer: () => Served;
}

/** Started, and past its first words: the program is attached. */
async function serving(
  network: Network,
  words: readonly string[],
): Promise<Serving> {
  const supervisor = spawn(
    "nsenter",
    // prettier-ignore
    [`--net=/run/netns/${network.near}`, process.execPath, join(root, "dist/cli/main.js"), "run", ...words, "--json"],
    {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, DIVISI_STATE_DIR: network.state },
    },
  );
  let text = "";
  supervisor.stdout.on("data", (data: Buffer) => {
    text += data.toString();
  });
  let said = "";
  await new Promise<void>((resolve, reject) => {
    supervisor.stderr.on("data", (data: Buffer) => {
      said += data.toString();
      if (/ serves n0; /.test(said)) resolve();
    });
    supervisor.on("exit", () => reject(new Error(`ended: ${said}${text}`)));
  });
  return { supervisor, answer: () => JSON.parse(text) as Served };
}

async function ended(
  { supervisor }: Serving,
  signal: NodeJS.Signals,
): Promise<number | null> {
  const gone = once(supervisor, "close") as Promise<[number | null]>;
  supervisor.kill(signal);
  const [code] = await gone;
  return code;
}

const apply = ["--apply-nic"];

networkTest(
  "queues that do not fit are refused, and how to change that",
  (network) => {
    const before = network.snapshot();
    const refused = network.divisi(["run", counter, "--iface", "n0"]);
    equal(refused.status, 4);
    match(
      refused.stderr,
      /n0 has 1 receive queue, the plan divides over 2 cores\n {2}--apply-nic does it, or: ethtool -L n0 rx 2/,
    );
    equal(network.snapshot(), before);
  },
);

networkTest("it serves, counts, and takes everything back", async (network) => {
  const before = network.snapshot();
  const running = await serving(network, [counter, "--iface", "n0", ...apply]);
  ok((network.programs()[0] ?? 0) > 0);
  notEqual(network.snapshot(), before);
  // Neighbours are asked for, one frame each: nobody answers.
  for (let host = 10; host < 20; host++)
    network.inFar("bash", "-c", `echo x > /dev/udp/10.77.0.${host}/9 || true`);
  await new Promise((resolve) => setTimeout(resolve, 300));
  equal(await ended(running, "SIGINT"), 0);
  equal(network.snapshot(), before);
  const { packets, verdicts, misdirected, checked, interfaces } =
    running.answer();
  ok(packets >= 10, `${packets} packets`);
  deepEqual(verdicts, { pass: packets });
  // The first packet of each core at most, if it asks for no neighbour.
  ok(misdirected <= checked && checked <= 2, `${misdirected} of ${checked}`);
  equal(
    interfaces[0]?.queues?.reduce((sum, queue) => sum + queue, 0),
    packets,
  );
});

networkTest(
  "SIGTERM ends it in order too; --duration by itself",
  async (network) => {
    const before = network.snapshot();
    const running = await serving(network, [
      counter,
      "--iface",
      "n0",
      ...apply,
    ]);
    equal(await ended(running, "SIGTERM"), 0);
    equal(network.snapshot(), before);
    // prettier-ignore
    const timed = network.divisi(["run", "nfs/c/source-counter.o", "--iface", "n0", "--duration", "100ms"]);
    equal(timed.status, 0, timed.stderr);
    match(timed.stdout, /^source_counter served n0 for 0\.\d s: \d+ packets/);
    match(timed.stdout, /\n {2}misdirected packets are not counted$/m);
    equal(network.snapshot(), before);
  },
);

networkTest(
  "kill -9 while it serves: no program, and undo restores the NIC",
  async (network) => {
    const before = network.snapshot();
    const running = await serving(network, [
      counter,
      "--iface",
      "n0",
      ...apply,
    ]);
    const alive = network.divisi(["undo"]);
    match(alive.stdout, /still running/);
    await ended(running, "SIGKILL");
    for (let looks = 0; looks < 50 && network.programs()[0] !== 0; looks++)
      await new Promise((resolve) => setTimeout(resolve, 50));
    deepEqual(network.programs(), [0]);
    match(network.inNear("ethtool", "-l", "n0"), /Current[^]*RX:\s+2/);
    const undone = network.divisi(["undo"]);
    equal(undone.status, 0, undone.stdout + undone.stderr);
    match(undone.stdout, /undid run source_counter/);
    equal(network.snapshot(), before);
  },
);

networkTest("a kill at any step leaves what undo takes back", (network) => {
  const before = network.snapshot();
  let kills = 0;
  for (let step = 1; ; step++) {
    const run = network.divisi(
      ["run", counter, "--iface", "n0", "--duration", "1ms", ...apply],
      { DIVISI_TEST_KILL: String(step) },
    );
    if (run.status === 0) break;
    kills++;
    deepEqual(network.programs(), [0]);
    equal(network.divisi(["undo"]).status, 0);
    equal(network.snapshot(), before, `killed at step ${step}`);
  }
  equal(kills, 3);
});

networkTest(
  "nothing is replaced unasked; what was replaced comes back",
  (network) => {
    const object = join(root, "nfs/c/nop.o");
    network.inNear(
      "ip",
      "link",
      "set",
      "dev",
      "n0",
      "xdpdrv",
      "obj",
      object,
      "sec",
      "xdp",
    );
    const [program] = network.programs();
    ok((program ?? 0) > 0);
    // prettier-ignore
    const words = ["run", "nfs/c/source-counter.o", "--iface", "n0", "--duration", "100ms"];
    const refused = network.divisi(words);
    equal(refused.status, 3);
    match(
      refused.stderr,
      /n0 has XDP program .* already\n {2}--replace takes its place/,
    );
    const replaced = network.divisi([
      ...words,
      "--replace",
      "--pin-root",
      network.pinRoot,
    ]);
    equal(replaced.status, 0, replaced.stderr);
    deepEqual(network.programs(), [program]);
    equal(readFileSync(join(network.state, "journal"), "utf8"), "");
    network.inNear("ip", "link", "set", "dev", "n0", "xdpdrv", "off");
  },
);

// prettier-ignore
const refusals: readonly (readonly [readonly string[], number, RegExp])[] = [
  [["--duration", "10"], 2, /--duration takes a duration such as 10s or 500ms; not 10/],
  [["--namespace"], 2, /--namespace wants a --trace/],
  [["--out", "x.pcapng"], 2, /--out wants a --trace/],
  [["--mode", "skb", "--trace", "gen:zipf"], 2, /--mode is for serving, without --trace/],
];
for (const [words, status, text] of refusals)
  networkTest(
    `run --iface n0 ${words.join(" ")} exits ${status}`,
    (network) => {
      // prettier-ignore
      const have = network.divisi(["run", "nfs/c/source-counter.o", "--iface", "n0", ...words]);
      match(have.stderr, text);
      equal(have.status, status);
    },
  );
