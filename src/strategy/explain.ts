/**
 * A refusal for whoever runs the network: what does not go and why, the accesses
 * that meet with their places, which packets would have to share a core, and what
 * could be changed. One paragraph per object; lines are wrapped by print.ts.
 */
import { printPlace } from "../base/index.ts";
import type { ObjectPart, Plan } from "./plan.ts";
import type { RefusedAccess, Refusal } from "./refusal.ts";

/** Paragraphs: a first line and lines under it. */
export function explained(plan: Plan): readonly (readonly string[])[] {
  const paragraphs = plan.objects.flatMap((part) => {
    const own = plan.refusals.filter(
      (refusal) => refusal.object === part.object && isTelling(refusal),
    );
    return own.length === 0 ? [] : [paragraph(part, own)];
  });
  const known = new Set(plan.objects.map(({ object }) => object));
  const others = plan.refusals.filter(({ object }) => !known.has(object));
  return [...paragraphs, ...others.map((one) => [one.text, ...under(one)])];
}

/** That what is no counter cannot be merged goes without saying. */
const isTelling = ({ code, accesses = [] }: Refusal): boolean =>
  code !== "R-old-value-used" || accesses.some(({ op }) => op === "add");

function paragraph(
  { object, strategy }: ObjectPart,
  refusals: readonly Refusal[],
): readonly string[] {
  return refusals.flatMap((refusal, index) => {
    const { code, text } = refusal;
    const why = text.startsWith(`${object}: `)
      ? text.slice(object.length + 2)
      : text;
    const taken = index === 0 ? `${object}  ${done[strategy]}, ` : "";
    return [
      `${taken}${undone[refusal.strategy] ?? refusal.strategy}: ${why} [${code}]`,
      ...under(refusal).map((line) => `  ${line}`),
    ];
  });
}

function under(refusal: Refusal): readonly string[] {
  if (refusal.code === "R-family") return [];
  const { accesses = [], conjunct, at, edit } = refusal;
  const lines = [...new Set(accesses.map(accessText))];
  return [
    ...(lines.length > 0 ? lines : at === undefined ? [] : [printPlace(at)]),
    ...(conjunct === undefined
      ? []
      : [
          `one core for ${conjunct === "any two" ? "any two packets" : packets(conjunct)}`,
        ]),
    `to change it: ${edit}`,
  ];
}

const packets = (conjunct: string): string =>
  conjunct.replaceAll(/\b(any two|two)\b(?= |$)/g, "$1 packets");

function accessText({ op, object, key, at }: RefusedAccess): string {
  return `${printPlace(at)}  ${verbs[op]} ${object} under ${key}`;
}

const verbs = {
  lookup: "looks up in",
  read: "looks up in",
  write: "changes",
  add: "adds to",
  update: "changes",
  delete: "changes",
  iterate: "walks over",
  other: "uses",
} as const;

const done = {
  shard: "sharded",
  merge: "merged",
  copy: "copied",
  lock: "locked",
  transaction: "in transactions",
  sequential: "on one core",
} as const;

const undone: Readonly<Record<string, string>> = {
  shard: "not sharded",
  merge: "not merged",
  copy: "not copied",
  lock: "not locked",
  transaction: "not in transactions",
};

/** The same plan with its parts in the order of their names. */
export function inOrder(plan: Plan): Plan {
  const byName = (a: { object?: string }, b: { object?: string }): number =>
    (a.object ?? "").localeCompare(b.object ?? "", "en");
  return {
    ...plan,
    objects: plan.objects.toSorted(byName),
    deviations: plan.deviations.toSorted(
      (a, b) => byName(a, b) || a.text.localeCompare(b.text, "en"),
    ),
  };
}
