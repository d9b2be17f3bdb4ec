/**
 * The packed tarball in the hands of a user who has nothing: no privilege, no
 * clang, no bpftool, no `bpf(2)`, no optional dependency; an object of his own, and
 * a network function of his own.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
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

const counting = `
import { struct, u32, u64 } from "divisi/nf";
import type { ValueOf } from "divisi/nf";
export const Count = struct("count", { packets: u32, bytes: u64 });
export type Count = ValueOf<typeof Count>;
export function add(count: Count, bytes: number): void {
  count.packets = u32(count.packets + 1);
  count.bytes = u64(count.bytes + u64(bytes));
}
`;

const mine = `
import { be32, drop, hashMap, nf, pass, u32 } from "divisi/nf";
import { add, Count } from "./shared/counting.ts";
export default nf({
  name: "mine",
  config: { limit: u32(20) },
  state: { sources: hashMap({ key: be32, value: Count, capacity: 65_536 }) },
  handle(pkt, ctx) {
    const ip = pkt.ipv4;
    if (ip === undefined) return pass;
    const count = ctx.state.sources.get(ip.src);
    if (count === undefined) {
      ctx.state.sources.insert(ip.src, { packets: 1, bytes: 0n });
      return pass;
    }
    add(count, pkt.length);
    return count.packets > ctx.config.limit ? drop : pass;
  },
});
`;

const folder = temporaryFolder("package");
chmodSync(folder, 0o755);
const home = join(folder, "home");
const bin = join(folder, "bin");
const nobody = 65534;

function sh(command: string, words: readonly string[], cwd: string): string {
  const run = spawnSync(command, words, { cwd, encoding: "utf8" });
  equal(run.status, 0, `${command} ${words.join(" ")}\n${run.stderr}`);
  return run.stdout;
}

/** The installed command, as nobody, with nothing but node on the path. */
function divisi(...words: readonly string[]) {
  return spawnSync(join(home, "node_modules/.bin/divisi"), words, {
    cwd: home,
    uid: nobody,
    gid: nobody,
    env: { PATH: bin, HOME: home, NO_COLOR: "1", TMPDIR: "/tmp" },
    encoding: "utf8",
    timeout: 60_000,
  });
}

interface Certified {
  readonly verifier: string;
  readonly tested: { readonly strength: string; readonly mismatches: number };
}

function certificateOf(output: string): Certified {
  const path = join(home, output, "certificate.json");
  return JSON.parse(readFileSync(path, "utf8")) as Certified;
}

let packed: readonly string[] = [];

test("packed, and installed without scripts and optional dependencies", () => {
  const [answer] = JSON.parse(
    // prettier-ignore
    sh("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], root),
  ) as readonly [
    {
      readonly filename: string;
      readonly files: readonly { readonly path: string }[];
    },
  ];
  packed = answer.files.map(({ path }) => path);
  mkdirSync(home);
  writeFileSync(join(home, "package.json"), "{}");
  // prettier-ignore
  sh("npm", ["install", "--prefer-offline", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", join(folder, answer.filename)], home);
  mkdirSync(bin);
  symlinkSync(process.execPath, join(bin, "node"));
  chownSync(home, nobody, nobody);
});

test("what is packed: what runs, what is compiled from source, what is to read", () => {
  const wanted = [
    "dist/cli/main.js",
    "dist/compile.js",
    "dist/index.d.ts",
    "dist/nf/library/index.d.ts",
    "dist/nf/library/index.js",
    "nfs/c/firewall.c",
    "nfs/c/firewall.o",
    "nfs/starter/limiter.test.ts",
    "nfs/starter/limiter.ts",
    "nfs/ts/firewall.ts",
    "src/nf/library/chain.ts",
    "src/nf/library/index.ts",
    "README.md",
  ];
  deepEqual(
    wanted.filter((path) => !packed.includes(path)),
    [],
  );
  const unwanted =
    /^(test|testdata|bench|scripts|docs|dist-dev)\/|^dist\/.*\.test\.|^src\/(?!nf\/library\/)|^src\/.*\.test\.|tsbuildinfo/;
  deepEqual(
    packed.filter((path) => unwanted.test(path)),
    [],
  );
});

test("an object of his own, as nobody, with nothing else", () => {
  writeFileSync(join(home, "limit.c"), source);
  // prettier-ignore
  sh("clang", ["-O2", "-g", "-target", "bpf", "-D__x86_64__", "-c", "limit.c", "-o", "limit.o"], home);
  const run = divisi("split", "limit.o", "--cores", "4", "-o", "out");
  equal(run.status, 0, `${run.stderr}${run.stdout}`);
  match(run.stdout, /verifier +not asked/);
  const lines = run.stdout.trimEnd().split("\n");
  ok(lines.length <= 30, `${lines.length} lines`);
  deepEqual(
    lines.filter((line) => line.length > 80),
    [],
  );
  const { verifier, tested } = certificateOf("out");
  match(verifier, /^not asked/);
  deepEqual([tested.strength, tested.mismatches], ["strong", 0]);
});

test("a network function of his own in TypeScript, in two files", () => {
  mkdirSync(join(home, "shared"));
  writeFileSync(join(home, "shared/counting.ts"), counting);
  writeFileSync(join(home, "mine.ts"), mine);
  const run = divisi("split", "mine.ts", "--cores", "4", "-o", "mine");
  equal(run.status, 0, `${run.stderr}${run.stdout}`);
  const { tested } = certificateOf("mine");
  deepEqual([tested.strength, tested.mismatches], ["strong", 0]);
  const plan = JSON.parse(
    readFileSync(join(home, "mine/plan.json"), "utf8"),
  ) as { input: { file: string; imports: readonly { file: string }[] } };
  deepEqual(
    [plan.input.file, ...plan.input.imports.map(({ file }) => file)],
    ["mine.ts", "shared/counting.ts"],
  );
  // The same texts in a checkout give the same bytes.
  const built = divisi("build", "mine.ts", "-o", "mine.o");
  equal(built.status, 0, built.stderr);
  // prettier-ignore
  sh(process.execPath, [join(root, "dist/cli/main.js"), "build", join(home, "mine.ts"), "-o", join(folder, "here.o")], root);
  deepEqual(
    readFileSync(join(home, "mine.o")),
    readFileSync(join(folder, "here.o")),
  );
});

test("a starter of his own, its test run", () => {
  const run = divisi("new", "own");
  equal(run.status, 0, run.stderr);
  equal(divisi("build", "own/own.ts", "-o", "own.o").status, 0);
});
