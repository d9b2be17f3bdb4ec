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
  loaded ??= required() ?? import("typescript-api").then(defaultOf);
  return loaded;
}

/**
 * Where there is a `require`. `import` of a CommonJS package first searches its
 * text for names that it exports; for nine megabytes that takes longer than all
 * the rest of a compile.
 */
function required(): Promise<Ts> | undefined {
  const { process } = globalThis as {
    readonly process?: {
      readonly getBuiltinModule?: (name: string) => {
        readonly createRequire: (url: string) => (name: string) => unknown;
      };
    };
  };
  const require = process
    ?.getBuiltinModule?.("node:module")
    .createRequire(import.meta.url);
  return require === undefined
    ? undefined
    : Promise.resolve(require("typescript-api") as Ts);
}

function defaultOf(module: { readonly default: Ts }): Ts {
  return module.default;
}
