export {
  controlEnvironment,
  environmentLayout,
  environmentMap,
  eventWords,
  randomWords,
  redirectCalls,
  rewrittenText,
  unchanged,
  type ControlledProgram,
  type ControlOptions,
  type RewrittenCall,
} from "./bpf/environment.ts";
export {
  dispatchCpus,
  dispatcher,
  dispatchTable,
  type DataWord,
  type Dispatcher,
  type DispatcherOptions,
} from "./bpf/dispatch/dispatcher.ts";
export {
  cpumapWorker,
  type WorkerOptions,
} from "./bpf/dispatch/cpumap-worker.ts";
export {
  mostSources,
  sentOffset,
  ticketCounts,
  ticketDone,
  ticketOwners,
  ticketSources,
  ticketWaits,
  waitFunction,
  waitFunctionName,
} from "./bpf/dispatch/tickets.ts";
export {
  countMisdirected,
  misdirectedLayout,
  misdirectedMap,
  type CountOptions,
  type HashedPort,
} from "./bpf/misdirected.ts";
export {
  putTableEntry,
  removeTableEntry,
  tableEntries,
  tableEntry,
  type TableEntry,
} from "./bpf/tables/table-contents.ts";
export {
  tableFunction,
  tableFunctionName,
  type TableFunction,
  type TableOperation,
} from "./bpf/tables/table-functions.ts";
export {
  longestChain,
  tableLayout,
  tableMap,
  type TableLayout,
} from "./bpf/tables/table-layout.ts";
export { lookupScratch, tableLookupText } from "./bpf/tables/table-lookup.ts";
export { tableUsers, type TablePart } from "./bpf/tables/table-patch.ts";
export type { Alignment } from "./bpf/tables/table-words.ts";
export {
  compile,
  placeOfSite,
  type CompiledProgram,
  type CompileOptions,
  type HelperImport,
  type Sharing,
} from "./wasm/compile.ts";
export { functionAddress } from "./wasm/callbacks.ts";
export { contextLayout, type ContextLayout } from "./wasm/context-layout.ts";
export {
  guardCounter,
  linePair,
  type AgeingChain,
  type ChainLayout,
  type GuardLayout,
  type GuardMutant,
  type GuardOptions,
  type GuardWriters,
  type RefreshField,
} from "./wasm/guard-layout.ts";
export { refreshFields } from "./wasm/refresh-fields.ts";
export { isReducible } from "./wasm/flow-graph.ts";
export { portableHelpers } from "./wasm/helper-calls.ts";
export {
  descriptor,
  outsideSize,
  pageSize,
  scratchSize,
  type Cells,
  type CoreOf,
  type Layout,
} from "./wasm/layout.ts";
export {
  innerMaps,
  longestPrefix,
  mapHandle,
  mapState,
  portableMap,
  touchLog,
  type MapLayout,
} from "./wasm/map-layout.ts";
export { hashConstants } from "./wasm/table-lookup.ts";
export type { Control } from "./wasm/translate.ts";
export {
  lowerProgram,
  type FunctionFacts,
  type LowerOptions,
} from "./bpf/lower/lower-program.ts";
export {
  splitLayouts,
  type LayoutPart,
  type LayoutRequest,
} from "./bpf/shards/split-layouts.ts";
export { capacitiesOf, firstIndices } from "./bpf/shards/capacities.ts";
export {
  originalCells,
  splitCells,
  type CellAt,
} from "./bpf/shards/original-cells.ts";
export {
  chainLayout,
  headOf,
  type ChainFacts,
} from "./bpf/shards/chain-layout.ts";
export { withKernelLocks, type KernelLocks } from "./bpf/locks/kernel-locks.ts";
export { type LockRefusal } from "./bpf/locks/lock-refusal.ts";
export {
  withLocks,
  type Locked,
  type LockForm,
  type TypedCode,
} from "./bpf/locks/with-locks.ts";
