export type { Trace, TracePacket } from "./packet.ts";
