/** Numbers, bigints and booleans, constant or not, as words with a range. */
import { Bug } from "../../base/index.ts";
import type { ValueId } from "../../ir/index.ts";
import type { Value } from "./value.ts";
import type { Writer } from "./writer.ts";

export function scalarRange(value: Value): { low: bigint; high: bigint } {
  if (value.kind === "scalar") return value;
  const word =
    value.kind === "constant" ? constantWord(value.value) : undefined;
  if (word === undefined) throw new Bug(`a ${value.kind} is no number`);
  return { low: word, high: word };
}

export function constantWord(value: unknown): bigint | undefined {
  if (typeof value === "boolean") return value ? 1n : 0n;
  if (typeof value === "bigint") return value;
  return typeof value === "number" && Number.isInteger(value)
    ? BigInt(value)
    : undefined;
}

export function scalarWord(
  writer: Writer,
  block: number,
  value: Value | undefined,
): ValueId {
  if (value?.kind === "scalar") return value.word;
  const word =
    value?.kind === "constant" ? constantWord(value.value) : undefined;
  return writer.constant(block, word ?? 0n);
}
