/** Which variables a piece of source assigns. */
import type { ts } from "../front/typescript-api.ts";
import { unwrapped } from "./conditions.ts";
import type { Lowering } from "./lowering.ts";

export function assigned(
  lowering: Lowering,
  ...nodes: readonly (ts.Node | undefined)[]
): Set<ts.Symbol> {
  const { ts, program } = lowering;
  const found = new Set<ts.Symbol>();
  const mark = (node: ts.Expression): void => {
    const inner = unwrapped(lowering, node);
    const symbol = ts.isIdentifier(inner) ? program.symbolOf(inner) : undefined;
    if (symbol !== undefined) found.add(symbol);
  };
  const visit = (node: ts.Node): void => {
    if (
      ts.isBinaryExpression(node) &&
      node.operatorToken.kind >= ts.SyntaxKind.FirstAssignment &&
      node.operatorToken.kind <= ts.SyntaxKind.LastAssignment
    )
      mark(node.left);
    if (
      (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) &&
      (node.operator === ts.SyntaxKind.PlusPlusToken ||
        node.operator === ts.SyntaxKind.MinusMinusToken)
    )
      mark(node.operand);
    ts.forEachChild(node, visit);
  };
  for (const node of nodes) if (node !== undefined) visit(node);
  return found;
}
