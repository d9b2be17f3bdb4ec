/**
 * The TypeScript network functions that keep flows do what their headers say, run
 * as plain JavaScript: who may answer, expiry to the nanosecond, full tables,
 * rewritten addresses with right checksums.
 */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { buildFrame, type FrameSpec } from "#packet";
import { ipv4 } from "divisi/nf";
import ctrnat from "../nfs/ts/ctrnat.ts";
import firewall from "../nfs/ts/firewall.ts";
import nat from "../nfs/ts/nat.ts";
import proxy from "../nfs/ts/proxy.ts";
import {
  answer,
  dropped,
  expectFrame,
  expectVerdicts,
  inside,
  lan,
  second,
  server,
  session,
  tcp,
  udp,
  wan,
  withOptions,
  type Step,
} from "./support/nf.ts";

const external = "203.0.113.1";
const toWan = { dst: "02:00:00:00:00:12", src: "02:00:00:00:00:02" };
const toLan = { dst: "02:00:00:00:00:11", src: "02:00:00:00:00:01" };

test("firewall: answers only to what the LAN began, until it expires", () => {
  const flow = tcp(4000, 80);
  const back = answer(flow);
  const to = session(firewall);
  expectVerdicts(to, [
    ["not begun", back, "drop", wan, 0n],
    ["begun", flow, "out 1", lan, 0n],
    ["another port", answer(tcp(4000, 81)), "drop", wan, 0n],
    ["another protocol", answer(udp(4000, 80)), "drop", wan, 0n],
    ["the same direction", flow, "drop", wan, 0n],
    ["to the nanosecond", back, "out 0", wan, 100n * second],
    ["refreshed", withOptions(back), "out 0", wan, 200n * second],
    ["gone", back, "drop", wan, 300n * second + 1n],
  ]);
  deepEqual(to.words("flows"), []);
  expectVerdicts(to, [
    ["again", flow, "out 1", lan, 301n * second],
    ["overwritten in place", flow, "out 1", lan, 500n * second],
    ["and answered", back, "out 0", wan, 600n * second],
  ]);
  deepEqual(to.words("flows"), [
    "0a000001c0a800090fa0005006000000 0070c9b28b0000000000000000000000",
  ]);
});

test("firewall: MACs of the out port; what is no whole TCP or UDP packet drops", () => {
  const flow = withOptions(udp(4000, 53));
  const to = session(firewall);
  expectFrame(to, ["there", flow, "out 1", lan], { ...flow, eth: toWan });
  const back = answer(flow);
  expectFrame(to, ["back", back, "out 0", wan], { ...back, eth: toLan });
  expectVerdicts(to, [...dropped(lan), ...dropped(wan)]);
  equal(to.words("flows").length, 1);
});

test("firewall: a full table forwards untracked", () => {
  const to = session(firewall);
  const { flows } = to.instance.state;
  const key = {
    destination: 0,
    source_port: 0,
    destination_port: 0,
    protocol: 6,
  };
  for (let source = 0; source < 65_536; source++)
    flows.set({ ...key, source }, { last: 0n, port: lan });
  expectVerdicts(to, [
    ["there", tcp(4000, 80), "out 1", lan],
    ["no way back", answer(tcp(4000, 80)), "drop", wan],
  ]);
  equal(to.words("flows").length, 65_536);
});

