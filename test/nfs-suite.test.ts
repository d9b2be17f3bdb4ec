/**
 * The C network functions that forward, bridge and translate: hit, miss, full, expired,
 * both directions and what they do not understand, by tables of packets and verdicts
 * worked out by hand from the headers of the sources.
 */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "#base";
import { buildFrame, checkChecksums, type FrameSpec } from "#packet";
import {
  arp,
  back,
  changed,
  endsOf,
  expectRun,
  lan,
  load,
  notL4,
  options,
  second,
  stranger,
  tcp,
  there,
  udp,
  verdict,
  wan,
  words,
  type Entries,
} from "./support/network-function.ts";

// Verdicts on what is not L4, from lan and from wan.
// prettier-ignore
const unread: Readonly<Record<string, readonly [string, string]>> = {
  "nat":                ["drop", "drop"],
  "allow":              ["drop", "drop"],
  "proxy":              ["drop", "drop"],
  "connection-limiter": ["drop", "drop"],
  "port-scan-detector": ["drop", "drop"],
  "load-balancer":      ["drop", "drop"],
  "hash-lb":            ["drop", "drop"],
};

for (const [name, [fromLan, fromWan]] of Object.entries(unread))
  test(`${name}: what it does not understand changes nothing`, () => {
    const { run, state } = load(name);
    const before = state.digest();
    for (const [what, frame] of Object.entries(notL4)) {
      equal(verdict(run(frame, { ifindex: lan })), fromLan, what);
      equal(verdict(run(frame, { ifindex: wan })), fromWan, what);
      equal(verdict(run(frame, { ifindex: stranger })), "drop", what);
    }
    equal(verdict(run(udp(there), { ifindex: stranger })), "drop");
    equal(state.digest(), before);
  });

test("fwd: the other port, with its MACs", () => {
  const { run } = load("fwd", { set: { lan_mac: "0x0a0b0c0d0e0f" } });
  const out = run(arp, { ifindex: lan });
  equal(verdict(out), "out 1");
  equal(toHex(out.data.subarray(0, 12)), "020000000012020000000002");
  const in_ = run(arp, { ifindex: wan });
  equal(verdict(in_), "out 0");
  equal(toHex(in_.data.subarray(0, 12)), "0200000000110a0b0c0d0e0f");
  equal(toHex(in_.data.subarray(12)), toHex(buildFrame(arp).subarray(12)));
  equal(verdict(run(arp, { ifindex: stranger })), "drop");
  equal(verdict(run(new Uint8Array(13), { ifindex: lan })), "drop");
  equal(verdict(run(new Uint8Array(14), { ifindex: lan })), "out 1");
});

// --- dynamic-bridge ---

/** A frame of station `from` to station `to`: last bytes of their MACs. */
function between(from: number, to: number): FrameSpec {
  const mac = (byte: number): string =>
    `02:00:00:00:01:${byte.toString(16).padStart(2, "0")}`;
  return { ...arp, eth: { src: mac(from), dst: mac(to) } };
}

test("dynamic-bridge: learns, floods, filters, forgets", () => {
  // prettier-ignore
  expectRun(load("dynamic-bridge"), [
    [lan, 0n, between(1, 2), "flood"],
    [wan, 0n, between(2, 1), "out 0"],
    [lan, 0n, between(1, 2), "out 1"],
    [lan, 0n, between(3, 1), "drop"],             // both on lan
    [lan, 0n, between(4, 4), "drop"],             // learned before it is looked up
    [wan, 0n, between(3, 1), "out 0"],            // station 3 moved, which is not learned …
    [wan, 0n, between(2, 3), "out 0"],
    [stranger, 0n, between(5, 1), "drop"],
    [wan, 300n * second, between(2, 1), "out 0"], // heard at 0: just alive at 300 s
    [wan, 300n * second + 1n, between(2, 1), "flood"],
    [lan, 300n * second + 1n, between(6, 2), "out 1"], // refreshed as a source only
    [lan, 300n * second + 1n, new Uint8Array(13), "drop"],
  ]);
});

