/**
 * Names that are given values: variables, parameters, and `{ a, b }` of an object.
 */
import type { ts } from "../front/typescript-api.ts";
import { memberOf, setVariable } from "./access.ts";
import { present, type Abstract } from "./abstract-value.ts";
import type { Environment } from "./environment.ts";
import type { Frame, Walk } from "./walk.ts";

/** Gives a name, or the names of `{ a, b }`, their values. */
export function bind(
  walk: Walk,
  name: ts.BindingName,
  value: Abstract,
  env: Environment,
  frame: Frame,
): void {
  const { ts } = walk;
  if (ts.isIdentifier(name)) {
    const symbol = walk.nf.checker.getSymbolAtLocation(name);
    if (symbol !== undefined) setVariable(walk, env, symbol, value);
    return;
  }
  if (!ts.isObjectBindingPattern(name)) return;
  for (const element of name.elements) {
    const key = element.propertyName ?? element.name;
    if (!ts.isIdentifier(key)) continue;
    const part = memberOf(walk, element, present(value), key.text, env, frame);
    if (part !== undefined) bind(walk, element.name, part, env, frame);
  }
}
