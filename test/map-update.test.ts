/**
 * A map that user space writes while packets of two CPUs read it, in the kernel: of a
 * hash map a packet sees an old value or a new one, as long as two updates do not come
 * within its run. Values of an array are written in place: a packet that reads one in
 * two steps can see halves, in the sequential program as in any other
 * (docs/concepts/cells-of-ones-own.md). An aligned word of 8 bytes is never in halves.
 */
import { equal, ok } from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { haveBpf, openKernel, type Kernel } from "#engine";
import { parseFunctions, type MapSpec, type MapTypeName } from "#isa";
import { emptyObject, programSpec } from "#object";
import { temporaryFolder } from "./support/cli.ts";
import { typed } from "./support/typed-maps.ts";

const absence = await haveBpf();
const skip = absence === undefined ? {} : { skip: absence.message };
const folder = temporaryFolder("map-update");
after(() => {
  rmSync(folder, { recursive: true, force: true });
});
const packet = join(folder, "packet");
writeFileSync(packet, new Uint8Array(64));

/**
 * Reads the first and the last `size` bytes of a value, some hundred instructions
 * apart, and counts packets and those for which they differ. A packet that was held up
 * for longer than `longest` says nothing: updates are further apart than that.
 */
const longest = 200_000;
const reading = (size: number, valueSize: number): string => `function look
r6 = 0
*(u32 *)(r10 - 4) = r6
call ktime_get_ns
r9 = r0
r1 = map config ll
r2 = r10
r2 += -4
call map_lookup_elem
if r0 == 0 goto out
r6 = *(u${8 * size} *)(r0 + 0)
r8 = 0
again:
r8 += 1
if r8 < 200 goto again
r7 = *(u${8 * size} *)(r0 + ${valueSize - size})
r6 ^= r7
call ktime_get_ns
r0 -= r9
if r0 > ${longest} goto out
r1 = map counts ll
r2 = r10
r2 += -4
call map_lookup_elem
if r0 == 0 goto out
r1 = *(u64 *)(r0 + 0)
r1 += 1
*(u64 *)(r0 + 0) = r1
if r6 == 0 goto out
r1 = *(u64 *)(r0 + 8)
r1 += 1
*(u64 *)(r0 + 8) = r1
out:
r0 = 2
exit`;

/** One load of all 8 bytes, whose halves are compared. */
const oneLoad = reading(8, 8).replace(
  "r6 ^= r7",
  "r6 = r7\nr6 >>= 32\nr7 <<= 32\nr7 >>= 32\nr6 ^= r7",
);

interface Seen {
  readonly packets: number;
  readonly mixed: number;
  readonly updates: number;
}

/** Values whose bytes are all the same, written one after the other beside traffic. */
async function seen(
  kernel: Kernel,
  type: MapTypeName,
  valueSize: number,
  text: string,
): Promise<Seen> {
  const config: MapSpec = {
    ...typed.counter,
    name: "config",
    type,
    valueSize,
    maxEntries: 4,
    btfKey: 0,
    btfValue: 0,
  };
  const counts: MapSpec = {
    ...config,
    name: "counts",
    type: "percpu_array",
    valueSize: 16,
    maxEntries: 1,
  };
  const loaded = kernel.load([
    programSpec({
      ...emptyObject("look", "GPL"),
      functions: parseFunctions(text).map((fn) => ({ ...fn, section: "xdp" })),
      maps: [config, counts],
      programs: [{ name: "look", section: "xdp", type: "xdp" }],
    }),
  ]);
  try {
    const map = loaded.map("config");
    const key = new Uint8Array(4);
    const put = (byte: number): void => {
      map.update(key, new Uint8Array(valueSize).fill(byte));
    };
    put(0);
    const { fd } = loaded.program();
    const id = /prog_id:\s*(\d+)/.exec(
      readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"),
    )?.[1];
    ok(id !== undefined);
    const ended: (number | null)[] = [];
    // prettier-ignore
    const words = ["prog", "run", "id", id, "data_in", packet, "repeat", "2000000"];
    for (const cpu of [0, 1])
      kernel.onCpu(cpu, () =>
        spawn("bpftool", words, { stdio: "ignore" })
          .on("error", () => ended.push(null))
          .on("exit", (code) => ended.push(code)),
      );
    let updates = 0;
    while (ended.length < 2) {
      updates++;
      put(updates & 255);
      await sleep(1);
    }
    equal(ended.join(), "0,0");
    const all = loaded.map("counts").lookupAll(key) ?? [];
    const sum = (at: number): number =>
      all.reduce(
        (total, value) =>
          total +
          Number(new DataView(value.slice().buffer).getBigUint64(at, true)),
        0,
      );
    return { packets: sum(0), mixed: sum(8), updates };
  } finally {
    loaded.close();
  }
}

const cases: readonly (readonly [
  string,
  MapTypeName,
  number,
  string,
  RegExp,
])[] = [
  ["32 bytes in a hash map: old or new", "hash", 32, reading(8, 32), /^0$/],
  ["8 bytes in an array, read at once: old or new", "array", 8, oneLoad, /^0$/],
  [
    "32 bytes in an array, read in two steps: halves are seen",
    "array",
    32,
    reading(8, 32),
    /^[1-9]/,
  ],
];
for (const [name, type, valueSize, text, mixed] of cases)
  test(name, skip, async (t) => {
    const kernel = await openKernel();
    try {
      const found = await seen(kernel, type, valueSize, text);
      t.diagnostic(JSON.stringify(found));
      ok(found.packets > 100_000 && found.updates > 20, JSON.stringify(found));
      ok(mixed.test(String(found.mixed)), JSON.stringify(found));
    } finally {
      kernel.close();
    }
  });
