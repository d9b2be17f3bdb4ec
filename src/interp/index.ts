export { BytecodeMachine, type BytecodeOptions } from "./bytecode-machine.ts";
export { type MapEntry, updateFlag } from "./cell-store.ts";
export { errno } from "./errno.ts";
export { formatText, type ByteSource } from "./format.ts";
export { IrMachine, type IrOptions } from "./ir-machine.ts";
export { packetRandom, type MachineOptions } from "./machine.ts";
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
export type { Target } from "./other-stores.ts";
export { createState, State, type StateOptions } from "./state.ts";
export { variedEnvironment } from "./varied-environment.ts";
