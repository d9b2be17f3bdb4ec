/**
 * The plan as text for people: what is done first, then per object how, then what
 * differs and what was refused. At most 80 columns and 30 lines; what does not
 * fit is counted, and the JSON has it all.
 */
import { printable, printPlace } from "../base/index.ts";
import { explained, inOrder } from "./explain.ts";
import { lockText } from "./kernel-guard.ts";
import type {
  Elephant,
  MeasuredTraffic,
  ObjectEstimate,
  ObjectPart,
  Plan,
  Rejected,
} from "./plan.ts";
import type { Refusal } from "./refusal.ts";

const WIDTH = 80;
const MOST_LINES = 30;

export interface PrintOptions {
  /** Every refusal with its accesses, the estimate and what else was possible. */
  readonly explain?: boolean;
}

export function printPlan(
  given: Plan,
  { explain = false }: PrintOptions = {},
): string {
  const plan = explain ? inOrder(given) : given;
  const lines = [
    ...headline(plan),
    "",
    ...section("objects", plan.objects.map(objectLine)),
    ...(plan.dispatch.kind === "software"
      ? section("dispatch", [
          plan.dispatch.text.replace(/^dispatch /, ""),
          ...balanceLines(plan),
        ])
      : section("NIC", nicLines(plan))),
    ...section("kernel", kernelLines(plan)),
    ...section(
      "differs",
      plan.deviations.map(({ text }) => text),
    ),
    ...(explain
      ? ["", ...section("why", whyLines(plan)), ""]
      : section("refused", plan.refusals.flatMap(refusalLine))),
    ...(explain ? section("estimate", estimateLines(plan)) : []),
    ...section("instead", [
      ...plan.alternatives.map(({ text }) => text),
      ...(explain ? plan.rejected.map(rejectedLine) : []),
    ]),
    ...section(
      "notes",
      plan.notes.map(({ message }) => message),
    ),
  ].flatMap(wrap);
  if (explain || lines.length <= MOST_LINES) return `${lines.join("\n")}\n`;
  const kept = lines.slice(0, MOST_LINES - 1);
  return `${[...kept, `… ${lines.length - kept.length} more lines (--json has all)`].join("\n")}\n`;
}

function headline(plan: Plan): readonly string[] {
  const { program, strategy, cores, grade, fallback } = plan;
  const on = cores === 1 ? "one core" : `${cores} cores`;
  const title = `${printable(program)}: ${strategy} on ${on}, grade ${grade}`;
  if (fallback === undefined) return [title];
  const said = cores === 1 ? "stays on one core" : "is not sharded as a whole";
  return [`${printable(program)} ${said}: ${printable(fallback)}`, title];
}

function refusalLine(refusal: Refusal): readonly string[] {
  const { object, strategy, code, text, at, edit } = refusal;
  if (code === "R-family") return [];
  const place = at === undefined ? "" : ` at ${printPlace(at)}`;
  return [
    `${object} ${strategy}: ${text.replace(`${object}: `, "")} [${code}]${place}; ${edit}`,
  ];
}

/** What stands for the guard in the kernel; nothing: a line per object that has none. */
function kernelLines({ kernel }: Plan): readonly string[] {
  if (kernel === undefined) return [];
  if (kernel.kind === "locked")
    return [kernel.objects.map(lockText).join(", ")];
  return [
    "no: portable.o is for the portable engine alone",
    ...kernel.refusals.map(
      ({ object, code, text, edit }) => `${object}: ${text} [${code}]; ${edit}`,
    ),
  ];
}

const whyLines = (plan: Plan): readonly string[] =>
  explained(plan).flatMap((paragraph) => paragraph);

function estimateLines({ cost, estimates = [] }: Plan): readonly string[] {
  const writing =
    cost.writing === 0
      ? ""
      : `, of 100 packets ${percent(cost.writing)} write what is guarded`;
  const { traffic } = cost;
  const most = [
    ["flow", traffic?.largestFlow],
    ["table entry", traffic?.largestEntry],
  ].flatMap(([what, share]) =>
    typeof share === "number"
      ? [`the largest ${what} has ${percent(share)} % of the packets`]
      : [],
  );
  return [
    `${cost.nsPerPacket} ns a packet over all cores, the busiest has ${cost.busiest.toFixed(2)} times the mean${writing} (${cost.from})`,
    ...(most.length === 0 ? [] : [most.join(", ")]),
    ...objectLines(estimates, traffic),
    `times are the portable engine's (${cost.source})`,
  ];
}

