/**
 * The one interface to TypeScript's own parser and checker: all that this room
 * asks of it passes through here, so that another version, or another parser,
 * is a change of one file. The package is an alias of a pinned 6.0.x, which is
 * the last with a JavaScript interface, and is loaded at the first question:
 * who never compiles a network function does not pay for it.
 */
import type ts from "typescript-api";

export type { ts };
export type Ts = typeof ts;

let loaded: Promise<Ts> | undefined;

export function loadTypescript(): Promise<Ts> {
  loaded ??= import("typescript-api").then((module) => module.default);
  return loaded;
}
