/**
 * attach, status, detach and undo through the spawned command line, in network
 * namespaces of the test's own: what stays, what goes, what is refused in which
 * words, and what a kill at every step leaves.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { delivered } from "./support/load.ts";
import { divisi, root, temporaryFolder } from "./support/cli.ts";
import {
  Network,
  networkAbsence,
  type NetworkOptions,
} from "./support/network.ts";

const absence = await networkAbsence();
const folder = temporaryFolder("attach");
chmodSync(folder, 0o755);

function split(program: string, name: string): string {
  const directory = join(folder, name);
  // prettier-ignore
  const result = divisi(["split", program, "-o", directory, "--cores", "2", "--allow-untested", "--trace", "gen:uniform,packets=300"]);
  equal(result.status, 0, result.stderr);
  return directory;
}

const counter = split("nfs/c/source-counter.o", "counter");
const firewall = split("nfs/c/firewall.o", "firewall");

function networkTest(
  name: string,
  options: NetworkOptions,
  body: (network: Network) => void | Promise<void>,
): void {
  void test(name, async (t) => {
    if (absence !== undefined) {
      t.skip(absence);
      return;
    }
    const network = new Network(options);
    try {
      await body(network);
    } finally {
      network.close();
    }
  });
}

const apply = ["--apply-nic"];

networkTest(
  "what is attached stays without us, until it is detached",
  {},
  (network) => {
    const before = network.snapshot();
    const attached = network.attach([counter, "--iface", "n0", ...apply]);
    equal(attached.status, 0, attached.stderr);
    equal(
      attached.stdout,
      `attached as counter: n0 (native)\npins   ${network.pinRoot}/divisi/counter\nnext   divisi status; divisi detach counter\n`,
    );
    equal(
      attached.stderr,
      "divisi: n0 has no receive-side scaling: its sender chooses the queue, and must keep packets that share state on one\n",
    );
    const [program = 0] = network.programs();
    ok(program > 0);
    const status = network.divisi(["status", "--json"]);
    equal(status.status, 0, status.stderr);
    const { attachments } = JSON.parse(status.stdout) as {
      attachments: {
        name: string;
        healthy: boolean;
        misdirected: string;
        program: { id: number };
        interfaces: { name: string; mode: string; health: string }[];
      }[];
    };
    deepEqual(
      attachments.map(({ name, healthy, misdirected, program: { id } }) => [
        name,
        healthy,
        /^\d+$/.test(misdirected),
        id,
      ]),
      [["counter", true, true, program]],
    );
    const detached = network.divisi(["detach", "counter"]);
    equal(detached.stdout, "detached counter\n");
    equal(network.snapshot(), before);
  },
);

networkTest(
  "verdicts are acted on without us, and no more after detach",
  {},
  async (network) => {
    const drop = split(dropping(), "drop");
    const before = await delivered(network);
    deepEqual(before.received, before.sent, "the network works");
    const attached = network.attach([drop, "--iface", "n0", ...apply]);
    equal(attached.status, 0, attached.stderr);
    deepEqual((await delivered(network)).received, [], "packets are dropped");
    equal(network.divisi(["detach", drop]).status, 0);
    const after = await delivered(network);
    deepEqual(after.received, after.sent, "packets pass again");
  },
);

/** A program that drops every IPv4 packet, as C. */
function dropping(): string {
  const path = join(folder, "drop.c");
  writeFileSync(
    path,
    `#include "${join(root, "nfs/c/nf.h")}"
SEC("xdp") int drop(struct xdp_md *ctx) { return parse_l3(ctx) ? XDP_DROP : XDP_PASS; }
char _license[] SEC("license") = "GPL";
`,
  );
  return path;
}

