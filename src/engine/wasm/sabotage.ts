/**
 * For tests: the ways in which a worker can die, on purpose and at a known packet.
 */
import process from "node:process";
import type { Sabotage } from "./core-messages.ts";
import { compileModule, instantiate, newMemory } from "./web-assembly.ts";

/** Never returns. */
export function die(how: Sabotage["how"]): void {
  switch (how) {
    case "throw":
      throw new Error("sabotage");
    case "exit":
      return process.exit(3);
    case "trap":
      return runBody(0x00);
    case "bounds":
      // i32.const -4, i32.load, drop
      return runBody(0x41, 0x7c, 0x28, 0x02, 0x00, 0x1a);
    case "hang":
      // loop, br 0, end: no budget counts it
      return runBody(0x03, 0x40, 0x0c, 0x00, 0x0b);
    case "heap": {
      const kept: unknown[] = [];
      for (;;) kept.push(Array.from({ length: 1000 }, () => ({})));
    }
  }
}

/** Magic number and version. */
const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0] as const;

/** A module whose only function has that body, run once. */
function runBody(...body: readonly number[]): void {
  const section = (id: number, ...bytes: readonly number[]): number[] => [
    id,
    bytes.length,
    ...bytes,
  ];
  const text = (word: string): number[] => [
    word.length,
    ...new TextEncoder().encode(word),
  ];
  const module = Uint8Array.from([
    ...header,
    ...section(1, 1, 0x60, 2, 0x7f, 0x7f, 0),
    // import e.m: memory of one page
    ...section(2, 1, ...text("e"), ...text("m"), 2, 1, 1, 1),
    ...section(3, 1, 0),
    ...section(7, 1, ...text("run"), 0, 0),
    ...section(10, 1, body.length + 2, 0, ...body, 0x0b),
  ]);
  instantiate(compileModule(module), newMemory(1, false), {}).run(0, 0);
}
