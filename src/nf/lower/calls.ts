/**
 * Calls. A function with a body is lowered where it is called, its parameters
 * bound to the values given: what is constant in one call is constant in its body.
 * Only what its doc comment marks `@noinline` becomes a function of the program.
 */
import type { Callee, FunctionNode } from "../front/loaded.ts";
import type { ts } from "../front/typescript-api.ts";
import { bind } from "./bindings.ts";
import { readClock } from "./clock.ts";
import { frameBytes, readBytes } from "./frame-bytes.ts";
import type { Outcome } from "./join.ts";
import { type Frame, type Lowering, cannotLower, placeOf } from "./lowering.ts";
import { needPacket, splitPresence } from "./members.ts";
import { forgetLoads } from "./memory.ts";
import { copied } from "./objects.ts";
import { isType, primitive } from "./primitives.ts";
import { stateOperation } from "./state-operations.ts";
import { type Value, constantValue, undefinedValue } from "./value.ts";

export function call(
  lowering: Lowering,
  node: ts.CallExpression,
): readonly Outcome[] {
  const { cursor, frame, program } = lowering;
  const constant = program.loaded.constantOf(node, frame.scope);
  if (constant !== undefined)
    return [{ path: cursor.path, value: constantValue(constant.value) }];
  const callee = program.loaded.calleeOf(node, frame.scope);
  const found =
    callee === undefined
      ? primitive(lowering, node, node.expression.getText())
      : calls(lowering, node, callee);
  if (found === undefined)
    throw cannotLower(
      node,
      `\`${node.expression.getText()}\` cannot be called here`,
    );
  return found;
}

function calls(
  lowering: Lowering,
  node: ts.CallExpression,
  callee: Callee,
): readonly Outcome[] | undefined {
  const { program, ts } = lowering;
  switch (callee.kind) {
    case "primitive":
    case "global":
      return (
        primitive(lowering, node, callee.name) ??
        construct(
          lowering,
          node,
          program.loaded.constantOf(node.expression, lowering.frame.scope)
            ?.value,
        )
      );
    case "operation": {
      const map = program.mapOf(callee.object);
      if (map === undefined) {
        // An object of methods that is no state: BigInt, a scalar type.
        return primitive(lowering, node, callee.name);
      }
      const args = node.arguments.map((each) => lowering.value(each));
      lowering.writer.at = placeOf(node, lowering.writer.name);
      return stateOperation(lowering, map, callee.name, args);
    }
    case "construct":
      return construct(lowering, node, callee.type);
    case "member":
      return member(lowering, node, callee);
    case "function":
      return isNoinline(ts, callee.node)
        ? callSubprogram(lowering, node, callee)
        : inline(lowering, node, callee);
  }
}

/** `FlowKey({…})`: a copy of what is given. */
function construct(
  lowering: Lowering,
  node: ts.CallExpression,
  type: unknown,
): readonly Outcome[] | undefined {
  const { cursor } = lowering;
  const [given] = node.arguments;
  if (!isType(type) || given === undefined) return undefined;
  const value = copied(cursor, lowering.value(given), type);
  return [{ path: cursor.path, value }];
}

function isNoinline(ts: Lowering["ts"], node: FunctionNode): boolean {
  return ts.getJSDocTags(node).some((tag) => tag.tagName.text === "noinline");
}

/** `pkt.u8(0)`, `udp.payload.u16(2)`. */
function member(
  lowering: Lowering,
  node: ts.CallExpression,
  { receiver, name }: Callee & { readonly kind: "member" },
): readonly Outcome[] | undefined {
  const { cursor, ts } = lowering;
  const isChain = (node.flags & ts.NodeFlags.OptionalChain) !== 0;
  const { there, absent } = isChain
    ? splitPresence(lowering, lowering.outcomes(receiver))
    : {
        there: [{ value: lowering.value(receiver), path: cursor.path }],
        absent: [],
      };
  const found: Outcome[] = [...absent];
  for (const { path, value } of there) {
    cursor.paths = [path];
    const outcomes = memberOf(lowering, node, value, name);
    if (outcomes === undefined) return undefined;
    found.push(...outcomes);
  }
  return found;
}

