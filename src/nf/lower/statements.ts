/**
 * Statements: each leaves the paths open that run on behind it. `return`, `break`
 * and `continue` hand theirs to whoever waits for them.
 */
import type { ts } from "../front/typescript-api.ts";
import { bind } from "./bindings.ts";
import { branch } from "./conditions.ts";
import type { Path } from "./environment.ts";
import { lowerFor, lowerWhile } from "./loops.ts";
import {
  type Lowering,
  type Target,
  cannotLower,
  placeOf,
} from "./lowering.ts";
import { lowerForOf } from "./unroll.ts";
import { undefinedValue } from "./value.ts";

/** More open paths than this are joined before the next statement. */
const mostPaths = 4;

export function statement(
  lowering: Lowering,
  node: ts.Statement,
  label?: string,
): void {
  const { ts, cursor, writer, frame } = lowering;
  if (cursor.isClosed) return;
  if (cursor.paths.length > mostPaths) void cursor.path;
  writer.at = placeOf(node, writer.name);
  if (ts.isBlock(node)) {
    for (const each of node.statements) statement(lowering, each);
    return;
  }
  if (ts.isVariableStatement(node)) {
    for (const declaration of node.declarationList.declarations)
      declare(lowering, declaration);
    return;
  }
  if (ts.isExpressionStatement(node)) {
    const found = lowering.outcomes(node.expression);
    cursor.paths = found.map((outcome) => outcome.path);
    // What they differ in is forgotten with the value.
    void cursor.path;
    return;
  }
  if (ts.isIfStatement(node)) {
    ifStatement(lowering, node);
    return;
  }
  if (ts.isReturnStatement(node)) {
    const found =
      node.expression === undefined
        ? cursor.paths.map((path) => ({ path, value: undefinedValue }))
        : lowering.outcomes(node.expression);
    frame.returns.push(...found);
    cursor.paths = [];
    return;
  }
  if (ts.isSwitchStatement(node)) {
    switchStatement(lowering, node, label);
    return;
  }
  if (ts.isForStatement(node)) {
    lowerFor(lowering, node, label);
    return;
  }
  if (ts.isForOfStatement(node)) {
    lowerForOf(lowering, node, label);
    return;
  }
  if (ts.isWhileStatement(node) || ts.isDoStatement(node)) {
    lowerWhile(lowering, node, label);
    return;
  }
  if (ts.isBreakStatement(node) || ts.isContinueStatement(node)) {
    leave(lowering, node);
    return;
  }
  if (ts.isLabeledStatement(node)) {
    statement(lowering, node.statement, node.label.text);
    return;
  }
  if (
    ts.isEmptyStatement(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isFunctionDeclaration(node)
  )
    return;
  if (ts.isThrowStatement(node)) {
    lowering.abort({ yes: [], no: cursor.paths });
    return;
  }
  throw cannotLower(node, "this kind of statement cannot be compiled");
}

export function declare(
  lowering: Lowering,
  node: ts.VariableDeclaration,
): void {
  const { ts, cursor, program } = lowering;
  if (ts.isIdentifier(node.name)) {
    const symbol = program.symbolOf(node.name);
    const found =
      node.initializer === undefined
        ? cursor.paths.map((path) => ({ path, value: undefinedValue }))
        : lowering.outcomes(node.initializer);
    for (const { path, value } of found)
      if (symbol !== undefined) path.env.variables.set(symbol, value);
    // A test of the variable may follow; it is decided on each path for itself.
    cursor.paths = found.map((outcome) => outcome.path);
    return;
  }
  if (node.initializer === undefined) return;
  bind(lowering, node.name, lowering.value(node.initializer));
}

function ifStatement(lowering: Lowering, node: ts.IfStatement): void {
  const { cursor } = lowering;
  const { yes, no } = branch(lowering, node.expression);
  cursor.paths = yes;
  if (yes.length > 0) {
    void cursor.path;
    statement(lowering, node.thenStatement);
  }
  const after = cursor.paths;
  cursor.paths = no;
  if (node.elseStatement !== undefined && no.length > 0) {
    void cursor.path;
    statement(lowering, node.elseStatement);
  }
  cursor.paths = [...after, ...cursor.paths];
  // Paths that did nothing else than fail the test may go on apart.
  if (after.length > 0 && !cursor.isClosed) void cursor.path;
}

function switchStatement(
  lowering: Lowering,
  node: ts.SwitchStatement,
  label: string | undefined,
): void {
  const { ts, cursor, frame } = lowering;
  const subject = lowering.value(node.expression);
  const target: Target = { label, breaks: [], continues: undefined };
  frame.targets.push(target);
  // Tests first, in order; then the bodies, which fall into each other.
  const { clauses } = node.caseBlock;
  const entries = new Map<ts.CaseOrDefaultClause, readonly Path[]>();
  for (const clause of clauses) {
    if (!ts.isCaseClause(clause) || cursor.isClosed) continue;
    lowering.writer.at = placeOf(clause, lowering.writer.name);
    const { yes, no } = lowering.equal(
      clause,
      subject,
      lowering.value(clause.expression),
    );
    entries.set(clause, yes);
    cursor.paths = no;
  }
  const fallback = clauses.find((clause) => ts.isDefaultClause(clause));
  const missed = cursor.paths;
  let through: readonly Path[] = [];
  for (const clause of clauses) {
    const entered = clause === fallback ? missed : (entries.get(clause) ?? []);
    cursor.paths = [...through, ...entered];
    if (cursor.isClosed) continue;
    void cursor.path;
    for (const each of clause.statements) statement(lowering, each);
    through = cursor.paths;
  }
  frame.targets.pop();
  cursor.paths = [
    ...through,
    ...target.breaks,
    ...(fallback === undefined ? missed : []),
  ];
  if (!cursor.isClosed) void cursor.path;
}

function leave(
  lowering: Lowering,
  node: ts.BreakStatement | ts.ContinueStatement,
): void {
  const { ts, cursor, frame } = lowering;
  const isBreak = ts.isBreakStatement(node);
  const name = node.label?.text;
  const target = frame.targets.findLast(
    (each) =>
      (name === undefined || each.label === name) &&
      (isBreak || each.continues !== undefined),
  );
  const list = isBreak ? target?.breaks : target?.continues;
  if (list === undefined) throw cannotLower(node, "there is nothing to leave");
  list.push(...cursor.paths);
  cursor.paths = [];
}
