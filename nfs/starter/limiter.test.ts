/** limiter as plain JavaScript: no kernel, no compiler. */
import { equal } from "node:assert/strict";
import { test } from "node:test";
import { frame, ipv4, open } from "divisi/nf";
import program from "./limiter.ts";

const second = 1_000_000_000n;

/** A UDP packet of that source. */
function from(src: string): Uint8Array {
  return frame({
    ipv4: { src, dst: "10.0.0.1" },
    udp: { sport: 1234, dport: 53 },
  });
}

test("a source is stopped at the limit, others are not", () => {
  const instance = open(program, { set: { limit: 3 } });
  const verdict = (src: string): string =>
    instance.packet(from(src)).verdict.kind;
  equal(verdict("192.0.2.1"), "pass");
  equal(verdict("192.0.2.1"), "pass");
  equal(verdict("192.0.2.1"), "pass");
  equal(verdict("192.0.2.1"), "drop");
  equal(verdict("192.0.2.2"), "pass");
});

test("a new window begins after the old one", () => {
  const instance = open(program, { set: { limit: 1 } });
  const verdict = (now: bigint): string =>
    instance.packet(from("192.0.2.1"), { now }).verdict.kind;
  equal(verdict(5n * second), "pass");
  equal(verdict(6n * second - 1n), "drop");
  equal(verdict(6n * second), "pass");
});

test("a full table lets new sources pass", () => {
  const instance = open(program, { set: { limit: 1, capacity: 1 } });
  const verdict = (src: string): string =>
    instance.packet(from(src)).verdict.kind;
  equal(verdict("192.0.2.1"), "pass");
  equal(verdict("192.0.2.2"), "pass");
  equal(verdict("192.0.2.2"), "pass");
  equal(instance.state.sources.has(ipv4("192.0.2.2")), false);
  equal(verdict("192.0.2.1"), "drop");
});

test("what is not IPv4 passes", () => {
  const instance = open(program, { set: { limit: 1 } });
  const arp = frame({
    arp: { op: 1, senderIp: "192.0.2.1", targetIp: "192.0.2.2" },
  });
  for (let count = 0; count < 3; count++)
    equal(instance.packet(arp).verdict.kind, "pass");
});
