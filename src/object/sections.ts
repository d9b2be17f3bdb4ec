/**
 * BTF's description of sections, completed. Compilers leave the size of a section
 * and the offsets of its global variables 0 and let the loader fill them from ELF.
 * `.kconfig` and `.ksyms` have no section in the file: the loader lays them out.
 */
import type { Btf, BtfType } from "./btf.ts";
import { binding, type Elf, type ElfSymbol } from "./elf.ts";

export function fillSections(btf: Btf, elf: Elf): Btf {
  const sizes = new Map(elf.sections.map(({ name, size }) => [name, size]));
  const symbols = new Map<string, ElfSymbol>();
  for (const symbol of elf.symbols)
    if (symbol.binding !== binding.local) symbols.set(symbol.name, symbol);
  const types = btf.types.map((type): BtfType => {
    if (type.kind !== "section") return type;
    const size = sizes.get(type.name);
    // A size that stands was filled by a linker, offsets included.
    if (size === undefined || size > 0xffff_ffff || type.size !== 0)
      return type;
    const variables = type.variables.map((item) => {
      const variable = btf.types[item.type];
      if (variable?.kind !== "variable" || variable.linkage === "static")
        return item;
      const offset = symbols.get(variable.name)?.value ?? item.offset;
      return { ...item, offset: Math.min(offset, 0xffff_ffff) };
    });
    variables.sort((left, right) => left.offset - right.offset);
    return { ...type, size, variables };
  });
  return { types };
}

/** As libbpf: a function hidden from other files is verified like a static one. */
export function hideFunctions(btf: Btf, hidden: ReadonlySet<number>): Btf {
  if (hidden.size === 0) return btf;
  const types = btf.types.map((type, id): BtfType =>
    type.kind === "function" && hidden.has(id)
      ? { ...type, linkage: "static" }
      : type,
  );
  return { types };
}
