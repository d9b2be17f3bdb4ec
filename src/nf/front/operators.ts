/**
 * JavaScript's binary operators on two numbers or two bigints, as functions; an
 * answer of undefined means that there is no value.
 */
export const ofNumbers: Readonly<
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

export function ofBigints(
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
