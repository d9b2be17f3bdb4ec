/** A program with first contents of its maps, loaded with these. */
import type { ProgramSpec } from "../../../isa/index.ts";
import type { Btf } from "../../../object/index.ts";
import type { MapContents } from "../../../proof/index.ts";
import { possibleCpus } from "./create-map.ts";
import type { Kernel } from "../kernel.ts";
import type { LoadedPrograms } from "./loaded-programs.ts";

export interface BoundProgram {
  readonly program: ProgramSpec;
  readonly btf?: Btf;
  readonly contents: MapContents;
}

/** Device maps take interfaces of the calling thread's namespace. */
export function loadFilled(
  kernel: Kernel,
  { program, btf, contents }: BoundProgram,
): LoadedPrograms {
  const loaded = kernel.load([program], btf === undefined ? {} : { btf });
  try {
    for (const [name, entries] of Object.entries(contents))
      fill(loaded, name, entries);
    return loaded;
  } catch (error) {
    loaded.close();
    throw error;
  }
}

/** A value as long as all copies of a per-CPU one is one copy per CPU; a shorter one goes to all. */
function fill(
  loaded: LoadedPrograms,
  name: string,
  entries: MapContents[string],
): void {
  const map = loaded.map(name);
  const { valueSize } = map.spec;
  const stride = (valueSize + 7) & ~7;
  for (const { key, value } of entries)
    if (value.length === valueSize) map.update(key, value);
    else
      map.updateAll(
        key,
        Array.from({ length: possibleCpus() }, (_, cpu) => {
          const from = cpu * stride;
          const copy = new Uint8Array(valueSize);
          copy.set(value.subarray(from, from + valueSize));
          return copy;
        }),
      );
}
