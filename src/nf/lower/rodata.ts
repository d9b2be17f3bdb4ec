/**
 * The read-only data section: the interface numbers of the ports, which whoever
 * loads the object sets, and arrays of constants that are read by index.
 */
import type { MapSpec, ProgramDataTypes, Size } from "../../isa/index.ts";

type Variable = ProgramDataTypes["variables"][number];

export class Rodata {
  readonly #bytes: number[] = [];
  readonly #variables: Variable[] = [];
  readonly #tables = new Map<string, number>();

  /** Ports are numbered from 1 until somebody says better. */
  constructor(ports: readonly string[]) {
    for (const [index, port] of ports.entries()) {
      this.#variables.push({
        name: `${port}_ifindex`,
        section: ".rodata",
        offset: 4 * index,
        type: { kind: "scalar", name: "u32" },
      });
      this.#append(BigInt(index + 1), 4);
    }
  }

  get variables(): readonly Variable[] {
    return this.#variables;
  }

  /** Where the array stands. */
  table(values: readonly bigint[], size: Size): number {
    const text = `${size}:${values.join(",")}`;
    const known = this.#tables.get(text);
    if (known !== undefined) return known;
    while (this.#bytes.length % size !== 0) this.#bytes.push(0);
    const offset = this.#bytes.length;
    for (const value of values) this.#append(value, size);
    this.#variables.push({
      name: `table_${this.#tables.size}`,
      section: ".rodata",
      offset,
      type: {
        kind: "array",
        element: { kind: "scalar", name: names[size] },
        count: values.length,
      },
    });
    this.#tables.set(text, offset);
    return offset;
  }

  /** Undefined where nothing is in it. */
  map(): MapSpec | undefined {
    const size = this.#bytes.length;
    if (size === 0) return undefined;
    return {
      name: ".rodata",
      section: ".rodata",
      type: "array",
      keySize: 4,
      valueSize: size,
      maxEntries: 1,
      flags: 0,
      readOnly: true,
      data: Uint8Array.from(this.#bytes),
    };
  }

  #append(value: bigint, size: Size): void {
    for (let at = 0; at < size; at++)
      this.#bytes.push(Number((value >> BigInt(8 * at)) & 0xffn));
  }
}

const names = { 1: "u8", 2: "u16", 4: "u32", 8: "u64" } as const;
