import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { parseFunctions, printFunction } from "../../../isa/index.ts";
import { portArguments } from "./port-arguments.ts";

/** The entry as it becomes, without its header and labels' names. */
function entryOf(text: string): readonly string[] | undefined {
  const changed = portArguments(parseFunctions(text));
  return changed === undefined
    ? undefined
    : printFunction(changed.entry)
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => line !== "" && !line.startsWith("function"));
}

test("loads of port and queue come from the stack, under the program's own", () => {
  deepEqual(
    entryOf(`
      *(u32 *)(r10 - 12) = 0
      r6 = r1
      r1 = *(u32 *)(r6 + 12)
      r2 = *(u32 *)(r6 + 16)
      r3 = *(u32 *)(r6 + 0)
      r0 = *(u32 *)(r3 + 12)
      exit`),
    [
      "*(u64 *)(r10 - 24) = r2",
      "*(u64 *)(r10 - 32) = r3",
      "*(u32 *)(r10 - 12) = 0",
      "r6 = r1",
      "r1 = *(u32 *)(r10 - 24)",
      "r2 = *(u32 *)(r10 - 32)",
      "r3 = *(u32 *)(r6 + 0)",
      "r0 = *(u32 *)(r3 + 12)",
      "exit",
    ],
  );
});

test("a context that was spilled, met again at a join, or lost", () => {
  const lines = entryOf(`
      *(u64 *)(r10 - 8) = r1
      r0 = *(u32 *)(r1 + 0)
      if r0 == 0 goto other
      call ktime_get_ns
      r7 = *(u64 *)(r10 - 8)
      goto both
    other:
      r7 = r1
    both:
      r0 = *(u32 *)(r7 + 12)
      r7 = map m ll
      r0 = *(u32 *)(r7 + 12)
      exit`);
  ok(lines !== undefined);
  equal(lines.filter((line) => line.endsWith("r10 - 16)")).length, 1);
  equal(lines.filter((line) => line === "r0 = *(u32 *)(r7 + 12)").length, 1);
});

test("a loop back to the first instruction keeps the arguments", () => {
  const lines = entryOf(`
    top:
      r0 = *(u32 *)(r1 + 12)
      if r0 == 7 goto top
      exit`);
  deepEqual(lines, [
    "*(u64 *)(r10 - 8) = r2",
    "*(u64 *)(r10 - 16) = r3",
    "L2:",
    "r0 = *(u32 *)(r10 - 8)",
    "if r0 == 7 goto L2",
    "exit",
  ]);
});

test("only what points into the stack says how deep it is", () => {
  const lines = entryOf(`
      r2 = r10
      r2 += -24
      r4 = 7
      r4 += -100000
      r0 = *(u32 *)(r1 + 12)
      r3 = r2
      r3 += -8
      exit`);
  equal(lines?.[0], "*(u64 *)(r10 - 32) = r2");
});

test("what cannot be done is left alone", () => {
  // The whole stack is in use.
  equal(
    entryOf(`
      *(u64 *)(r10 - 512) = r1
      r0 = *(u32 *)(r1 + 12)
      exit`),
    undefined,
  );
  // A subprogram gets the context and may look at its port.
  equal(
    entryOf(`
      function main
        call function other
        exit
      function other
        r0 = *(u32 *)(r1 + 12)
        exit`),
    undefined,
  );
  // Nothing to do, nothing done.
  deepEqual(entryOf("r0 = 1\nexit"), ["r0 = 1", "exit"]);
});
