/** `divisi analyze`: the state report. */
import { performance } from "node:perf_hooks";
import { printPlace, printable } from "../base/index.ts";
import type { StateObject } from "../analysis/index.ts";
import { analyzeJson, lockForms } from "../strategy/index.ts";
import type { Words } from "./command.ts";
import { loadAnalysed } from "./input.ts";
import { objectFile } from "./object-file.ts";
import type { Answer, Rendering } from "./render.ts";
import { racesAsSarif } from "./sarif.ts";
import { choiceOf, isSet, valueOf } from "./words.ts";
import { wrapped } from "./wrap.ts";

type Analyzed = ReturnType<typeof analyzeJson>;
type Guarded = Extract<
  Analyzed["objects"][number]["strategies"][number],
  { readonly kernel: unknown }
>;

export async function analyze(
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const [path = ""] = words.args;
  const started = performance.now();
  const file = await objectFile(path, words);
  const analysed = loadAnalysed(file, words);
  const { program, report, ports } = analysed;
  // Only state that is written asks for the generator, and what it could do with locks.
  const isWritten = report.objects.some(({ access }) => access !== "read-only");
  const kernelLocks = isWritten
    ? (await import("../edited.ts")).kernelLocksOf(analysed)
    : new Map<string, never>();
  const json = analyzeJson(report, {
    type: program.type,
    ports,
    kernelLocks,
    ms: Math.round(performance.now() - started),
  });
  const failOn = choiceOf(words, "fail-on", ["race"] as const);
  const isRacy = failOn === "race" && report.races.length > 0;
  const witness = valueOf(words, "witness");
  // Only who asks for packets pays for the engine that shows them.
  const witnesses =
    witness === undefined
      ? undefined
      : await (
          await import("./witness.ts")
        ).witnessed(witness, analysed, words);
  const exit = isRacy ? 1 : 0;
  if (isSet(words, "sarif")) {
    const sarif = racesAsSarif(report);
    return { exit, json: sarif, text: JSON.stringify(sarif, null, 2) };
  }
  const text = analyzeText(json, report.objects, rendering.verbosity > 0);
  return {
    exit,
    json:
      witnesses === undefined ? json : { ...json, witnesses: witnesses.json },
    text: [text, ...(witnesses?.text ?? [])].join("\n"),
  };
}

function analyzeText(
  json: Analyzed,
  objects: readonly StateObject[],
  isLong: boolean,
): string {
  const lines = wrapped(
    `${json.program.name}  ${json.program.type}, ${json.program.insns} instructions, ${json.program.maps} maps`,
    2,
  );
  for (const [index, object] of json.objects.entries()) {
    lines.push(
      "",
      ...wrapped(`${object.name}  ${object.type}, ${object.access}`, 2),
    );
    const keys = new Map<string, string[]>();
    for (const access of objects[index]?.accesses ?? []) {
      const text = keyLines(access.key.text, `(${access.guard.text})`);
      const ops = keys.get(text) ?? [];
      ops.push(`${access.op} ${printPlace(access.at)}`);
      keys.set(text, ops);
    }
    for (const [key, ops] of keys) {
      lines.push(...key.split("\n"));
      lines.push(
        ...(isLong ? ops : [shortened(ops)]).flatMap((op) =>
          wrapped(`             ${op}`, 13),
        ),
      );
    }
    for (const strategy of object.strategies) {
      if ("kernel" in strategy) {
        if (strategy.name === "lock")
          lines.push(...lockLines(strategy.kernel, isLong));
        continue;
      }
      const [reason] = strategy.reasons;
      lines.push(
        ...wrapped(
          `  ${strategy.name.padEnd(8)} ${strategy.verdict}: ${reason?.text ?? ""}${reason !== undefined && reason.code !== "fits" ? ` [${reason.code}]` : ""}`,
          11,
        ),
      );
      if (reason !== undefined && "edit" in reason && isLong)
        lines.push(...wrapped(`             ${reason.edit}`, 13));
    }
  }
  if (json.races.length > 0) {
    lines.push("", "races, if several cores run the program as it is");
    for (const race of json.races)
      lines.push(...wrapped(`  ${race.kind}  ${race.text}`, 4));
  }
  for (const note of json.notes)
    lines.push("", ...wrapped(`note: ${note.text}`, 2));
  return lines.map(printable).join("\n");
}

/** A guard fits anything: what it is in the kernel is what there is to say. */
function lockLines(kernel: Guarded["kernel"], isLong: boolean): string[] {
  const line = (text: string): string[] =>
    wrapped(`  lock     yes, or a transaction: ${text}`, 11);
  if ("how" in kernel) return line(`in the kernel ${lockForms[kernel.how]}`);
  const [reason] = kernel.reasons;
  return [
    ...line(
      `on the portable engine alone; ${reason?.text ?? ""} [${reason?.code ?? ""}]`,
    ),
    ...(isLong && reason !== undefined
      ? wrapped(`             ${reason.edit}`, 13)
      : []),
  ];
}

/** The key and when it is used: on one line, or each on lines of its own. */
function keyLines(key: string, guard: string): string {
  const title = `  key      ${key}`;
  const [whole = "", ...more] = wrapped(`${title}  ${guard}`, 11);
  if (more.length === 0) return whole;
  return [
    ...wrapped(title, 11),
    ...wrapped(`${" ".repeat(11)}${guard}`, 12),
  ].join("\n");
}

function shortened(ops: readonly string[]): string {
  const shown = ops.slice(0, 4).join(", ");
  return ops.length > 4 ? `${shown} and ${ops.length - 4} more` : shown;
}
