/** `divisi analyze`: the state report. */
import { performance } from "node:perf_hooks";
import { Bug, printPlace, printable } from "../base/index.ts";
import type { StateObject } from "../analysis/index.ts";
import type { Analysed } from "../pipeline.ts";
import { raceWitnesses, type Witness } from "../proof/index.ts";
import { analyzeJson } from "../strategy/index.ts";
import { pcapngBytes, type TracePacket } from "../traffic/index.ts";
import { asTracePacket, coveringPackets } from "../trial.ts";
import type { Words } from "./command.ts";
import { writeWhole } from "./files.ts";
import { loadAnalysed } from "./input.ts";
import { objectFile } from "./object-file.ts";
import type { Answer, Rendering } from "./render.ts";
import { racesAsSarif } from "./sarif.ts";
import { choiceOf, isSet, seedOf, valueOf } from "./words.ts";
import { wrapped } from "./wrap.ts";

type Analyzed = ReturnType<typeof analyzeJson>;

export async function analyze(
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const [path = ""] = words.args;
  const started = performance.now();
  const file = await objectFile(path, words);
  const analysed = loadAnalysed(file, words);
  const { program, report, ports } = analysed;
  const json = analyzeJson(report, {
    type: program.type,
    ports,
    ms: Math.round(performance.now() - started),
  });
  const failOn = choiceOf(words, "fail-on", ["race"] as const);
  const isRacy = failOn === "race" && report.races.length > 0;
  const witness = valueOf(words, "witness");
  const shown =
    witness === undefined ? [] : writeWitness(witness, analysed, words);
  const exit = isRacy ? 1 : 0;
  if (isSet(words, "sarif")) {
    const sarif = racesAsSarif(report);
    return { exit, json: sarif, text: JSON.stringify(sarif, null, 2) };
  }
  const text = analyzeText(json, report.objects, rendering.verbosity > 0);
  return {
    exit,
    json: witness === undefined ? json : { ...json, witnesses: shown },
    text: [
      text,
      ...shown.flatMap(({ object, cell, packets }) =>
        wrapped(
          `witness  packets ${packets.join(" and ")} of ${witness} meet in ${object}[${cell}]`,
          9,
        ),
      ),
    ].join("\n"),
  };
}

/** Writes two packets for each race that covering packets can show. */
function writeWitness(
  file: string,
  { program, report, ports }: Analysed,
  words: Words,
): Witness[] {
  const cover = coveringPackets({
    program,
    report,
    ports,
    cpus: 2,
    seeds: [],
    seed: seedOf(words),
  });
  const found = raceWitnesses(
    program,
    cover.packets,
    new Set(report.races.map(({ object }) => object)),
    cover.contents,
  );
  const packets: TracePacket[] = [];
  const shown = found.map((witness) => {
    const [one, other] = witness.packets.map((number) => {
      const input = cover.packets[number];
      if (input === undefined) throw new Bug(`no covering packet ${number}`);
      return packets.push(asTracePacket(input, ports));
    });
    return { ...witness, packets: [one ?? 0, other ?? 0] as const };
  });
  writeWhole(
    file,
    pcapngBytes(packets, {
      application: "divisi",
      interfaces: ports.map(({ name }) => name),
      comment: (_packet, index) =>
        found[index >> 1] === undefined
          ? undefined
          : `${found[index >> 1]?.object}[${found[index >> 1]?.cell}]`,
    }),
  );
  return shown;
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
