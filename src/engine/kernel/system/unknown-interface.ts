/** The one answer to an interface that is not there: wrong words, and the nearest name. */
import { InputError, nearest } from "../../../base/index.ts";

export function unknownInterface(
  name: string,
  present: readonly string[],
): InputError {
  const near = nearest(name, present);
  return new InputError(`there is no interface ${name}`, {
    code: "interface-unknown",
    kind: "usage",
    fix: near === undefined ? "ip -o link shows them" : `did you mean ${near}?`,
  });
}
