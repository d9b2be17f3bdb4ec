/**
 * A world that answers differently for different packets, to reach all that a program
 * does with answers: a route's code is the destination's last byte modulo 16 (so 0,
 * success, is one of them), and the egress interface is the byte before it modulo 4.
 */
import type { Environment } from "./outcome.ts";

export const variedEnvironment: Environment = {
  route: ({ destination }) => ({
    code: (destination.at(-1) ?? 0) & 15,
    ifindex: (destination.at(-2) ?? 0) & 3,
    sourceMac: Uint8Array.of(2, 0, 0, 0, 1, 1),
    destinationMac: Uint8Array.of(2, 0, 0, 0, 1, destination.at(-1) ?? 0),
  }),
};
