/**
 * The C network functions do what their headers say: the committed bytecode in
 * the interpreter, against results worked out by hand.
 */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "#base";
import { buildFrame, tcpFlags, type FrameSpec } from "#packet";
import { lan, load, verdict, wan, words } from "./support/network-function.ts";

const second = 1_000_000_000n;
const drop = 1;
const pass = 2;

const client = { src: "10.0.0.1", dst: "192.168.0.9" };
const options = new Uint8Array([1, 1, 1, 1]);
const knock = (dport: number, flags: number = tcpFlags.ack): FrameSpec => ({
  ipv4: client,
  tcp: { sport: 4000, dport, flags },
});

test("nop: the other port, unchanged; a stranger is dropped", () => {
  const { run } = load("nop");
  const frame = buildFrame(knock(80));
  const there = run(frame, { ifindex: lan });
  equal(verdict(there), "out 1");
  deepEqual(there.data, frame);
  equal(verdict(run(frame, { ifindex: wan })), "out 0");
  equal(verdict(run(frame, { ifindex: 9 })), "drop");
  equal(verdict(run(new Uint8Array(14), { ifindex: lan })), "out 1");
});

test("static-bridge: hit, filtered, miss floods, the port is part of the key", () => {
  const mac = [2, 0, 0, 0, 0, 7];
  const { run, state } = load("static-bridge", {
    contents: {
      stations: [
        [
          [...mac, 0, 0],
          [1, 0, 0, 0],
        ],
        [
          [...mac, 1, 0],
          [0xfe, 0xff, 0xff, 0xff],
        ],
      ],
    },
  });
  const before = state.digest();
  const frame = { ...knock(80), eth: { dst: "02:00:00:00:00:07" } };
  equal(verdict(run(frame, { ifindex: lan })), "out 1");
  equal(verdict(run(frame, { ifindex: wan })), "drop");
  equal(verdict(run({ ...frame, eth: { dst: "02:00:00:00:00:08" } })), "flood");
  equal(verdict(run(new Uint8Array(13))), "drop");
  equal(verdict(run(frame, { ifindex: 9 })), "drop");
  equal(state.digest(), before);
});

test("source-counter: packets and bytes per source; all pass", () => {
  const { run, state } = load("source-counter");
  const sizes = [60, 100, 1500];
  for (const size of sizes) equal(verdict(run({ ...knock(80), size })), "pass");
  run({
    ipv4: { ...client, src: "10.0.0.2", moreFragments: true },
    udp: { sport: 1, dport: 2 },
    size: 64,
  });
  equal(
    verdict(
      run({ arp: { op: 1, senderIp: "10.0.0.1", targetIp: "10.0.0.2" } }),
    ),
    "pass",
  );
  deepEqual(words(state, "sources"), [
    "0a000001 03000000000000007c06000000000000",
    "0a000002 01000000000000004000000000000000",
  ]);
});

test("flow-counter: per direction; fragments and others pass uncounted", () => {
  const { run, state } = load("flow-counter");
  run({ ...knock(80), size: 60 });
  run({ ...knock(80), ipv4: { ...client, options }, size: 70 });
  run({ ipv4: client, udp: { sport: 4000, dport: 80 }, size: 60 });
  for (const frame of [
    {
      ipv4: { ...client, moreFragments: true },
      tcp: { sport: 4000, dport: 80 },
    },
    { ipv4: { ...client, fragmentOffset: 1 }, tcp: { sport: 4000, dport: 80 } },
    { ipv4: client, icmp: { type: 8 } },
  ])
    equal(verdict(run(frame)), "pass");
  deepEqual(words(state, "flows"), [
    "0a000001c0a800090fa0005006000000 02000000000000008200000000000000",
    "0a000001c0a800090fa0005011000000 01000000000000003c00000000000000",
  ]);
});

