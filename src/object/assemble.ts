/**
 * An object made from nothing: what a compiler has in hand (functions, maps, the
 * types of their data) → ObjectSpec with BTF, as if clang had written it.
 *
 * Order, and so bytes, follow from the input alone. Names become C identifiers,
 * since the kernel refuses others; libbpf names a map by its variable in `.maps`.
 */
import { Bug } from "../base/index.ts";
import type {
  DataType,
  FunctionSpec,
  MapSpec,
  ProgramDataTypes,
} from "../isa/index.ts";
import { emptyBtf } from "./btf.ts";
import { implied, isDataMap } from "./data-sections.ts";
import { BtfBuilder } from "./define-map.ts";
import { TypeDescriber } from "./describe-types.ts";
import { emptyObject } from "./edit.ts";
import { typed } from "./map-definition.ts";
import { normalise } from "./normalise.ts";
import { entriesOf } from "./program.ts";
import type { ObjectSpec, VariableSpec } from "./spec.ts";

export interface Assembly {
  /** Name for messages. */
  readonly file: string;
  readonly license: string;
  /** Declared maps, and data sections with their contents. */
  readonly maps: readonly MapSpec[];
  /** Without BTF; the entry in its section, what it calls in `.text`. */
  readonly functions: readonly FunctionSpec[];
  readonly types: ProgramDataTypes;
}

export function assembleObject(assembly: Assembly): ObjectSpec {
  const builder = new BtfBuilder(emptyBtf);
  const describer = new TypeDescriber(builder);
  const declared = assembly.maps.filter((map) => !isDataMap(map));
  const typedMaps = declared.map((map): MapSpec => {
    const { key, value } = assembly.types.maps.get(map.name) ?? {};
    return {
      ...map,
      ...describedAs(map, "key", key, describer, builder),
      ...describedAs(map, "value", value, describer, builder),
    };
  });
  const functions = assembly.functions.map((fn) =>
    describeFunction(fn, assembly.types, describer, builder),
  );
  const variables = describeVariables(assembly, describer, builder);
  const data = assembly.maps
    .filter((map) => isDataMap(map))
    .map((map) =>
      implied(map.name, map.data ?? new Uint8Array(map.valueSize), builder.btf),
    );
  return normalise({
    ...emptyObject(assembly.file, assembly.license),
    maps: [...typedMaps, ...data],
    functions,
    programs: entriesOf(functions),
    btf: builder.btf,
    variables,
  });
}

/** The members of a map that its key's or value's type gives. */
function describedAs(
  map: MapSpec,
  which: "key" | "value",
  type: DataType | undefined,
  describer: TypeDescriber,
  builder: BtfBuilder,
): Partial<MapSpec> {
  const want = which === "key" ? map.keySize : map.valueSize;
  // Records of a ring have a type, but the map has neither keys nor values.
  if (type === undefined || want === 0) return {};
  const have = describer.size(type);
  if (have !== want)
    throw new Bug(
      `map ${map.name}: its ${which} has ${want} bytes, its type ${have}`,
    );
  return typed(builder.btf, which, describer.id(type));
}

/** The context of XDP programs (include/uapi/linux/bpf.h). */
const xdpContext: DataType = {
  kind: "pointer",
  target: {
    kind: "struct",
    name: "xdp_md",
    size: 24,
    fields: [
      "data",
      "data_end",
      "data_meta",
      "ingress_ifindex",
      "rx_queue_index",
      "egress_ifindex",
    ].map((name, index) => ({
      name,
      offset: 4 * index,
      type: { kind: "scalar", name: "u32" },
    })),
  },
};

function describeFunction(
  fn: FunctionSpec,
  types: ProgramDataTypes,
  describer: TypeDescriber,
  builder: BtfBuilder,
): FunctionSpec {
  const isEntry = fn.linkage === "global";
  const given = types.functions.get(fn.name);
  const parameters = isEntry
    ? [{ name: "ctx", type: describer.id(xdpContext) }]
    : (given?.parameters ?? []).map(({ name, type }) => ({
        name: identifier(name),
        type: describer.id(type),
      }));
  const result = isEntry
    ? builder.int()
    : given?.result === undefined
      ? 0
      : describer.id(given.result);
  const prototype = builder.add({
    kind: "prototype",
    type: result,
    parameters,
  });
  const btfFunction = builder.add({
    kind: "function",
    name: identifier(fn.name),
    type: prototype,
    linkage: isEntry ? "global" : "static",
  });
  return { ...fn, btfFunction };
}

/** Variables of the data sections, and the sections that hold them. */
function describeVariables(
  { types, maps }: Assembly,
  describer: TypeDescriber,
  builder: BtfBuilder,
): VariableSpec[] {
  const variables = types.variables.map(
    ({ name, section, offset, type }): VariableSpec => ({
      name: identifier(name),
      section,
      offset,
      size: describer.size(type),
      linkage: "global",
    }),
  );
  for (const map of maps) {
    const inside = types.variables.flatMap(({ section, type }, index) => {
      const variable = variables[index];
      if (section !== map.name || variable === undefined) return [];
      const id = builder.add({
        kind: "variable",
        name: variable.name,
        type: map.readOnly ? describer.readOnly(type) : describer.id(type),
        linkage: "global",
      });
      return [{ type: id, offset: variable.offset, size: variable.size }];
    });
    // The kernel wants them in order, and a section without any is refused.
    inside.sort((left, right) => left.offset - right.offset);
    if (isDataMap(map) && inside.length > 0)
      builder.add({
        kind: "section",
        name: map.name,
        size: map.data?.length ?? map.valueSize,
        variables: inside,
      });
  }
  return variables;
}

function identifier(name: string): string {
  return name.replace(/[^A-Za-z0-9_]/g, "_").replace(/^(?=\d)/, "_");
}
