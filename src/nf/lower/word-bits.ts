/**
 * How many low bits of a word matter, as its definition shows: `bitsOf(v) = n`
 * says v < 2^n, `signedBitsOf(v) = n` that v is the sign extension of its low n
 * bits. 64 when nothing is known.
 */
import type { IrInstruction, ValueId } from "../../ir/index.ts";

type Definitions = (value: ValueId) => IrInstruction | undefined;

export function bitsOf(value: ValueId, of: Definitions): number {
  const definition = of(value);
  switch (definition?.kind) {
    case "const":
      return definition.value === 0n ? 0 : definition.value.toString(2).length;
    case "load":
      return definition.signed ? 64 : 8 * definition.size;
    case "extract":
      return 8 * definition.size;
    case "unary": {
      const match = /^(?:zext|swap|neg)(\d+)$/.exec(definition.op);
      return match === null ? 64 : Number(match[1]);
    }
    case "binary":
      return binaryBits(definition, of);
    default:
      return 64;
  }
}

function binaryBits(
  { op, width, left, right }: IrInstruction & { readonly kind: "binary" },
  of: Definitions,
): number {
  switch (op) {
    case "and":
      return Math.min(width, bitsOf(left, of), bitsOf(right, of));
    case "or":
    case "xor":
      return Math.min(width, Math.max(bitsOf(left, of), bitsOf(right, of)));
    case "rsh": {
      const count = of(right);
      const bits = Math.min(width, bitsOf(left, of));
      return count?.kind === "const" && count.value < BigInt(width)
        ? Math.max(0, bits - Number(count.value))
        : bits;
    }
    case "div":
    case "mod":
      return Math.min(width, bitsOf(left, of));
    default:
      return width;
  }
}

export function signedBitsOf(value: ValueId, of: Definitions): number {
  const definition = of(value);
  switch (definition?.kind) {
    case "unary": {
      const match = /^sext(\d+)$/.exec(definition.op);
      if (match !== null) return Number(match[1]);
      break;
    }
    case "load":
      if (definition.signed) return 8 * definition.size;
      break;
    default:
  }
  return Math.min(64, bitsOf(value, of) + 1);
}
