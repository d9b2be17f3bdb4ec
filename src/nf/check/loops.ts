/**
 * Loops: each is shown to end.
 *
 * A loop of few rounds is walked round by round, each with what is known then;
 * where the condition cannot hold any more, the loop has ended and everything is
 * exact. Others are walked to a fixed point, where ranges that go on growing jump
 * to the next of some bounds; the counter shows how many rounds there are at most.
 * Where the jumps were coarse (a sum over the rounds), or break a rule, the loop is
 * walked round by round after all, as far as its rounds are not too many.
 */
import type { ts } from "../front/typescript-api.ts";
import {
  copyOf,
  isWithin,
  joinEnvironments,
  type Environment,
} from "./environment.ts";
import { hull, isExact, widen, type Interval } from "./interval.ts";
import { bare, TooComplex, type Frame, type Sink, type Walk } from "./walk.ts";

export interface Loop {
  readonly node: ts.Statement;
  readonly condition: ts.Expression | undefined;
  readonly incrementor: ts.Expression | undefined;
  readonly body: (env: Environment) => Environment | undefined;
}

/** Rounds that a loop may have. */
export const mostRounds = 8192;
/** Rounds that are walked one by one at once, and where a fixed point is coarse. */
const fewRounds = 8;
const someRounds = 40;
/** So many steps are worth it for ranges that are exact. */
const fewSteps = 3000;

interface Walked {
  readonly end: Environment | undefined;
  readonly isFinished: boolean;
}

export function runLoop(
  walk: Walk,
  loop: Loop,
  env: Environment,
  frame: Frame,
): Environment | undefined {
  const limit = limitOf(walk, loop, frame);
  const roundByRound = (most: number): Tried<Walked> =>
    tried(walk, frame, () =>
      unrolled(walk, loop, copyOf(env), { frame, rounds: most }),
    );
  if (limit !== undefined && limit <= fewRounds) {
    const few = roundByRound(fewRounds);
    if (few.answer.isFinished) return accepted(walk, frame, few);
  }
  const before = walk.steps;
  const bound = tried(walk, frame, () => fixedPoint(walk, loop, env, frame));
  const cost = (before - walk.steps) / bound.answer.tries;
  const rounds = roundsOf(walk, loop, bound.sink);
  const isBounded = rounds !== undefined && rounds <= mostRounds;
  const isClean = bound.sink.said.size === 0;
  if (isBounded && isClean && bound.answer.isFine)
    return accepted(walk, frame, bound);
  if (rounds === undefined || rounds * cost <= fewSteps) {
    const some = roundByRound(rounds ?? someRounds);
    if (some.answer.isFinished) return accepted(walk, frame, some);
  }
  if (!isBounded) {
    walk.report(frame, loop.node, "nf-loop-bound", {
      most: String(mostRounds),
    });
    return bound.answer.end;
  }
  if (isClean) return accepted(walk, frame, bound);
  // The bounds were too coarse: go all the way.
  const whole = roundByRound(rounds + 1);
  return accepted(walk, frame, whole.answer.isFinished ? whole : bound);
}

/** The constant of `i < 1000`, where there is one. */
function limitOf(
  walk: Walk,
  { node, condition }: Loop,
  frame: Frame,
): number | undefined {
  const { ts } = walk;
  if (!ts.isForStatement(node) || condition === undefined) return undefined;
  const [limit] = conjuncts(walk, condition);
  if (limit === undefined || !ts.isBinaryExpression(limit)) return undefined;
  if (!/^<=?$/.test(limit.operatorToken.getText())) return undefined;
  const most = walk.nf.constantOf(limit.right, frame.scope)?.value;
  return typeof most === "number" ? most : undefined;
}

interface Tried<T> {
  readonly answer: T;
  readonly sink: Sink;
  readonly returns: Frame["returns"];
}

/** With a sink of its own, and returns that count only where it is accepted. */
function tried<T>(walk: Walk, frame: Frame, attempt: () => T): Tried<T> {
  const before = frame.returns.length;
  const found = walk.attempt(attempt);
  return { ...found, returns: frame.returns.splice(before) };
}

function accepted(
  walk: Walk,
  frame: Frame,
  { answer, sink, returns }: Tried<{ readonly end: Environment | undefined }>,
): Environment | undefined {
  walk.commit(sink);
  frame.returns.push(...returns);
  return answer.end;
}

