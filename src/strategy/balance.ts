/**
 * A plan's indirection tables balanced for a trace: packets counted per entry, over
 * all ports of a key group, then rss's balanceTable. Elephants are named: a key that
 * alone has more than a core's share stays above it under every table.
 */
import {
  parseFieldSpec,
  parseFrame,
  printIpv4,
  printIpv6,
  printMac,
  readField,
  type FieldName,
} from "../packet/index.ts";
import {
  balanceTable,
  imbalanceOfCounts,
  reachableEntries,
  spreadEntries,
  withTables,
  type KeyGroup,
  type KeySolution,
} from "../rss/index.ts";
import { keysOf, type PortFrame } from "./packet-keys.ts";
import type { Elephant, Plan, TableBalance } from "./plan.ts";
import { SteeringInputs } from "./steering.ts";

/** The plan with tables for these packets; without keys or packets it stays as it is. */
export function balancePlan(plan: Plan, packets: Iterable<PortFrame>): Plan {
  const { rss } = plan;
  if (rss === undefined || plan.cores < 2) return plan;
  const traffic = countPackets(packets);
  if (traffic.total === 0) return plan;
  const names = plan.requirement.ports;
  const entryOf = traffic.inputs.entries(
    names.map((name) => portConfigOf(rss, name)),
  );
  const balances = rss.groups.map((group) => {
    const { entries } = group.table;
    const counts = new Float64Array(entries.length);
    const own = traffic.numbers.filter((input) =>
      group.ports.includes(names[traffic.inputs.seen(input).port] ?? ""),
    );
    for (const input of own) {
      const entry = entryOf(input);
      counts[entry] = (counts[entry] ?? 0) + (traffic.counts[input] ?? 0);
    }
    const balance = balanceTable(counts, {
      entries,
      cores: plan.cores,
      reachable: reachableEntries(rss, plan.requirement, group.ports),
    });
    const packets = counts.reduce((sum, count) => sum + count, 0);
    const elephants = elephantsOf(plan, { ...traffic, own, packets });
    return { group, balance, packets, elephants };
  });
  return {
    ...plan,
    rss: withTables(
      rss,
      plan.requirement,
      balances.map(({ balance }) => balance.table),
    ),
    balance: balances.map(
      ({ group, balance, packets, elephants }): TableBalance => ({
        ports: group.ports,
        packets,
        before: balance.before,
        after: balance.after,
        moved: balance.moved,
        elephants,
      }),
    ),
  };
}

/** The same for the one table of a software dispatcher, which is written entry by entry. */
export function balanceDispatch(
  plan: Plan,
  packets: Iterable<PortFrame>,
  {
    entries,
    entryOf,
  }: {
    readonly entries: readonly number[];
    readonly entryOf: (packet: PortFrame) => number;
  },
): Plan {
  const { dispatch, cores } = plan;
  if (dispatch.kind !== "software" || cores < 2) return plan;
  const traffic = countPackets(packets);
  if (traffic.total === 0) return plan;
  const counts = new Float64Array(entries.length);
  for (const input of traffic.numbers) {
    const entry = entryOf(traffic.inputs.seen(input));
    counts[entry] = (counts[entry] ?? 0) + (traffic.counts[input] ?? 0);
  }
  const before = imbalanceOfCounts(counts, entries, cores);
  const spread = spreadEntries(counts, { entries, cores });
  const after = imbalanceOfCounts(counts, spread, cores);
  const table = after < before ? spread : entries;
  const elephants = elephantsOf(plan, {
    ...traffic,
    own: traffic.numbers,
    packets: traffic.total,
  });
  return {
    ...plan,
    dispatch: { ...dispatch, table },
    balance: [
      {
        ports: plan.requirement.ports,
        packets: traffic.total,
        before,
        after: Math.min(before, after),
        moved: table.filter((cpu, entry) => cpu !== entries[entry]).length,
        elephants,
      },
    ],
  };
}

interface Counted {
  readonly inputs: SteeringInputs;
  /** By steering input. */
  readonly counts: readonly number[];
  readonly numbers: readonly number[];
  readonly total: number;
}

