/**
 * What the command line says of a network function with long keys: in 80 columns;
 * and of lines that no packet reached: each once, with what may reach it.
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { divisi, temporaryFolder } from "./support/cli.ts";

const folder = temporaryFolder("width");
writeFileSync(
  join(folder, "six.ts"),
  `import { be16, be64, drop, hashMap, nf, out, struct, u64, u8 } from "divisi/nf";
import type { Ipv6Header, Ports, ValueOf } from "divisi/nf";
const Flow6 = struct("flow6", { sh: be64, sl: be64, dh: be64, dl: be64, sp: be16, dp: be16, vlan: be16, proto: u8 });
type Flow6 = ValueOf<typeof Flow6>;
function there(ip: Ipv6Header, l4: Ports, vlan: number): Flow6 {
  return Flow6({ sh: ip.srcHigh, sl: ip.srcLow, dh: ip.dstHigh, dl: ip.dstLow, sp: l4.sport, dp: l4.dport, vlan: vlan & 0xfff, proto: ip.nextHeader });
}
function back(ip: Ipv6Header, l4: Ports, vlan: number): Flow6 {
  return Flow6({ sh: ip.dstHigh, sl: ip.dstLow, dh: ip.srcHigh, dl: ip.srcLow, sp: l4.dport, dp: l4.sport, vlan: vlan & 0xfff, proto: ip.nextHeader });
}
const Life = struct("life", { last: u64 });
export default nf({ name: "six", ports: ["in", "outside"], config: { expiry: u64(30_000_000_000n) },
  state: { flows: hashMap({ key: Flow6, value: Life, capacity: 4096 }) },
  handle(pkt, ctx) {
    const { flows } = ctx.state;
    const tag = pkt.vlan;
    let vlan = 0;
    let ip = pkt.ipv6;
    if (tag !== undefined) { vlan = tag.id; ip = tag.ipv6; }
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    if (ctx.port === 0) { flows.set(there(ip, l4, vlan), { last: ctx.now }); return out(1); }
    const known = flows.get(back(ip, l4, vlan));
    if (known === undefined) return drop;
    if (u64(ctx.now - known.last) > ctx.config.expiry) { flows.delete(back(ip, l4, vlan)); return drop; }
    return out(0);
  } });
`,
);

for (const words of [["analyze"], ["analyze", "-v"], ["inspect"]])
  test(`${words.join(" ")}: 80 columns, nothing lost`, () => {
    const run = divisi([...words, "six.ts"], { cwd: folder });
    equal(run.status, 0, run.stderr);
    const lines = run.stdout.split("\n");
    deepEqual(
      lines.filter((line) => line.length > 80),
      [],
    );
    match(
      run.stdout.replaceAll(/\s+/g, " "),
      words[0] === "inspect"
        ? /six xdp xdp \d+ instructions in \d+ slots .* \.rodata array key 4 B, value 8 B, 1 entries, read-only/
        : /key \{ipv6\.dst, ipv6\.src, l4\.dport, l4\.sport, ipv6\.next-header\} \(ifindex 2, IPv6, TCP or UDP, no fragment\) lookup.* l4\.sport, vlan\.id, ipv6\.next-header\} \(ifindex 2, IPv6, TCP or UDP, 1 VLAN tag, no fragment\) lookup/,
    );
  });

function split(file: string, ...flags: readonly string[]) {
  // prettier-ignore
  return divisi(["split", file, "--cores", "4", "--trace", "gen:bidirectional,packets=2k", "-o", "out", "--force", ...flags], { cwd: folder });
}

test("a program of IPv6 is covered although the trace has none", () => {
  const run = split("six.ts");
  equal(run.status, 0, run.stdout);
});

writeFileSync(
  join(folder, "late.ts"),
  `import { be32, drop, hashMap, nf, pass, struct, u64 } from "divisi/nf";
const Seen = struct("seen", { packets: u64 });
export default nf({
  name: "late",
  state: () => ({
    sources: hashMap({ key: be32, value: Seen, capacity: 64 }),
    heavy: hashMap({ key: be32, value: Seen, capacity: 64 }),
  }),
  handle(pkt, ctx) {
    const ip = pkt.ipv4;
    if (ip === undefined) return pass;
    const { sources, heavy } = ctx.state;
    const seen = sources.get(ip.src);
    if (seen === undefined) { sources.insert(ip.src, { packets: 1n }); return pass; }
    seen.packets = u64(seen.packets + 1n);
    if (seen.packets < 1000000n) return pass;
    heavy.set(ip.src, { packets: 1n });
    return drop;
  } });
`,
);

test("what packets leave unreached is told once a line, with a remedy", () => {
  const run = split("late.ts");
  equal(run.status, 1, run.stderr);
  const said = run.stdout.replaceAll(/\s+/g, " ");
  match(
    said,
    /no packet reached heavy at late\.ts:17; --trace gen:coverage or a capture of such packets may reach it; --allow-untested accepts it as it is/,
  );
  match(said, /weak: state access never reached: heavy at late\.ts:17/);
  equal(split("late.ts", "--allow-untested").status, 0);
});
