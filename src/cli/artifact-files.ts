/** Everything that goes into DIR, and the certificate over it. */
import type { Analysed } from "../analysed.ts";
import { certify, demandOf, type Artifact } from "../pipeline.ts";
import type { GuardedResult } from "../guarded.ts";
import type { Certificate, Tested } from "../proof/index.ts";
import { applyScript, dpdkJson, undoScript } from "../rss/index.ts";
import { emittedFile, planJson } from "../strategy/index.ts";
import { sha256, type OutputFile } from "./files.ts";
import type { ObjectFile } from "./object-file.ts";
import { readmeText } from "./split-text.ts";
import { version } from "./version.ts";

export interface ArtifactInput {
  readonly file: ObjectFile;
  readonly analysed: Analysed;
  readonly artifact: Artifact;
  readonly tested: Tested;
  /** Of plans with a lock or transactions. */
  readonly guarded?: GuardedResult;
  readonly verifier: string;
  /** Text of `--maps`. */
  readonly mapsFile?: string;
  readonly command: readonly string[];
  readonly traffic: readonly string[];
  readonly seed: number;
  readonly userWrites: readonly string[];
}

export function artifactFiles(input: ArtifactInput): {
  list: readonly OutputFile[];
  plan: object;
  certificate: Certificate;
} {
  const { analysed, artifact } = input;
  const { setup } = artifact;
  const plan = {
    schema: "divisi.plan/1",
    divisi: version(),
    program: { name: analysed.program.name, type: analysed.program.type },
    input: inputOf(input),
    command: ["divisi", ...input.command],
    seed: input.seed,
    traffic: input.traffic,
    userWrites: input.userWrites,
    ...planJson(artifact.plan),
    ports: analysed.ports,
    ...(setup === undefined
      ? {}
      : {
          steering: {
            mode: artifact.plan.rss?.mode,
            constrained: demandOf(artifact).constrained,
          },
          setup,
        }),
  };
  const files: OutputFile[] = [
    { path: "plan.json", content: json(plan) },
    { path: "source.o", content: analysed.source },
    { path: emittedFile(artifact.plan), content: artifact.bytes },
    ...(setup === undefined
      ? []
      : ([
          {
            path: "nic/apply.sh",
            content: applyScript(setup),
            executable: true,
          },
          { path: "nic/undo.sh", content: undoScript(setup), executable: true },
          { path: "nic/dpdk.json", content: json(dpdkJson(setup)) },
        ] as const)),
    ...(input.mapsFile === undefined
      ? []
      : [{ path: "maps.json", content: input.mapsFile }]),
    { path: "README.txt", content: readmeText(analysed, artifact) },
  ];
  const certificate = certify(analysed, artifact, {
    tested: input.tested,
    ...(input.guarded === undefined ? {} : { guarded: input.guarded }),
    verifier: input.verifier,
    sha256: Object.fromEntries(
      files.map(({ path, content }) => [path, sha256(content)]),
    ),
  });
  return {
    list: [...files, { path: "certificate.json", content: json(certificate) }],
    plan,
    certificate,
  };
}

/** What was split: the object as it was read, or the texts that it is compiled from. */
function inputOf({ file, analysed }: ArtifactInput): object {
  const [main, ...others] = file.sources ?? [];
  if (main === undefined)
    return { file: file.path, sha256: sha256(analysed.source) };
  return { ...main, ...(others.length === 0 ? {} : { imports: others }) };
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
