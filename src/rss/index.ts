export {
  balanceTable,
  coreLoads,
  greedyMoves,
  imbalanceOfCounts,
  spreadEntries,
  type Balance,
  type BalanceOptions,
  type EntryMove,
} from "./balance.ts";
export { reachableEntries, withTables } from "./with-tables.ts";
export { candidates, fieldsOf, inputsOf } from "./assignment.ts";
export { NicModel, queueOf, type PortConfig, type QueueChoice } from "./nic.ts";
export { nicProfiles } from "./nic-profile-table.ts";
export type { FieldChoices, NicProfile } from "./nic-profile.ts";
export {
  canonicalField,
  classOf,
  hashInput,
  isHashFields,
  isPacketClass,
  packetClasses,
  type ClassFields,
  type ClassInputs,
  type HashFields,
  type PacketClass,
} from "./packet-class.ts";
export {
  hashView,
  imbalanceOf,
  rankOf,
  type HashView,
  type Imbalance,
} from "./quality.ts";
export type { RssRefusal, RssRefusalCode } from "./refusal.ts";
export {
  classesOf,
  keyGroups,
  type Conjunct,
  type LinearForm,
  type Requirement,
} from "./requirement.ts";
export type { KeyGroup, KeySolution, PortKey } from "./solution.ts";
export type { SolveOptions } from "./solve-options.ts";
export { solveKeys, violated } from "./solve.ts";
export { indirectionTable, type IndirectionTable } from "./table.ts";
export { toeplitz, ToeplitzTable } from "./toeplitz.ts";
export { dpdkJson, type DpdkSetup } from "./dpdk.ts";
export {
  nicSetup,
  portConfig,
  type NicSetup,
  type PortSetup,
} from "./nic-setup.ts";
export { applyScript, undoScript } from "./script.ts";
export {
  rssCheck,
  rssQueue,
  rssRequirement,
  rssSolve,
  type RssCheckJson,
  type RssQueueJson,
  type RssSolveJson,
} from "./command.ts";
export { nicProfile, parseNicProfile } from "./find-profile.ts";
