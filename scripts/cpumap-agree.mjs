// Network functions behind a dispatcher and a cpumap in the kernel, against the
// sequential program: each frame's place and bytes.
//   node scripts/cpumap-agree.mjs [--packets 1200000] [--flows 4000] [--seed N]
//                                 [--object NAME] [--budget 10m]
// --packets: of all network functions together. Prints a line per network function;
// exit 1 where one differs, where frames are lost or where the budget ends first.
import { join } from "node:path";
import { parseArgs } from "node:util";
import process from "node:process";

const root = new URL("..", import.meta.url).pathname;
const { tryCpumap } = await import(
  join(root, "dist-dev/test/support/cpumap.js")
);
const { openKernel } = await import(join(root, "dist/engine/index.js"));
const { generate, parseGenerator } = await import(
  join(root, "dist/traffic/index.js")
);

const { values } = parseArgs({
  options: {
    packets: { type: "string", default: "1200000" },
    flows: { type: "string", default: "4000" },
    seed: { type: "string", default: "1" },
    object: { type: "string" },
    budget: { type: "string", default: "10m" },
  },
});
const until =
  Date.now() + 60_000 * Number(/^(\d+)m$/.exec(values.budget)?.[1] ?? 10);

// A rate of 1 byte per second: what a bucket gets back depends on no clock.
const all = [
  { object: "nfs/c/firewall.o", model: "bidirectional" },
  { object: "nfs/c/nat.o", model: "bidirectional", answered: 1 },
  {
    object: "nfs/c/policer.o",
    model: "bidirectional",
    set: [["rate", "1"]],
  },
  { object: "nfs/c/connection-limiter.o", model: "bidirectional" },
  { object: "testdata/dispatch/mac-meter.o", model: "zipf" },
].filter(
  ({ object }) => values.object === undefined || object.includes(values.object),
);

// Traces that fit into memory, one after the other.
const part = 50_000;
const each = Math.ceil(Number(values.packets) / all.length);
const kernel = await openKernel();
let [total, wrong] = [0, 0];
for (const { object, model, set = [], answered } of all) {
  let [packets, mismatches, lost, seconds] = [0, 0, 0, 0];
  const perCpu = [0, 0];
  const places = {};
  for (let round = 0; packets < each && Date.now() < until; round++) {
    const seed = Number(values.seed) + round;
    const text = `gen:${model},packets=${Math.min(part, each)},flows=${values.flows},seed=${seed}`;
    const ran = await tryCpumap(kernel, {
      object,
      trace: [...generate(parseGenerator(text))],
      cores: 2,
      set,
      seed,
      ...(answered === undefined
        ? {}
        : { answer: { port: answered, frames: part / 2 } }),
    });
    packets += ran.packets;
    mismatches += ran.mismatches + ran.strays;
    lost += ran.lost;
    seconds += ran.seconds;
    for (const [cpu, count] of ran.perCpu.entries()) perCpu[cpu] += count;
    for (const [place, count] of Object.entries(ran.places))
      places[place || "dropped"] = (places[place || "dropped"] ?? 0) + count;
    for (const line of ran.first) console.log(`  ${line}`);
  }
  total += packets;
  wrong += mismatches + lost;
  console.log(
    object.padEnd(30),
    String(packets).padStart(8),
    "packets",
    String(mismatches).padStart(4),
    "mismatches",
    String(lost).padStart(4),
    "lost; CPUs",
    perCpu.join(" "),
    Object.entries(places)
      .map(([place, count]) => `${place} ${count}`)
      .join(", "),
    `${seconds.toFixed(1)} s`,
  );
}
kernel.close();
console.log(`${total} packets, ${wrong} wrong`);
process.exitCode = wrong === 0 && total >= 0.9 * Number(values.packets) ? 0 : 1;
