/**
 * How long the state report takes: generated programs that parse a frame, then
 * look up, branch and count again and again, from 200 to 50,000 instructions.
 * Target: at most 1 s for 2,000 instructions, near-linear up to 50,000.
 */
import process from "node:process";
import { analyse } from "#analysis";
import { parseFunction, type MapSpec, type ProgramSpec } from "#isa";

const map: MapSpec = {
  name: "m",
  type: "hash",
  keySize: 8,
  valueSize: 8,
  maxEntries: 1024,
  flags: 0,
  section: ".maps",
  readOnly: false,
};

/** One look-up under one of two keys, a count, and a diamond behind it: 19 instructions. */
const step = (index: number): string => `
  r1 = *(u32 *)(r7 + ${26 + 4 * (index % 2)})
  r2 = *(u8 *)(r7 + ${14 + (index % 20)})
  if r2 == ${index % 251} goto other${index}
  r1 ^= ${index}
other${index}:
  *(u32 *)(r10 - 8) = r1
  *(u32 *)(r10 - 4) = ${index}
  r2 = r10
  r2 += -8
  r1 = map m ll
  call map_lookup_elem
  if r0 == 0 goto miss${index}
  r1 = *(u64 *)(r0 + 0)
  if r1 > ${index} goto big${index}
  r1 += 1
  *(u64 *)(r0 + 0) = r1
  goto miss${index}
big${index}:
  r8 += r1
miss${index}:
  r8 += 1`;

function generated(steps: number): ProgramSpec {
  const text = `
  r6 = r1
  r8 = 0
  r7 = *(u32 *)(r6 + 0)
  r3 = *(u32 *)(r6 + 4)
  r4 = r7
  r4 += 54
  if r4 > r3 goto out
  r4 = *(u16 *)(r7 + 12)
  if r4 != 8 goto out${Array.from({ length: steps }, (_, index) => step(index)).join("")}
out:
  r0 = 2
  exit`;
  return {
    file: "generated",
    name: "main",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: [parseFunction(text)],
    maps: [map],
  };
}

for (const instructions of [200, 2000, 2000, 10_000, 20_000, 50_000]) {
  const spec = generated(Math.ceil(instructions / 18));
  const count = spec.functions[0]?.instructions.length ?? 0;
  const started = process.cpuUsage();
  const report = analyse(spec);
  const ms = process.cpuUsage(started).user / 1000;
  const accesses = report.objects.reduce(
    (sum, object) => sum + object.accesses.length,
    0,
  );
  console.log(
    `${count} instructions: ${ms.toFixed(0)} ms of CPU time, ${((1000 * ms) / count).toFixed(1)} us each, ${accesses} accesses`,
  );
}
