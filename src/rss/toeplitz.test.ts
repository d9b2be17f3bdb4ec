import { equal } from "node:assert/strict";
import { test } from "node:test";
import { fromHex, Random } from "../base/index.ts";
import { naiveToeplitz } from "./toeplitz-naive.ts";
import { toeplitz, ToeplitzTable } from "./toeplitz.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const published = fromHex(
  "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa",
);
// 66.9.149.187:2794 -> 161.142.100.80:1766
const addresses = fromHex("420995bba18e6450");
const ports = fromHex("0aea06e6");

test("the two published vectors", () => {
  const whole = new Uint8Array([...addresses, ...ports]);
  for (const hash of [toeplitz, naiveToeplitz]) {
    equal(hash(published, whole), 0x51ccc178);
    equal(hash(published, addresses), 0x323e8fc2);
  }
});

test(`10,000 hashes agree with the definition (seed ${seed})`, () => {
  const random = new Random(seed);
  for (let round = 0; round < 100; round++) {
    const key = random.bytes(random.pick([40, 52, 16]));
    const table = new ToeplitzTable(key, 36);
    for (let index = 0; index < 100; index++) {
      const input = random.bytes(random.pick([4, 8, 12, 32, 36]));
      const want = naiveToeplitz(key, input);
      equal(toeplitz(key, input), want);
      equal(table.hash(input), want);
    }
  }
});