test("port-knock: the sequence, and what resets it", () => {
  // prettier-ignore
  const cases: readonly (readonly [string, readonly (readonly [number, number])[], readonly number[]])[] = [
    ["in order, then reset", [[100, 2], [101, 16], [102, 16], [100, 16], [100, 16], [100, 16], [100, 16]], [drop, drop, pass, drop, drop, drop, drop]],
    ["no SYN: unknown", [[100, 16], [101, 16], [102, 16]], [drop, drop, drop]],
    ["SYN elsewhere: known, closed", [[7, 2], [100, 16], [101, 16], [102, 16]], [drop, drop, drop, pass]],
    ["a wrong port resets", [[100, 2], [101, 16], [7, 16], [102, 16], [100, 16], [101, 16], [102, 16]], [drop, drop, drop, drop, drop, drop, pass]],
    ["SYN+FIN on a miss creates", [[100, 3], [101, 16], [102, 16]], [drop, drop, pass]],
    ["FIN forgets after the update", [[100, 2], [101, 16], [102, 17], [100, 16], [101, 16], [102, 16]], [drop, drop, pass, drop, drop, drop]],
    ["FIN in the middle", [[100, 2], [101, 17], [102, 16]], [drop, drop, drop]],
  ];
  for (const [name, packets, want] of cases) {
    const { run } = load("port-knock");
    deepEqual(
      packets.map(([dport, flags]) => run(knock(dport, flags)).verdict),
      want,
      name,
    );
  }
});

test("port-knock: options move the ports; fragments, UDP and short frames drop", () => {
  const { run, state } = load("port-knock");
  const withOptions = (dport: number, flags: number): FrameSpec => ({
    ...knock(dport, flags),
    ipv4: { ...client, options },
  });
  equal(run(withOptions(100, 2)).verdict, drop);
  equal(run(knock(101)).verdict, drop);
  const before = state.digest();
  equal(
    run({ ...knock(102), ipv4: { ...client, moreFragments: true } }).verdict,
    drop,
  );
  equal(run({ ipv4: client, udp: { sport: 1, dport: 102 } }).verdict, drop);
  equal(run(buildFrame(knock(102)).subarray(0, 53)).verdict, drop);
  equal(
    run({ ipv6: { src: "::1", dst: "::2" }, tcp: { sport: 1, dport: 102 } })
      .verdict,
    drop,
  );
  equal(state.digest(), before);
  equal(run(withOptions(102, 16)).verdict, pass);
});

test("ddos-mitigator: listed sources drop and count, nothing is inserted", () => {
  const zero = [0, 0, 0, 0, 0, 0, 0, 0];
  const { run, state } = load("ddos-mitigator", {
    contents: {
      sources: [[[10, 0, 0, 1], zero]],
    },
  });
  equal(verdict(run(knock(80))), "drop");
  equal(verdict(run({ ipv4: { ...client, protocol: 0 } })), "drop");
  equal(verdict(run({ ipv4: { ...client, src: "10.0.0.2" } })), "pass");
  equal(verdict(run({ ipv4: { ...client, fragmentOffset: 9 } })), "drop");
  equal(
    verdict(
      run({ arp: { op: 1, senderIp: "10.0.0.1", targetIp: "10.0.0.2" } }),
    ),
    "pass",
  );
  equal(verdict(run(buildFrame(knock(80)).subarray(0, 33))), "pass");
  deepEqual(words(state, "sources"), ["0a000001 0300000000000000"]);
  deepEqual(words(state, "dropped"), ["00000000 0200000000000000"]);
});