test("dynamic-bridge: learn_moves", () => {
  const { run, state } = load("dynamic-bridge", {
    set: { learn_moves: "true" },
  });
  // prettier-ignore
  expectRun({ run, state }, [
    [lan, 0n, between(1, 2), "flood"],
    [wan, 0n, between(1, 2), "flood"],
    [wan, 0n, between(2, 1), "drop"],
    [lan, 0n, between(2, 1), "out 1"],
  ]);
  deepEqual(words(state, "stations"), [
    "020000000101 0100000000000000",
    "020000000102 0000000001000000",
  ]);
});

test("dynamic-bridge: full, then the oldest station that expired gives way", () => {
  const bridge = load("dynamic-bridge", {
    set: { capacity: "2", expiry: "100" },
  });
  // prettier-ignore
  expectRun(bridge, [
    [lan, 0n, between(1, 9), "flood"],
    [lan, 50n, between(2, 9), "flood"],
    [lan, 100n, between(3, 9), "flood"],    // full: not learned
    [wan, 100n, between(2, 3), "flood"],
    [wan, 101n, between(4, 1), "flood"],    // 1 expired, and makes room
    [lan, 101n, between(2, 4), "out 1"],
    [lan, 102n, between(5, 4), "out 1"],    // 2 was refreshed: full again
    [wan, 102n, between(4, 5), "flood"],
  ]);
  deepEqual(words(bridge.state, "stations"), [
    "020000000102 0000000001000000",
    "020000000104 0100000000000000",
  ]);
});

// --- nat ---

const natSet = { start_port: "1000" };

test("nat: out with a port of the flow, answers back to its source", () => {
  const { run } = load("nat", { set: natSet });
  const first = run(udp(there), { ifindex: lan });
  equal(verdict(first), "out 1");
  equal(endsOf(first.data), "203.0.113.1:1000 192.168.0.9:80");
  equal(toHex(first.data.subarray(0, 12)), "020000000012020000000002");
  const second_ = run(tcp("10.0.0.2:4000 192.168.0.9:80"), { ifindex: lan });
  equal(endsOf(second_.data), "203.0.113.1:1001 192.168.0.9:80");
  equal(
    endsOf(run(udp(there), { ifindex: lan }).data),
    "203.0.113.1:1000 192.168.0.9:80",
  );
  const answer = run(udp("192.168.0.9:80 203.0.113.1:1000"), { ifindex: wan });
  equal(verdict(answer), "out 0");
  equal(endsOf(answer.data), back);
  equal(toHex(answer.data.subarray(0, 12)), "020000000011020000000001");
  // The destination address is not looked at; options move the ports.
  const optional = run(
    {
      ...tcp("192.168.0.9:80 1.2.3.4:1001"),
      ipv4: { src: "192.168.0.9", dst: "1.2.3.4", options },
    },
    { ifindex: wan },
  );
  equal(endsOf(optional.data), "192.168.0.9:80 10.0.0.2:4000");
});

test("nat: who may answer", () => {
  // prettier-ignore
  expectRun(load("nat", { set: natSet }), [
    [wan, 0n, udp("192.168.0.9:80 203.0.113.1:1000"), "drop"],    // nothing there yet
    [lan, 0n, udp(there), "out 1"],
    [wan, 0n, udp("192.168.0.9:80 203.0.113.1:1000"), "out 0"],
    [wan, 0n, udp("192.168.0.8:80 203.0.113.1:1000"), "drop"],
    [wan, 0n, udp("192.168.0.9:81 203.0.113.1:1000"), "drop"],
    [wan, 0n, tcp("192.168.0.9:80 203.0.113.1:1000"), "drop"],
    [wan, 0n, udp("192.168.0.9:80 203.0.113.1:1001"), "drop"],    // not allocated
    [wan, 0n, udp("192.168.0.9:80 203.0.113.1:999"), "drop"],     // below start_port
    [wan, 0n, udp("192.168.0.9:80 203.0.113.1:65535"), "drop"],
  ]);
});

test("nat: full drops, an expired flow gives way and its port changes hands", () => {
  const nat = load("nat", {
    set: { ...natSet, capacity: "1", expiry: "100" },
  });
  // prettier-ignore
  expectRun(nat, [
    [lan, 0n, udp(there), "out 1"],
    [lan, 100n, udp("10.0.0.2:5000 192.168.0.9:80"), "drop"],
    [lan, 101n, udp("10.0.0.2:5000 192.168.0.9:80"), "out 1"],
    [wan, 101n, udp("192.168.0.9:80 203.0.113.1:1000"), "out 0"],
    [lan, 101n, udp(there), "drop"],
  ]);
  const answer = nat.run(udp("192.168.0.9:80 203.0.113.1:1000"), {
    ifindex: wan,
    time: 102n,
  });
  equal(endsOf(answer.data), "192.168.0.9:80 10.0.0.2:5000");
});

