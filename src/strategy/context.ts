/** What every strategy is told besides the object. */
import type { FieldName } from "../packet/index.ts";
import type { Port } from "./plan.ts";

export interface Context {
  readonly ports: readonly Port[];
  /** Can the NIC hash this field for some class of packets? */
  readonly hashable: (field: FieldName) => boolean;
}
