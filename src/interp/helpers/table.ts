/**
 * Every helper that the machine has, by its name in the isa table. A program that
 * calls another one is refused when the call is reached, not before.
 */
import type { HelperFunction } from "../host.ts";
import { dynptrHelpers } from "./dynptr.ts";
import { environmentHelpers } from "./environment.ts";
import { eventHelpers } from "./events.ts";
import { mapHelpers } from "./map.ts";
import { memoryHelpers } from "./memory.ts";
import { packetHelpers } from "./packet.ts";
import { skbHelpers } from "./skb.ts";
import { socketHelpers } from "./socket.ts";
import { synCookieHelpers } from "./syn-cookie.ts";
import { timerHelpers } from "./timer.ts";

export const helperFunctions: ReadonlyMap<string, HelperFunction> = new Map(
  Object.entries({
    ...mapHelpers,
    ...environmentHelpers,
    ...packetHelpers,
    ...eventHelpers,
    ...memoryHelpers,
    ...skbHelpers,
    ...synCookieHelpers,
    ...dynptrHelpers,
    ...timerHelpers,
    ...socketHelpers,
  }),
);
