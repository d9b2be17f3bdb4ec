export {
  attach,
  makeRoot,
  makeWay,
  type Attached,
  type AttachRequest,
  type ControlContext,
} from "./attach.ts";
export {
  attachedMap,
  findAttachment,
  readRecords,
  type AttachedMap,
  type AttachmentRecord,
  type MapRecord,
} from "./attachment.ts";
export {
  rebalanceParts,
  type RebalanceParts,
  type RebalancePlan,
} from "./rebalance.ts";
export { detach } from "./detach.ts";
export type { Placement } from "./placement.ts";
export { examine, type DoctorOptions } from "./doctor.ts";
export type { Finding } from "./finding.ts";
export {
  Journal,
  unfinishedTransactions,
  type JournalOptions,
  type OpenTransaction,
  type Transaction,
  type Undo,
} from "./journal.ts";
export { thisMachine, type Machine, type ToolAnswer } from "./machine.ts";
export {
  hashedPorts,
  readMisdirected,
  type MisdirectedCount,
} from "./misdirected.ts";
export { applyNic, checkNic, type NicState, type NicWish } from "./nic.ts";
export {
  copiesOf,
  isMerged,
  originalEntries,
  originalValue,
  writeOriginals,
  type OriginalEntry,
} from "./original-view.ts";
export {
  LiveTable,
  liveTableMaps,
  type LiveTableOptions,
  type LiveTurn,
  type LiveWaits,
} from "./live-table.ts";
export { findPinRoot } from "./pin-root.ts";
export { networkNamespace } from "./processes.ts";
export { stateFolder } from "./state-folder.ts";
export {
  attachmentStatus,
  type AttachmentStatus,
  type InterfaceStatus,
} from "./status.ts";
export {
  upgrade,
  type MapOutcome,
  type Upgraded,
  type UpgradeRequest,
} from "./upgrade.ts";
export { describeUndo, undoAll, type UndoContext } from "./undo.ts";