test("nat: one outside address, a port for each flow", () => {
  const to = session(nat, { start_port: 10_000 });
  const first = tcp(4000, 80);
  const other = withOptions(udp(4000, 80));
  const rewritten = (frame: FrameSpec, sport: number): FrameSpec => ({
    ...frame,
    eth: toWan,
    ipv4: { ...frame.ipv4, src: external, dst: server },
    ...(frame.tcp && { tcp: { ...frame.tcp, sport } }),
    ...(frame.udp && { udp: { ...frame.udp, sport } }),
  });
  for (const time of [0n, 1n])
    expectFrame(
      to,
      ["the first flow", first, "out 1", lan, time],
      rewritten(first, 10_000),
    );
  expectFrame(
    to,
    ["the second", other, "out 1", lan, 2n],
    rewritten(other, 10_001),
  );
  for (const [flow, port] of [
    [first, 10_000],
    [other, 10_001],
  ] as const) {
    const back = answer(flow);
    expectFrame(
      to,
      ["its answer", answer(rewritten(flow, port)), "out 0", wan, 3n],
      { ...back, eth: toLan },
    );
  }
  const reply = (dport: number): FrameSpec => ({
    ipv4: { src: server, dst: external },
    tcp: { sport: 80, dport },
  });
  expectVerdicts(to, [
    ["below start_port", reply(9_999), "drop", wan],
    ["not allocated", reply(10_002), "drop", wan],
    ["another protocol", reply(10_001), "drop", wan],
    [
      "another server port",
      { ...reply(0), tcp: { sport: 81, dport: 10_000 } },
      "drop",
      wan,
    ],
    [
      "another server",
      { ...reply(10_000), ipv4: { src: "192.168.0.8", dst: external } },
      "drop",
      wan,
    ],
    [
      "any destination address",
      { ...reply(10_000), ipv4: { src: server, dst: "203.0.113.7" } },
      "out 0",
      wan,
    ],
    ...dropped(lan),
    ...dropped(wan),
  ]);
  equal(to.words("flows").length, 2);
});

test("nat: a UDP checksum of zero stays, a wrong one stays wrong by as much", () => {
  const to = session(nat, { external_ip: ipv4("198.51.100.7") });
  const flow: FrameSpec = {
    ipv4: { src: inside, dst: server },
    udp: { sport: 4000, dport: 53, checksum: "none" },
  };
  expectFrame(to, ["no checksum", flow, "out 1", lan], {
    eth: toWan,
    ipv4: { src: "198.51.100.7", dst: server },
    udp: { sport: 0, dport: 53, checksum: "none" },
  });
  const broken = buildFrame(tcp(4000, 80));
  const right = session(nat).send(broken.slice(), lan).frame;
  broken[51] = (broken[51] ?? 0) + 1;
  const sent = session(nat).send(broken, lan).frame;
  right[51] = (right[51] ?? 0) + 1;
  deepEqual(sent, right);
});

test("nat: a full table drops new flows; an expired index is given out again", () => {
  const to = session(nat, { capacity: 2, expiry: 100n, start_port: 7 });
  const reply = (frame: FrameSpec, dport: number): FrameSpec => ({
    ipv4: { src: server, dst: external },
    tcp: { sport: frame.tcp?.dport ?? 0, dport },
  });
  expectVerdicts(to, [
    ["first", tcp(1, 80), "out 1", lan, 0n],
    ["second", tcp(2, 80), "out 1", lan, 10n],
    ["full", tcp(3, 80), "drop", lan, 20n],
    ["known", tcp(1, 80), "out 1", lan, 30n],
    ["still full", tcp(3, 80), "drop", lan, 110n],
    ["second answered", reply(tcp(2, 80), 8), "out 0", wan, 110n],
    ["answers refresh nothing", reply(tcp(2, 80), 8), "drop", wan, 111n],
    ["takes its index", tcp(3, 80), "out 1", lan, 111n],
    ["now of the third", reply(tcp(3, 80), 8), "out 0", wan, 111n],
    ["first alive", reply(tcp(1, 80), 7), "out 0", wan, 130n],
    ["first gone", reply(tcp(1, 80), 7), "drop", wan, 131n],
  ]);
  deepEqual(
    to.words("flows").map((word) => word.slice(16, 20)),
    ["0001", "0003"],
  );
  equal(to.words("flows_chain").length, 3);
});

test("nat: never more flows than ports above start_port", () => {
  const to = session(nat, { start_port: 65_534 });
  expectVerdicts(to, [
    ["65534", tcp(1, 80), "out 1", lan],
    ["65535", tcp(2, 80), "out 1", lan],
    ["none left", tcp(3, 80), "drop", lan],
  ]);
});

