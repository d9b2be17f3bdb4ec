/**
 * A conjunct in words: which two packets may touch one cell. Fields are named where
 * all bits of a run are compared one by one: `ipv4.src = ipv4.dst`.
 */
import { printFieldBits } from "../analysis/index.ts";
import type { FieldName } from "../packet/index.ts";
import type { Conjunct, LinearForm } from "../rss/index.ts";

export function conjunctText({ equations, ports }: Conjunct): string {
  const [one, other] = ports;
  const where = one === other ? "" : ` (${one} and ${other})`;
  const what =
    equations.length === 0 ? "any two" : `two with ${sides(equations)}`;
  return `${what}${where}`;
}

type Equations = Conjunct["equations"];

/** `ipv4.src of one = ipv4.dst of the other`, or `equal ipv4.src`. */
function sides(equations: Equations): string {
  const equal = new Map<FieldName, number[]>();
  const crossed = new Map<string, [number[], number[], FieldName, FieldName]>();
  const odd = new Set<string>();
  for (const { left, right } of equations) {
    const [a, b] = [only(left), only(right)];
    if (a === undefined || b === undefined)
      odd.add(`${formText(left)} = ${formText(right)}`);
    else if (a.field === b.field && a.bit === b.bit)
      equal.set(a.field, [...(equal.get(a.field) ?? []), a.bit]);
    else {
      const name = `${a.field} ${b.field}`;
      const known = crossed.get(name) ?? [[], [], a.field, b.field];
      known[0].push(a.bit);
      known[1].push(b.bit);
      crossed.set(name, known);
    }
  }
  const same = [...equal].flatMap(([field, bits]) =>
    printFieldBits(field, bits),
  );
  const across = [...crossed.values()].map(
    ([left, right, a, b]) =>
      `${printFieldBits(a, left).join(", ")} of one = ${printFieldBits(b, right).join(", ")} of the other`,
  );
  return [
    ...(same.length === 0 ? [] : [`equal ${same.join(", ")}`]),
    ...across,
    ...odd,
  ].join(", ");
}

function only({ bits }: LinearForm): LinearForm["bits"][number] | undefined {
  return bits.length === 1 ? bits[0] : undefined;
}

function formText({ bits, constant }: LinearForm): string {
  const fields = [...new Set(bits.map(({ field }) => field))];
  return fields.length === 0 ? String(constant) : fields.join("^");
}
