/** The library's types as the types of a program's data: the same layouts, by other words. */
import type { DataType } from "../../isa/index.ts";
import type { Type } from "../library/struct.ts";

export function dataType(type: Type): DataType {
  switch (type.kind) {
    case "scalar":
      return { kind: "scalar", name: type.name };
    case "struct":
      return {
        kind: "struct",
        name: type.name,
        size: type.size,
        fields: type.fields.map(({ name, offset, type }) => ({
          name,
          offset,
          type: dataType(type),
        })),
      };
    case "vector":
      return {
        kind: "array",
        element: dataType(type.element),
        count: type.count,
      };
  }
}
