/** Programs and objects with their written hash maps as private tables, and the state of such as the original's. */
import { fromHex, toHex } from "#base";
import {
  capacitiesOf,
  splitLayouts,
  tableEntries,
  tableLayout,
  type TablePart,
} from "#codegen";
import type { FunctionSpec, MapSpec } from "#isa";
import type { StateDump } from "#proof";

interface Code {
  readonly functions: readonly FunctionSpec[];
  readonly maps: readonly MapSpec[];
}

/** Hash maps that a program puts something into. */
export function tableParts(code: Code, cores: number): readonly TablePart[] {
  return code.maps
    .filter(({ type }) => type === "hash")
    .filter((map) => isUpdated(code, map.name))
    .map(({ name, maxEntries }) => ({
      object: name,
      layout: "table",
      capacities: capacitiesOf(maxEntries, cores),
    }));
}

export function asTables<T extends Code>(
  object: T,
  entry: string,
  parts: readonly TablePart[],
): T {
  const cores = parts[0]?.capacities.length ?? 1;
  return splitLayouts(object, entry, { cores, parts });
}

/** `state`, with tables as the hash maps that they were. */
export function asHashes(
  state: StateDump,
  maps: readonly MapSpec[],
  parts: readonly TablePart[],
): StateDump {
  const seen = new Map(state);
  for (const { object, capacities } of parts) {
    const map = maps.find(({ name }) => name === object);
    if (map === undefined) continue;
    const layout = tableLayout(map, capacities);
    const cells = new Map<string, readonly string[]>();
    for (const [text = ""] of state.get(object)?.values() ?? [])
      for (const { key, value } of tableEntries(fromHex(text), layout))
        cells.set(toHex(key), [toHex(value)]);
    seen.set(object, cells);
  }
  return seen;
}

/** By its name in an instruction in front of an update, which is good enough for the suite. */
function isUpdated({ functions }: Code, name: string): boolean {
  return functions.some(({ instructions }) => {
    let latest: string | undefined;
    return instructions.some((instruction) => {
      if (instruction.kind === "load-wide" && instruction.value.kind === "map")
        latest = instruction.value.map;
      return (
        instruction.kind === "call" &&
        instruction.callee.kind === "helper" &&
        instruction.callee.helper === 2 &&
        latest === name
      );
    });
  });
}
