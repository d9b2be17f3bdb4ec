/**
 * From a loaded network function, which the checker has passed, to a program in
 * the intermediate representation. `handle` becomes the entry; see lower-function.ts.
 *
 * Law: run on any packet, the program gives the verdict, the bytes and the contents
 * of maps that the function gives as plain JavaScript.
 */
import { Bug } from "../../base/index.ts";
import {
  type IrFunction,
  type IrProgram,
  simplify,
  verifyIr,
} from "../../ir/index.ts";
import type { DataType, ProgramDataTypes } from "../../isa/index.ts";
import type { FunctionNode, LoadedNf, Scope } from "../front/loaded.ts";
import { withinStack } from "../front/too-deep.ts";
import type { ts } from "../front/typescript-api.ts";
import { dataType } from "./data-types.ts";
import {
  type LoweredSubprogram,
  lowerEntry,
  lowerSubprogram,
} from "./lower-function.ts";
import type { LoweredNf } from "./lowered.ts";
import type { Facts, ProgramLowering } from "./lowering.ts";
import { Rodata } from "./rodata.ts";
import { compositeNames, portsMap, stateMaps } from "./state-maps.ts";

const noFacts: Facts = { rangeOf: () => undefined };

/** `facts`: what the checker proved of ranges; without, types are believed. */
export function lowerNf(loaded: LoadedNf, facts: Facts = noFacts): LoweredNf {
  return withinStack(loaded.file.fileName, () => lower(loaded, facts));
}

function lower(loaded: LoadedNf, facts: Facts): LoweredNf {
  const { ts, checker, handleScope } = loaded;
  const name = loaded.name.replaceAll("-", "_");
  const maps = stateMaps(loaded.state);
  const composites = compositeNames(loaded.state);
  const asksPort = loaded.ports.length > 0 && readsPort(loaded);
  const rodata = new Rodata(loaded.ports);
  const subprograms: LoweredSubprogram[] = [];
  const taken = new Set([name]);
  const [context] = handleScope.bindings.values();
  const program: ProgramLowering = {
    loaded,
    facts,
    context,
    symbolOf: (node) => symbolOf(ts, checker, node),
    mapOf: (declaration) => maps.get(declaration),
    portVariable: (port) => 4 * port,
    table: (values, size) => rodata.table(values, size),
    subprogram: (node, self, scope) => {
      const known = subprograms.find((one) => isOf(one, node, scope));
      if (known !== undefined) return known;
      const own = freeName(subprogramName(node, self, composites), taken);
      taken.add(own);
      const made = lowerSubprogram(program, own, node, scope);
      subprograms.push(made);
      return made;
    },
  };
  const entry = lowerEntry(program, name, { asksPort });
  const functions = [entry, ...subprograms.map((one) => one.fn)];
  const device = loaded.ports.length > 0 ? [portsMap(loaded.ports.length)] : [];
  const readOnly = rodata.map();
  const lowered = simplify({
    name,
    file: loaded.file.fileName,
    type: "xdp",
    functions,
    maps: [
      ...[...maps.values()].map((map) => map.spec),
      ...device,
      ...(readOnly === undefined ? [] : [readOnly]),
    ],
  });
  check(lowered);
  return {
    program: lowered,
    types: {
      maps: mapTypes(maps.values(), device.length > 0),
      variables: rodata.variables,
      functions: functionTypes(entry, subprograms),
    },
  };
}

function check(program: IrProgram): void {
  const [first] = verifyIr(program);
  if (first !== undefined)
    throw new Bug(`${program.name}: ${first.code}: ${first.message}`);
}

function symbolOf(
  ts: LoadedNf["ts"],
  checker: ts.TypeChecker,
  node: ts.Identifier,
): ts.Symbol | undefined {
  const { parent } = node;
  const found =
    ts.isShorthandPropertyAssignment(parent) && parent.name === node
      ? checker.getShorthandAssignmentValueSymbol(parent)
      : checker.getSymbolAtLocation(node);
  return found !== undefined && (found.flags & ts.SymbolFlags.Alias) !== 0
    ? checker.getAliasedSymbol(found)
    : found;
}

/** Is `ctx.port` read anywhere? Then a frame from no port is dropped at once. */
function readsPort({ ts, checker, userFiles }: LoadedNf): boolean {
  const visit = (node: ts.Node): boolean => {
    if (
      ts.isPropertyAccessExpression(node) &&
      node.name.text === "port" &&
      checker.getTypeAtLocation(node.expression).symbol?.name === "Context"
    )
      return true;
    if (ts.isBindingElement(node)) {
      const key = node.propertyName ?? node.name;
      if (ts.isIdentifier(key) && key.text === "port") return true;
    }
    return ts.forEachChild(node, visit) ?? false;
  };
  return userFiles.some((file) => visit(file));
}

function subprogramName(
  node: FunctionNode,
  self: object | undefined,
  composites: ReadonlyMap<object, string>,
): string {
  const own = node.name === undefined ? "function" : node.name.getText();
  const owner = self === undefined ? undefined : composites.get(self);
  return owner === undefined ? own : `${owner}_${own}`;
}

/** The same function, and what it was given that is no word is the same. */
function isOf(
  one: LoweredSubprogram,
  node: FunctionNode,
  scope: Scope,
): boolean {
  if (one.node !== node || one.scope.self !== scope.self) return false;
  for (const [symbol, given] of scope.bindings)
    if (one.scope.bindings.get(symbol) !== given) return false;
  return true;
}

/** Two files may have functions of one name; so may one, given two maps. */
function freeName(name: string, taken: ReadonlySet<string>): string {
  let free = name;
  for (let number = 2; taken.has(free); number++) free = `${name}_${number}`;
  return free;
}

function mapTypes(
  maps: Iterable<{
    readonly spec: { readonly name: string };
    readonly key: Parameters<typeof dataType>[0] | undefined;
    readonly value: Parameters<typeof dataType>[0];
  }>,
  hasPorts: boolean,
): ProgramDataTypes["maps"] {
  const types = new Map<string, { key?: DataType; value?: DataType }>();
  for (const { spec, key, value } of maps)
    types.set(spec.name, {
      ...(key === undefined ? {} : { key: dataType(key) }),
      value: dataType(value),
    });
  const word: DataType = { kind: "scalar", name: "u32" };
  if (hasPorts) types.set("ports", { key: word, value: word });
  return types;
}

function functionTypes(
  entry: IrFunction,
  subprograms: readonly LoweredSubprogram[],
): ProgramDataTypes["functions"] {
  const types = new Map<
    string,
    {
      parameters: readonly { name: string; type: DataType }[];
      result?: DataType;
    }
  >();
  types.set(entry.name, {
    parameters: [{ name: "ctx", type: { kind: "pointer" } }],
    result: { kind: "scalar", name: "i32" },
  });
  const word: DataType = { kind: "scalar", name: "u64" };
  for (const { name, node, words, takesTime, result } of subprograms)
    types.set(name, {
      parameters: [
        ...words.map((index) => ({
          name: node.parameters[index]?.name.getText() ?? `a${index}`,
          type: word,
        })),
        ...(takesTime ? [{ name: "packet_time", type: word }] : []),
      ],
      ...(result === undefined ? {} : { result: word }),
    });
  return types;
}
