/** Names and patterns that take a value: `x`, `{ a, b: c }`, `[a, b]`. */
import type { ts } from "../front/typescript-api.ts";
import { type Lowering, cannotLower } from "./lowering.ts";
import { readMember } from "./members.ts";
import type { Value } from "./value.ts";

export function bind(
  lowering: Lowering,
  name: ts.BindingName,
  value: Value,
): void {
  const { ts, cursor, program } = lowering;
  if (ts.isIdentifier(name)) {
    const symbol = program.symbolOf(name);
    if (symbol !== undefined) cursor.env.variables.set(symbol, value);
    return;
  }
  for (const [index, element] of name.elements.entries()) {
    if (ts.isOmittedExpression(element)) continue;
    const key = ts.isArrayBindingPattern(name)
      ? String(index)
      : memberName(lowering, element);
    const part = cursor.join(readMember(lowering, element, value, key));
    bind(lowering, element.name, part);
  }
}

function memberName({ ts }: Lowering, element: ts.BindingElement): string {
  const key = element.propertyName ?? element.name;
  if (ts.isIdentifier(key) && element.dotDotDotToken === undefined)
    return key.text;
  throw cannotLower(element, "only names can stand in a pattern");
}
