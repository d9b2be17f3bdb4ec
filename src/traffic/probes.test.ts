import { equal, ok } from "node:assert/strict";
import { test } from "node:test";
import {
  buildFrame,
  checkChecksums,
  fiveTuple,
  parseFrame,
  readField,
} from "../packet/index.ts";
import { probes } from "./probes.ts";

const base = {
  data: buildFrame({
    ipv4: { src: "10.0.0.1", dst: "10.0.0.2" },
    tcp: { sport: 1000, dport: 80 },
  }),
  wireLength: 60,
  time: 5n,
  port: 0,
};

test("every hashable bit is flipped once, checksums stay right", () => {
  const all = [...probes(base, 1)];
  const tuples = new Set(
    all
      .map(({ data }) => parseFrame(data))
      .filter((parsed) => parsed.protocol === 6 && parsed.fragment === "none")
      .map((parsed) =>
        JSON.stringify(fiveTuple(parsed), (_, value: unknown) =>
          typeof value === "bigint" ? value.toString() : value,
        ),
      ),
  );
  equal(tuples.size, 1 + 96);
  for (const { data } of all.slice(0, 97))
    equal(checkChecksums(data).ipv4, "good");
  ok(all.every(({ port }) => port === 0));
  equal(all[0]?.time, 5n);
});

test("the reply stands at the other port", () => {
  const reply = [...probes(base, 2)].find(({ port }) => port === 1);
  const parsed = parseFrame(reply?.data ?? new Uint8Array());
  equal(readField(parsed, "ipv4.src"), 0x0a000002n);
  equal(readField(parsed, "l4.sport"), 80n);
});

test("a frame with no IP has only itself", () => {
  const data = buildFrame({ eth: { type: 0x0806 } });
  equal([...probes({ ...base, data }, 1)].length, 1);
});
