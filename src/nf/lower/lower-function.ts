/**
 * One function of the program: the entry, which is `handle`, or a method marked
 * `@noinline`, whose parameters are words.
 *
 * The entry loads where the packet begins and ends; where the network function
 * asks for its port it compares the ingress interface with the ports' variables
 * and drops at once what comes from none of them. Every verdict that is a constant
 * has one place that returns it.
 */
import { Bug } from "../../base/index.ts";
import type { IrFunction, ValueId } from "../../ir/index.ts";
import type { FunctionNode, Scope } from "../front/loaded.ts";
import { bind } from "./bindings.ts";
import { call } from "./calls.ts";
import { branchOn } from "./compare.ts";
import { branch, equal } from "./conditions.ts";
import { type Path, emptyEnvironment } from "./environment.ts";
import { outcomes, value } from "./expressions.ts";
import {
  type Branches,
  Cursor,
  type Frame,
  type Lowering,
  type PacketWords,
  type ProgramLowering,
  type Subprogram,
  cannotLower,
  placeOf,
} from "./lowering.ts";
import { scalarRange, scalarWord } from "./scalars.ts";
import { declare, statement } from "./statements.ts";
import { type Value, constantValue, undefinedValue } from "./value.ts";
import { verdictNumber } from "./verdicts.ts";
import { Writer } from "./writer.ts";

/** Offsets in struct xdp_md: data, data_end, ingress_ifindex. */
const contextData = 0;
const contextEnd = 4;
const contextIfindex = 12;

interface Beginning {
  readonly writer: Writer;
  readonly cursor: Cursor;
  readonly frame: Frame;
  readonly packet: PacketWords | undefined;
  /** Of a subprogram. */
  readonly parameters: readonly ValueId[];
}

function begin(
  program: ProgramLowering,
  { writer, cursor, frame, packet, parameters }: Beginning,
): Lowering {
  const lowering: Lowering = {
    ts: program.loaded.ts,
    program,
    cursor,
    writer,
    packet,
    frame,
    arguments: parameters,
    zero: undefined,
    slots: new Map(),
    clockWanted: false,
    clockAsked: false,
    abort: (branches) => {
      abort(lowering, branches);
    },
    value: (node) => value(lowering, node),
    outcomes: (node) => outcomes(lowering, node),
    branch: (node) => branch(lowering, node),
    statement: (node) => {
      statement(lowering, node);
    },
    declare: (node) => {
      declare(lowering, node);
    },
    equal: (node, left, right) => equal(lowering, node, left, right),
    call: (node) => call(lowering, node),
  };
  return lowering;
}

function abort({ cursor, writer }: Lowering, { yes, no }: Branches): void {
  for (const path of no)
    writer.return(path.block, writer.constant(path.block, 0));
  cursor.paths = yes;
}

/** The entry: `handle(pkt, ctx)` over the context. */
export function lowerEntry(
  program: ProgramLowering,
  name: string,
  options: { readonly asksPort: boolean },
): IrFunction {
  const { handle, handleScope, ports } = program.loaded;
  const writer = new Writer(name, placeOf(handle, name));
  const cursor = new Cursor(writer);
  const context = writer.argument();
  const block = writer.newBlock();
  cursor.paths = [{ block, env: emptyEnvironment() }];
  const start = writer.load(block, context, contextData, 4);
  const end = writer.load(block, context, contextEnd, 4);
  const frame: Frame = {
    node: handle,
    scope: handleScope,
    returns: [],
    targets: [],
    caller: undefined,
  };
  if (options.asksPort)
    findPort(program, { cursor, writer, context, frame }, ports.length);
  const packet = { context, start, end };
  const parameters: readonly ValueId[] = [];
  const lowering = begin(program, {
    writer,
    cursor,
    frame,
    packet,
    parameters,
  });
  const [pkt, ctx] = handle.parameters;
  // Each port is a path of its own until something joins them.
  const paths = cursor.paths;
  for (const path of paths) {
    cursor.paths = [path];
    if (pkt !== undefined) bind(lowering, pkt.name, { kind: "packet" });
    if (ctx !== undefined) bind(lowering, ctx.name, { kind: "context" });
  }
  cursor.paths = paths;
  body(lowering, handle);
  returnVerdicts(lowering);
  writer.dropUnused([start, end]);
  return writer.finish([context]);
}

interface Entry {
  readonly cursor: Cursor;
  readonly writer: Writer;
  readonly context: ValueId;
  readonly frame: Frame;
}

/** The index of the port; a frame from elsewhere is dropped. */
function findPort(
  program: ProgramLowering,
  { cursor, writer, context, frame }: Entry,
  count: number,
): void {
  const ifindex = writer.load(cursor.block, context, contextIfindex, 4);
  const found: Path[] = [];
  for (let port = 0; port < count; port++) {
    const variable = writer.emit(cursor.block, {
      kind: "map-value",
      map: ".rodata",
      offset: program.portVariable(port),
    });
    const own = writer.load(cursor.block, variable, 0, 4);
    const is = branchOn(cursor, "jeq", ifindex, own);
    for (const path of is.yes) {
      path.env.port = constantValue(port);
      found.push(path);
    }
    cursor.paths = is.no;
  }
  const drop = constantValue({ kind: "drop" });
  for (const path of cursor.paths) frame.returns.push({ path, value: drop });
  cursor.paths = found;
}