/** One round from `env`: where it goes on and where it leaves the loop. */
function round(
  walk: Walk,
  { condition, incrementor, body }: Loop,
  env: Environment,
  frame: Frame,
): {
  readonly next: Environment | undefined;
  readonly out: Environment | undefined;
} {
  const { yes, no } =
    condition === undefined
      ? { yes: env, no: undefined }
      : walk.doors.branch(walk, condition, env, frame);
  if (yes === undefined) return { next: undefined, out: no };
  const exits = { breaks: [], continues: [] };
  frame.exits.push(exits);
  const end = body(yes);
  frame.exits.pop();
  const next = [...exits.continues].reduce<Environment | undefined>(
    (left, right) => joinEnvironments(left, right),
    end,
  );
  if (next !== undefined && incrementor !== undefined)
    walk.doors.evaluate(walk, incrementor, next, frame);
  const out = [...exits.breaks].reduce<Environment | undefined>(
    (left, right) => joinEnvironments(left, right),
    no,
  );
  return { next, out };
}

function unrolled(
  walk: Walk,
  loop: Loop,
  start: Environment,
  { frame, rounds }: { readonly frame: Frame; readonly rounds: number },
): Walked {
  let env: Environment | undefined = start;
  let end: Environment | undefined;
  for (let count = 0; count <= rounds && env !== undefined; count++) {
    const { next, out } = round(walk, loop, env, frame);
    end = joinEnvironments(end, out);
    env = next;
  }
  return { end, isFinished: env === undefined };
}

interface Fixed {
  readonly end: Environment | undefined;
  /** No range jumped further than to a constant of the condition. */
  readonly isFine: boolean;
  /** How often the body was walked. */
  readonly tries: number;
}

/** After so many the ranges have passed all bounds many times. */
const mostJumps = 500;

const ascending = (left: bigint, right: bigint): number =>
  left < right ? -1 : left > right ? 1 : 0;

const stops: readonly bigint[] = [0n, 1n, 8n, 16n, 32n, 48n, 53n, 62n, 63n, 64n]
  .flatMap((bits) => [-(1n << bits), (1n << bits) - 1n])
  .sort(ascending);

/** What is known at every round together. */
function fixedPoint(
  walk: Walk,
  loop: Loop,
  start: Environment,
  frame: Frame,
): Fixed {
  const constants = constantsOf(walk, loop, frame);
  const bounds = [...stops, ...constants].sort(ascending);
  let isFine = true;
  const jump = (old: Interval, next: Interval): Interval => {
    const [wide, plain] = [widen(old, next, bounds), hull(old, next)];
    isFine &&=
      (wide.low === plain.low || constants.includes(wide.low)) &&
      (wide.high === plain.high || constants.includes(wide.high));
    return wide;
  };
  let head = copyOf(start);
  let count = 0;
  for (; ; count++) {
    const { answer } = tried(walk, frame, () =>
      round(walk, loop, copyOf(head), frame),
    );
    if (answer.next === undefined || isWithin(answer.next, head)) break;
    if (count > mostJumps) throw new TooComplex(loop.node);
    const joined: Environment | undefined = joinEnvironments(
      head,
      answer.next,
      count === 0 ? hull : jump,
    );
    if (joined === undefined) break;
    head = joined;
  }
  const { out } = round(walk, loop, copyOf(head), frame);
  return { end: out, isFine, tries: count + 2 };
}

/** The constants that the condition compares with, and their neighbours. */
function constantsOf(walk: Walk, loop: Loop, frame: Frame): bigint[] {
  const found: bigint[] = [];
  const visit = (node: ts.Node): void => {
    const value = walk.nf.constantOf(node, frame.scope)?.value;
    if (typeof value === "bigint") found.push(value - 1n, value, value + 1n);
    else if (typeof value === "number" && Number.isSafeInteger(value))
      found.push(BigInt(value) - 1n, BigInt(value), BigInt(value) + 1n);
    walk.ts.forEachChild(node, visit);
  };
  if (loop.condition !== undefined) visit(loop.condition);
  return found;
}

/**
 * How often a loop runs at most, by its counter: `i < n` with `i` only changed by
 * the third part of the `for`, by a constant step towards `n`.
 */
