import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { ByteReader, ByteWriter, fromHex, toHex } from "./bytes.ts";
import { InputError } from "./errors.ts";

test("what a writer writes a reader reads, across every growth", () => {
  for (const littleEndian of [true, false])
    for (let pad = 0; pad < 8; pad++) {
      const writer = new ByteWriter(littleEndian);
      for (let index = 0; index < pad; index++) writer.u8(0xee);
      for (let index = 0; index < 200; index++)
        writer
          .u8(index)
          .u16(index)
          .u32(index)
          .u64(BigInt(index))
          .raw(Uint8Array.of(index, 1));
      const reader = new ByteReader(writer.finish(), { littleEndian });
      equal(reader.length, pad + 200 * 17);
      for (let index = 0; index < 200; index++) {
        const at = pad + 17 * index;
        deepEqual(
          [
            reader.u8(at),
            reader.u16(at + 1),
            reader.u32(at + 3),
            reader.u64(at + 7),
            reader.u8(at + 15),
          ],
          [index, index, index, BigInt(index), index],
        );
      }
    }
});

test("out of bounds is an InputError with the offset in the file", () => {
  const reader = new ByteReader(new Uint8Array(8), { origin: 100 });
  for (const read of [
    () => reader.u64(1),
    () => reader.u8(-1),
    () => reader.u8(Number.NaN),
    () => reader.slice(4, 5),
  ])
    throws(read, InputError);
  throws(
    () => reader.u32(6),
    (error) => error instanceof InputError && error.offset === 106,
  );
});

test("hex both ways", () => {
  equal(toHex(fromHex("6d:5a 01")), "6d5a01");
  throws(() => fromHex("6d5"), InputError);
});
