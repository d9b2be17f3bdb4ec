/**
 * upgrade under load through the spawned command line: no datagram and no flow is
 * lost, failed and killed upgrades leave the old program on every interface.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { divisi, root, temporaryFolder } from "./support/cli.ts";
import { delivered } from "./support/load.ts";
import {
  Network,
  networkAbsence,
  type NetworkOptions,
} from "./support/network.ts";

const absence = await networkAbsence();
const folder = temporaryFolder("upgrade");
chmodSync(folder, 0o755);

interface Variant {
  readonly entries?: number;
  /** Members of a flow. */
  readonly flow?: string;
  /** More maps. */
  readonly maps?: string;
  readonly body?: string;
  readonly license?: string;
}

/** Counts datagrams per flow; without bounds checks it is what no verifier takes. */
function program(name: string, variant: Variant = {}): string {
  const {
    entries = 1024,
    flow = "__u64 packets;",
    maps = "",
    body = "",
    license = "GPL",
  } = variant;
  const path = join(folder, `${name}.c`);
  writeFileSync(
    path,
    `#include "${join(root, "nfs/c/nf.h")}"
struct key { __be32 source; __be16 port; __u16 zero; };
struct flow { ${flow} };
struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, struct key); __type(value, struct flow); __uint(max_entries, ${entries}); } flows SEC(".maps");
${maps}
SEC("xdp") int count(struct xdp_md *ctx) {
  struct iphdr *ip = parse_l3(ctx);
  struct l4hdr *l4;
  if (!ip || ip->protocol != IPPROTO_UDP) return XDP_PASS;
  l4 = parse_l4(ctx, ip);
  if (!l4) return XDP_PASS;
  struct key key = { ip->saddr, l4->source, 0 };
  struct flow *old = bpf_map_lookup_elem(&flows, &key);
  if (old) old->packets++;
  else { struct flow one = {}; one.packets = 1; bpf_map_update_elem(&flows, &key, &one, BPF_ANY); }
  ${body}
  return XDP_PASS;
}
char _license[] SEC("license") = "${license}";
`,
  );
  return path;
}

const words = [
  "--cores",
  "2",
  "--allow-untested",
  "--trace",
  "gen:uniform,packets=300",
];

function split(path: string, name: string): string {
  const directory = join(folder, name);
  const made = divisi(["split", path, "-o", directory, ...words]);
  equal(made.status, 0, made.stderr);
  return directory;
}

const first = split(program("first"), "first");
const second = split(
  program("second", {
    maps: `struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, __u32); __type(value, __u64); __uint(max_entries, 1); } total SEC(".maps");`,
    body: "__u32 zero = 0; __u64 *all = bpf_map_lookup_elem(&total, &zero); if (all) __sync_fetch_and_add(all, 1);",
  }),
  "second",
);
const bigger = split(program("bigger", { entries: 4096 }), "bigger");
const smaller = split(program("smaller", { entries: 2 }), "smaller");
const wider = split(
  program("wider", { flow: "__u64 packets; __u64 bytes;" }),
  "wider",
);

function networkTest(
  name: string,
  options: NetworkOptions,
  body: (network: Network, t: TestContext) => void | Promise<void>,
): void {
  void test(name, async (t) => {
    if (absence !== undefined) {
      t.skip(absence);
      return;
    }
    const network = new Network(options);
    try {
      await body(network, t);
    } finally {
      network.close();
    }
  });
}

const ifaces = ["--iface", "n0", "--name", "edge", "--apply-nic"];

/** Datagrams per flow as the pinned map has them, sorted. */
function counted(network: Network): readonly number[] {
  const dump = spawnSync("bpftool", [
    // prettier-ignore
    "map",
    "dump",
    "-j",
    "pinned",
    `${network.pinRoot}/divisi/edge/map-flows`,
  ]);
  const entries = JSON.parse(String(dump.stdout)) as { value: string[] }[];
  return entries
    .map(({ value }) => Number(value[0]) + 256 * Number(value[1]))
    .sort((a, b) => a - b);
}

const sorted = (numbers: readonly number[]): readonly number[] =>
  [...numbers].sort((a, b) => a - b);

