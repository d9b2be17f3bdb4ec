/**
 * Statements. Each answers what is known behind it, or undefined where nothing
 * gets there; `return`, `break` and `continue` leave their environments with the
 * frame.
 */
import type { ts } from "../front/typescript-api.ts";
import { nothing } from "./abstract-value.ts";
import { bind } from "./binding.ts";
import { split } from "./conditions.ts";
import { copyOf, joinEnvironments, type Environment } from "./environment.ts";
import { runLoop } from "./loops.ts";
import type { Frame, Walk } from "./walk.ts";

type Maybe = Environment | undefined;

export function execute(
  walk: Walk,
  node: ts.Statement,
  env: Environment,
  frame: Frame,
): Maybe {
  const { ts } = walk;
  walk.step(node);
  if (ts.isBlock(node)) return sequence(walk, node.statements, env, frame);
  if (ts.isVariableStatement(node)) {
    declare(walk, node.declarationList, env, frame);
    return env;
  }
  if (ts.isExpressionStatement(node)) {
    walk.doors.evaluate(walk, node.expression, env, frame);
    return env;
  }
  if (ts.isIfStatement(node)) {
    const { yes, no } = walk.doors.branch(walk, node.expression, env, frame);
    return joinEnvironments(
      yes && execute(walk, node.thenStatement, yes, frame),
      no && node.elseStatement !== undefined
        ? execute(walk, node.elseStatement, no, frame)
        : no,
    );
  }
  if (ts.isReturnStatement(node)) {
    const value =
      node.expression === undefined
        ? nothing
        : walk.doors.evaluate(walk, node.expression, env, frame);
    frame.returns.push({ env, value });
    return undefined;
  }
  if (ts.isForStatement(node)) {
    if (node.initializer !== undefined) {
      if (ts.isVariableDeclarationList(node.initializer))
        declare(walk, node.initializer, env, frame);
      else walk.doors.evaluate(walk, node.initializer, env, frame);
    }
    const { condition, incrementor, statement } = node;
    return runLoop(
      walk,
      {
        node,
        condition,
        incrementor,
        body: (at) => execute(walk, statement, at, frame),
      },
      env,
      frame,
    );
  }
  if (ts.isWhileStatement(node)) {
    const { expression: condition, statement } = node;
    return runLoop(
      walk,
      {
        node,
        condition,
        incrementor: undefined,
        body: (at) => execute(walk, statement, at, frame),
      },
      env,
      frame,
    );
  }
  if (ts.isSwitchStatement(node)) return switched(walk, node, env, frame);
  if (ts.isBreakStatement(node)) {
    frame.exits.at(-1)?.breaks.push(env);
    return undefined;
  }
  if (ts.isContinueStatement(node)) {
    frame.exits
      .findLast((exits) => exits.continues !== undefined)
      ?.continues?.push(env);
    return undefined;
  }
  // What is not in the subset is reported by its syntax.
  return env;
}

function sequence(
  walk: Walk,
  statements: readonly ts.Statement[],
  env: Environment,
  frame: Frame,
): Maybe {
  let at: Maybe = env;
  for (const statement of statements) {
    if (at === undefined) return undefined;
    at = execute(walk, statement, at, frame);
  }
  return at;
}

function declare(
  walk: Walk,
  list: ts.VariableDeclarationList,
  env: Environment,
  frame: Frame,
): void {
  for (const { name, initializer } of list.declarations) {
    if (initializer === undefined) continue;
    const value = walk.doors.evaluate(walk, initializer, env, frame);
    bind(walk, name, value, env, frame);
  }
}

function switched(
  walk: Walk,
  node: ts.SwitchStatement,
  env: Environment,
  frame: Frame,
): Maybe {
  const left = walk.doors.evaluate(walk, node.expression, env, frame);
  const exits = { breaks: [], continues: undefined };
  frame.exits.push(exits);
  // Where each clause is entered, and where none of them is.
  const entries = new Map<ts.CaseOrDefaultClause, Maybe>();
  let rest: Maybe = env;
  for (const clause of node.caseBlock.clauses) {
    if (!walk.ts.isCaseClause(clause)) continue;
    if (rest === undefined) break;
    const right = walk.doors.evaluate(walk, clause.expression, rest, frame);
    const sides = {
      leftNode: node.expression,
      rightNode: clause.expression,
      left,
      right,
    };
    const { yes, no } = split(walk, sides, "===", rest);
    entries.set(clause, yes);
    rest = no;
  }
  let end: Maybe;
  for (const clause of node.caseBlock.clauses) {
    const entry = walk.ts.isDefaultClause(clause)
      ? rest && copyOf(rest)
      : entries.get(clause);
    end = joinEnvironments(end, entry);
    if (end !== undefined) end = sequence(walk, clause.statements, end, frame);
  }
  const hasDefault = node.caseBlock.clauses.some((clause) =>
    walk.ts.isDefaultClause(clause),
  );
  frame.exits.pop();
  return [...exits.breaks, hasDefault ? undefined : rest].reduce<Maybe>(
    (left, right) => joinEnvironments(left, right),
    end,
  );
}
