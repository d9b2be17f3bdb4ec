export type {
  AccessResult,
  CellTouch,
  Observer,
  Outcome,
  PacketInput,
  ProgramEvent,
  RedirectTarget,
} from "./outcome.ts";
