/**
 * Calls. A function with a source is walked at every call, in the callee's scope
 * and with what is known of the arguments; what it does to state and objects
 * comes back with its result.
 */
import type { Callee } from "../front/loaded.ts";
import type { ts } from "../front/typescript-api.ts";
import { nothing, type Abstract } from "./abstract-value.ts";
import { bind } from "./binding.ts";
import {
  become,
  joinEnvironments,
  joinValuesAt,
  type Environment,
} from "./environment.ts";
import { execute } from "./execute.ts";
import {
  construct,
  globalCall,
  memberCall,
  operation,
  primitive,
  reportUncallable,
  type Calling,
} from "./primitives.ts";
import type { Frame, Outcome, Walk } from "./walk.ts";

export function call(
  walk: Walk,
  node: ts.CallExpression,
  env: Environment,
  frame: Frame,
): Abstract {
  const calling: Calling = { walk, node, env, frame };
  const callee = walk.nf.calleeOf(node, frame.scope);
  switch (callee?.kind) {
    case undefined:
      for (const argument of node.arguments)
        walk.doors.evaluate(walk, argument, env, frame);
      reportUncallable(calling);
      return walk.byStaticType(node);
    case "primitive":
      return primitive(calling, callee.name);
    case "operation":
      return operation(calling, callee);
    case "construct":
      return construct(calling, callee.type);
    case "member":
      return memberCall(calling, callee);
    case "global":
      return globalCall(calling, callee.name);
    case "function":
      return follow(calling, callee);
  }
}

function follow(
  { walk, node, env, frame }: Calling,
  callee: Extract<Callee, { kind: "function" }>,
): Abstract {
  const values = node.arguments.map((argument) =>
    walk.doors.evaluate(walk, argument, env, frame),
  );
  const { node: fn } = callee;
  for (let at: Frame | undefined = frame; at !== undefined; at = at.caller)
    if (at.fn === fn && at.scope.self === callee.self) {
      walk.report(frame, node, "nf-recursion", {
        name: fn.name?.getText() ?? "the function",
      });
      return walk.byStaticType(node);
    }
  const isLibrary = walk.nf.isLibraryFile(fn.getSourceFile());
  const inner: Frame = {
    scope: walk.nf.enter(callee, node, frame.scope),
    fn,
    caller: frame,
    site: isLibrary ? (frame.site ?? node) : undefined,
    returns: [],
    exits: [],
  };
  const own: Environment = { ...env, variables: new Map() };
  fn.parameters.forEach((parameter, index) => {
    bind(walk, parameter.name, values[index] ?? nothing, own, inner);
  });
  const end = runBody(walk, own, inner);
  if (end === undefined) return walk.byStaticType(node);
  become(env, { ...end.env, variables: env.variables });
  return end.value;
}

/** All ways through a body, joined; undefined where there is none. */
export function runBody(
  walk: Walk,
  env: Environment,
  frame: Frame,
): Outcome | undefined {
  const { body } = frame.fn;
  if (body === undefined) return undefined;
  if (!walk.ts.isBlock(body)) {
    const value = walk.doors.evaluate(walk, body, env, frame);
    return { env, value };
  }
  const end = execute(walk, body, env, frame);
  const outcomes: readonly Outcome[] =
    end === undefined
      ? frame.returns
      : [...frame.returns, { env: end, value: nothing }];
  const [first, ...others] = outcomes;
  if (first === undefined) return undefined;
  return others.reduce(
    (left, right) => ({
      env: joinEnvironments(left.env, right.env) ?? left.env,
      value: joinValuesAt(left.env, left.value, right.env, right.value),
    }),
    first,
  );
}
