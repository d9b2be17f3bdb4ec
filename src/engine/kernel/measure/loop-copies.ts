/**
 * Copies of a program's functions, each on maps of its own, to stand in one program:
 * what is called `f` and `m` is called `f#2` and `m#2` in copy 2.
 */
import type {
  FunctionSpec,
  Instruction,
  MapSpec,
  ProgramSpec,
} from "../../../isa/index.ts";

export function copyName(name: string, copy: number): string {
  return `${name}#${copy}`;
}

export function copyProgram(program: ProgramSpec, copy: number): ProgramSpec {
  const names = new Set(program.functions.map(({ name }) => name));
  const rename = (name: string): string => copyName(name, copy);
  const instruction = (each: Instruction): Instruction => {
    if (each.kind === "load-wide") {
      const { value } = each;
      if (value.kind === "map" || value.kind === "map-value")
        return { ...each, value: { ...value, map: rename(value.map) } };
      if (value.kind === "function")
        return { ...each, value: { ...value, name: rename(value.name) } };
    }
    if (each.kind === "call" && each.callee.kind === "function")
      return {
        ...each,
        callee: { ...each.callee, name: rename(each.callee.name) },
      };
    return each;
  };
  return {
    ...program,
    functions: program.functions.map((fn): FunctionSpec => ({
      ...fn,
      name: rename(fn.name),
      instructions: fn.instructions.map(instruction),
    })),
    maps: program.maps.map((map): MapSpec => ({
      ...map,
      name: rename(map.name),
      ...(map.values === undefined
        ? {}
        : {
            values: map.values.map(({ index, target }) => ({
              index,
              target:
                target.kind === "map" || names.has(target.name)
                  ? { ...target, name: rename(target.name) }
                  : target,
            })),
          }),
    })),
  };
}
