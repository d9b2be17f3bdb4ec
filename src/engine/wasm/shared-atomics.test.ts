/**
 * Atomics and locks in shared memory, seen from one thread: they are the real
 * instructions, misaligned ones fault, and a lock is given back by a run that faults.
 * That no update is lost between threads is soak.test.ts's to show.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { compile } from "../../codegen/index.ts";
import type { PacketInput } from "../../interp/index.ts";
import { loadPortable } from "./program.ts";
import { mapOf, programOf } from "./twin.test.kit.ts";

const packet: PacketInput = {
  data: new Uint8Array(64),
  ifindex: 1,
  rxQueue: 0,
  cpu: 0,
  time: 0n,
};
const maps = [
  mapOf("m", "array", [4, 24, 2], {
    valueFields: [{ path: "lock", bitOffset: 0, bits: 32, kind: "spin-lock" }],
  }),
];

/** r0 and r7: the value of element 0. */
const found = (...body: readonly string[]): string =>
  [
    "r6 = r1",
    "*(u32 *)(r10 - 4) = 0",
    "r1 = map m ll",
    "r2 = r10",
    "r2 += -4",
    "call map_lookup_elem",
    "if r0 != 0 goto there",
    "exit",
    "there:",
    "r7 = r0",
    ...body,
    "exit",
  ].join("\n");

const seat = { core: 0, cores: 2 } as const;

/** How often 0xfe stands in the module that is not so in private memory. */
function atomicsIn(text: string): number {
  const count = (memory: "private" | typeof seat): number =>
    compile(programOf(text, maps), { cpus: 2, memory }).bytes.filter(
      (byte) => byte === 0xfe,
    ).length;
  return count(seat) - count("private");
}

test("atomics on values are atomic instructions, those on the stack are not", () => {
  const plain = atomicsIn(found("r1 = 5", "*(u64 *)(r7 + 8) = r1"));
  const on = (place: string): number =>
    atomicsIn(
      found(
        "r1 = 5",
        "*(u64 *)(r10 - 16) = 0",
        `lock *(u64 *)(${place}) += r1`,
      ),
    ) - plain;
  equal(on("r10 - 16"), 0);
  equal(on("r7 + 8"), 1);
});

// prettier-ignore
const misaligned: readonly (readonly string[])[] = [
  ["r1 = 5", "lock *(u64 *)(r7 + 12) += r1"],
  ["r1 = 5", "lock *(u32 *)(r7 + 10) += w1"],
  ["r1 = 5", "r0 = cmpxchg_64(r7 + 9, r0, r1)"],
  ["r0 = load_acquire((u64 *)(r7 + 12))"],
  ["w0 = load_acquire((u16 *)(r7 + 9))"],
  ["r1 = 5", "store_release((u32 *)(r7 + 9), w1)"],
  // At a distance that is not known beforehand.
  ["r1 = *(u32 *)(r6 + 12)", "r7 += r1", "lock *(u64 *)(r7 + 8) += r1"],
];

for (const body of misaligned)
  test(`misaligned: ${body.join("; ")}`, () => {
    const program = programOf(found(...body), maps);
    const [shared] = loadPortable(program, { cpus: 2, memory: seat }).run([
      packet,
    ]);
    equal(shared?.fault?.text, "misaligned atomic access");
    // Nine instructions look the value up; the last of the body faults.
    equal(shared.fault.at.instruction, 8 + body.length);
    const [alone] = loadPortable(program, { cpus: 2 }).run([packet]);
    equal(alone?.fault, undefined);
  });

test("a run that faults gives its locks back; one that does not return them is seen", () => {
  const text = found(
    "r1 = r7",
    "call spin_lock",
    "r1 = *(u32 *)(r6 + 12)",
    "if r1 == 2 goto bad",
    "r1 = r7",
    "call spin_unlock",
    "r0 = 7",
    "exit",
    "bad:",
    "r0 = *(u8 *)(r1 + 0)",
  );
  const program = programOf(text, maps);
  const first = loadPortable(program, { cpus: 2, memory: seat });
  const { memory } = first.view;
  const second = loadPortable(program, {
    cpus: 2,
    memory: { core: 1, cores: 2, memory },
  });
  const [bad] = first.run([{ ...packet, ifindex: 2 }]);
  ok(bad?.fault?.text.includes("memory"));
  for (const core of [second, first, second]) {
    const [good] = core.run([packet]);
    deepEqual([good?.verdict, good?.fault], [7, undefined]);
  }
});

test("a resilient lock that another core holds times out", () => {
  const text = found(
    "r1 = r7",
    "call kfunc bpf_res_spin_lock",
    "r8 = r0",
    "r1 = r7",
    "call kfunc bpf_res_spin_lock",
    "r0 <<= 8",
    "r0 ^= r8",
  );
  const program = programOf(text, maps);
  const first = loadPortable(program, { cpus: 2, memory: seat });
  const { memory } = first.view;
  const second = loadPortable(program, {
    cpus: 2,
    memory: { core: 1, cores: 2, memory },
  });
  // Held twice by itself: EDEADLK (35). It keeps the lock.
  equal(first.run([packet])[0]?.verdict, (-35 << 8) >>> 0);
  // Held by another: ETIMEDOUT (110), both times.
  equal(second.run([packet])[0]?.verdict, ((-110 << 8) ^ -110) >>> 0);
});
