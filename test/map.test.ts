/**
 * map get, set, dump and load through the spawned command line: split maps as the
 * original program's, in bpftool's form both ways.
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
const folder = temporaryFolder("map");
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A map that becomes a copy per CPU, one that stays, one per CPU by itself. */
const source = `#include "${join(root, "nfs/c/nf.h")}"
struct total { __u64 packets; __u32 small; __u32 other; };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, __u32); __type(value, struct total); __uint(max_entries, 2); } totals SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, __be32); __type(value, __u64); __uint(max_entries, 64); } sources SEC(".maps");
SEC("xdp") int count(struct xdp_md *ctx) {
  struct iphdr *ip = parse_l3(ctx);
  __u32 zero = 0;
  struct total *total;
  __u64 *old, one = 1;
  if (!ip || ip->protocol != IPPROTO_UDP) return XDP_PASS;
  total = bpf_map_lookup_elem(&totals, &zero);
  if (total) { __sync_fetch_and_add(&total->packets, 1); __sync_fetch_and_add(&total->small, 3); }
  __be32 key = ip->saddr;
  old = bpf_map_lookup_elem(&sources, &key);
  if (old) (*old)++;
  else bpf_map_update_elem(&sources, &key, &one, BPF_ANY);
  return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
`;

void test("maps are seen and written as the original program's", async (t) => {
  if (absence !== undefined) {
    t.skip(absence);
    return;
  }
  const path = join(folder, "count.c");
  const directory = join(folder, "count");
  writeFileSync(path, source);
  // prettier-ignore
  const made = divisi(["split", path, "-o", directory, "--cores", "2", "--strategy", "totals=merge", "--allow-untested", "--trace", "gen:uniform,packets=300"]);
  equal(made.status, 0, made.stderr + made.stdout);
  const network = new Network();
  try {
    const attached = network.attach([
      directory,
      "--iface",
      "n0",
      "--apply-nic",
    ]);
    equal(attached.status, 0, attached.stderr);
    const { sent } = await delivered(network);
    const total = sent.reduce((sum, one) => sum + one, 0);
    ok(total > 0);
    const map = (...words: readonly string[]) => {
      const [verb = "", ...rest] = words;
      return network.divisi(["map", verb, "count", ...rest]);
    };

    // Merged: one value, the sum of the copies.
    equal(
      map("get", "totals", "=0").stdout,
      `00 00 00 00 (0)  →  packets=${total} small=${3 * total} other=0\n`,
    );
    const pinned = `${network.pinRoot}/divisi/count/map-totals`;
    const copies = bpftool("map", "dump", "-j", "pinned", pinned) as {
      values: unknown[];
    }[];
    ok((copies[0]?.values.length ?? 0) > 1, "the map has copies");
    equal(
      map(
        "set",
        "totals",
        "key",
        "=0",
        "value",
        "packets=4294967300",
        "small=-1",
      ).stdout,
      "00 00 00 00 (0)  →  packets=4294967300 small=4294967295 other=0\n",
    );
    equal(
      map("get", "totals", "0x00000000").stdout,
      "00 00 00 00 (0)  →  packets=4294967300 small=4294967295 other=0\n",
    );
    // Members that are not named stay.
    equal(
      map("set", "totals", "key", "=0", "value", "packets=6").stdout,
      "00 00 00 00 (0)  →  packets=6 small=4294967295 other=0\n",
    );
    equal(
      map("dump", "totals").stdout.split("\n").at(-2),
      "totals: 2 entries, summed over a copy per CPU",
    );

    // Shared: as it is; keys in every notation.
    for (const key of [
      ["0a", "4d", "00", "02"],
      ["0x0a4d0002"],
      ["10.77.0.2"],
      ["=33574154"],
    ])
      equal(
        map("get", "sources", ...key).stdout,
        `0a 4d 00 02 (33574154)  →  ${hex64(total)} (${total})\n`,
      );
    const missing = map("get", "sources", "1.2.3.4");
    deepEqual(
      [missing.status, missing.stdout],
      [1, "sources has no such key\n"],
    );

    // What bpftool prints is read, and what is printed bpftool would print.
    const dump = JSON.parse(map("dump", "sources", "--json").stdout) as {
      sources: Record<string, unknown>[];
    };
    const theirs = bpftool(
      "map",
      "dump",
      "-j",
      "pinned",
      `${network.pinRoot}/divisi/count/map-sources`,
    ) as Record<string, unknown>[];
    deepEqual(dump.sources, theirs);
    const file = join(folder, "sources.json");
    writeFileSync(file, JSON.stringify(dump));
    equal(map("set", "sources", "10.77.0.2", "value", "=7").status, 0);
    equal(
      map("load", "sources", file).stdout,
      "sources: 1 entry written; others stay\n",
    );
    equal(
      map("get", "sources", "10.77.0.2").stdout,
      `0a 4d 00 02 (33574154)  →  ${hex64(total)} (${total})\n`,
    );
    writeFileSync(
      file,
      JSON.stringify([
        {
          key: ["0x01", "0x02", "0x03", "0x04"],
          value: ["0x05", "0", "0", "0", "0", "0", "0", "0"],
        },
      ]),
    );
    equal(map("load", "sources", file).status, 0);
    match(
      map("dump", "sources").stdout,
      /^01 02 03 04 \(67305985\) {2}→ {2}05 00 00 00 00 00 00 00 \(5\)\n0a 4d 00 02/,
    );

    for (const [words, said] of [
      [
        ["get", "souces", "=0"],
        "divisi: count has no map souces\n  did you mean sources?\n",
      ],
      [
        ["get", "sources", "0a"],
        "divisi: the key has 4 bytes, 1 are given\n  like 0x00000000, or =0\n",
      ],
      [
        ["set", "totals", "=0", "value", "packet=1"],
        "divisi: the value has no member packet\n  did you mean packets?\n",
      ],
      [
        ["set", "totals", "=0", "value", "small=4294967296"],
        "divisi: small=4294967296 does not fit into 32 bits\n",
      ],
      [
        ["set", "sources", "10.77.0.2", "value", "10"],
        "divisi: value 10: a number, or bytes in hex?\n  value =10 is the number\n",
      ],
      [
        ["set", "sources", "key", "10770002", "value", "=1"],
        "divisi: key 10770002: a number, or bytes in hex?\n  key =10770002 is the number, key 0x10770002 the bytes\n",
      ],
      [
        ["set", "totals", "=0", "value", "5"],
        "divisi: value 5: a number, or bytes in hex?\n  value packets=5 is the number\n",
      ],
      [
        ["set", "totals", "=0"],
        "divisi: the value is missing\n  divisi map set NAME MAP key KEY value VALUE\n",
      ],
    ] as const) {
      const { status, stderr } = map(...words);
      deepEqual([status, stderr], [2, said]);
    }
    const unknown = network.divisi(["map", "dump", "cuont", "sources"]);
    deepEqual(
      [unknown.status, unknown.stderr],
      [2, "divisi: nothing called cuont is attached\n  did you mean count?\n"],
    );
  } finally {
    network.close();
  }
});

function hex64(value: number): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes.toString("hex").replace(/(?<=.)(?=(..)+$)/g, " ");
}

function bpftool(...words: readonly string[]): unknown {
  return JSON.parse(String(spawnSync("bpftool", words).stdout));
}
