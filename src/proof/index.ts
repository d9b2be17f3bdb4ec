export { Answering, type Answer, type Answers } from "./answering.ts";
export {
  freeIndices,
  liveIndices,
  rangeContents,
  rangesOf,
  type AllocatorCheck,
  type IndexRange,
} from "./chain-view.ts";
export type { Aim, Judged, Partition } from "./partition.ts";
export { Renaming, sameFrame } from "./renaming.ts";
export {
  emittedDifferences,
  type EmittedLayout,
  type EmittedState,
} from "./emitted-state.ts";
export { coverProgram, type CoverOptions } from "./cover.ts";
export type { Cover, LineWrite } from "./cover-line.ts";
export {
  countedPlaces,
  type AccessCoverage,
  type Certificate,
  type Excluded,
  type Proved,
  type Tested,
} from "./certificate.ts";
export {
  compareRecords,
  stateDifferences,
  type Comparison,
  type Lane,
  type Mismatch,
  type StateRule,
} from "./compare.ts";
export { deviceContents, lanesOf, toInitialise, widened } from "./contents.ts";
export { edgeName, TakenEdges } from "./taken-edges.ts";
export {
  runDifferential,
  type DifferentialOptions,
  type Episode,
  type KnownAccess,
  type SteeringMutant,
} from "./differential.ts";
export { interpRunner, type InterpRunnerOptions } from "./interp-runner.ts";
export { mergedDigest } from "./merged-state.ts";
export { narrowed } from "./narrowed.ts";
export { Ownership, type Steering } from "./ownership.ts";
export { coreCapacities, sharedCapacities, sharesOf } from "./private-runs.ts";
export { packetMutants, type PacketMutantOptions } from "./packet-mutants.ts";
export { negatedBranches, type ProgramMutant } from "./program-mutants.ts";
export {
  Recorder,
  effectsText,
  type MapContents,
  type Runner,
  type RunRecord,
  type StateDump,
} from "./record.ts";
export { dumpState, type Dumpable } from "./state-dump.ts";
export type { RaceSchedule } from "./race-schedule.ts";
export { raceWitnesses, type Witness } from "./witness.ts";