networkTest(
  "upgrade under load: no datagram, no flow and no count is lost where maps are shared",
  {},
  async (network, t) => {
    equal(network.attach([first, ...ifaces]).status, 0);
    const [before = 0] = network.programs();
    const { sent, received } = await delivered(network, {
      flows: 16,
      work: async () => {
        await rounds();
        for (const target of [second, second, second]) {
          const upgraded = await network.later(["upgrade", target]);
          equal(upgraded.status, 0, upgraded.stderr);
          match(
            upgraded.stdout,
            /^upgraded edge: n0\n {2}flows: kept as it is\n/,
          );
          await rounds();
        }
      },
    });
    deepEqual(received, sent, "datagrams lost");
    const total = sent.reduce((sum, one) => sum + one, 0);
    ok(total > 500, `${total} sent`);
    deepEqual(counted(network), sorted(sent), "counts lost");
    const [now = 0] = network.programs();
    ok(now !== before && now > 0);
    equal(network.divisi(["status"]).status, 0);
    equal(network.divisi(["detach", "edge"]).status, 0);
    deepEqual(network.programs(), [0]);
    t.diagnostic(
      `${total} datagrams of 16 flows in 3 upgrades: 0 lost, 0 counts lost`,
    );
  },
);

networkTest(
  "upgrade under load: no datagram and no flow is lost where a map is copied",
  {},
  async (network, t) => {
    equal(network.attach([first, ...ifaces]).status, 0);
    let conflicts = 0;
    const { sent, received } = await delivered(network, {
      flows: 16,
      work: async () => {
        await rounds();
        const upgraded = await network.later(["upgrade", bigger, "--json"]);
        equal(upgraded.status, 0, upgraded.stderr);
        const { maps } = JSON.parse(upgraded.stdout) as {
          maps: {
            map: string;
            kind: string;
            copied: number;
            conflicts: number;
          }[];
        };
        const [flows] = maps;
        deepEqual(
          [flows?.map, flows?.kind, flows?.copied],
          ["flows", "migrate", 16],
        );
        conflicts = flows?.conflicts ?? 0;
        await rounds();
      },
    });
    deepEqual(received, sent, "datagrams lost");
    const counts = counted(network);
    equal(counts.length, 16, "flows lost");
    const late =
      sorted(sent).reduce((sum, one) => sum + one, 0) -
      counts.reduce((sum, one) => sum + one, 0);
    // A count can only differ in an entry that both programs changed, which is said.
    ok(
      late >= 0 && (late === 0 || conflicts > 0),
      `${late} counts, ${conflicts} conflicts`,
    );
    t.diagnostic(
      `16 flows, 0 lost; ${conflicts} entries changed by both programs, ${late} of ${sent.reduce((sum, one) => sum + one, 0)} counts in them`,
    );
  },
);

networkTest(
  "a map that grew is copied exactly while nothing changes it",
  {},
  async (network) => {
    equal(network.attach([first, ...ifaces]).status, 0);
    await delivered(network, { flows: 8 });
    const flows = counted(network);
    equal(flows.length, 8);
    const { stdout } = network.divisi(["upgrade", bigger]);
    equal(
      stdout,
      "upgraded edge: n0\n  flows: 8 entries copied, 0 of them changed meanwhile\n",
    );
    deepEqual(counted(network), flows);
  },
);

/** Until the sender has had some rounds. */
function rounds(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 200);
  });
}

networkTest(
  "what cannot be kept is refused before anything is touched",
  {},
  async (network) => {
    equal(network.attach([bigger, ...ifaces]).status, 0);
    await delivered(network, { flows: 8 });
    const before = network.snapshot();
    const flows = counted(network);
    for (const [target, reason] of [
      [wider, "flows: values have 16 bytes, not 8"],
      [smaller, "flows: 8 entries do not fit into 2"],
    ] as const) {
      const { status, stdout } = network.divisi(["upgrade", target]);
      equal(status, 1);
      equal(
        stdout,
        `not upgraded: edge stays as it is\n  ${reason}\n  --discard MAP starts a map afresh\n`,
      );
      equal(network.snapshot(), before);
    }
    deepEqual(counted(network), flows);
    const afresh = network.divisi(["upgrade", wider, "--discard", "flows"]);
    equal(afresh.status, 0, afresh.stderr);
    deepEqual(counted(network), []);
  },
);

