import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { compareRecords, type StateRule } from "./compare.ts";
import type { RunRecord } from "./record.ts";

function record(parts: Partial<RunRecord> = {}): RunRecord {
  return {
    verdicts: Uint32Array.of(2, 1),
    outputs: Uint32Array.of(1, 2, 0, 0),
    effects: Uint32Array.of(0, 0, 0, 0),
    faults: [],
    state: new Map([["count", new Map([["00000000", ["0500000000000000"]]])]]),
    ...parts,
  };
}

function kinds(
  have: Partial<RunRecord>,
  rules: ReadonlyMap<string, StateRule> = new Map(),
): string[] {
  return compareRecords(record(), record(have), rules).first.map(
    ({ kind }) => kind,
  );
}

test("equal records have no mismatch", () => {
  equal(compareRecords(record(), record(), new Map()).mismatches, 0);
});

test("each kind of difference is seen", () => {
  deepEqual(kinds({ verdicts: Uint32Array.of(2, 2) }), ["verdict"]);
  deepEqual(kinds({ outputs: Uint32Array.of(1, 3, 0, 0) }), ["bytes"]);
  deepEqual(kinds({ outputs: Uint32Array.of(0, 0, 0, 0) }), ["bytes"]);
  deepEqual(kinds({ effects: Uint32Array.of(0, 0, 7, 7) }), ["effects"]);
  deepEqual(kinds({ faults: [{ packet: 1, text: "null" }] }), ["fault"]);
  deepEqual(kinds({ state: new Map([["count", new Map()]]) }), ["state"]);
});

test("merged copies must sum to the sequential value", () => {
  const rules = new Map<string, StateRule>([
    ["count", { kind: "merged", lanes: [{ offset: 0, size: 8 }] }],
  ]);
  const copies = (...values: string[]): Partial<RunRecord> => ({
    state: new Map([["count", new Map([["00000000", values]])]]),
  });
  deepEqual(kinds(copies("0200000000000000", "0300000000000000"), rules), []);
  deepEqual(kinds(copies("0200000000000000", "0200000000000000"), rules), [
    "state",
  ]);
  deepEqual(kinds(copies("0500000000000000"), rules), []);
});
