/** `divisi undo`: takes back what killed commands left, from the journal. */
import { describeUndo, undoAll } from "../control/index.ts";
import type { Words } from "./command.ts";
import { withControl } from "./control-context.ts";
import type { Answer } from "./render.ts";
import { isSet } from "./words.ts";

export async function undo(words: Words): Promise<Answer> {
  const isDry = isSet(words, "dry-run");
  return withControl((context) => {
    const { journal } = context;
    const results = [...journal.unfinished].reverse().map((transaction) => {
      const { id, what, pid, isAlive, undos } = transaction;
      const changes = [...undos].reverse().map(describeUndo);
      if (isAlive || isDry)
        return { what, pid, running: isAlive, changes, failed: [] };
      const failed = undoAll(undos, context);
      context.step(`undid ${what}`);
      if (failed.length === 0) journal.end(id);
      return { what, pid, running: false, changes, failed };
    });
    const failed = results.flatMap((each) => each.failed);
    return {
      exit: failed.length === 0 ? 0 : 1,
      json: { schema: "divisi.undo/1", dryRun: isDry, transactions: results },
      text:
        results.length === 0
          ? "nothing to undo"
          : results
              .flatMap(({ what, pid, running, changes, failed: left }) => [
                running
                  ? `${what}: still running (process ${pid}), left alone`
                  : isDry
                    ? `${what}: would be undone`
                    : left.length === 0
                      ? `undid ${what}`
                      : `${what}: not all of it could be undone`,
                ...(isDry && !running ? changes : left).map(
                  (line) => `  ${line}`,
                ),
              ])
              .join("\n"),
    };
  });
}
