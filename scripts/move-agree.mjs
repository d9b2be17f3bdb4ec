// A hot spot that moves, in the kernel: real XDP over veth, a dispatcher, workers on two
// CPUs, and a controller that rewrites the table while packets pass.
//   node scripts/move-agree.mjs [--packets 1000000] [--epochs 20] [--keys 2000]
//                               [--interval 5000] [--senders 1] [--seed N] [--fixed]
//                               [--json FILE]
// The program numbers packets per key: what comes out of order is counted by itself, and
// its state is compared with the sequential run. Exit 1 where a packet is lost or out of
// order, state differs, a wait was given up, or a hot spot takes more than 10 updates.
// --fixed: the table stays, for comparison.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import process from "node:process";

const root = new URL("..", import.meta.url).pathname;
const { bearable, tryMoving } = await import(
  join(root, "dist-dev/test/support/moving.js")
);
const { openKernel } = await import(join(root, "dist/engine/index.js"));

const { values } = parseArgs({
  options: {
    packets: { type: "string", default: "1000000" },
    epochs: { type: "string", default: "20" },
    keys: { type: "string", default: "2000" },
    interval: { type: "string", default: "5000" },
    senders: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
    fixed: { type: "boolean", default: false },
    json: { type: "string" },
  },
});
const number = (name) => Number(values[name]);
const kernel = await openKernel();
const ran = await tryMoving(kernel, {
  packets: number("packets"),
  epochs: number("epochs"),
  keys: number("keys"),
  interval: number("interval"),
  senders: number("senders"),
  seed: number("seed"),
  hand: values.fixed ? "none" : "controller",
});
kernel.close();
const { waits } = ran;
const over = ran.turns.filter(({ imbalance }) => imbalance > bearable).length;
console.log(
  `${ran.sent} packets, ${ran.lost} lost, ${ran.reordered} out of order within their key, ${ran.differing} keys differ; ${ran.seconds.toFixed(1)} s`,
);
console.log(
  `${ran.updates} table updates, ${ran.moved} entries moved; ${waits.waits} waits of ${(waits.nanoseconds / 1000 / Math.max(1, waits.waits)).toFixed(0)} us, ${waits.givenUp} given up; CPUs ${ran.perCpu.join(" ")}`,
);
console.log(
  `imbalance at most ${ran.worst.toFixed(2)}; above ${bearable} in ${over} of ${ran.turns.length} turns; updates until below it, by hot spot: ${ran.updatesUntilEven.map((updates) => updates ?? "never").join(" ")}`,
);
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify(ran, null, 1)}\n`);
const isRight =
  ran.lost + ran.reordered + ran.differing + waits.givenUp === 0 &&
  ran.updates > 0 &&
  ran.moved > 0 &&
  waits.waits > 0 &&
  ran.updatesUntilEven.every((updates) => (updates ?? Infinity) <= 10);
process.exitCode = isRight ? 0 : 1;
