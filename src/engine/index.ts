export {
  haveBpf,
  openKernel,
  type Kernel,
  type LoadObjectOptions,
} from "./kernel/kernel.ts";
export type {
  LoadedPrograms,
  LoadProgramsOptions,
} from "./kernel/load/loaded-programs.ts";
export type { KernelMap, MapEntry } from "./kernel/load/kernel-map.ts";
export type {
  KernelProgram,
  TestRunOptions,
  TestRunResult,
} from "./kernel/load/kernel-program.ts";
export {
  probeFeatures,
  probeKernel,
  kernelFeatureCount,
  type FeatureProbe,
} from "./kernel/load/probe.ts";
export {
  busy,
  type AttachOptions,
  type Occupant,
  type ReplacedProgram,
  type XdpLink,
} from "./kernel/links/link.ts";
export type { InterfaceXdp, XdpMode } from "./kernel/system/netlink.ts";
export {
  runThroughCpumap,
  type CpumapFate,
  type CpumapRunOptions,
  type CpumapRunResult,
} from "./kernel/wires/cpumap-run.ts";
export {
  streamThroughCpumap,
  type CpumapStreamOptions,
  type CpumapStreamResult,
} from "./kernel/wires/cpumap-stream.ts";
export {
  asKernelShows,
  type EventReader,
} from "./kernel/packets/event-reader.ts";
export {
  kernelRunner,
  type KernelRunnerOptions,
} from "./kernel/packets/kernel-runner.ts";
export {
  isComparable,
  KernelStage,
  type StageOptions,
} from "./kernel/packets/kernel-stage.ts";
export { PacketRuns, testRunTakes } from "./kernel/packets/packet-runs.ts";
export {
  emptySubject,
  measureInterleaved,
  measureOverhead,
  measureProgram,
  measureTestRun,
  type InterleaveOptions,
  type Measurement,
  type MeasureOptions,
  type MeasureProgramOptions,
  type PlacedSample,
  type ProgramMeasurement,
  type SubjectSamples,
} from "./kernel/measure/measure.ts";
export { lockFile, type FileLock } from "./kernel/system/file-lock.ts";
export { pinName, type PinFolder, type Pins } from "./kernel/links/pins.ts";
export {
  emptyProgram,
  frameSizeFor,
  prepareSubject,
  type Subject,
  type SubjectOptions,
} from "./kernel/measure/measure-subject.ts";
export {
  changeInterval,
  differenceInterval,
  fewestForInterval,
  median,
  medianInterval,
  quantile,
  type Interval,
} from "./statistics.ts";
export {
  fitScaling,
  modelledMpps,
  type ScalingModel,
} from "./scaling-model.ts";
export {
  placementBorders,
  placementOf,
  type Placement,
} from "./kernel/measure/placement.ts";
export {
  printSummary,
  summarizeLog,
  type LogSummary,
} from "./kernel/load/verifier-log.ts";
export { loadPortable, PortableProgram } from "./wasm/program.ts";
export { anotherMemory, preparePortable } from "./wasm/prepare.ts";
export type { LoadOptions } from "./wasm/prepare.ts";
export { outcomeDigest, type OutcomeDigest } from "./wasm/outcome-digest.ts";
export { PackedPackets } from "./wasm/packed-packets.ts";
export type { Look } from "./wasm/abreast.ts";
export type { CoreResult } from "./wasm/core.ts";
export { commitOrder, type Committed } from "./wasm/commit-order.ts";
export type { GuardCounts } from "./wasm/guard-counts.ts";
export type { Keep, PacketFault } from "./wasm/core-messages.ts";
export { runParallel, type ParallelRun } from "./wasm/parallel.ts";
export {
  VirtualCores,
  type VirtualOptions,
  type VirtualPacket,
  type VirtualResult,
} from "./wasm/virtual-cores.ts";
export { WorkerDied } from "./wasm/worker-died.ts";
export {
  PortableSubject,
  type PortableSubjectOptions,
} from "./wasm/measure-rounds.ts";
export type { ParallelOptions } from "./wasm/parallel-options.ts";
export { rebalanceOnThreads } from "./wasm/rebalance/threaded-rebalance.ts";
export { rebalanceVirtually } from "./wasm/rebalance/virtual-rebalance.ts";
export {
  orderOf,
  type RebalanceOptions,
  type RebalanceRun,
} from "./wasm/rebalance/rebalance-run.ts";
export type { Tick } from "./wasm/rebalance/table-dispatcher.ts";
export type { RebalanceMutant } from "./wasm/rebalance/lane.ts";
export {
  chainState,
  type RecordChain,
} from "./wasm/rebalance/chain-records.ts";
export type { RecordMap } from "./wasm/rebalance/records.ts";
export { portableRunner, type RunnerOptions } from "./wasm/runner.ts";
export {
  runOnWires,
  type WireRunOptions,
  type WireRunResult,
} from "./kernel/wires/wire-run.ts";
export type {
  Fate,
  Sighting,
  TraceFrame,
  TraceRunResult,
} from "./kernel/wires/trace-run.ts";
export {
  createNamespace,
  currentNamespace,
  type NetworkNamespace,
} from "./kernel/system/namespace.ts";
export { unknownInterface } from "./kernel/system/unknown-interface.ts";
export {
  createVeths,
  findInterfaces,
  findVeths,
  type VethEnd,
  type VethPair,
} from "./kernel/wires/veth.ts";
export {
  TrafficCounter,
  type TrafficCounts,
} from "./kernel/wires/traffic-counts.ts";
export { dieWithParent } from "./kernel/system/supervised.ts";
export {
  compareFates,
  compareState,
  referenceOf,
  verdictName,
  type FateMismatch,
  type ReferenceOptions,
} from "./kernel/wires/compare-fates.ts";
export {
  loadFilled,
  type BoundDispatcher,
  type BoundProgram,
} from "./kernel/load/load-filled.ts";
export {
  measureForwarding,
  type Forwarding,
  type ForwardingOptions,
  type ForwardingTrial,
} from "./kernel/wires/forwarding.ts";
export {
  AfXdpSocket,
  attachSockets,
  type AfXdpOptions,
} from "./kernel/wires/af-xdp.ts";
export { PacketSocket } from "./kernel/wires/packet-socket.ts";
export { parkProgram } from "./kernel/system/parked.ts";
