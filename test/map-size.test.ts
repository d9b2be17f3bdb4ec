/**
 * What an object leaves to its loader: the size of a map, values of the kernel's
 * configuration. Every engine sees the same, and what is told is written out.
 */
import { equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { readObject } from "#object";
import { divisi, temporaryFolder } from "./support/cli.ts";

const folder = temporaryFolder("map-size");
after(() => {
  rmSync(folder, { recursive: true });
});
const source = join(folder, "unsized.c");
writeFileSync(
  source,
  `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
extern int LINUX_KERNEL_VERSION __kconfig;
extern int CONFIG_NO_SUCH_THING __kconfig __weak;
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps");
SEC("xdp") int entry(struct xdp_md *ctx) {
  __u32 key = 7;
  __u64 one = 1, *count;
  if (LINUX_KERNEL_VERSION < 0x10000 || CONFIG_NO_SUCH_THING)
    return XDP_ABORTED;
  count = bpf_map_lookup_elem(&counts, &key);
  if (!count)
    return bpf_map_update_elem(&counts, &key, &one, BPF_ANY) ? XDP_DROP : XDP_TX;
  __sync_fetch_and_add(count, 1);
  return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
`,
);
const hasClang = spawnSync("clang", ["--version"]).status === 0;
const skip =
  hasClang && process.platform === "linux" ? false : "needs clang and Linux";

test(
  "a map without a size has one, and configuration is known",
  { skip },
  () => {
    const trace = ["--trace", "gen:uniform,packets=100"];
    const run = divisi(["run", source, ...trace, "--json"]);
    equal(run.status, 0, run.stderr);
    // The first packet makes the cell; without a size every update would fail.
    const { verdicts } = JSON.parse(run.stdout) as { verdicts: object };
    equal(JSON.stringify(verdicts), '{"tx":1,"pass":99}');
    const output = join(folder, "out");
    const given = ["--map-size", "counts=64", "--allow-untested"];
    // As a table it would be one entry of an array per core.
    given.push("--layout", "shared");
    const split = divisi(["split", source, "-o", output, ...trace, ...given]);
    equal(split.status, 0, split.stderr);
    const core = readObject(readFileSync(join(output, "core.o")), "core.o");
    equal(core.maps.find(({ name }) => name === "counts")?.maxEntries, 64);
    ok(!/not asked: values of/.test(split.stdout), split.stdout);
    equal(divisi(["check", output, "--allow-untested"]).status, 0);
    const again = divisi(["run", output, ...trace, "--map-size", "counts=9"]);
    equal(again.status, 2);
    match(again.stderr, /--map-size is for a program/);
  },
);

test("sizes that are none, of maps that are none", () => {
  const cases = [
    [
      "bukets=9",
      "divisi: nfs/c/policer.o: there is no map bukets\n  did you mean buckets?\n",
    ],
    [
      "buckets=0",
      "divisi: --map-size buckets: a number of entries is expected, not 0\n",
    ],
    ["buckets", "divisi: --map-size takes NAME=VALUE; not buckets\n"],
  ] as const;
  for (const [word, says] of cases) {
    const run = divisi(["inspect", "nfs/c/policer.o", "--map-size", word]);
    equal(run.stderr, says);
    equal(run.status, 2);
  }
  const sized = divisi([
    "inspect",
    "nfs/c/policer.o",
    "--map-size",
    "buckets=9",
  ]);
  match(sized.stdout, /buckets .* 9 entries/);
});
