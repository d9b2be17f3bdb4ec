export { BytecodeMachine, type BytecodeOptions } from "./bytecode-machine.ts";
export { type MapEntry, updateFlag } from "./cell-store.ts";
export { errno } from "./errno.ts";
export { Fault, fault } from "./fault.ts";
export { formatText, type ByteSource } from "./format.ts";
export { helperFunctions } from "./helpers/table.ts";
export { kfuncFunctions } from "./helpers/kfuncs.ts";
export {
  Arguments,
  type HelperAnswer,
  type Host,
  type HostFrame,
  type HostMemory,
} from "./host.ts";
export { IrMachine, type IrOptions } from "./ir-machine.ts";
export { packetRandom, timeRandom, type MachineOptions } from "./machine.ts";
export type {
  AccessResult,
  CellTouch,
  Environment,
  Observer,
  Outcome,
  PacketInput,
  ProgramEvent,
  RedirectTarget,
  RouteAnswer,
  RouteRequest,
} from "./outcome.ts";
export { EventStore, type Target } from "./other-stores.ts";
export { createState, State, type StateOptions } from "./state.ts";
export { variedEnvironment } from "./varied-environment.ts";
export { leavesPacket, protocolOf } from "./packet-frame.ts";