networkTest(
  "a program that the verifier rejects leaves the old one",
  {},
  (network) => {
    equal(network.attach([first, ...ifaces]).status, 0);
    const before = network.snapshot();
    const path = program("rejected", {
      license: "none",
      body: 'bpf_printk("x");',
    });
    const directory = join(folder, "rejected");
    // Nobody may not ask the verifier, so split writes it.
    spawnSync("chown", ["-R", "65534", folder]);
    const made = spawnSync(
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
        "split",
        path,
        "-o",
        directory,
        ...words,
      ],
      { encoding: "utf8", env: { ...process.env, TMPDIR: folder } },
    );
    equal(made.status, 0, made.stderr);
    const { status, stderr } = network.divisi(["upgrade", directory]);
    equal(status, 5, stderr);
    match(stderr, /GPL-compatible licence/);
    equal(network.snapshot(), before);
  },
);

/** Drops from the port `lan` on request; as jumbo frames' program or not. */
function twoPorts(name: string, section: string): string {
  const path = join(folder, `${name}.c`);
  writeFileSync(
    path,
    `#include "${join(root, "nfs/c/nf.h")}"
const volatile __u32 lan_ifindex = 1;
const volatile __u32 wan_ifindex = 2;
struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, __be32); __type(value, __u64); __uint(max_entries, 64); } sources SEC(".maps");
SEC("${section}") int ports(struct xdp_md *ctx) {
  struct iphdr *ip = parse_l3(ctx);
  __u64 one = 1, *old;
  if (!ip || ctx->ingress_ifindex != lan_ifindex) return XDP_PASS;
  __be32 key = ip->saddr;
  old = bpf_map_lookup_elem(&sources, &key);
  if (old) (*old)++;
  else bpf_map_update_elem(&sources, &key, &one, BPF_ANY);
  return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
`,
  );
  return split(path, name);
}

networkTest(
  "an interface that refuses: all go back to the old program",
  { pairs: 2 },
  (network) => {
    const frags = twoPorts("frags", "xdp.frags");
    const plain = twoPorts("plain", "xdp");
    network.inNear("ip", "link", "set", "n1", "mtu", "9000");
    network.inFar("ip", "link", "set", "f1", "mtu", "9000");
    const attached = network.attach([
      frags,
      "--iface",
      "n0,n1",
      "--name",
      "edge",
      "--apply-nic",
    ]);
    equal(attached.status, 0, attached.stderr);
    const before = network.snapshot();
    const { status, stderr } = network.divisi(["upgrade", plain]);
    equal(status, 3);
    match(stderr, /link \d+ refused the program: ERANGE/);
    equal(network.snapshot(), before);
    equal(network.divisi(["status"]).status, 0);
  },
);

networkTest(
  "killed at any step: undo leaves the old program, or the new one once it is recorded",
  { pairs: 1 },
  (network) => {
    equal(network.attach([first, ...ifaces]).status, 0);
    const before = network.snapshot();
    const [old = 0] = network.programs();
    let isNew = false;
    for (let step = 1; !isNew || step < 5; step++) {
      const { stdout } = network.divisi(["upgrade", bigger, "--name", "edge"], {
        DIVISI_TEST_KILL: String(step),
      });
      ok((network.programs()[0] ?? 0) > 0, `step ${step}: something enforces`);
      const undone = network.divisi(["undo"]);
      equal(undone.status, 0, `step ${step}: ${undone.stdout}`);
      equal(
        network.divisi(["status"]).status,
        0,
        `step ${step}: healthy after undo`,
      );
      const [now = 0] = network.programs();
      if (now === old) {
        ok(!isNew, `step ${step}: old again`);
        equal(network.snapshot(), before, `step ${step}`);
        ok(stdout === "");
      } else {
        isNew = true;
        deepEqual(
          JSON.parse(network.snapshot()).mounts.length,
          1,
          `step ${step}`,
        );
        equal(network.divisi(["upgrade", first, "--name", "edge"]).status, 0);
        return;
      }
    }
  },
);

after(() => {
  rmSync(folder, { recursive: true, force: true });
});
