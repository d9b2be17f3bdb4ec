/**
 * Key solving, cold: each row of the null-space table in a fresh process, index
 * mode, 512 entries, 200 samples. Wall and CPU time of the first call.
 *
 *   node dist-dev/bench/rss.bench.js
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { rssRequirement, nicProfile, solveKeys } from "#rss";

// prettier-ignore
const rows: readonly (readonly [string, string, boolean])[] = [
  ["none (4-tuple)", "ipv4.src,ipv4.dst,l4.sport,l4.dport", false],
  ["symmetric", "ipv4.src,ipv4.dst,l4.sport,l4.dport", true],
  ["(sip,dip)", "ipv4.src,ipv4.dst", false],
  ["sip", "ipv4.src", false],
  ["dip", "ipv4.dst", false],
  ["sport", "l4.sport", false],
  ["dport", "l4.dport", false],
  ["(dip,dport)", "ipv4.dst,l4.dport", false],
  ["sip /28", "ipv4.src/28", false],
  ["sip /24", "ipv4.src/24", false],
  ["sip /8", "ipv4.src/8", false],
  ["dip /16", "ipv4.dst/16", false],
];

const [, , only] = process.argv;
if (only === undefined) {
  const results = rows.map(([name], index) => {
    const runs = Array.from({ length: 5 }, () => {
      const { stdout } = spawnSync(
        process.execPath,
        [fileURLToPath(import.meta.url), `${index}`],
        { encoding: "utf8" },
      );
      return JSON.parse(stdout) as { wall: number; cpu: number };
    });
    const median = (
      of: (run: { wall: number; cpu: number }) => number,
    ): number => runs.map(of).sort((a, b) => a - b)[2] ?? 0;
    return {
      row: name,
      wallMs: median(({ wall }) => wall),
      cpuMs: median(({ cpu }) => cpu),
    };
  });
  console.log(
    JSON.stringify(
      { schema: "divisi.bench-rss/1", rows: results },
      undefined,
      1,
    ),
  );
} else {
  const row = rows.at(Number(only));
  const requirement = rssRequirement([row?.[1] ?? "none"], row?.[2] ?? false);
  const start = process.cpuUsage();
  const before = performance.now();
  solveKeys(requirement, {
    profile: nicProfile("e810"),
    mode: "index",
    maxImbalance: Infinity,
  });
  const wall = performance.now() - before;
  const { user, system } = process.cpuUsage(start);
  console.log(JSON.stringify({ wall, cpu: (user + system) / 1000 }));
}
