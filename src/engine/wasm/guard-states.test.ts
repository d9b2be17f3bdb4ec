/**
 * The reader/writer token lock and the transaction, explored: every order of the shared
 * accesses of few packets on few cores, on the very bytes that the engine runs
 * (all-orders.test.kit.ts). Each end is the sequential program in the order of commits,
 * nobody waits for ever, no state comes again; and what is left out is missed.
 */
import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import type { GuardMutant } from "../../codegen/index.ts";
import { allOrders, type Explored } from "./all-orders.test.kit.ts";
import { mapOf, programOf } from "./twin.test.kit.ts";

/**
 * The value is two words that are always equal between packets. The packet's first byte:
 * 0 reads; 9 writes where the words are odd, and reads where they are even; others write.
 * A verdict says what was read, and whether the words were equal; so does the packet's
 * second byte, which writers change before they write.
 */
const program = programOf(
  `
  r6 = *(u32 *)(r1 + 0)
  r1 = *(u32 *)(r1 + 4)
  r2 = r6
  r2 += 2
  if r2 > r1 goto out
  *(u32 *)(r10 - 4) = 0
  r1 = map m ll
  r2 = r10
  r2 += -4
  call map_lookup_elem
  if r0 == 0 goto out
  r1 = *(u8 *)(r6 + 0)
  r2 = *(u64 *)(r0 + 0)
  r3 = *(u64 *)(r0 + 8)
  if r1 == 0 goto read
  if r1 != 9 goto write
  if r2 & 1 goto write
read:
  r3 -= r2
  r2 *= 16
  r2 += r3
  r0 = r2
  exit
write:
  *(u8 *)(r6 + 1) = r2
  r2 *= 3
  r2 += r1
  *(u64 *)(r0 + 0) = r2
  *(u64 *)(r0 + 8) = r2
  r0 = r2
  exit
out:
  r0 = 1
  exit
`,
  [mapOf("m", "array", [4, 16, 1])],
);

const explore = (
  kind: "lock" | "transaction",
  packets: readonly (readonly number[])[],
  mutant?: GuardMutant,
): Explored =>
  allOrders({
    program,
    packets,
    guard: {
      kind,
      objects: ["m"],
      patience: 1,
      ...(mutant === undefined ? {} : { mutant }),
    },
  });

type Cores = readonly (readonly number[])[];
// prettier-ignore
const cases: readonly (readonly ["lock" | "transaction", Cores, number])[] = [
  ["lock", [[0, 1, 9], [2, 0, 9]], 10_000],
  ["lock", [[9, 0, 0], [1, 9, 0]], 5_000],
  ["lock", [[0], [1], [9]], 3_000],
  ["lock", [[0, 0], [1, 0], [0, 0]], 50_000],
  ["transaction", [[0, 1, 9], [2, 0, 9]], 1_000],
  ["transaction", [[1, 2, 4], [5, 0, 9]], 1_000],
  ["transaction", [[0, 1], [2, 9], [0, 9]], 10_000],
];

for (const [kind, packets, least] of cases)
  test(`${kind}, packets ${JSON.stringify(packets)}: every order is one of commits`, () => {
    const { wrong, states, ends, orders } = explore(kind, packets);
    deepEqual(wrong, []);
    ok(states > least && ends > 1 && orders > 1, `${states} states`);
  });

const deadlock = /deadlock/;
const outcomes = /outcomes/;
// prettier-ignore
const mutants: readonly (readonly ["lock" | "transaction", GuardMutant, RegExp])[] = [
  ["lock", "no-lock", outcomes],
  ["lock", "skip-token", outcomes],
  ["lock", "keep-token", deadlock],
  ["lock", "first-verdict", outcomes],
  ["lock", "no-undo", outcomes],
  ["transaction", "no-lock", outcomes],
  ["transaction", "no-validation", outcomes],
  ["transaction", "no-increment", outcomes],
  ["transaction", "no-undo", outcomes],
];
for (const [kind, mutant, expected] of mutants)
  test(`${kind} with ${mutant}: seen`, () => {
    const { wrong } = explore(
      kind,
      [
        [0, 1, 9],
        [2, 0, 9],
      ],
      mutant,
    );
    ok(
      wrong.some((text) => expected.test(text)),
      wrong.join(),
    );
  });
