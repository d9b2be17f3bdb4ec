/**
 * Where members of the running kernel's structures lie, from its own types: nothing
 * about them is a constant of ours. Source: /sys/kernel/btf/vmlinux.
 */
import { readFileSync } from "node:fs";
import { UnsupportedError } from "../../../base/index.ts";
import { readBtf, type Btf } from "../../../object/index.ts";

const path = "/sys/kernel/btf/vmlinux";
let types: Btf["types"] | undefined;

/** In bytes; a structure or member that is not there is an UnsupportedError. */
export function kernelOffset(structure: string, member: string): number {
  types ??= read();
  const found = types.find(
    (type) => type.kind === "struct" && type.name === structure,
  );
  const offset =
    found?.kind === "struct"
      ? found.members.find(({ name }) => name === member)?.bitOffset
      : undefined;
  if (offset !== undefined) return offset / 8;
  const feature = `${structure}.${member}`;
  throw new UnsupportedError(`this kernel has no ${feature}`, { feature });
}

function read(): Btf["types"] {
  try {
    return readBtf(readFileSync(path)).types;
  } catch (cause) {
    throw new UnsupportedError(
      `the kernel's types (${path}) are not readable`,
      { feature: "kernel BTF", cause },
    );
  }
}
