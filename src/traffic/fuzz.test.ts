import { deepEqual, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "../base/index.ts";
import { readCapture, readCaptureBytes } from "./capture.ts";
import { damagedCapture, fuzzCaptures } from "./fuzz.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

test("8,500 damaged captures give packets or an InputError", () => {
  const report = fuzzCaptures({ seed, cases: 8500 });
  deepEqual(report.failures, [], `seed ${seed}`);
  ok(
    report.pastHeaders >= 0.3 * report.cases,
    `${report.pastHeaders} past the header`,
  );
  ok(report.codes.size >= 10, [...report.codes.keys()].join(" "));
  ok(report.values > 100 && report.cases === 8500);
});

test("chunks make no difference", async () => {
  for (let index = 0; index < 300; index++) {
    const bytes = damagedCapture(seed, index);
    const byBytes: string[] = [];
    const byChunks: string[] = [];
    try {
      for (const { time, port } of readCaptureBytes(bytes, "f"))
        byBytes.push(`${port} ${time}`);
    } catch (error) {
      ok(error instanceof InputError);
      byBytes.push(`${error.code} ${error.offset}`);
    }
    const chunks = Array.from(
      { length: Math.ceil(bytes.length / 13) },
      (_, at) => bytes.subarray(13 * at, 13 * at + 13),
    );
    try {
      for await (const { time, port } of readCapture(chunks, "f"))
        byChunks.push(`${port} ${time}`);
    } catch (error) {
      ok(error instanceof InputError, String(error));
      byChunks.push(`${error.code} ${error.offset}`);
    }
    deepEqual(byChunks, byBytes, `seed ${seed} case ${index}`);
  }
});

test("a reader that trusts lengths is caught by the same cases", () => {
  // The mutant: reads record lengths without comparing them with the file.
  const trusting = (bytes: Uint8Array): void => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 24; at < bytes.length;)
      at += 16 + view.getUint32(at + 8, true);
  };
  throws(() => {
    for (let index = 0; index < 200; index++)
      trusting(damagedCapture(seed, index));
  }, RangeError);
});
