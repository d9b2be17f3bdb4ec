/**
 * Names of maps: each declaration of state is a map of its name, composites are
 * several, and `ports` makes one more. No two may be called the same.
 */
import { diagnosticAt } from "../front/diagnostics.ts";
import type { LoadedNf, NfDiagnostic } from "../front/loaded.ts";
import type { ts } from "../front/typescript-api.ts";
import { partsOf } from "../library/instance.ts";
import { fill, rules } from "./rules.ts";

export function checkStateNames(nf: LoadedNf): readonly NfDiagnostic[] {
  const taken = new Map<string, string>();
  if (nf.ports.length > 0) taken.set("ports", "the map of `ports: […]`");
  const found: NfDiagnostic[] = [];
  for (const [state, declaration] of nf.state)
    for (const part of partsOf({ [state]: declaration } as Parameters<
      typeof partsOf
    >[0])) {
      if (part.declaration.kind === "composite") continue;
      const other = taken.get(part.name);
      taken.set(part.name, `a map of the state \`${state}\``);
      if (other === undefined) continue;
      const { message, fix } = rules["nf-map-name"];
      const details = { name: part.name, other, state };
      found.push(
        diagnosticAt(nameNode(nf, state), {
          code: "nf-map-name",
          message: fill(message, details),
          fix: fill(fix, details),
        }),
      );
    }
  return found;
}

/** Where the state gets its name. */
function nameNode(nf: LoadedNf, name: string): ts.Node {
  const { ts } = nf;
  const find = (node: ts.Node): ts.Node | undefined =>
    (ts.isPropertyAssignment(node) || ts.isShorthandPropertyAssignment(node)) &&
    node.name.getText() === name
      ? node.name
      : ts.forEachChild(node, find);
  const state = nf.definitionNode.properties.find(
    (property) => property.name?.getText() === "state",
  );
  return (state && find(state)) ?? state ?? nf.definitionNode;
}