test("nat: whether an answer, or anybody, keeps a flow alive", () => {
  const reply: FrameSpec = {
    ipv4: { src: server, dst: external },
    tcp: { sport: 80, dport: 0 },
  };
  const stranger = { ...reply, ipv4: { src: "192.168.0.8", dst: external } };
  const cases = [
    ["never", 0, "drop", "drop"],
    ["after the check", 1, "out 0", "drop"],
    ["before the check", 2, "out 0", "out 0"],
  ] as const;
  for (const [what, refresh, answered, disturbed] of cases) {
    const of = (probe: FrameSpec, verdict: string): readonly Step[] => [
      ["begun", tcp(4000, 80), "out 1", lan, 0n],
      [what, probe, verdict, wan, 90n],
      [what, reply, verdict === "drop" ? disturbed : answered, wan, 110n],
    ];
    const settings = { expiry: 100n, refresh };
    expectVerdicts(session(nat, settings), of(reply, "out 0"));
    expectVerdicts(session(nat, settings), of(stranger, "drop"));
  }
});

test("proxy: listed ports go to their server, answers pass unchanged", () => {
  const to = session(proxy);
  to.instance.state.services.set(80, { address: ipv4("10.1.0.5"), port: 8080 });
  const asked = withOptions(tcp(4000, 80));
  expectFrame(to, ["listed", asked, "out 0", wan], {
    ...asked,
    ipv4: { ...asked.ipv4, src: inside, dst: "10.1.0.5" },
    tcp: { sport: 4000, dport: 8080 },
  });
  expectFrame(to, ["datagrams too", udp(4000, 80), "out 0", wan], {
    ipv4: { src: inside, dst: "10.1.0.5" },
    udp: { sport: 4000, dport: 8080 },
  });
  expectFrame(to, ["from lan", tcp(80, 80), "out 1", lan], tcp(80, 80));
  expectVerdicts(to, [
    ["not listed", tcp(4000, 81), "drop", wan],
    ...dropped(lan),
    ...dropped(wan),
  ]);
  deepEqual(to.words("services"), ["0050 0a0100051f900000"]);
});

test("ctrnat: numbers come from the counter, and are never given back", () => {
  const to = session(ctrnat, { start_port: 65_533 });
  const flow = withOptions(tcp(4000, 80));
  const back = (dport: number): FrameSpec => ({
    ipv4: { src: server, dst: external },
    tcp: { sport: 80, dport },
  });
  expectFrame(to, ["the first", flow, "out 1", lan], {
    ...flow,
    eth: toWan,
    ipv4: { ...flow.ipv4, src: external, dst: server },
    tcp: { sport: 65_533, dport: 80 },
  });
  expectVerdicts(to, [
    ["known", flow, "out 1", lan],
    ["the second", tcp(4001, 80), "out 1", lan],
    ["not given out yet", back(65_535), "drop", wan],
    ["the third", udp(4002, 80), "out 1", lan],
    ["none left", tcp(4003, 80), "drop", lan],
    ["another protocol", back(65_535), "drop", wan],
    [
      "another server port",
      { ...back(0), tcp: { sport: 81, dport: 65_533 } },
      "drop",
      wan,
    ],
    [
      "another server",
      { ...back(65_533), ipv4: { src: inside, dst: external } },
      "drop",
      wan,
    ],
    ["below start_port", back(65_532), "drop", wan],
    ...dropped(lan),
    ...dropped(wan),
  ]);
  expectFrame(to, ["its answer", back(65_534), "out 0", wan, 1_000n * second], {
    eth: toLan,
    ipv4: { src: server, dst: inside },
    tcp: { sport: 80, dport: 4001 },
  });
  deepEqual(to.words("allocated"), ["00000000 0400000000000000"]);
  deepEqual(
    to.words("flows").map((word) => word.slice(33)),
    ["00000000", "01000000", "02000000"],
  );
  deepEqual(to.words("tuples")[2], "02000000 0a000001c0a800090fa2005011000000");
});
