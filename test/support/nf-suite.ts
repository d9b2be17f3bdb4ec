/** The suite's sources, ready to be tried: objects under a setting, and the function. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { MapSpec, ProgramSpec } from "#isa";
import { programSpec, readObject, setVariable } from "#object";
import type { AnyNf } from "divisi/nf";
import { compiled } from "./nf-compile.ts";
import { root } from "./cli.ts";
import { stateMaps } from "./nf-machines.ts";
import { caseOf, mixOf, nfCases, type Variant } from "./nf-mixes.ts";
import { plain } from "./nf-plain.ts";
import type { ObjectUnderTest, VariantUnderTest } from "./nf-trial.ts";

export const nfNames = Object.keys(nfCases);

type Configured = Pick<ObjectUnderTest, "program" | "btf">;

/** The program of an object under a setting. */
function configured(
  bytes: Uint8Array,
  file: string,
  { set = {}, sizes = {} }: Variant,
): Configured {
  let object = readObject(bytes, file);
  for (const [name, value] of Object.entries(set))
    object = setVariable(object, name, value);
  const program = programSpec(object);
  const maps = program.maps.map((map) => sized(map, sizes));
  const { btf } = object;
  return {
    program: { ...program, maps },
    ...(btf === undefined ? {} : { btf }),
  };
}

function sized(map: MapSpec, sizes: Readonly<Record<string, number>>): MapSpec {
  return { ...map, maxEntries: sizes[map.name] ?? map.maxEntries };
}

/** The function of a source, as node imports it. */
export async function functionOf(name: string): Promise<AnyNf> {
  const path = join(root, `dist-dev/nfs/ts/${name}.js`);
  const found = (await import(path)) as { readonly default: AnyNf };
  return found.default;
}

/** The objects of a function under a setting, the C one first. */
export async function objectsOf(
  name: string,
  variant: Variant,
): Promise<readonly ObjectUnderTest[]> {
  return [
    { language: "C", ...objectOfC(name, variant) },
    { language: "TypeScript", ...(await objectOfTs(name, variant)) },
  ];
}

/** The object of the TypeScript source, or of what `change` makes of it. */
export async function objectOfTs(
  name: string,
  { set = {}, sizes = {} }: Variant,
  change?: (text: string) => string,
): Promise<Configured> {
  const bytes = await compiled(name, set, change);
  return configured(bytes, `nfs/ts/${name}.ts`, { name: "", sizes });
}

function objectOfC(name: string, variant: Variant): Configured {
  const file = `nfs/c/${name}.o`;
  return configured(readFileSync(join(root, file)), file, variant);
}

/** The C object's program. */
export function programOf(name: string, variant: Variant): ProgramSpec {
  return objectOfC(name, variant).program;
}

export async function variantsOf(name: string): Promise<VariantUnderTest[]> {
  const known = caseOf(name);
  const nf = await functionOf(name);
  return Promise.all(
    known.variants.map(async (variant) => {
      const objects = await objectsOf(name, variant);
      const maps = objects.flatMap(({ program }) => stateMaps(program));
      const mix = mixOf(known, variant);
      return { variant, mix, objects, plain: plain(nf, variant, maps) };
    }),
  );
}
