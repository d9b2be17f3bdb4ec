/**
 * The part of the WebAssembly JavaScript interface that is used here. The compiler
 * is set up without a browser's types, and Node's leave it out.
 */
import { Bug } from "../../base/index.ts";

export interface Memory {
  readonly buffer: ArrayBuffer | SharedArrayBuffer;
}

/** What compiled programs export. */
export interface ProgramExports {
  readonly run: (descriptors: number, count: number) => void;
  /** If the program takes the address of a function. */
  readonly callback?: (address: number) => void;
  /** Of a guarded program (src/codegen/wasm/guard-loop.ts). */
  readonly attempt?: (descriptor: number) => number;
  readonly exclusive?: (descriptor: number) => void;
  readonly release?: () => number;
}

type ImportedFunction = (...args: number[]) => number | void;

interface Interface {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Memory: new (size: {
    readonly initial: number;
    readonly maximum: number;
    readonly shared: boolean;
  }) => Memory;
  readonly Instance: new (
    module: object,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => { readonly exports: unknown };
}

const found: unknown = (globalThis as { WebAssembly?: unknown }).WebAssembly;

function webAssembly(): Interface {
  if (found === undefined) throw new Bug("this JavaScript has no WebAssembly");
  return found as Interface;
}

export function newMemory(pages: number, shared: boolean): Memory {
  const size = { initial: pages, maximum: pages, shared };
  return new (webAssembly().Memory)(size);
}

/** Threads may share one: it is compiled once. */
export type Module = object;

export function compileModule(bytes: Uint8Array): Module {
  return new (webAssembly().Module)(bytes);
}

export function instantiate(
  module: Module,
  memory: Memory,
  functions: Readonly<Record<string, ImportedFunction>>,
): ProgramExports {
  const { exports } = new (webAssembly().Instance)(module, {
    e: { m: memory, ...functions },
  });
  return exports as ProgramExports;
}
