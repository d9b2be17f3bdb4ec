/** Several cores in one memory: own areas, maps in common. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../base/index.ts";
import { loadPortable } from "./program.ts";
import { mapOf, packetsOf, programOf } from "./twin.test.kit.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

test(`cores in one memory have areas of their own and maps in common (seed ${seed})`, () => {
  const spec = mapOf("count", "array", [4, 8, 1]);
  const program = programOf(
    `r6 = *(u32 *)(r1 + 0)
     r2 = *(u32 *)(r1 + 4)
     r3 = r6
     r3 += 14
     r0 = 0
     if r3 > r2 goto out
     *(u32 *)(r10 - 4) = 0
     r7 = *(u32 *)(r6 + 2)
     *(u64 *)(r10 - 16) = r7
     r1 = map count ll
     r2 = r10
     r2 += -4
     call map_lookup_elem
     if r0 == 0 goto out
     r1 = *(u64 *)(r0 + 0)
     r1 += 1
     *(u64 *)(r0 + 0) = r1
     *(u32 *)(r6 + 6) = r1
     r0 = *(u64 *)(r10 - 16)
     out:
     exit`,
    [spec],
  );
  const packets = packetsOf(new Random(seed), 600);
  const alone = loadPortable(program).run(packets);
  const cores = 3;
  const first = loadPortable(program, {
    memory: { core: 0, cores },
    contents: {
      count: [{ key: new Uint8Array(4), value: new Uint8Array(8) }],
    },
  });
  const { memory } = first.view;
  const team = [
    first,
    loadPortable(program, { memory: { core: 1, cores, memory } }),
    loadPortable(program, { memory: { core: 2, cores, memory } }),
  ];
  const areas = team.map(({ view }) => view.cell.current);
  equal(new Set(areas).size, cores);
  const together = packets.flatMap(
    (packet, index) => team[index % cores]?.run([packet]) ?? [],
  );
  deepEqual(together, alone);
  for (const program of team)
    deepEqual(program.entries("count"), first.entries("count"));
});
