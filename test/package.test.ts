/**
 * The packed tarball in the hands of a user who has nothing: no privilege, no
 * clang, no bpftool, no `bpf(2)`, no optional dependency; an object of his own.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { root, temporaryFolder } from "./support/cli.ts";

const source = `
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4096);
         __type(key, __u32); __type(value, __u64); } per_destination SEC(".maps");

SEC("xdp") int limit(struct xdp_md *ctx)
{
  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  struct iphdr *ip = (void *)(eth + 1);
  if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
    return XDP_PASS;
  __u32 key = ip->daddr;
  __u64 one = 1, *count = bpf_map_lookup_elem(&per_destination, &key);
  if (!count) {
    bpf_map_update_elem(&per_destination, &key, &one, BPF_ANY);
    return XDP_PASS;
  }
  *count += 1;
  return *count > 20 ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
`;

test("installed from the tarball, as nobody, with nothing else", () => {
  const folder = temporaryFolder("package");
  chmodSync(folder, 0o755);
  const sh = (
    command: string,
    words: readonly string[],
    cwd: string,
  ): string => {
    const run = spawnSync(command, words, { cwd, encoding: "utf8" });
    equal(run.status, 0, `${command} ${words.join(" ")}\n${run.stderr}`);
    return run.stdout;
  };
  sh("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], root);
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  ok(tarball !== undefined);
  const home = join(folder, "home");
  mkdirSync(home);
  writeFileSync(join(home, "package.json"), "{}");
  // prettier-ignore
  sh("npm", ["install", "--prefer-offline", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", join(folder, tarball)], home);
  writeFileSync(join(home, "limit.c"), source);
  // prettier-ignore
  sh("clang", ["-O2", "-g", "-target", "bpf", "-D__x86_64__", "-c", "limit.c", "-o", "limit.o"], home);

  const bin = join(folder, "bin");
  mkdirSync(bin);
  symlinkSync(process.execPath, join(bin, "node"));
  const nobody = 65534;
  chownSync(home, nobody, nobody);
  const run = spawnSync(
    join(home, "node_modules/.bin/divisi"),
    ["split", "limit.o", "--cores", "4", "-o", "out"],
    {
      cwd: home,
      uid: nobody,
      gid: nobody,
      env: { PATH: bin, HOME: home, NO_COLOR: "1", TMPDIR: "/tmp" },
      encoding: "utf8",
      timeout: 60_000,
    },
  );
  equal(run.status, 0, `${run.stderr}${run.stdout}`);
  match(run.stdout, /verifier +not asked/);
  const lines = run.stdout.trimEnd().split("\n");
  ok(lines.length <= 30, `${lines.length} lines`);
  deepEqual(
    lines.filter((line) => line.length > 80),
    [],
  );
  const certificate = JSON.parse(
    readFileSync(join(home, "out/certificate.json"), "utf8"),
  ) as { verifier: string; tested: { strength: string; mismatches: number } };
  match(certificate.verifier, /^not asked/);
  deepEqual(
    [certificate.tested.strength, certificate.tested.mismatches],
    ["strong", 0],
  );
});
