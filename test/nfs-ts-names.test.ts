/**
 * Both suites are one: every network function has the same maps, of the same types
 * and sizes with the same fields at the same places, and the same settings with the
 * same defaults in TypeScript and in C; and each says the same name to the kernel.
 */
import { deepEqual, equal } from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { FieldLayout, MapSpec } from "#isa";
import { programSpec, readObject } from "#object";
import { partsOf, u8, type AnyNf, type Type } from "divisi/nf";

const root = join(import.meta.dirname, "../..");
const inC = namesIn("nfs/c", ".c");
const inTypescript = namesIn("nfs/ts", ".ts");

function namesIn(folder: string, ending: string): readonly string[] {
  return readdirSync(join(root, folder))
    .filter((file) => file.endsWith(ending))
    .map((file) => file.slice(0, -ending.length))
    .sort();
}

/** Settings that only C has: interfaces are bound by name in TypeScript. */
const interfaces = /_ifindex$/;

/** Read-only variables with their values, as they stand in the object. */
function variables(maps: readonly MapSpec[]): readonly string[] {
  return maps
    .filter(({ readOnly }) => readOnly)
    .flatMap(({ data, valueFields = [] }) =>
      valueFields.map(({ path, bits, bitOffset }) => {
        let value = 0n;
        for (let at = bits / 8 - 1; at >= 0; at--)
          value = (value << 8n) | BigInt(data?.[bitOffset / 8 + at] ?? 0);
        return `${path} = ${value}`;
      }),
    )
    .filter((line) => !interfaces.test(line.split(" ")[0] ?? ""))
    .sort();
}

/** A type's fields with their places in bytes, a MAC as its six bytes. */
function fieldsOf(type: Type, path = "", at = 0): readonly string[] {
  if (type.kind === "struct")
    return type.fields.flatMap(({ name, type: field, offset }) =>
      fieldsOf(field, path === "" ? name : `${path}.${name}`, at + offset),
    );
  if (type.kind === "vector" || type.name === "mac") {
    const element = type.kind === "vector" ? type.element : u8;
    const count = type.size / element.size;
    return Array.from({ length: count }, (_, index) =>
      fieldsOf(element, `${path}[${index}]`, at + index * element.size),
    ).flat();
  }
  return [`${path} at ${at}, ${type.size} bytes`];
}

/** The same of an object's BTF; C names its padding, and the bytes of a MAC. */
function fieldsInC(layout: readonly FieldLayout[] = []): readonly string[] {
  return layout
    .filter(({ path }) => !path.includes("zero"))
    .map(
      ({ path, bitOffset, bits }) =>
        `${path.replace(/\.?bytes(?=\[)/, "")} at ${bitOffset / 8}, ${bits / 8} bytes`,
    );
}

/** What a kind of declaration is in BPF. */
// prettier-ignore
const mapTypes: Readonly<Record<string, string>> = { array: "array", counter: "array", hash: "hash", ring: "ringbuf" };

test("both suites have the same network functions", () => {
  equal(inTypescript.length, 27);
  deepEqual(inTypescript, inC);
});

for (const name of inTypescript)
  test(`${name}: the maps and settings of its C twin`, async () => {
    const module = (await import(`../nfs/ts/${name}.js`)) as {
      readonly default: AnyNf;
    };
    const nf = module.default;
    const file = join(root, `nfs/c/${name}.o`);
    const object = readObject(new Uint8Array(readFileSync(file)), file);
    const program = programSpec(object);
    equal(nf.name, name);
    equal(program.name, name.replaceAll("-", "_"));

    const declared = partsOf(nf.state(nf.config)).flatMap(
      ({ name: map, declaration }) => {
        if (declaration.kind === "composite") return [];
        const { kind, key, value, capacity } = declaration;
        const sizes = kind === "ring" ? "" : ` ${key?.size} ${value.size}`;
        return [`${map} ${mapTypes[kind]}${sizes} ${capacity}`];
      },
    );
    const maps = object.maps
      .filter(({ name: map, readOnly }) => map !== "ports" && !readOnly)
      .map(({ name: map, type, keySize, valueSize, maxEntries }) => {
        const sizes = type === "ringbuf" ? "" : ` ${keySize} ${valueSize}`;
        return `${map} ${type}${sizes} ${maxEntries}`;
      });
    deepEqual(declared.sort(), maps.sort());

    for (const { name: map, declaration } of partsOf(nf.state(nf.config))) {
      const twin = object.maps.find((one) => one.name === map);
      if (declaration.kind === "composite" || declaration.kind === "ring")
        continue;
      const { key, value } = declaration;
      deepEqual(fieldsOf(value), fieldsInC(twin?.valueFields), map);
      if (key !== undefined)
        deepEqual(fieldsOf(key), fieldsInC(twin?.keyFields), map);
    }

    const settings = Object.entries(nf.config).map(
      ([setting, value]) => `${setting} = ${BigInt(value)}`,
    );
    deepEqual(settings.sort(), variables(object.maps));
    const hasPorts = object.maps.some(({ name: map }) => map === "ports");
    deepEqual(nf.ports, hasPorts ? ["lan", "wan"] : []);
  });
