/**
 * The TypeScript network functions that spread flows over servers do what their
 * headers say, run as plain JavaScript: lists against their definition, heartbeats,
 * flows that stay or move, full tables.
 */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { FrameSpec } from "#packet";
import { hash, ipv4, mac } from "divisi/nf";
import hashLb from "../nfs/ts/hash-lb.ts";
import loadBalancer from "../nfs/ts/load-balancer.ts";
import { FlowKey } from "../nfs/ts/shared/flow.ts";
import {
  arp,
  dropped,
  expectFrame,
  expectVerdicts,
  inside,
  lan,
  second,
  server,
  session,
  tcp,
  wan,
  withOptions,
  type Step,
} from "./support/nf.ts";

test("hash-lb: a flow stays with its place; FIN and RST end it", () => {
  const to = session(hashLb);
  const { backends } = to.instance.state;
  for (let place = 0; place < 64; place++) {
    const cell = backends.at(place);
    cell.address = ipv4("10.1.0.0") + place;
    cell.mac = mac("02:00:00:00:01:00") + BigInt(place);
  }
  const first = withOptions(tcp(4000, 80));
  const key = {
    source: ipv4(inside),
    destination: ipv4(server),
    source_port: 4000,
    destination_port: 80,
    protocol: 6,
  };
  const place = hash(FlowKey, key, 0) % 64;
  const hex = place.toString(16).padStart(2, "0");
  expectFrame(to, ["new", first, "out 0", wan], {
    ...first,
    eth: { src: "02:00:00:00:00:01", dst: `02:00:00:00:01:${hex}` },
    ipv4: { ...first.ipv4, src: inside, dst: `10.1.0.${place}` },
  });
  const end = 100n * second;
  const flow = (flags: number): FrameSpec => tcp(4000, 80, flags);
  const stored = ["0a000001c0a800090fa0005006000000"];
  const keys = (): readonly string[] =>
    to.words("flows").map((word) => word.slice(0, 32));
  deepEqual(keys(), stored);
  expectVerdicts(to, [
    ["from lan", flow(16), "out 1", lan, end],
    ["refreshed", flow(16), "out 0", wan, end],
    ["FIN forgets", flow(17), "out 0", wan, end],
  ]);
  deepEqual(keys(), []);
  expectVerdicts(to, [
    ["RST does not begin", flow(4), "out 0", wan, end],
    ["nor FIN", flow(1), "out 0", wan, end],
  ]);
  deepEqual(keys(), []);
  backends.at(place).address = 0;
  expectVerdicts(to, [
    ["nobody there", flow(16), "drop", wan, end],
    ...dropped(lan),
    ...dropped(wan),
  ]);
  deepEqual(keys(), []);
});

test("hash-lb: remembers as long as there is place, and forwards all", () => {
  const to = session(hashLb, { capacity: 1, expiry: 100n });
  const { backends } = to.instance.state;
  for (let place = 0; place < 64; place++)
    backends.at(place).address = 1 + place;
  expectVerdicts(to, [
    ["first", tcp(1, 80), "out 0", wan, 0n],
    ["full", tcp(2, 80), "out 0", wan, 100n],
  ]);
  const port = (): readonly string[] =>
    to.words("flows").map((word) => word.slice(16, 20));
  deepEqual(port(), ["0001"]);
  expectVerdicts(to, [["expired", tcp(2, 80), "out 0", wan, 101n]]);
  deepEqual(port(), ["0002"]);
});

/** A backend's sign of life, and its packets. */
const heartbeat = (host: number): FrameSpec => ({
  eth: { src: `02:00:00:00:02:0${host}` },
  ipv4: { src: `10.2.0.${host}`, dst: "10.2.0.99" },
  udp: { sport: 1, dport: 2 },
});

test("load-balancer: the first live backend of the flow's list", () => {
  // The lists, made as they are defined.
  const height = 97;
  const lists: number[][] = Array.from({ length: height }, () => []);
  for (let j = 0; j < height; j++)
    for (let b = 0; b < 5; b++)
      lists[
        (((31 * b) % height) + (1 + (b % (height - 1))) * j) % height
      ]?.push(b);
  const to = session(loadBalancer);
  const beat = (host: number, now: bigint): Step => [
    `heartbeat of ${host}`,
    heartbeat(host),
    "drop",
    lan,
    now,
  ];
  expectVerdicts(to, [
    ["nobody is alive", tcp(1, 80), "drop", wan, 0n],
    ...[0, 1, 2, 3, 4].map((host) => beat(host, 0n)),
    ...[1, 3, 4].map((host) => beat(host, 50n * second)),
    ["no heartbeat", arp, "drop", lan, 50n * second],
  ]);
  equal(to.words("backends").length, 5);
  equal(to.words("slots")[3], "03000000 0a020003020000000203000049000000");
  const expectBackend = (
    sport: number,
    live: readonly number[],
    now: bigint,
  ): void => {
    const flow = tcp(sport, 80);
    const key = {
      source: ipv4(inside),
      destination: ipv4(server),
      source_port: sport,
      destination_port: 80,
      protocol: 6,
    };
    const list = lists[hash(FlowKey, key, 0) % height] ?? [];
    const host = list.find((b) => live.includes(b));
    expectFrame(to, [`port ${sport}`, flow, "out 0", wan, now], {
      ...flow,
      eth: { src: "02:00:00:00:00:01", dst: `02:00:00:00:02:0${host}` },
      ipv4: { src: inside, dst: `10.2.0.${host}` },
    });
  };
  for (let port = 1; port <= 100; port++)
    expectBackend(port, [0, 1, 2, 3, 4], 100n * second);
  // 0 and 2 are dead: their flows move, those of the others stay.
  for (let port = 1; port <= 100; port++)
    expectBackend(port, [1, 3, 4], 100n * second + 1n);
  equal(to.words("flows").length, 100);
  // Known flows stay where they are when a backend comes back.
  expectVerdicts(to, [beat(0, 101n * second)]);
  for (let port = 1; port <= 100; port++)
    expectBackend(port, [1, 3, 4], 102n * second);
  expectVerdicts(to, [...dropped(lan), ...dropped(wan)]);
});

test("load-balancer: full tables", () => {
  const to = session(loadBalancer, { flow_capacity: 1, backend_capacity: 1 });
  expectVerdicts(to, [
    ["the first", heartbeat(1), "drop", lan],
    ["no place", heartbeat(2), "drop", lan],
    ["a flow", tcp(1, 80), "out 0", wan],
    ["not remembered", tcp(2, 80), "out 0", wan],
  ]);
  equal(to.words("flows").length, 1);
  deepEqual(
    to.words("backends").map((word) => word.slice(0, 8)),
    ["0a020001"],
  );
});
