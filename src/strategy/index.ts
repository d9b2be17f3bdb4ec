export { refuseImmovable } from "./movable.ts";
export { balanceDispatch, balancePlan } from "./balance.ts";
export {
  emittedFile,
  kernelLocked,
  kernelRefused,
  lockForms,
  type KernelGuard,
  type KernelLock,
  type LockForm,
} from "./kernel-guard.ts";
export { capacitySplit } from "./capacity.ts";
export { choosePlan, type PlanOptions } from "./choose.ts";
export { portsOf, type Claim } from "./claims.ts";
export { demandsOf, type Demand } from "./conjuncts.ts";
export { familiesOf, type Family } from "./families.ts";
export {
  recordEntries,
  type Immovable,
  type RecordEntries,
} from "./record-entries.ts";
export { keysOf, type PortFrame } from "./packet-keys.ts";
export {
  lockTerms,
  touchTerms,
  transactionTerms,
  type CostName,
  type Terms,
} from "./cost.ts";
export {
  ownWrites,
  skewOf,
  writeShare,
  type ObjectTouches,
  type PacketWrites,
  type TrafficFacts,
} from "./traffic-facts.ts";
export { fieldsOfPorts, ownersOf, type Owner } from "./linear-owner.ts";
export {
  ownerFunction,
  type FieldRun,
  type OwnerFunction,
  type OwnerGroup,
  type OwnerLane,
} from "./owner-function.ts";
export { packetClassesOf } from "./packet-classes.ts";
export {
  grades,
  strategyNames,
  weaker,
  type Deviation,
  type Dispatch,
  type Grade,
  type Layout,
  type ObjectEstimate,
  type ObjectPart,
  type Plan,
  type Port,
  type PortFields,
  type Rejected,
  type Rule,
  type Runtime,
  type SoftwareDispatch,
  type StrategyName,
} from "./plan.ts";
export { tableLayouts, withPrivateTables } from "./private-tables.ts";
export { refuse, type Refusal } from "./refusal.ts";
export { strategies } from "./strategies.ts";
export { analyzeJson, planJson, type AnalyzeFacts } from "./json.ts";
export { printPlan } from "./print.ts";
export { onlyPort, portOfTrace, portsFor } from "./ports.ts";
export {
  SteeringInputs,
  steeringMutants,
  type SteeringDemand,
} from "./steering.ts";
export { filledByUser } from "./user-maps.ts";
