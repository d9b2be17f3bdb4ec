// Writes the constants of the cost model: src/strategy/engine-costs.ts from what
// bench/results/cost.json says, src/strategy/dispatch-cost.ts from dispatch.json, where that
// is. Then build, and run the tests of src/strategy.
//   node scripts/engine-costs.mjs
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = new URL("..", import.meta.url).pathname;
const source = "bench/results/cost.json";
const target = join(root, "src/strategy/engine-costs.ts");
const { costs, date } = JSON.parse(readFileSync(join(root, source), "utf8"));
const rows = Object.entries(costs).map(
  ([
    name,
    {
      value,
      unit,
      interval: [low, high],
    },
  ]) =>
    `  ${`${name}:`.padEnd(12)} { value: ${value}, unit: ${JSON.stringify(unit)}, source: "fitted, ${low} to ${high}" },`,
);
const [head] = readFileSync(target, "utf8").split("export const");
writeFileSync(
  target,
  `${head}export const engineCostsSource = "${source}, ${date}";

// prettier-ignore
export const engineCosts = {
${rows.join("\n")}
} as const satisfies Readonly<Record<string, EngineCost>>;
`,
);
console.log(`${target}: ${rows.length} constants`);

const measured = "bench/results/dispatch.json";
if (existsSync(join(root, measured))) {
  const { cost } = JSON.parse(readFileSync(join(root, measured), "utf8"));
  const file = join(root, "src/strategy/dispatch-cost.ts");
  const [head] = readFileSync(file, "utf8").split("export const dispatchCost:");
  writeFileSync(
    file,
    `${head}export const dispatchCost: readonly [number, number] = [${cost.interval.join(", ")}];

export const dispatchCostSource = ${JSON.stringify(measured)};
`,
  );
  console.log(file);
}