networkTest("refusals, in these words", { queues: 2 }, (network) => {
  const taken = (): number => network.programs()[0] ?? 0;
  const expectRefused = (
    words: readonly string[],
    exit: number,
    said: string,
  ): void => {
    const before = network.snapshot();
    const { status, stdout, stderr } = network.attach(words);
    deepEqual([status, stdout, stderr], [exit, "", said]);
    equal(network.snapshot(), before);
  };
  expectRefused(
    [counter, "--iface", "no0"],
    2,
    "divisi: there is no interface no0\n  did you mean n0?\n",
  );
  expectRefused([counter], 2, "divisi: --iface is missing\n  --iface IF\n");
  expectRefused(
    [firewall, "--iface", "n0"],
    2,
    "divisi: one interface is given; the plan has 2 ports (lan, wan)\n  --iface lan=IF,wan=IF\n",
  );
  expectRefused(
    [counter, "--iface", "n0"],
    4,
    "divisi: n0 has 1 receive queue, the plan divides over 2 cores\n  --apply-nic does it, or: ethtool -L n0 rx 2\n",
  );
  expectRefused(
    [counter, "--iface", "n0", ...apply, "--mode", "hw"],
    4,
    "divisi: n0: the program is not the device's own, as hw mode wants it (EINVAL)\n  leave --mode out\n",
  );
  const four = join(folder, "four");
  // prettier-ignore
  const made = divisi(["split", "nfs/c/source-counter.o", "-o", four, "--cores", "4", "--allow-untested", "--force", "--trace", "gen:uniform,packets=300"]);
  equal(made.status, 0, made.stderr);
  expectRefused(
    [four, "--iface", "n0", ...apply],
    4,
    "divisi: n0: 4 receive queues wanted, the driver has 2\n  divide over 2 with: divisi split … --cores 2\n",
  );
  expectRefused(
    [four, "--iface", "n0"],
    4,
    "divisi: n0 has 1 receive queue, the plan divides over 4 cores; n0 has at most 2 queues\n  divide over 2 with: divisi split … --cores 2\n",
  );
  const changed = join(folder, "changed");
  cpSync(counter, changed, { recursive: true });
  appendFileSync(join(changed, "README.txt"), "changed\n");
  expectRefused(
    [changed, "--iface", "n0"],
    3,
    `divisi: ${changed}/README.txt: its SHA-256 is not the one in certificate.json\n  divisi check ${changed} says whether what is there now is right; divisi split writes it anew\n`,
  );
  equal(network.attach([counter, "--iface", "n0", ...apply]).status, 0);
  const id = taken();
  expectRefused(
    [counter, "--iface", "n0"],
    2,
    "divisi: counter is attached already\n  divisi upgrade puts another program in its place; --name gives this one another name\n",
  );
  expectRefused(
    [counter, "--iface", "n0", "--name", "other", "--replace"],
    3,
    `divisi: n0 has XDP program source_counter (id ${id}, native) already, attached as counter\n  divisi detach counter takes it off; divisi upgrade puts another program in its place\n`,
  );
  equal(taken(), id);
});

networkTest(
  "in a mount namespace of its own nothing is attached",
  {},
  (network) => {
    const before = network.snapshot();
    const said =
      "divisi: this is a mount namespace of its own: an attachment made here ends with the command\n  nsenter --net=/run/netns/NAME divisi attach … keeps the machine's mounts; ip netns exec and unshare -m do not\n";
    const words = ["attach", counter, "--iface", "n0", ...apply];
    const pins = ["--pin-root", network.pinRoot];
    // prettier-ignore
    const ways: readonly (readonly [readonly string[], readonly string[]])[] = [
      [["nsenter", `--net=/run/netns/${network.near}`, "unshare", "-m"], pins],
      [["ip", "netns", "exec", network.near], pins],
      [["ip", "netns", "exec", network.near], []],
      // Shared, but with nobody outside.
      [["nsenter", `--net=/run/netns/${network.near}`, "unshare", "-m", "--propagation", "shared"], pins],
    ];
    for (const [[command = "", ...enter], place] of ways) {
      const run = spawnSync(
        command,
        [
          ...enter,
          process.execPath,
          join(root, "dist/cli/main.js"),
          ...words,
          ...place,
        ],
        {
          encoding: "utf8",
          env: { ...process.env, DIVISI_STATE_DIR: network.state },
        },
      );
      deepEqual([run.status, run.stdout, run.stderr], [4, "", said]);
      equal(network.snapshot(), before);
    }
  },
);

networkTest(
  "what is left of a former attachment: the advice removes it",
  {},
  (network) => {
    const words = [counter, "--iface", "n0", ...apply];
    const left = "divisi: something is left of a former attachment counter\n";
    const at = join(network.pinRoot, "divisi/counter");
    const before = network.snapshot();
    equal(network.attach(words).status, 0);
    equal(spawnSync("umount", [at]).status, 0);
    const gone = network.attach(words);
    deepEqual(
      [gone.status, gone.stderr],
      [4, `${left}  divisi detach counter removes it\n`],
    );
    equal(network.divisi(["detach", "counter"]).stdout, "detached counter\n");
    equal(network.snapshot(), before);
    mkdirSync(at, { recursive: true });
    const folder = network.attach(words);
    deepEqual(
      [folder.status, folder.stderr],
      [4, `${left}  umount ${at}; rm -r ${at}, or choose another --name\n`],
    );
    spawnSync("sh", ["-c", `umount ${at}; rm -r ${at}`]);
    const again = network.attach(words);
    equal(again.status, 0, again.stderr);
  },
);