function roundsOf(
  walk: Walk,
  { node, condition, incrementor }: Loop,
  sink: Sink,
): number | undefined {
  const { ts } = walk;
  const step =
    incrementor === undefined ? undefined : stepOf(walk, incrementor);
  if (step === undefined || condition === undefined || !ts.isForStatement(node))
    return undefined;
  if (assigns(walk, node.statement, step.counter)) return undefined;
  let least: number | undefined;
  for (const test of conjuncts(walk, condition)) {
    if (!ts.isBinaryExpression(test)) continue;
    const isCounter = (side: ts.Expression): boolean =>
      walk.symbolOf(bare(ts, side)) === step.counter;
    const operator = test.operatorToken.getText();
    const [isUp, limit] = isCounter(test.left)
      ? [/^<=?$/.test(operator), test.right]
      : [/^>=?$/.test(operator), test.left];
    const isDown = isCounter(test.left)
      ? /^>=?$/.test(operator)
      : /^<=?$/.test(operator);
    if (!isCounter(test.left) && !isCounter(test.right)) continue;
    if (step.by > 0n ? !isUp : !isDown) continue;
    const counter = sink.ranges.get(
      isCounter(test.left) ? test.left : test.right,
    );
    const range = sink.ranges.get(limit);
    if (counter === undefined || range === undefined) continue;
    const distance =
      step.by > 0n ? range.high - counter.low : counter.high - range.low;
    const size = step.by > 0n ? step.by : -step.by;
    const rounds = Number(distance < 0n ? 0n : distance / size + 1n);
    if (least === undefined || rounds < least) least = rounds;
  }
  return least;
}

function conjuncts(walk: Walk, outer: ts.Expression): ts.Expression[] {
  const node = bare(walk.ts, outer);
  return walk.ts.isBinaryExpression(node) &&
    node.operatorToken.kind === walk.ts.SyntaxKind.AmpersandAmpersandToken
    ? [...conjuncts(walk, node.left), ...conjuncts(walk, node.right)]
    : [node];
}

function stepOf(
  walk: Walk,
  node: ts.Expression,
): { readonly counter: ts.Symbol; readonly by: bigint } | undefined {
  const { ts } = walk;
  if (ts.isPostfixUnaryExpression(node) || ts.isPrefixUnaryExpression(node)) {
    const counter = walk.symbolOf(node.operand);
    const isUp = node.operator === ts.SyntaxKind.PlusPlusToken;
    const isDown = node.operator === ts.SyntaxKind.MinusMinusToken;
    return counter === undefined || (!isUp && !isDown)
      ? undefined
      : { counter, by: isUp ? 1n : -1n };
  }
  if (!ts.isBinaryExpression(node)) return undefined;
  const counter = walk.symbolOf(node.left);
  const sign = { "+=": 1n, "-=": -1n }[node.operatorToken.getText()];
  const known = walk.sink.ranges.get(node.right);
  const value =
    known !== undefined && isExact(known)
      ? known.low
      : constantStep(walk, node.right);
  return counter === undefined ||
    sign === undefined ||
    value === undefined ||
    value === 0n
    ? undefined
    : { counter, by: sign * value };
}

function constantStep(walk: Walk, node: ts.Expression): bigint | undefined {
  const value = walk.nf.constantOf(node)?.value;
  if (typeof value === "bigint") return value;
  return typeof value === "number" && Number.isSafeInteger(value)
    ? BigInt(value)
    : undefined;
}

/** Does the body change the counter? */
function assigns(walk: Walk, body: ts.Node, counter: ts.Symbol): boolean {
  const { ts } = walk;
  let isAssigned = false;
  const visit = (node: ts.Node): void => {
    const target = ts.isBinaryExpression(node)
      ? /^(?!=|[<>!=]=)[^a-z]*=$|^=$/.test(node.operatorToken.getText())
        ? node.left
        : undefined
      : ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)
        ? node.operand
        : undefined;
    if (
      target !== undefined &&
      ts.isIdentifier(target) &&
      walk.symbolOf(target) === counter &&
      !(
        ts.isPrefixUnaryExpression(node) &&
        node.operator !== ts.SyntaxKind.PlusPlusToken &&
        node.operator !== ts.SyntaxKind.MinusMinusToken
      )
    )
      isAssigned = true;
    ts.forEachChild(node, visit);
  };
  visit(body);
  return isAssigned;
}