/** `total: lock 41 ns (taken), one core 28.5 ns; shard no; 100 % of packets write it`. */
function objectLines(
  estimates: readonly ObjectEstimate[],
  traffic: MeasuredTraffic | undefined,
): readonly string[] {
  const names = [...new Set(estimates.map(({ object }) => object))];
  return names.map((name) => {
    const texts = estimates
      .filter(({ object }) => object === name)
      .map(({ strategy, ns, refused, taken }) =>
        ns === undefined
          ? `${strategy} no [${refused ?? ""}]`
          : `${strategy === "sequential" ? "one core" : strategy} ${ns}${taken ? " (taken)" : ""}`,
      );
    const seen = traffic?.objects.find((object) => object.name === name);
    const writes =
      seen === undefined
        ? ""
        : `; ${percent(seen.written)} of 100 packets write it${seen.refreshed > 0 ? `, ${percent(seen.refreshed)} refresh it` : ""}`;
    return `${name}: ${texts.join(", ")}${writes}`;
  });
}

const percent = (share: number): number => Math.round(share * 1000) / 10;

const rejectedLine = ({ strategy, object, reason }: Rejected): string =>
  object === undefined ? reason : `${object} ${strategy}: ${reason}`;

function objectLine(part: ObjectPart): string {
  const { object, strategy, rule, reason, forcedAt } = part;
  const places = [...new Set(forcedAt?.map(printPlace))].join(" and ");
  const by = rule === undefined ? "" : ` (${rule}: ${places})`;
  return `${object}  ${strategy}: ${reason}${by}`;
}

function nicLines(plan: Plan): readonly string[] {
  const { rss, dispatch, profile } = plan;
  if (dispatch.kind === "one-core") return [];
  if (rss === undefined)
    return [`${profile}: packets may be spread in any way`];
  const { uniform, one8, one16 } = rss.imbalance;
  const worst = Math.max(uniform, one8, one16).toFixed(2);
  const how =
    dispatch.kind === "any"
      ? "any key will do"
      : `${rss.mode} mode, ${rss.freeBits} free key bits`;
  return [
    `${profile}, ${how}, ${rss.entries} of ${2 ** rss.tableBits} table entries reached${plan.balance === undefined ? `, busiest core ${worst} times the mean` : ""}`,
    ...rss.ports.map(
      ({ name, key }) =>
        `key${rss.ports.length > 1 ? ` of ${name}` : ""} ${key.slice(0, 24)}… (${key.length / 2} bytes)`,
    ),
    ...balanceLines(plan),
  ];
}

/** What there is against an elephant, and what there is not. */
function helpLine(
  { flow, strategy, notBuilt }: Elephant,
  share: number,
): string {
  const one =
    flow > share
      ? `no table spreads it, and ${percent(flow)} % are one flow, which no hash spreads`
      : "no table spreads it";
  const helps =
    strategy === undefined
      ? "lock and one core are estimated no cheaper"
      : `${strategy === "sequential" ? "one core" : strategy} is estimated cheaper (--strategy ${strategy})`;
  return `${one}; ${helps}; ${notBuilt} would, and is not built`;
}

function balanceLines(plan: Plan): readonly string[] {
  const { balance = [], rss } = plan;
  const groups = rss?.groups.length ?? 1;
  const met = balance.filter(({ packets }) => packets > 0);
  return met.flatMap(({ ports, packets, before, after, moved, elephants }) => [
    `table${groups > 1 ? ` of ${ports.join(", ")}` : ""} for ${packets.toLocaleString("en")} packets of the trace: busiest core ${after.toFixed(2)} times the mean${moved === 0 ? ", as it was" : ` (${before.toFixed(2)} spread evenly; ${moved} entries moved)`}`,
    ...elephants.map(
      (elephant) =>
        `one key is above a core's share: ${(100 * elephant.share).toFixed(0)} % of them are ${elephant.key}${groups > 1 || ports.length > 1 ? ` at ${elephant.port}` : ""}; ${helpLine(elephant, 1 / plan.cores)}`,
    ),
  ]);
}

/** The first line carries the title, the others are indented under it. */
function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.map(
    (line, index) =>
      `${(index === 0 ? title : "").padEnd(9)}${printable(line)}`,
  );
}

/** Breaks at spaces; continuations are indented by what the title takes. */
function wrap(line: string): readonly string[] {
  const out: string[] = [];
  let rest = line;
  while (rest.length > WIDTH) {
    const space = rest.lastIndexOf(" ", WIDTH);
    const at = space > 12 ? space : WIDTH;
    out.push(rest.slice(0, at).trimEnd());
    rest = `${" ".repeat(11)}${rest.slice(at).trimStart()}`;
  }
  return [...out, rest];
}
