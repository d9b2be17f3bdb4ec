/** Loops that the kernel's verifier can follow. */
import type { ValueId } from "../../ir/index.ts";
import type { Path } from "./environment.ts";
import type { Parameter } from "./loop-changes.ts";
import type { Lowering } from "./lowering.ts";

export function patience(lowering: Lowering): readonly Path[] {
  const { cursor, writer } = lowering;
  const late = cursor.fork();
  const on = cursor.fork();
  writer.mayGoto(cursor.block, late.block, on.block);
  cursor.paths = [on];
  return [late];
}

export function hide(
  { cursor, writer }: Lowering,
  parameter: Parameter,
  zero: ValueId,
): void {
  const value = parameter.read(cursor.env);
  if (value?.kind !== "scalar") return;
  const word = writer.binary(cursor.block, "add", value.word, zero);
  parameter.word = word;
  parameter.write(cursor.env, { ...value, word });
}

const contextQueue = 16;

export function unknownZero(lowering: Lowering): ValueId | undefined {
  if (lowering.zero !== undefined) return lowering.zero;
  const { cursor, writer, packet } = lowering;
  const [first] = lowering.arguments;
  const word =
    packet === undefined
      ? first
      : writer.load(cursor.block, packet.context, contextQueue, 4);
  return word === undefined
    ? undefined
    : writer.binary(cursor.block, "xor", word, word);
}
