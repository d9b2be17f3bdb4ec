/**
 * Taking an attachment off: links, pins, NIC settings that `attach` changed, the
 * program it replaced. Announced in the journal as a whole first, so that a killed
 * detach is finished by `divisi undo`.
 */
import type { AttachmentRecord } from "./attachment.ts";
import type { ControlContext } from "./attach.ts";
import { undoAll } from "./undo.ts";

/** What could not be taken back, in words. */
export function detach(
  record: AttachmentRecord,
  context: ControlContext,
): readonly string[] {
  const { journal, step } = context;
  const transaction = journal.begin(`detach ${record.name}`);
  for (const undo of record.undos) transaction.will(undo);
  step("announced");
  const failed = undoAll(record.undos, context);
  step("detached");
  if (failed.length === 0) transaction.end();
  return failed;
}
