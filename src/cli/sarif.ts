/**
 * Races as SARIF 2.1.0 (OASIS standard), for code scanning in continuous
 * integration: one run, a rule per kind of race, the first place as location.
 */
import type { StateReport } from "../analysis/index.ts";

const rules = {
  "lost-update":
    "a shared value is read, changed and written back without lock or atomic instruction",
  "check-then-act": "a key that was not found is created without BPF_NOEXIST",
  "unlocked-write": "a shared value is written without lock",
} as const;

export function racesAsSarif(report: StateReport): object {
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "divisi",
            rules: Object.entries(rules).map(([id, text]) => ({
              id,
              shortDescription: { text },
            })),
          },
        },
        results: report.races.map(({ kind, text, at, object }) => ({
          ruleId: kind,
          level: "warning",
          message: { text },
          locations: at.slice(0, 1).map((place) => ({
            physicalLocation: {
              artifactLocation: { uri: place.file ?? report.program },
              region: {
                startLine: place.line ?? 1,
                ...(place.column === undefined
                  ? {}
                  : { startColumn: place.column }),
              },
            },
            logicalLocations: [{ name: place.function }],
          })),
          partialFingerprints: { objectAndKind: `${object}/${kind}` },
        })),
      },
    ],
  };
}