function memberOf(
  lowering: Lowering,
  node: ts.CallExpression,
  owner: Value,
  name: string,
): readonly Outcome[] | undefined {
  const { cursor } = lowering;
  if (owner.kind === "optional")
    return memberOf(lowering, node, owner.payload, name);
  if (owner.kind === "constant") {
    const map =
      typeof owner.value === "object" && owner.value !== null
        ? lowering.program.mapOf(owner.value)
        : undefined;
    if (map === undefined) return undefined;
    const args = node.arguments.map((each) => lowering.value(each));
    return stateOperation(lowering, map, name, args);
  }
  const size = { u8: 1, u16: 2, u32: 4 } as const;
  if (name !== "u8" && name !== "u16" && name !== "u32") return undefined;
  const packet = needPacket(lowering, node);
  const bytes = owner.kind === "packet" ? frameBytes(packet) : owner;
  if (bytes.kind !== "header" || bytes.header !== "bytes") return undefined;
  const [given] = node.arguments;
  if (given === undefined) return undefined;
  const index = lowering.value(given);
  return readBytes(cursor, packet, bytes, { index, size: size[name] });
}

function inline(
  lowering: Lowering,
  node: ts.CallExpression,
  callee: Callee & { readonly kind: "function" },
): readonly Outcome[] {
  const { ts, cursor, program } = lowering;
  const values = argumentsOf(lowering, node, callee.node);
  const scope = program.loaded.enter(callee, node, lowering.frame.scope);
  const caller = lowering.frame;
  for (let at: Frame | undefined = caller; at !== undefined; at = at.caller)
    if (at.node === callee.node && at.scope.self === scope.self)
      throw cannotLower(node, "a function cannot call itself");
  const frame: Frame = {
    node: callee.node,
    scope,
    returns: [],
    targets: [],
    caller,
  };
  const { path } = cursor;
  const kept = path.env.variables;
  path.env.variables = new Map();
  lowering.frame = frame;
  for (const [index, parameter] of callee.node.parameters.entries())
    bind(lowering, parameter.name, values[index] ?? undefinedValue);
  const { body } = callee.node;
  if (body === undefined) throw cannotLower(node, "the function has no body");
  if (ts.isBlock(body)) {
    lowering.statement(body);
    for (const open of cursor.paths)
      frame.returns.push({ path: open, value: undefinedValue });
  } else frame.returns.push(...lowering.outcomes(body));
  lowering.frame = caller;
  for (const { path } of frame.returns) path.env.variables = new Map(kept);
  if (frame.returns.length === 0) {
    cursor.paths = [];
    return [];
  }
  return merged(lowering, frame.returns);
}

/** Outcomes that say the same meet again at once; the others stay apart. */
function merged(
  { cursor }: Lowering,
  outcomes: readonly Outcome[],
): readonly Outcome[] {
  if (outcomes.length < 2) return outcomes;
  const groups = new Map<unknown, Outcome[]>();
  for (const outcome of outcomes) {
    const { value } = outcome;
    const key = value.kind === "constant" ? value.value : groups;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [outcome]);
    else group.push(outcome);
  }
  return [...groups.values()].map((group) => {
    const value = cursor.join(group);
    return { value, path: cursor.path };
  });
}

function argumentsOf(
  lowering: Lowering,
  node: ts.CallExpression,
  callee: FunctionNode,
): Value[] {
  return callee.parameters.map((parameter, index) => {
    const given = node.arguments[index] ?? parameter.initializer;
    return given === undefined ? undefinedValue : lowering.value(given);
  });
}

function callSubprogram(
  lowering: Lowering,
  node: ts.CallExpression,
  callee: Callee & { readonly kind: "function" },
): readonly Outcome[] {
  const { cursor, writer, program } = lowering;
  const values = argumentsOf(lowering, node, callee.node);
  const scope = program.loaded.enter(callee, node, lowering.frame.scope);
  const target = program.subprogram(callee.node, callee.self, scope);
  const words = target.words.map((index) =>
    cursor.word(values[index] ?? undefinedValue),
  );
  if (target.takesTime) words.push(cursor.word(readClock(lowering)));
  writer.at = placeOf(node, writer.name);
  const name = { kind: "function", name: target.name } as const;
  const word = writer.call(cursor.block, name, words);
  forgetLoads(cursor);
  const { result } = target;
  const value: Value =
    result === undefined ? undefinedValue : { kind: "scalar", word, ...result };
  return [{ value, path: cursor.path }];
}
