/**
 * JavaScript's binary operators on two numbers or two bigints, as functions; an
 * answer of undefined means that there is no value.
 */
export function applyBinary(
  operator: string,
  left: unknown,
  right: unknown,
): unknown {
  if (operator === "===") return left === right;
  if (operator === "!==") return left !== right;
  if (typeof left === "number" && typeof right === "number")
    return ofNumbers[operator]?.(left, right);
  if (typeof left === "bigint" && typeof right === "bigint")
    return ofBigints(operator, left, right);
  return typeof left === "string" && operator === "+"
    ? left + String(right)
    : undefined;
}

export function applyUnary(operator: string, value: unknown): unknown {
  if (operator === "!") return !value;
  if (typeof value === "number")
    return { "-": -value, "~": ~value, "+": value }[operator];
  return typeof value === "bigint"
    ? { "-": -value, "~": ~value }[operator]
    : undefined;
}

const ofNumbers: Readonly<
  Record<string, (left: number, right: number) => number | boolean | undefined>
> = {
  "+": (left, right) => left + right,
  "-": (left, right) => left - right,
  "*": (left, right) => left * right,
  "/": (left, right) => left / right,
  "%": (left, right) => (right === 0 ? undefined : left % right),
  "**": (left, right) => left ** right,
  "&": (left, right) => left & right,
  "|": (left, right) => left | right,
  "^": (left, right) => left ^ right,
  "<<": (left, right) => left << right,
  ">>": (left, right) => left >> right,
  ">>>": (left, right) => left >>> right,
  "<": (left, right) => left < right,
  "<=": (left, right) => left <= right,
  ">": (left, right) => left > right,
  ">=": (left, right) => left >= right,
};

function ofBigints(
  operator: string,
  left: bigint,
  right: bigint,
): bigint | boolean | undefined {
  switch (operator) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      return right === 0n ? undefined : left / right;
    case "%":
      return right === 0n ? undefined : left % right;
    case "&":
      return left & right;
    case "|":
      return left | right;
    case "^":
      return left ^ right;
    case "**":
      return right < 0n || right > 64n ? undefined : left ** right;
    case "<<":
      return right < 0n || right > 64n ? undefined : left << right;
    case ">>":
      return right < 0n || right > 64n ? undefined : left >> right;
    case "<":
      return left < right;
    case "<=":
      return left <= right;
    case ">":
      return left > right;
    case ">=":
      return left >= right;
    default:
      return undefined;
  }
}
