/**
 * JavaScript's bit operators on words: of numbers on their low 32 bits, the result
 * sign-extended (`>>>`: zero-extended); of bigints on all that there is.
 */
import type { Scalar } from "./value.ts";
import { Words, greatest, hull, least, ones } from "./words.ts";

export const int32 = { low: -(2n ** 31n), high: 2n ** 31n - 1n };

export function bitwise32(words: Words, op: "&" | "|" | "^"): Scalar {
  const { a, b, cursor } = words;
  if (op === "&")
    for (const side of [a, b])
      // The other's upper bits and sign do not matter.
      if (side.low >= 0n && side.high <= int32.high)
        return words.emit("and", {
          low: 0n,
          high:
            a.low >= 0n && b.low >= 0n ? least([a.high, b.high]) : side.high,
        });
  const name = op === "&" ? "and" : op === "|" ? "or" : "xor";
  const sides = [a, b];
  if (sides.every(({ low, high }) => low >= 0n && high <= int32.high))
    return words.emit(name, {
      low: 0n,
      high: ones(greatest([a.high, b.high])),
    });
  const whole = words.emit(name, int32);
  if (sides.every(({ low, high }) => low >= int32.low && high <= int32.high))
    return whole;
  const word = cursor.writer.unary(cursor.block, "sext32", whole.word);
  return words.scalar(word, int32);
}

export function shift32(words: Words, op: "<<" | ">>" | ">>>"): Scalar {
  const { a, b, cursor, left, right } = words;
  const { writer } = cursor;
  // Counts are modulo 32, as an operation of width 32 has them.
  const count = b.low === b.high ? BigInt.asUintN(5, b.low) : undefined;
  const most = count ?? (b.low >= 0n && b.high < 32n ? b.high : 31n);
  const least = count ?? (b.low >= 0n && b.high < 32n ? b.low : 0n);
  switch (op) {
    case "<<": {
      const range = { low: a.low << least, high: a.high << most };
      if (a.low >= 0n && range.high <= int32.high)
        return count === undefined
          ? words.emit("lsh", range, 32)
          : words.with("lsh", count, range);
      const shifted = words.emit("lsh", int32, 32);
      const word = writer.unary(cursor.block, "sext32", shifted.word);
      return words.scalar(word, int32);
    }
    case ">>": {
      const signed = a.low >= int32.low && a.high <= int32.high;
      const word = signed ? left : writer.unary(cursor.block, "sext32", left);
      const range = signed ? a : int32;
      const by =
        count === undefined
          ? writer.binary(cursor.block, "and", right, cursor.constant(31n))
          : cursor.constant(count);
      return words.scalar(writer.binary(cursor.block, "arsh", word, by), {
        low: range.low < 0n ? range.low >> least : range.low >> most,
        high: range.high < 0n ? range.high >> most : range.high >> least,
      });
    }
    case ">>>": {
      const whole = a.low >= 0n && a.high < 2n ** 32n;
      const range = whole
        ? { low: a.low >> most, high: a.high >> least }
        : { low: 0n, high: (2n ** 32n - 1n) >> least };
      if (whole && count !== undefined) return words.with("rsh", count, range);
      if (count === 0n) {
        const word = writer.unary(cursor.block, "zext32", left);
        return words.scalar(word, range);
      }
      return words.emit("rsh", range, 32);
    }
  }
}

export function shift64(words: Words, op: "<<" | ">>"): Scalar {
  const { a, b } = words;
  const most = b.high < 64n ? b.high : 63n;
  const fewest = b.low > 0n ? b.low : 0n;
  if (op === "<<")
    return words.emit(
      "lsh",
      hull([a.low << fewest, a.low << most, a.high << fewest, a.high << most]),
    );
  return words.emit(
    a.low < 0n ? "arsh" : "rsh",
    hull([a.low >> fewest, a.low >> most, a.high >> fewest, a.high >> most]),
  );
}
