/** Which changes of a plan take packets to other cores: have, want. */
import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { placementDifference, type Placement } from "./placement.ts";

const nic: Placement = { nic: "a" };
const software: Placement = { dispatcher: "a" };

type Side = readonly [cores: number, placement?: Placement];

// prettier-ignore
const cases: readonly (readonly [says: string, before: Side, after: Side, want: string | undefined])[] = [
  ["nothing changed", [2, nic], [2, nic], undefined],
  ["nothing changed behind a dispatcher", [2, software], [2, software], undefined],
  ["more cores", [2, nic], [4, nic], "the new plan has 4 cores, not 2"],
  ["one core", [2, nic], [1, {}], "the new plan has 1 core, not 2"],
  ["one core as before", [1], [1, nic], undefined],
  ["another key", [2, nic], [2, { nic: "b" }], "the new plan has another key, other hash fields or another table of the NIC"],
  ["no key", [2, nic], [2, {}], "the new plan has another key, other hash fields or another table of the NIC"],
  ["another dispatcher", [2, software], [2, { dispatcher: "b" }], "the new plan's dispatcher takes packets to other cores"],
  ["a dispatcher for the NIC", [2, nic], [2, software], "a dispatcher brings packets to their cores now, not the NIC"],
  ["the NIC for a dispatcher", [2, software], [2, nic], "the NIC brings packets to their cores now, not a dispatcher"],
  ["an old record", [2], [2, nic], "how packets found their cores is not on record"],
];

for (const [says, before, after, want] of cases)
  void test(`placement: ${says}`, () => {
    const [old, now] = [before, after].map(([cores, placement]) => ({
      cores,
      ...(placement === undefined ? {} : { placement }),
    }));
    if (old === undefined || now === undefined) throw new Error("two sides");
    deepEqual(placementDifference(old, now), want);
  });
