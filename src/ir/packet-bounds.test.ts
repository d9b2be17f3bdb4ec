/** What comparisons with the packet's end prove. */
import { equal } from "node:assert/strict";
import { test } from "node:test";
import { id } from "../base/index.ts";
import { parseFunctions } from "../isa/index.ts";
import { lift } from "./lift.ts";
import { packetBounds } from "./packet-bounds.ts";

/** Bytes behind the packet's start, in the block of the last load from it. */
function proven(body: string): number | undefined {
  const text = `r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\n${body}`;
  const [main] = lift({
    file: "t.o",
    name: "main",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: parseFunctions(text),
    maps: [],
  }).functions;
  if (main === undefined) throw new Error("no function");
  const bounds = packetBounds(main);
  const block = main.blocks.findLast((b) =>
    b.instructions.some((i) => i.kind === "load" && i.size === 1),
  );
  const load = block?.instructions.findLast((i) => i.kind === "load");
  if (block === undefined || load?.kind !== "load") throw new Error("no load");
  return bounds.available(block.id, load.address);
}

const load = "r0 = *(u8 *)(r2 + 0)\nexit";
const no = "no:\nr0 = 0\nexit";
const add = (bytes: number): string => `r4 = r2\nr4 += ${bytes}`;

// prettier-ignore
const cases: readonly (readonly [string, string, number | undefined])[] = [
  ["start + n > end, not taken", `${add(14)}\nif r4 > r3 goto no\n${load}\n${no}`, 14],
  ["start + n >= end, not taken: one more", `${add(14)}\nif r4 >= r3 goto no\n${load}\n${no}`, 15],
  ["end < start + n, not taken", `${add(14)}\nif r3 < r4 goto no\n${load}\n${no}`, 14],
  ["end <= start + n, not taken", `${add(14)}\nif r3 <= r4 goto no\n${load}\n${no}`, 15],
  ["start + n <= end, taken", `${add(20)}\nif r4 <= r3 goto yes\n${no}\nyes:\n${load}`, 20],
  ["end > start + n, taken", `${add(20)}\nif r3 > r4 goto yes\n${no}\nyes:\n${load}`, 21],
  ["equality", `${add(20)}\nif r4 != r3 goto no\n${load}\n${no}`, 20],
  ["the wrong arm proves nothing", `${add(14)}\nif r4 > r3 goto yes\n${no}\nyes:\n${load}`, undefined],
  ["signed comparisons prove nothing", `${add(14)}\nif r4 s> r3 goto no\n${load}\n${no}`, undefined],
  ["32-bit comparisons prove nothing", `${add(14)}\nif w4 > w3 goto no\n${load}\n${no}`, undefined],
  ["not compared at all", load, undefined],
  ["the end less some bytes", `r3 += -4\n${add(14)}\nif r4 > r3 goto no\n${load}\n${no}`, 18],
  ["two tests: the larger", `${add(14)}\nif r4 > r3 goto no\n${add(34)}\nif r4 > r3 goto no\n${load}\n${no}`, 34],
  ["a weaker test after a stronger one", `${add(34)}\nif r4 > r3 goto no\n${add(14)}\nif r4 > r3 goto no\n${load}\n${no}`, 34],
  ["paths that meet: the smaller", `r5 = *(u32 *)(r1 + 12)\nif r5 == 0 goto b\n${add(14)}\nif r4 > r3 goto no\ngoto m\nb:\n${add(34)}\nif r4 > r3 goto no\nm:\n${load}\n${no}`, 14],
  ["one path without a test", `r5 = *(u32 *)(r1 + 12)\nif r5 == 0 goto m\n${add(14)}\nif r4 > r3 goto no\nm:\n${load}\n${no}`, undefined],
  ["a variable offset is a root of its own", `r5 = *(u32 *)(r1 + 12)\nr2 += r5\n${add(20)}\nif r4 > r3 goto no\n${load}\n${no}`, 20],
  ["an address in the middle has what is left", `${add(14)}\nif r4 > r3 goto no\nr2 += 6\n${load}\n${no}`, 8],
  ["a loop keeps what was proven before it", `${add(14)}\nif r4 > r3 goto no\nr5 = 0\na:\nr5 += 1\nif r5 < 9 goto a\n${load}\n${no}`, 14],
  ["a fact inside a loop does not hold at its head", `r5 = 0\na:\nr5 += 1\nr0 = *(u8 *)(r2 + 0)\n${add(14)}\nif r4 > r3 goto no\nif r5 < 9 goto a\n${no}`, undefined],
];

test("bytes proven behind a packet pointer", () => {
  for (const [name, body, want] of cases) equal(proven(body), want, name);
});

test("facts are by root, at block starts", () => {
  const [main] = lift({
    file: "t.o",
    name: "main",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: parseFunctions(
      `r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\n${add(14)}\nif r4 > r3 goto no\n${load}\n${no}`,
    ),
    maps: [],
  }).functions;
  if (main === undefined) throw new Error("no function");
  const bounds = packetBounds(main);
  equal(bounds.facts(id(0)).size, 0);
  equal([...bounds.facts(id(1)).values()].join(), "14");
  equal(bounds.facts(id(2)).size, 0);
});
