/** Functions taken in, instruction by instruction, and those that are not. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import {
  parseFunctions,
  printFunction,
  parseFunction,
} from "../../../isa/index.ts";
import type { Code } from "./code.ts";
import { withInlined } from "./inlined.ts";

function codeOf(caller: string, callee: string): Code {
  const functions = parseFunctions(
    `function main\n${caller}\nfunction small\n${callee}`,
  ).map((fn, at) =>
    at === 0 ? fn : { ...fn, section: ".text", linkage: "static" as const },
  );
  return { functions, maps: [] };
}

const taken = (code: Code): Code =>
  withInlined(code, new Set(["main"]), new Set(["small"]));

test("what is wanted is kept, the frame lies lower, an exit is a jump", () => {
  const code = codeOf(
    `r6 = r1
     *(u64 *)(r10 - 8) = r6
     r7 = 1
     call function small
     r0 += r6
     exit`,
    `r6 = r1
     r7 = 2
     *(u32 *)(r10 - 4) = r6
     r2 = r10
     r2 += -4
     if r6 == 0 goto none
     r0 = 5
     exit
   none:
     r0 = *(u32 *)(r10 - 4)
     exit`,
  );
  const whole = taken(code);
  // Nobody wants r7 behind the call; nobody calls the function any more.
  deepEqual(
    whole.functions.map(({ name }) => name),
    ["main"],
  );
  const [main] = whole.functions;
  equal(
    main === undefined ? "" : printFunction(main),
    printFunction(
      parseFunction(`function main
     r6 = r1
     *(u64 *)(r10 - 8) = r6
     r7 = 1
     *(u64 *)(r10 - 16) = r6
     r6 = r1
     r7 = 2
     *(u32 *)(r10 - 20) = r6
     r2 = r10
     r2 += -16
     r2 += -4
     if r6 == 0 goto none
     r0 = 5
     goto end
   none:
     r0 = *(u32 *)(r10 - 20)
     goto end
   end:
     r6 = *(u64 *)(r10 - 16)
     r0 += r6
     exit`),
    ),
  );
});

test("a call stays where the function calls, or hands its frame on", () => {
  // prettier-ignore
  const cases: readonly (readonly [string, string])[] = [
    ["another function", "call function small\nexit"],
    ["the frame's address is stored", "*(u64 *)(r10 - 8) = r10\nr0 = 0\nexit"],
    ["no room", "r0 = *(u64 *)(r10 - 512)\nexit"],
  ];
  for (const [what, callee] of cases) {
    const code = codeOf(
      "*(u64 *)(r10 - 8) = r1\ncall function small\nexit",
      callee,
    );
    deepEqual(taken(code), code, what);
  }
});