function countPackets(packets: Iterable<PortFrame>): Counted {
  const inputs = new SteeringInputs();
  const counts: number[] = [];
  let total = 0;
  for (const { frame, port } of packets) {
    const input = inputs.intern(frame, port);
    counts[input] = (counts[input] ?? 0) + 1;
    total++;
  }
  return { inputs, counts, numbers: [...counts.keys()], total };
}

function portConfigOf(rss: KeySolution, name: string) {
  const port = rss.ports.find((each) => each.name === name);
  const group: KeyGroup | undefined = rss.groups.find(({ ports }) =>
    ports.includes(name),
  );
  return {
    key: port?.key ?? "",
    fields: port?.fields ?? ({} as never),
    table: group?.table.entries ?? [0],
  };
}

const mostElephants = 4;

/** Keys with more packets than a core's share, the largest first. */
function elephantsOf(
  plan: Plan,
  traffic: Counted & {
    readonly own: readonly number[];
    readonly packets: number;
  },
): readonly Elephant[] {
  const { own, packets, counts, inputs } = traffic;
  const frames = own.map((input) => inputs.seen(input));
  const keys = keysOf(plan.requirement, frames);
  const sums = new Map<number, { packets: number; frame: PortFrame }>();
  for (const [index, frame] of frames.entries()) {
    const key = keys[index] ?? 0;
    const sum = sums.get(key) ?? { packets: 0, frame };
    sum.packets += counts[own[index] ?? 0] ?? 0;
    sums.set(key, sum);
  }
  const largest = new Map<number, number>();
  for (const [index] of frames.entries()) {
    const key = keys[index] ?? 0;
    const flow = counts[own[index] ?? 0] ?? 0;
    largest.set(key, Math.max(largest.get(key) ?? 0, flow));
  }
  return [...sums.entries()]
    .map(([key, sum]) => ({ ...sum, flow: largest.get(key) ?? 0 }))
    .filter((sum) => sum.packets * plan.cores > packets)
    .sort((left, right) => right.packets - left.packets)
    .slice(0, mostElephants)
    .map(({ packets: count, frame, flow }) => ({
      port: plan.requirement.ports[frame.port] ?? "",
      key: keyText(plan, frame),
      packets: count,
      share: count / packets,
      flow: flow / packets,
      ...helpFor(plan),
      notBuilt: "state-compute replication",
    }));
}

/** Which of the strategies that there are is cheaper than the plan, skew and all. */
function helpFor({ rejected, cost }: Plan): Pick<Elephant, "strategy"> {
  const [cheapest] = rejected
    .filter((one) => (one.cost ?? Infinity) < cost.nsPerPacket)
    .sort((left, right) => (left.cost ?? 0) - (right.cost ?? 0));
  return cheapest === undefined || cheapest.strategy === "software-dispatch"
    ? {}
    : { strategy: cheapest.strategy };
}

/** `ipv4.src 10.0.0.1, l4.sport 80`: the fields that the plan tells packets apart by. */
function keyText(plan: Plan, { port, frame }: PortFrame): string {
  const name = plan.requirement.ports[port];
  const parsed = parseFrame(frame);
  const fields = plan.objects
    .flatMap((part) => part.fields ?? [])
    .filter((each) => each.port === name)
    .map((each) => each.fields)
    .sort((left, right) => left.length - right.length)
    .find((each) => each.length > 0) ?? [
    "ipv4.src",
    "ipv4.dst",
    "ipv6.src",
    "ipv6.dst",
    "l4.sport",
    "l4.dport",
  ];
  const texts = fields.flatMap((spec) => {
    const { field } = parseFieldSpec(spec);
    const value = readField(parsed, field);
    return value === undefined ? [] : [`${spec} ${valueText(field, value)}`];
  });
  return texts.join(", ");
}

function valueText(field: FieldName, value: bigint): string {
  if (field === "ipv4.src" || field === "ipv4.dst") return printIpv4(value);
  if (field === "ipv6.src" || field === "ipv6.dst") return printIpv6(value);
  if (field === "eth.src" || field === "eth.dst") return printMac(value);
  return value.toString();
}
