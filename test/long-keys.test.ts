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
        : /key \{ipv6\.dst, ipv6\.src, l4\.dport, l4\.sport, vlan\.id, ipv6\.next-header\} \(ifindex 2, IPv6, TCP or UDP, no fragment\) lookup/,
    );
  });

function split(trace: string) {
  // prettier-ignore
  return divisi(["split", "six.ts", "--cores", "4", "--trace", trace, "-o", "out", "--force"], { cwd: folder });
}

test("what IPv4 traffic leaves unreached is told once a line, with a remedy", () => {
  const run = split("gen:bidirectional,packets=2k");
  equal(run.status, 1, run.stderr);
  const said = run.stdout.replaceAll(/\s+/g, " ");
  match(
    said,
    /no packet reached flows at six\.ts:26 \(4 accesses\), ports at six\.ts:27; --trace gen:coverage or a capture of such packets may reach it; --allow-untested accepts it as it is/,
  );
  match(
    said,
    /weak: state access never reached: flows at six\.ts:26 \(4 accesses\); state access never reached: ports/,
  );
  equal(split("gen:coverage").status, 0);
});