test("nat: ports end at 65535", () => {
  // prettier-ignore
  expectRun(load("nat", { set: { start_port: "65534" } }), [
    [lan, 0n, udp("10.0.0.1:1 192.168.0.9:80"), "out 1"],
    [lan, 0n, udp("10.0.0.2:1 192.168.0.9:80"), "out 1"],
    [lan, 0n, udp("10.0.0.3:1 192.168.0.9:80"), "drop"],
  ]);
});

test("nat: which packets keep a flow alive", () => {
  const answer = udp("192.168.0.9:80 203.0.113.1:1000");
  const forged = udp("192.168.0.8:80 203.0.113.1:1000");
  // Alive at 150 after an answer, after a forgery, both at 100?
  // prettier-ignore
  const cases: readonly (readonly [string, FrameSpec, string, string])[] = [
    ["0", answer, "out 0", "drop"],
    ["0", forged, "drop",  "drop"],
    ["1", answer, "out 0", "out 0"],
    ["1", forged, "drop",  "drop"],
    ["2", answer, "out 0", "out 0"],
    ["2", forged, "drop",  "out 0"],
  ];
  for (const [refresh, frame, at100, at150] of cases)
    expectRun(load("nat", { set: { ...natSet, expiry: "100", refresh } }), [
      [lan, 0n, udp(there), "out 1"],
      [wan, 100n, frame, at100],
      [wan, 150n, answer, at150],
    ]);
});

test("nat: a UDP checksum of 0 stays 0, a wrong one stays wrong", () => {
  const { run } = load("nat", { set: natSet });
  const none = udp(there, {
    udp: { sport: 4000, dport: 80, checksum: "none" },
  });
  const out = run(none, { ifindex: lan });
  deepEqual(checkChecksums(out.data), { ipv4: "good", transport: "absent" });
  const wrong = changed(buildFrame(udp(there)), 41, 0xaa);
  deepEqual(checkChecksums(run(wrong, { ifindex: lan }).data), {
    ipv4: "good",
    transport: "bad",
  });
});

// --- allow, proxy ---

test("allow: flow and input port must be listed", () => {
  const key = [10, 0, 0, 1, 192, 168, 0, 9, 0x0f, 0xa0, 0, 80, 17];
  const contents = {
    allowed: [
      [
        [...key, 0, 0, 0],
        [1, 0, 0, 0],
      ],
    ],
  } as const;
  // prettier-ignore
  expectRun(load("allow", { contents }), [
    [lan, 0n, udp(there), "out 1"],
    [wan, 0n, udp(there), "drop"],
    [lan, 0n, tcp(there), "drop"],
    [lan, 0n, udp(back), "drop"],
    [lan, 0n, udp("10.0.0.1:4001 192.168.0.9:80"), "drop"],
  ]);
  const fromWan = {
    allowed: [
      [
        [...key, 1, 0, 0],
        [0, 0, 0, 0],
      ],
    ],
  } as const;
  expectRun(load("allow", { contents: fromWan }), [
    [wan, 0n, udp(there), "out 0"],
  ]);
});

test("proxy: a listed port leads to its server", () => {
  const services: Entries = [
    [
      [0, 80],
      [172, 16, 0, 5, 0x1f, 0x90, 0, 0],
    ],
  ];
  const { run, state } = load("proxy", { contents: { services } });
  for (const frame of [udp(there), tcp(there)]) {
    const hit = run(frame, { ifindex: wan });
    equal(verdict(hit), "out 0");
    equal(endsOf(hit.data), "10.0.0.1:4000 172.16.0.5:8080");
  }
  const passed = run(udp(there), { ifindex: lan });
  equal(toHex(passed.data), toHex(buildFrame(udp(there))));
  expectRun({ run, state }, [
    [lan, 0n, udp(there), "out 1"],
    [wan, 0n, udp("10.0.0.1:4000 192.168.0.9:81"), "drop"],
  ]);
});
