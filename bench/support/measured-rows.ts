/** What bench/results/strategies.json holds, and which file of results is asked for. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

export interface MeasuredRow {
  readonly program: string;
  readonly strategy: string;
  readonly cores: number;
  readonly churn: number;
  readonly mpps: number;
  readonly interval: readonly [number, number];
}

export interface MeasuredStrategies {
  readonly schema: string;
  readonly date: string;
  readonly machine: Readonly<Record<string, unknown>>;
  readonly passes: number;
  readonly rows: readonly MeasuredRow[];
}

const root = join(import.meta.dirname, "../../..");

/** The results, or those of the file that DIVISI_STRATEGIES names. */
export function measuredStrategies(): MeasuredStrategies {
  const file =
    process.env["DIVISI_STRATEGIES"] ??
    join(root, "bench/results/strategies.json");
  const found = JSON.parse(readFileSync(file, "utf8")) as MeasuredStrategies;
  if (found.schema !== "divisi.bench-strategies/2")
    throw new Error(`${file} is ${found.schema}: run the bench strategies`);
  return found;
}

/** Nanoseconds per packet over all cores. */
export const nsOf = ({ mpps }: MeasuredRow): number => 1000 / mpps;
