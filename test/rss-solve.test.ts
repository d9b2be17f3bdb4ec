/**
 * `divisi rss solve` on every row of the null-space table, as a user types it: 96
 * input bits, 512 entries. Free bits and reachable entries, full and index mode.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import { divisi } from "./support/cli.ts";

const tuple = "ipv4.src,ipv4.dst,l4.sport,l4.dport";
const firewall =
  "lan:ipv4.src=wan:ipv4.dst,lan:ipv4.dst=wan:ipv4.src,lan:l4.sport=wan:l4.dport,lan:l4.dport=wan:l4.sport";

// prettier-ignore
const rows: readonly (readonly [string, readonly string[], string, string])[] = [
  ["none", ["none"], "127 512", "127 512"],
  ["fw, two swapped keys", [firewall], "34 512", "126 512"],
  ["one port symmetric", [tuple, "--swap"], "17 512", "63 512"],
  ["(sip,dip)", ["ipv4.src,ipv4.dst"], "64 512", "87 512"],
  ["sip", ["ipv4.src"], "32 512", "55 512"],
  ["dip", ["ipv4.dst"], "1 512", "47 512"],
  ["sport", ["l4.sport"], "0 1", "31 512"],
  ["dport", ["l4.dport"], "16 512", "39 512"],
  ["(dip,dport)", ["ipv4.dst,l4.dport"], "17 512", "63 512"],
  ["nat, two keys", ["lan:ipv4.dst=wan:ipv4.src,lan:l4.dport=wan:l4.sport"], "1 512", "78 512"],
  ["wan dip = lan sip", ["wan:ipv4.dst=lan:ipv4.src"], "1 512", "70 512"],
  ["sip /28", ["ipv4.src/28"], "28 32", "51 512"],
  ["sip /24", ["ipv4.src/24"], "24 2", "47 512"],
  ["sip /23", ["ipv4.src/23"], "23 1", "46 512"],
  ["sip /8", ["ipv4.src/8"], "8 1", "31 256"],
  ["dip /16", ["ipv4.dst/16"], "0 1", "31 512"],
  ["r3", ["ipv4.src", "--fields", "ipv4.dst"], "0 1", "23 1"],
];

interface Solved {
  freeBits: number;
  entries: number;
  mode: string;
  keys: string[];
  ms: number;
}

for (const [name, words, full, index] of rows)
  test(`rss solve: ${name}`, () => {
    const have = ["full", "index"].map((mode) => {
      // prettier-ignore
      const run = divisi(["rss", "solve", "--fields", ...words, "--hash", "sdfn", "--nic", "e810", "--cores", "2", "--mode", mode, "--json"]);
      ok(run.status === 0 || run.status === 1, run.stderr);
      const { freeBits, entries } = JSON.parse(run.stdout) as Solved;
      return `${freeBits} ${entries}`;
    });
    deepEqual(have, [full, index]);
  });

// prettier-ignore
const refused: readonly (readonly [words: readonly string[], says: string])[] = [
  [["--fields", "l4.sport", "--nic", "ena"], "no: a Toeplitz hash of 128 entries is constant under these conditions when all 32 bits must agree [degenerate]\n  --mode index leaves far more keys, if the low bits of the hash index the table\n"],
  [["--fields", "l4.sport", "--nic", "generic", "--mode", "full"], "no: a Toeplitz hash of 128 entries is constant under these conditions when all 32 bits must agree [degenerate]\n  --mode index leaves far more keys\n"],
  [["--fields", "ipv4.src", "--nic", "ixgbe", "--cores", "300"], "no: ixgbe spreads over 16 queues at most, fewer than 300 cores [too-few-queues]\n  use at most 16 cores, or dispatch in software: an XDP program hashes the true key and redirects to a CPU map\n"],
  [["--fields", "ipv4.src", "--nic", "ixgbe", "--cores", "17"], "no: ixgbe spreads over 16 queues at most, fewer than 17 cores [too-few-queues]\n  use at most 16 cores, or dispatch in software: an XDP program hashes the true key and redirects to a CPU map\n"],
];

for (const [words, says] of refused)
  test(`a no prints no command: rss solve ${words.join(" ")}`, () => {
    const run = divisi(["rss", "solve", ...words]);
    deepEqual([run.status, run.stdout], [1, says]);
  });

test("what the refusals advise is answered", () => {
  for (const words of [
    ["--fields", "l4.sport", "--nic", "ena", "--mode", "index"],
    ["--fields", "ipv4.src", "--nic", "ixgbe", "--cores", "16"],
  ]) {
    const run = divisi(["rss", "solve", ...words]);
    equal(run.status, 0, run.stdout);
    match(run.stdout, /^table {6}ethtool -X IFACE /m);
  }
});

test("rss queue: the two published vectors", () => {
  const key =
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa";
  // prettier-ignore
  const run = divisi(["rss", "queue", "--key", key, "66.9.149.187:2794>161.142.100.80:1766", "66.9.149.187>161.142.100.80"]);
  equal(run.status, 0, run.stderr);
  match(run.stdout, /hash 0x51ccc178[\s\S]*hash 0x323e8fc2/);
});
