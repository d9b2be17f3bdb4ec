/** `divisi analyze`: the state report. */
import { performance } from "node:perf_hooks";
import { printPlace, printable } from "../base/index.ts";
import type { StateObject } from "../analysis/index.ts";
import { analyzeJson } from "../strategy/index.ts";
import type { Words } from "./command.ts";
import { loadAnalysed } from "./input.ts";
import type { Answer, Rendering } from "./render.ts";
import { choiceOf } from "./words.ts";

type Analyzed = ReturnType<typeof analyzeJson>;

export async function analyze(
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const [path = ""] = words.args;
  const started = performance.now();
  const { program, report, ports } = loadAnalysed(path, words);
  const json = analyzeJson(report, {
    type: program.type,
    ports,
    ms: Math.round(performance.now() - started),
  });
  const failOn = choiceOf(words, "fail-on", ["race"] as const);
  const isRacy = failOn === "race" && report.races.length > 0;
  return {
    exit: isRacy ? 1 : 0,
    json,
    text: analyzeText(json, report.objects, rendering.verbosity > 0),
  };
}

function analyzeText(
  json: Analyzed,
  objects: readonly StateObject[],
  isLong: boolean,
): string {
  const lines = [
    `${json.program.name}  ${json.program.type}, ${json.program.insns} instructions, ${json.program.maps} maps`,
  ];
  for (const [index, object] of json.objects.entries()) {
    lines.push("", `${object.name}  ${object.type}, ${object.access}`);
    const keys = new Map<string, string[]>();
    for (const access of objects[index]?.accesses ?? []) {
      const text = `${access.key.text}  (${access.guard.text})`;
      const ops = keys.get(text) ?? [];
      ops.push(`${access.op} ${printPlace(access.at)}`);
      keys.set(text, ops);
    }
    for (const [key, ops] of keys) {
      lines.push(`  key      ${key}`);
      lines.push(
        ...(isLong ? ops : [shortened(ops)]).map((op) => `             ${op}`),
      );
    }
    for (const strategy of object.strategies) {
      const [reason] = strategy.reasons;
      lines.push(
        `  ${strategy.name.padEnd(8)} ${strategy.verdict}: ${reason?.text ?? ""}${reason !== undefined && reason.code !== "fits" ? ` [${reason.code}]` : ""}`,
      );
      if (reason !== undefined && "edit" in reason && isLong)
        lines.push(`             ${reason.edit}`);
    }
  }
  if (json.races.length > 0) {
    lines.push("", "races, if several cores run the program as it is");
    for (const race of json.races) lines.push(`  ${race.kind}  ${race.text}`);
  }
  for (const note of json.notes) lines.push("", `note: ${note.text}`);
  return lines.map(printable).join("\n");
}

function shortened(ops: readonly string[]): string {
  const shown = ops.slice(0, 4).join(", ");
  return ops.length > 4 ? `${shown} and ${ops.length - 4} more` : shown;
}