function body(lowering: Lowering, node: FunctionNode): void {
  const { ts, cursor, frame } = lowering;
  if (node.body === undefined) throw cannotLower(node, "it has no body");
  if (ts.isBlock(node.body)) {
    lowering.statement(node.body);
    for (const path of cursor.paths)
      frame.returns.push({ path, value: undefinedValue });
  } else frame.returns.push(...lowering.outcomes(node.body));
  cursor.paths = [];
}

function returnVerdicts({ cursor, writer, frame }: Lowering): void {
  const constants = new Map<number, Path[]>();
  for (const { path, value } of frame.returns) {
    if (value.kind === "verdict") {
      writer.return(path.block, value.word);
      continue;
    }
    // What falls off the end, which the checker refuses, is aborted.
    const number =
      value.kind === "constant" ? (verdictNumber(value.value) ?? 0) : 0;
    const paths = constants.get(number);
    if (paths === undefined) constants.set(number, [path]);
    else paths.push(path);
  }
  for (const [number, paths] of constants) {
    const block = writer.newBlock();
    for (const path of paths) writer.jump(path.block, block);
    writer.return(block, writer.constant(block, number));
  }
  cursor.paths = [];
}

export interface LoweredSubprogram extends Subprogram {
  readonly fn: IrFunction;
  readonly node: FunctionNode;
  /** What it was given that is no word. */
  readonly scope: Scope;
}

/**
 * A function of its own; its result's range is that of all it returns. Should it
 * ask for the time, that is its last parameter.
 */
export function lowerSubprogram(
  program: ProgramLowering,
  name: string,
  node: FunctionNode,
  scope: Scope,
): LoweredSubprogram {
  const writer = new Writer(name, placeOf(node, name));
  const cursor = new Cursor(writer);
  const block = writer.newBlock();
  const env = emptyEnvironment();
  const time = writer.argument();
  env.clock = { kind: "read", word: time };
  cursor.paths = [{ block, env }];
  const frame: Frame = {
    node,
    scope,
    returns: [],
    targets: [],
    caller: undefined,
  };
  const params: ValueId[] = [];
  const lowering = begin(program, {
    writer,
    cursor,
    frame,
    packet: undefined,
    parameters: params,
  });
  const words: number[] = [];
  for (const [index, parameter] of node.parameters.entries()) {
    if (!program.loaded.ts.isIdentifier(parameter.name))
      throw cannotLower(parameter, "a @noinline function takes plain names");
    const symbol = program.symbolOf(parameter.name);
    if (symbol !== undefined && scope.bindings.has(symbol)) {
      if (scope.bindings.get(symbol) === program.context)
        cursor.env.variables.set(symbol, { kind: "context" });
      continue;
    }
    const word = writer.argument();
    params.push(word);
    words.push(index);
    if (symbol !== undefined)
      cursor.env.variables.set(
        symbol,
        parameterValue(program, parameter, word),
      );
  }
  if (params.length > 5)
    throw cannotLower(node, "a @noinline function takes at most five numbers");
  body(lowering, node);
  const result = returnWords(lowering);
  const takesTime = lowering.clockAsked;
  if (takesTime) params.push(time);
  if (params.length > 5)
    throw cannotLower(
      node,
      "a @noinline function that asks for the time takes at most four numbers: the packet's time is the fifth",
      "pass fewer numbers, or remove @noinline",
    );
  return {
    name,
    words,
    takesTime,
    result,
    fn: writer.finish(params),
    node,
    scope,
  };
}

function parameterValue(
  program: ProgramLowering,
  parameter: LoweredSubprogram["node"]["parameters"][number],
  word: ValueId,
): Value {
  const { checker } = program.loaded;
  const type = checker.typeToString(checker.getTypeAtLocation(parameter));
  const range = program.facts.rangeOf(parameter.name);
  switch (type) {
    case "bigint":
      return {
        kind: "scalar",
        js: "bigint",
        word,
        low: range?.low ?? 0n,
        high: range?.high ?? 2n ** 64n - 1n,
      };
    case "boolean":
      return { kind: "scalar", js: "boolean", word, low: 0n, high: 1n };
    case "number":
      return {
        kind: "scalar",
        js: "number",
        word,
        low: range?.low ?? -(2n ** 53n),
        high: range?.high ?? 2n ** 53n,
      };
    default:
      throw cannotLower(
        parameter,
        `a @noinline function takes numbers, bigints and booleans, not ${type}`,
      );
  }
}

function returnWords({ writer, frame }: Lowering): Subprogram["result"] {
  let result: Subprogram["result"];
  for (const { path, value } of frame.returns) {
    if (value.kind === "constant" && value.value === undefined) {
      writer.return(path.block, writer.constant(path.block, 0));
      continue;
    }
    const js =
      value.kind === "scalar"
        ? value.js
        : value.kind === "constant"
          ? typeof value.value
          : undefined;
    if (js !== "number" && js !== "bigint" && js !== "boolean")
      throw cannotLower(
        frame.node,
        "a @noinline function answers a number, a bigint or a boolean",
      );
    const { low, high } = scalarRange(value);
    if (result !== undefined && result.js !== js)
      throw new Bug("two kinds of results");
    result = {
      js,
      low: result === undefined || low < result.low ? low : result.low,
      high: result === undefined || high > result.high ? high : result.high,
    };
    writer.return(path.block, scalarWord(writer, path.block, value));
  }
  return result;
}
