/**
 * How many low bits of a word matter, as its definition shows: `bitsOf(v) = n`
 * says v < 2^n, `signedBitsOf(v) = n` that v is the sign extension of its low n
 * bits. 64 when nothing is known.
 */
import type { BinaryOp, IrInstruction, ValueId } from "../../ir/index.ts";

type Definitions = (value: ValueId) => IrInstruction | undefined;
type Binary = IrInstruction & { readonly kind: "binary" };

export function bitsOf(value: ValueId, of: Definitions): number {
  const definition = of(value);
  if (definition === undefined) return 64;
  if (definition.kind === "const")
    return definition.value === 0n ? 0 : definition.value.toString(2).length;
  if (definition.kind === "load")
    return definition.signed ? 64 : 8 * definition.size;
  if (definition.kind === "extract") return 8 * definition.size;
  if (definition.kind === "unary") {
    const match = /^(?:zext|swap|neg)(\d+)$/.exec(definition.op);
    return match === null ? 64 : Number(match[1]);
  }
  if (definition.kind !== "binary") return 64;
  const rule = rules[definition.op];
  return rule === undefined
    ? definition.width
    : Math.min(definition.width, rule(definition, of));
}

const rules: Readonly<
  Partial<Record<BinaryOp, (binary: Binary, of: Definitions) => number>>
> = {
  and: ({ left, right }, of) => Math.min(bitsOf(left, of), bitsOf(right, of)),
  or: ({ left, right }, of) => Math.max(bitsOf(left, of), bitsOf(right, of)),
  xor: ({ left, right }, of) => Math.max(bitsOf(left, of), bitsOf(right, of)),
  div: ({ left }, of) => bitsOf(left, of),
  mod: ({ left }, of) => bitsOf(left, of),
  rsh: ({ left, right, width }, of) => {
    const count = of(right);
    const bits = Math.min(width, bitsOf(left, of));
    return count?.kind === "const" && count.value < BigInt(width)
      ? Math.max(0, bits - Number(count.value))
      : bits;
  },
};

export function signedBitsOf(value: ValueId, of: Definitions): number {
  const definition = of(value);
  if (definition?.kind === "unary") {
    const match = /^sext(\d+)$/.exec(definition.op);
    if (match !== null) return Number(match[1]);
  }
  if (definition?.kind === "load" && definition.signed)
    return 8 * definition.size;
  return Math.min(64, bitsOf(value, of) + 1);
}
