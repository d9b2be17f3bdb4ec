/** `divisi detach`: takes attachments off, with all that attaching them changed. */
import { resolve } from "node:path";
import {
  detach as detachNow,
  findAttachment,
  readRecords,
  type AttachmentRecord,
} from "../control/index.ts";
import { nearest } from "../base/index.ts";
import type { Words } from "./command.ts";
import { withControl } from "./control-context.ts";
import type { Answer } from "./render.ts";
import { isSet, usage, valuesOf } from "./words.ts";

export async function detach(words: Words): Promise<Answer> {
  return withControl((context) => {
    const chosen = chosenRecords(words, readRecords(context.journal.folder));
    const results = chosen.map((record) => ({
      name: record.name,
      failed: detachNow(record, context),
    }));
    const failed = results.flatMap((each) => each.failed);
    return {
      exit: failed.length === 0 ? 0 : 1,
      json: { schema: "divisi.detach/1", detached: results },
      text:
        results.length === 0
          ? "nothing is attached"
          : [
              ...results.map(({ name, failed: left }) =>
                left.length === 0
                  ? `detached ${name}`
                  : `${name}: not all of it could be taken back; divisi undo tries again`,
              ),
              ...failed,
            ].join("\n"),
    };
  });
}

function chosenRecords(
  words: Words,
  records: readonly AttachmentRecord[],
): readonly AttachmentRecord[] {
  const [word] = words.args;
  const interfaces = valuesOf(words, "iface").flatMap((list) =>
    list.split(","),
  );
  const ways = [
    word !== undefined,
    interfaces.length > 0,
    isSet(words, "all"),
  ].filter(Boolean);
  if (ways.length !== 1)
    throw usage(
      ways.length === 0
        ? "what to detach is missing"
        : "a name, --iface and --all exclude each other",
      "divisi detach NAME, --iface IF or --all; divisi status shows the names",
    );
  if (word !== undefined) return [findAttachment(records, word, resolve(word))];
  if (interfaces.length === 0) return records;
  const known = records.flatMap((record) =>
    record.interfaces.map(({ name }) => name),
  );
  for (const name of interfaces)
    if (!known.includes(name)) {
      const near = nearest(name, known);
      throw usage(
        `nothing is attached to ${name}`,
        near === undefined ? "divisi status" : `did you mean ${near}?`,
      );
    }
  return records.filter((record) =>
    record.interfaces.some(({ name }) => interfaces.includes(name)),
  );
}
