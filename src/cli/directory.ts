/**
 * Reading what `split` wrote. The three files that say what the NIC is told must
 * agree, or the check would judge settings that nobody applies.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../base/index.ts";
import { load, analyseLoaded, type Analysed } from "../analysed.ts";
import type { MapContents } from "../proof/index.ts";
import { applyScript, dpdkJson, undoScript } from "../rss/index.ts";
import { emittedFile } from "../strategy/index.ts";
import { readInput, sha256 as sha256Of } from "./files.ts";
import { runningKernel } from "./input.ts";
import { parseMapsFile } from "./maps-file.ts";
import { parsePlanFile, type PlanFile } from "./plan-file.ts";

export interface SplitDirectory {
  readonly path: string;
  readonly plan: PlanFile;
  readonly analysed: Analysed;
  /** The emitted object, and its file: core.o, or portable.o if no kernel may run it. */
  readonly core: Uint8Array;
  readonly coreFile: string;
  readonly contents: MapContents | undefined;
  /** Files whose content is not what the certificate names. */
  readonly changed: readonly string[];
  /** Of every file, as the certificate names it. */
  readonly sha256: Readonly<Record<string, string>>;
  /** NIC files that do not say what plan.json says. */
  readonly disagreeing: readonly string[];
}

export function readSplitDirectory(path: string): SplitDirectory {
  const file = (name: string): string => join(path, name);
  const text = (name: string): string =>
    new TextDecoder().decode(readInput(file(name)));
  if (existsSync(path) && !existsSync(file("plan.json")))
    throw new InputError("split did not write this: it has no plan.json", {
      code: "directory-foreign",
      file: path,
    });
  if (!existsSync(path))
    throw new InputError("no such folder", {
      code: "input-unreadable",
      file: path,
    });
  const plan = parsePlanFile(text("plan.json"), file("plan.json"));
  const source = readInput(file("source.o"));
  const options = {
    file: file("source.o"),
    entry: plan.program.name,
    type: plan.program.type,
    set: [],
    ports: plan.ports,
    userWrites: plan.userWrites ?? [],
    ...runningKernel,
  };
  const loaded = load(source, options);
  const analysed = analyseLoaded(loaded, options);
  const { setup } = plan;
  const sha256 = certifiedHashes(path, text("certificate.json"));
  const expected =
    setup === undefined
      ? []
      : ([
          ["nic/apply.sh", applyScript(setup)],
          ["nic/undo.sh", undoScript(setup)],
          ["nic/dpdk.json", `${JSON.stringify(dpdkJson(setup), null, 2)}\n`],
        ] as const);
  return {
    path,
    plan,
    analysed,
    core: readInput(file(emittedFile(plan))),
    coreFile: file(emittedFile(plan)),
    contents: existsSync(file("maps.json"))
      ? parseMapsFile(
          text("maps.json"),
          file("maps.json"),
          analysed.program.maps,
        )
      : undefined,
    sha256,
    changed: changedFiles(path, sha256),
    disagreeing: expected.flatMap(([name, want]) =>
      existsSync(file(name)) && text(name) === want ? [] : [name],
    ),
  };
}

function certifiedHashes(
  path: string,
  certificate: string,
): Readonly<Record<string, string>> {
  const name = join(path, "certificate.json");
  let value: unknown;
  try {
    value = JSON.parse(certificate);
  } catch (error) {
    throw new InputError(
      error instanceof Error ? error.message : String(error),
      { code: "certificate-file", file: name },
    );
  }
  const hashes = (value as { sha256?: Record<string, string> } | null)?.sha256;
  if (typeof hashes === "object") return hashes;
  throw new InputError("sha256 is missing", {
    code: "certificate-file",
    file: name,
  });
}

function changedFiles(
  path: string,
  hashes: Readonly<Record<string, string>>,
): string[] {
  return Object.entries(hashes).flatMap(([file, hash]) =>
    existsSync(join(path, file)) &&
    sha256Of(readInput(join(path, file))) === hash
      ? []
      : [file],
  );
}