networkTest("status of what is not attached: no", {}, (network) => {
  const asked = network.divisi(["status", "edge"]);
  deepEqual(
    [asked.status, asked.stdout, asked.stderr],
    [1, "nothing called edge is attached\n", ""],
  );
  const json = network.divisi(["status", "edge", "--json"]);
  equal(json.status, 1);
  deepEqual(JSON.parse(json.stdout), {
    schema: "divisi.status/1",
    name: "edge",
    found: false,
    attachments: [],
    unfinished: [],
  });
});

networkTest("status sees queues that were taken away", {}, (network) => {
  equal(network.attach([counter, "--iface", "n0", ...apply]).status, 0);
  equal(network.divisi(["status"]).status, 0);
  network.inNear("ethtool", "-L", "n0", "rx", "1");
  const { status, stdout } = network.divisi(["status", "counter"]);
  equal(status, 1);
  match(stdout, /^counter: not as it was attached/);
  match(
    stdout,
    /\n {2}n0 has 1 receive queue, the plan divides over 2 cores\n {2}fix: ethtool -L n0 rx 2\n/,
  );
  network.inNear("ethtool", "-L", "n0", "rx", "2");
  equal(network.divisi(["status"]).status, 0);
});

networkTest("without privilege nothing is tried", {}, (network) => {
  const run = spawnSync(
    "setpriv",
    [
      // prettier-ignore
      "--reuid",
      "65534",
      "--regid",
      "65534",
      "--clear-groups",
      process.execPath,
      join(root, "dist/cli/main.js"),
      "attach",
      counter,
      "--iface",
      "n0",
    ],
    {
      encoding: "utf8",
      env: { ...process.env, DIVISI_STATE_DIR: network.state },
    },
  );
  deepEqual(
    [run.status, run.stdout, run.stderr],
    [
      4,
      "",
      "divisi: bpf(2) is not allowed here (EPERM)\n  run as root, or with CAP_BPF and CAP_NET_ADMIN\n",
    ],
  );
});

networkTest(
  "a program of somebody else makes way when asked, and returns",
  {},
  (network) => {
    const object = join(folder, "foreign.o");
    const made = spawnSync("clang", [
      // prettier-ignore
      "-O2",
      "-g",
      "-target",
      "bpf",
      "-c",
      dropping(),
      "-o",
      object,
    ]);
    equal(made.status, 0, String(made.stderr));
    network.inNear(
      "ip",
      "link",
      "set",
      "dev",
      "n0",
      "xdpdrv",
      "object",
      object,
      "section",
      "xdp",
    );
    const [foreign = 0] = network.programs();
    ok(foreign > 0);
    const before = network.snapshot();
    const words = [counter, "--iface", "n0", ...apply];
    const refused = network.attach(words);
    deepEqual(
      [refused.status, refused.stderr],
      [
        3,
        `divisi: n0 has XDP program drop (id ${foreign}, native) already\n  --replace takes its place\n`,
      ],
    );
    equal(network.attach([...words, "--replace"]).status, 0);
    ok(!network.programs().includes(foreign));
    equal(network.divisi(["detach", "--iface", "n0"]).status, 0);
    equal(network.snapshot(), before);
  },
);

networkTest("health: what happened to an attachment is told", {}, (network) => {
  equal(network.attach([counter, "--iface", "n0", ...apply]).status, 0);
  network.inNear("ip", "link", "del", "n0");
  const gone = network.divisi(["status"]);
  equal(gone.status, 1);
  match(gone.stdout, /^counter: not as it was attached/);
  match(gone.stdout, /n0 \(native\): interface is gone/);
  const detached = network.divisi(["detach", "--all"]);
  equal(detached.status, 0, detached.stdout);
  equal(network.divisi(["status"]).stdout, "nothing is attached\n");
});

/**
 * Attaches with a kill at the k-th moment, for every k, and looks at what is left: no
 * attachment or a whole one, and after `undo` the machine as it was. The first thing
 * that is not so, if any.
 */
