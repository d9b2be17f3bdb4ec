/**
 * divisi as a library: the verbs of the pipeline, and the doors of the rooms that
 * stand on their own. What is not exported here may change in any release.
 *
 *     import { readFileSync } from "node:fs";
 *     import { analyse, programSpec, readObject } from "divisi";
 *     const object = readObject(readFileSync("nf.o"), "nf.o");
 *     console.log(analyse(programSpec(object)).objects);
 */
export { analyse, type StateReport } from "./analysis/index.ts";
export {
  Bug,
  InputError,
  UnsupportedError,
  VerifierError,
} from "./base/index.ts";
export {
  compileNf,
  type CompiledNf,
  type CompileOptions,
  type RefusedNf,
} from "./compile.ts";
export {
  dispatchContents,
  dispatcherOf,
  Dispatching,
  evenTable,
  ownerContents,
  queueSize,
} from "./dispatched.ts";
export { loadPortable, runParallel } from "./engine/index.ts";
export { checkGuarded, guardOf } from "./guarded.ts";
export {
  BytecodeMachine,
  createState,
  IrMachine,
  type Outcome,
  type PacketInput,
} from "./interp/index.ts";
export { lift, parseIr, printIr, verifyIr } from "./ir/index.ts";
export { decode, encode, type ProgramSpec } from "./isa/index.ts";
export {
  programSpec,
  readObject,
  writeObject,
  type ObjectSpec,
} from "./object/index.ts";
export {
  analyseLoaded,
  load,
  type Analysed,
  type Loaded,
  type LoadOptions,
} from "./analysed.ts";
export { measureTraffic, type MeasureRequest } from "./measured-traffic.ts";
export { certify, generate, type Artifact } from "./pipeline.ts";
export type { Certificate, Tested } from "./proof/index.ts";
export {
  nicProfile,
  solveKeys,
  toeplitz,
  type KeySolution,
  type NicProfile,
  type Requirement,
} from "./rss/index.ts";
export {
  choosePlan,
  printPlan,
  type Plan,
  type PlanOptions,
  type TrafficFacts,
} from "./strategy/index.ts";
export { generate as generateTrace, readCapture } from "./traffic/index.ts";
export { check, coveringPackets, type CheckOptions } from "./trial.ts";
