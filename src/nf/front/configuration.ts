/**
 * `config`: scalars written out, each with the type its value was made by. That
 * type says how a setting from the outside is parsed.
 */
import { emptyScope } from "./constants.ts";
import type { DefinitionReader } from "./definition.ts";
import type { ConfigEntry } from "./loaded.ts";
import { applySettings, scalarRanges } from "./settings.ts";
import type { ts } from "./typescript-api.ts";

export function readConfig(
  reader: DefinitionReader,
  node: ts.ObjectLiteralExpression,
): readonly ConfigEntry[] {
  const { ts } = reader;
  let initializer = reader.initializer(node, "config");
  if (initializer !== undefined && ts.isIdentifier(initializer)) {
    const declaration = reader.constants.target(initializer)?.valueDeclaration;
    if (declaration !== undefined && ts.isVariableDeclaration(declaration))
      initializer = declaration.initializer;
  }
  while (
    initializer !== undefined &&
    (ts.isAsExpression(initializer) || ts.isSatisfiesExpression(initializer))
  )
    initializer = initializer.expression;
  if (reader.property(node, "config") === undefined)
    return applySettings([], reader.options.set ?? {});
  if (initializer === undefined || !ts.isObjectLiteralExpression(initializer)) {
    reader.say(reader.property(node, "config") ?? node, {
      code: "nf-definition",
      message: "`config` must be an object written out",
      fix: "config: { capacity: u32(65_536) }",
    });
    return [];
  }
  const entries = initializer.properties.flatMap((property) =>
    configEntry(reader, property),
  );
  return reader.said.length > 0
    ? entries
    : applySettings(entries, reader.options.set ?? {});
}

function configEntry(
  reader: DefinitionReader,
  property: ts.ObjectLiteralElementLike,
): readonly ConfigEntry[] {
  const { ts } = reader;
  const fix = "a constant scalar, like u32(65_536), u64(1n) or true";
  if (
    !(
      ts.isPropertyAssignment(property) ||
      ts.isShorthandPropertyAssignment(property)
    ) ||
    !ts.isIdentifier(property.name)
  ) {
    reader.say(property, {
      code: "nf-definition",
      message: "a configuration value must be written as NAME: VALUE",
      fix,
    });
    return [];
  }
  const node = ts.isPropertyAssignment(property)
    ? property.initializer
    : property.name;
  const constant = reader.demand(node, emptyScope);
  if (constant === undefined) return [];
  const { value } = constant;
  if (
    typeof value !== "number" &&
    typeof value !== "bigint" &&
    typeof value !== "boolean"
  ) {
    reader.say(node, {
      code: "nf-definition",
      message: "a configuration value must be a scalar",
      fix,
    });
    return [];
  }
  const callee =
    ts.isCallExpression(node) && ts.isIdentifier(node.expression)
      ? reader.constants.target(node.expression)
      : undefined;
  const name =
    callee === undefined ? undefined : reader.constants.libraryName(callee);
  const plain =
    typeof value === "boolean"
      ? "bool"
      : typeof value === "bigint"
        ? "u64"
        : "u32";
  const type = name !== undefined && name in scalarRanges ? name : plain;
  return [
    {
      name: property.name.text,
      type: type === "ipv4" ? "be32" : type,
      value,
    },
  ];
}
