/** `divisi upgrade`: another split directory in the place of an attached one. */
import process from "node:process";
import {
  findAttachment,
  readRecords,
  upgrade as upgradeNow,
  type AttachmentRecord,
  type MapOutcome,
} from "../control/index.ts";
import {
  bindDirectory,
  certifiedDirectory,
  originOf,
} from "./bound-directory.ts";
import type { Words } from "./command.ts";
import { withControl } from "./control-context.ts";
import { nameFor } from "./attach.ts";
import { say, type Answer, type Rendering } from "./render.ts";
import { usage, valueOf, valuesOf } from "./words.ts";

export async function upgrade(
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const [path = ""] = words.args;
  const directory = certifiedDirectory(path);
  return withControl((context) => {
    const old = chosen(words, path, readRecords(context.journal.folder));
    const interfaces = directory.plan.ports.map(({ name }) => {
      const found = old.interfaces.find(({ port }) => port === name);
      if (
        found !== undefined &&
        old.interfaces.length === directory.plan.ports.length
      )
        return found;
      throw usage(
        `${old.name} has the ports ${old.interfaces.map(({ port }) => port).join(", ")}, ${path} has ${directory.plan.ports.map((port) => port.name).join(", ")}`,
        "detach, then attach",
      );
    });
    const bound = bindDirectory(directory, interfaces);
    const discard = new Set(valuesOf(words, "discard"));
    for (const name of discard)
      if (!old.maps.some((map) => map.name === name))
        throw usage(
          `--discard: ${old.name} has no map ${name}`,
          `it has ${old.maps.map((map) => map.name).join(", ")}`,
        );
    const done = upgradeNow(
      old,
      {
        origin: originOf(bound, process.argv.slice(2)),
        nic: bound.nic,
        discard,
        load: (standing) => bound.loadInto(context.kernel, standing),
      },
      context,
    );
    if (done.kind === "refused")
      return {
        exit: 1,
        json: {
          schema: "divisi.upgrade/1",
          name: old.name,
          upgraded: false,
          reasons: done.reasons,
        },
        text: [
          `not upgraded: ${old.name} stays as it is`,
          ...done.reasons.map(({ map, text }) => `  ${map}: ${text}`),
          "  --discard MAP starts a map afresh",
        ].join("\n"),
      };
    if (!rendering.quiet)
      for (const note of [...done.notes, ...bound.notes])
        say(`divisi: ${note}`);
    return {
      exit: 0,
      json: {
        schema: "divisi.upgrade/1",
        name: old.name,
        upgraded: true,
        directory: done.record.directory,
        generation: done.record.generation,
        maps: done.maps,
      },
      text: [
        `upgraded ${old.name}: ${done.record.interfaces.map(({ name }) => name).join(", ")}`,
        ...done.maps.map(line),
      ].join("\n"),
    };
  });
}

function line({ map, kind, copied, late, conflicts }: MapOutcome): string {
  const words = {
    keep: "kept as it is",
    new: "starts afresh",
    migrate: `${copied} entries copied, ${late} of them changed meanwhile${conflicts === 0 ? "" : `, ${conflicts} changed by both programs: the new one's stand`}`,
  }[kind];
  return `  ${map}: ${words}`;
}

/** `--name`, else the one that DIR's name or place means, else the only one. */
function chosen(
  words: Words,
  path: string,
  records: readonly AttachmentRecord[],
): AttachmentRecord {
  const name = valueOf(words, "name");
  if (name !== undefined) return findAttachment(records, name, name);
  const [first, ...others] = records;
  if (first !== undefined && others.length === 0) return first;
  return findAttachment(records, nameFor(words, path), path);
}
