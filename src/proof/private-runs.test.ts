import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { PacketInput } from "../interp/index.ts";
import { Ownership } from "./ownership.ts";
import { runPrivately, sharesOf } from "./private-runs.ts";
import type { Runner, RunRecord } from "./record.ts";

test("shares sum to the capacity", () => {
  for (const cores of [1, 3, 4, 10, 16])
    for (const capacity of [0, 1, 7, 128, 65_536])
      equal(
        sharesOf(capacity, cores).reduce((sum, share) => sum + share, 0),
        capacity,
      );
  deepEqual(sharesOf(10, 4), [3, 3, 2, 2]);
});

const packet: PacketInput = {
  data: new Uint8Array(14),
  ifindex: 1,
  rxQueue: 0,
  cpu: 0,
  time: 0n,
};
const record = (...verdicts: number[]): RunRecord => ({
  verdicts: Uint32Array.from(verdicts),
  outputs: new Uint32Array(2 * verdicts.length),
  effects: new Uint32Array(2 * verdicts.length),
  faults: [],
  state: new Map(),
});

/** Two packets, one per core; core 1 answers with `second`. */
function runTwo(second: number, share: number) {
  const ownership = new Ownership(new Set(["flows"]));
  for (const [input, cell] of ["0a", "0b", "0c"].entries())
    ownership.touch(
      {
        map: "flows",
        cell,
        op: "lookup",
        result: "hit",
        writes: true,
        at: { function: "f", instruction: 0 },
      },
      Math.min(input, 1),
      input,
    );
  const runOf =
    (core: number): Runner =>
    () =>
      record(core === 0 ? 2 : second);
  return runPrivately({
    episodes: [{ name: "e", packets: [packet, packet], steering: [0, 1] }],
    records: [record(2, 1)],
    ownership,
    steering: (input) => input,
    cores: 2,
    shares: new Map([["flows", [share, share]]]),
    runOf,
  });
}

test("a difference is a mismatch while every share holds its cells", () => {
  deepEqual(runTwo(1, 2), { mismatches: 0, capacityDeviation: 0, first: [] });
  equal(runTwo(2, 2).mismatches, 1);
  equal(runTwo(2, 2).capacityDeviation, 0);
});

test("a difference is a deviation where a share may have been full", () => {
  deepEqual(runTwo(2, 1), { mismatches: 0, capacityDeviation: 1, first: [] });
});
