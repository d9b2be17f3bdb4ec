/** `divisi trace` as a user sees it. */
import { equal } from "node:assert/strict";
import { test } from "node:test";
import { divisi } from "./support/cli.ts";

test("trace stats: rates are over the gaps, one packet has none", () => {
  const stats = (words: string): string =>
    divisi(["trace", "stats", words]).stdout;
  const lines = (text: string): string =>
    text
      .split("\n")
      .filter((line) => /^ {2}(packets|bytes|time) /.test(line))
      .join("\n");
  equal(
    lines(stats("gen:single-flow,packets=1,rate=4")),
    "  packets    1 in 1 flow\n  bytes      64 (frames of 64)\n  time       0.000 s, – packets/s",
  );
  equal(
    lines(stats("gen:single-flow,packets=9,rate=4,size=64")),
    "  packets    9 in 1 flow\n  bytes      576 (frames of 64)\n  time       2.000 s, 4 packets/s",
  );
});