test("policer: the bucket, to the byte and the nanosecond", () => {
  const frame = (size: number): FrameSpec => ({ ...knock(80), size });
  const from = (time: bigint) => ({ ifindex: wan, time });
  const { run, state } = load("policer");
  equal(verdict(run(frame(60))), "out 1");
  equal(words(state, "buckets").length, 0);
  // burst 100,000 bytes, 1,000,000 bytes a second: full after 0.1 s.
  for (let sent = 0; sent < 100; sent++)
    equal(
      verdict(run(frame(1000), from(5n))),
      sent < 99 ? "out 0" : "drop",
      `${sent}`,
    );
  // Strict: 1000 left are not enough for 1000, but for 999.
  equal(verdict(run(frame(999), from(5n))), "out 0");
  deepEqual(words(state, "buckets"), [
    "c0a80009 01000000000000000500000000000000",
  ]);
  // 999 bytes need 999 us and one byte more: 1 is left.
  equal(verdict(run(frame(1000), from(5n + 999_000n))), "drop");
  equal(verdict(run(frame(1000), from(5n + 999_000n + 1_000n))), "out 0");
  // Full again after 0.1 s of silence, and refused above the burst.
  const later = 1_000_000_000n;
  equal(verdict(run(frame(1000), from(later))), "out 0");
  deepEqual(
    words(state, "buckets").map((word) => word.slice(9, 25)),
    ["b882010000000000"],
  );
  equal(
    verdict(run({ ipv4: client, icmp: { type: 8 } }, from(later))),
    "out 0",
  );
  for (const ifindex of [lan, wan, 9])
    equal(
      verdict(
        run(
          { arp: { op: 1, senderIp: "10.0.0.1", targetIp: "10.0.0.2" } },
          { ifindex },
        ),
      ),
      "drop",
    );
  equal(verdict(run(frame(60), { ifindex: 9 })), "drop");
});

test("policer: a full table drops new destinations only", () => {
  const { run } = load("policer", { capacity: { buckets: 1 } });
  const from = { ifindex: wan };
  equal(verdict(run(knock(80), from)), "out 0");
  equal(
    verdict(
      run({ ...knock(80), ipv4: { ...client, dst: "192.168.0.10" } }, from),
    ),
    "drop",
  );
  equal(verdict(run(knock(80), from)), "out 0");
});

const answer: FrameSpec = {
  ipv4: { src: client.dst, dst: client.src },
  tcp: { sport: 80, dport: 4000 },
};

test("firewall: answers only to what the LAN began, until it expires", () => {
  const { run, state } = load("firewall");
  const at = (time: bigint) => ({ ifindex: wan, time });
  equal(verdict(run(answer, at(0n))), "drop");
  const out = run(knock(80), { ifindex: lan, time: 0n });
  equal(verdict(out), "out 1");
  equal(toHex(out.data.subarray(0, 12)), "020000000012020000000002");
  const back = run(answer, at(100n * second));
  equal(verdict(back), "out 0");
  equal(toHex(back.data.subarray(0, 12)), "020000000011020000000001");
  equal(
    verdict(run({ ...answer, tcp: { sport: 81, dport: 4000 } }, at(0n))),
    "drop",
  );
  equal(
    verdict(
      run(
        {
          ipv4: { src: client.dst, dst: client.src },
          udp: { sport: 80, dport: 4000 },
        },
        at(0n),
      ),
    ),
    "drop",
  );
  // Refreshed at 100 s: alive at 200 s exactly, gone a nanosecond later.
  equal(verdict(run(answer, at(200n * second))), "out 0");
  equal(words(state, "flows").length, 1);
  equal(verdict(run(answer, at(300n * second + 1n))), "drop");
  equal(words(state, "flows").length, 0);
  equal(
    verdict(run(knock(80), { ifindex: lan, time: 301n * second })),
    "out 1",
  );
  equal(verdict(run(answer, at(302n * second))), "out 0");
});

test("firewall: full table forwards untracked; what is not L4 drops", () => {
  const { run, state } = load("firewall", { capacity: { flows: 1 } });
  equal(verdict(run(knock(80))), "out 1");
  equal(verdict(run(knock(81))), "out 1");
  equal(words(state, "flows").length, 1);
  equal(
    verdict(
      run({ ...answer, tcp: { sport: 81, dport: 4000 } }, { ifindex: wan }),
    ),
    "drop",
  );
  for (const frame of [
    { ...knock(80), ipv4: { ...client, moreFragments: true } },
    { ipv4: client, icmp: { type: 8 } },
    { arp: { op: 1, senderIp: "10.0.0.1", targetIp: "10.0.0.2" } },
  ])
    for (const ifindex of [lan, wan, 9])
      equal(verdict(run(frame, { ifindex })), "drop");
  equal(verdict(run(knock(80), { ifindex: 9 })), "drop");
});