function crashes(
  network: Network,
  build?: string,
): { readonly fault: string | undefined; readonly steps: number } {
  const before = network.snapshot();
  const words = [firewall, "--iface", "n0,n1", ...apply];
  for (let step = 1; ; step++) {
    const fault = (text: string) => ({
      fault: `step ${step}: ${text}`,
      steps: step,
    });
    const env = { DIVISI_TEST_KILL: String(step) };
    const { stdout } = network.attach(words, env, build);
    const running = network.programs().filter((id) => id > 0).length;
    if (running !== 0 && running !== 2)
      return fault(`${running} of 2 interfaces enforce`);
    if (running === 2) {
      const shown = network.divisi(["status"], {}, build).stdout;
      if (!shown.startsWith("firewall: ok")) return fault(`status: ${shown}`);
    }
    const undone = network.divisi(["undo"], {}, build);
    // Once it is done, it is meant to stay.
    if (undone.stdout === "nothing to undo\n" && running === 2)
      equal(network.divisi(["detach", "firewall"]).status, 0);
    else if (undone.status !== 0) return fault(`undo: ${undone.stdout}`);
    const left = network.snapshot();
    if (left !== before) return fault(`after undo ${left}`);
    if (stdout !== "") return { fault: undefined, steps: step - 1 };
  }
}

networkTest(
  "killed at any step: nothing or all, and undo restores the machine",
  { pairs: 2 },
  (network) => {
    const { fault, steps } = crashes(network);
    equal(fault, undefined);
    ok(steps >= 9, `${steps} steps seen`);
  },
);

networkTest(
  "killed while packets flow: they are enforced on without us, or pass",
  {},
  async (network) => {
    const drop = split(dropping(), "drop-under-load");
    const seen = new Set<string>();
    for (let step = 1; ; step++) {
      const words = ["attach", drop, "--iface", "n0", ...apply];
      let said = "";
      await delivered(network, {
        work: async () => {
          ({ stdout: said } = await network.later(
            [...words, "--pin-root", network.pinRoot],
            { DIVISI_TEST_KILL: String(step) },
          ));
        },
      });
      const enforced = network.programs().some((id) => id > 0);
      const { sent, received } = await delivered(network);
      deepEqual(received, enforced ? [] : sent, `step ${step}`);
      if (said !== "") break;
      seen.add(enforced ? "enforced" : "passed");
      network.divisi(["undo"]);
      if (network.programs().some((id) => id > 0))
        equal(network.divisi(["detach", "--all"]).status, 0);
    }
    equal(network.divisi(["detach", drop]).status, 0);
    // Some kills were before the attachment stood, and some after.
    deepEqual([...seen].sort(), ["enforced", "passed"]);
  },
);

/** The compiled tool with one line changed. */
function mutant(file: string, from: string, to: string): string {
  const copy = join(mkdtempSync(join(folder, "mutant-")), "dist");
  cpSync(join(root, "dist"), copy, { recursive: true });
  writeFileSync(
    join(copy, "../package.json"),
    readFileSync(join(root, "package.json")),
  );
  symlinkSync(join(root, "node_modules"), join(copy, "../node_modules"));
  const text = readFileSync(join(copy, file), "utf8");
  ok(text.includes(from), `${file} has no ${from}`);
  writeFileSync(
    join(copy, file),
    text.replace(from, () => to),
  );
  return copy;
}

// prettier-ignore
const mutants: readonly (readonly [name: string, file: string, from: string, to: string])[] = [
  ["pins made in view", "control/attach.js", "pinAll(folder, {", "mkdirSync(at); folder.commit(at); pinAll(folder, {"],
  ["changes not announced", "control/journal.js", "this.#append({ undo });", ""],
];

for (const [name, file, from, to] of mutants)
  networkTest(`mutant caught: ${name}`, { pairs: 2 }, (network) => {
    const { fault } = crashes(network, mutant(file, from, to));
    match(fault ?? "nothing", /^step \d+: /);
  });

networkTest(
  "a line of the journal that was not finished did not happen",
  {},
  (network) => {
    mkdirSync(network.state, { recursive: true });
    const path = join(network.state, "journal");
    writeFileSync(path, '{"id":1,"begin":"attach x","pid":1,"sta');
    equal(network.divisi(["undo"]).stdout, "nothing to undo\n");
    equal(readFileSync(path, "utf8"), "");
    writeFileSync(path, 'nonsense\n{"id":1,"end":true}\n');
    const { status, stderr } = network.divisi(["undo"]);
    equal(status, 3);
    match(stderr, /journal, line 1: this is no line of the journal/);
  },
);

after(() => {
  spawnSync("rm", ["-rf", folder]);
});
