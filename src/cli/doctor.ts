/** `divisi doctor`: what can run here, and what to do about what cannot. */
import { examine, thisMachine, type Finding } from "../control/index.ts";
import { kernelFeatureCount } from "../engine/index.ts";
import type { Words } from "./command.ts";
import type { Answer, Rendering } from "./render.ts";
import { valuesOf } from "./words.ts";
import { wrapped } from "./wrap.ts";

/** Exit 1 where the kernel engine, or an interface that was named, cannot be used. */
export async function doctor(
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const interfaces = valuesOf(words, "iface").flatMap((word) =>
    word.split(","),
  );
  const findings = await examine(thisMachine(), { interfaces });
  const stops = findings.some(
    ({ ok, about }) =>
      !ok &&
      (about === "engine" || (about === "interface" && interfaces.length > 0)),
  );
  return {
    exit: stops ? 1 : 0,
    json: {
      schema: "divisi.doctor/1",
      ok: !stops,
      checks: findings.map(({ name, about, ok, detail, fix }) => ({
        name,
        about,
        ok,
        detail,
        ...(fix === undefined ? {} : { fix }),
      })),
    },
    text: text(findings, rendering.verbosity > 0),
  };
}

function text(findings: readonly Finding[], all: boolean): string {
  const features = findings.filter(({ about }) => about === "feature");
  const have = features.filter(({ ok }) => ok).length;
  // Those that only bpf(2) answers, where it may not be asked.
  const notProbed =
    features.length < kernelFeatureCount ? kernelFeatureCount : 0;
  const shown = findings.filter(
    ({ about, ok }) => all || !ok || about !== "feature",
  );
  const lines = shown.flatMap(({ name, ok, detail, fix }) => [
    ...wrapped(`${ok ? "ok  " : "no  "}${name}: ${detail}`, 8),
    ...(fix === undefined ? [] : wrapped(`      do: ${fix}`, 10)),
  ]);
  const problems = findings.filter(({ ok }) => !ok).length;
  return [
    ...lines,
    ...(features.length === 0
      ? []
      : [
          `kernel features: ${have} of ${features.length}${notProbed === 0 ? "" : `, ${notProbed} not probed`}${all ? "" : " (-v lists them)"}`,
        ]),
    problems === 0
      ? "nothing to mend"
      : `${problems} ${problems === 1 ? "thing" : "things"} to mend or to know`,
  ].join("\n");
}
