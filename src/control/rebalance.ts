/**
 * The controller of run-time rebalancing: which entries move, from what they had, and
 * what the engine must know of a plan to move them (table entry of each packet and of
 * each record, keys whose order is kept).
 *
 * Decisions are greedy: from the busiest core to another, what halves their difference
 * best, a few entries at a time (rss, greedyMoves). The engine moves them; what is
 * promised of a move is said in src/engine/wasm/rebalance/lane.ts.
 */
import { UnsupportedError, printable } from "../base/index.ts";
import type { RebalanceOptions, RecordChain } from "../engine/index.ts";
import {
  greedyMoves,
  keyGroups,
  portConfig,
  type NicSetup,
} from "../rss/index.ts";
import {
  SteeringInputs,
  capacitySplit,
  keysOf,
  recordEntries,
  type Family,
  type Plan,
  type PortFrame,
} from "../strategy/index.ts";

export interface RebalancePlan {
  readonly plan: Plan;
  readonly setup: NicSetup;
  readonly report: Parameters<typeof recordEntries>[0];
}

/** What the engine is asked for, and the key of each packet. */
export interface RebalanceParts extends Required<
  Pick<
    RebalanceOptions,
    "entries" | "ports" | "table" | "records" | "chains" | "decide"
  >
> {
  readonly keys: Uint32Array;
}

/** Throws an UnsupportedError, naming the object, where records cannot move. */
export function rebalanceParts(
  { plan, setup, report }: RebalancePlan,
  packets: readonly PortFrame[],
): RebalanceParts {
  const { table, size, offsetOf } = joinedTable({ plan, setup, report });
  const sharded = new Set(
    plan.objects
      .filter(({ strategy }) => strategy === "shard")
      .map(({ object }) => object),
  );
  for (const { object, strategy } of plan.objects)
    if (strategy === "lock" || strategy === "transaction")
      throw immovable(
        object,
        `it is under a ${strategy}, which all cores share`,
      );
  const {
    records,
    immovable: stuck,
    chains,
  } = recordEntries(report, sharded, {
    ports: plan.ports,
    nic: setup.ports,
    tableBits: Math.log2(size),
  });
  const [first] = stuck;
  if (first !== undefined) throw immovable(first.object, first.text);
  const numbered = chains.map((family) => chainOf(family, plan.cores));
  const offsets = plan.requirement.ports.map(offsetOf);
  const seen = new SteeringInputs();
  const numbers = packets.map(({ frame, port }) => seen.intern(frame, port));
  const entryOf = seen.entries(
    setup.ports.map(({ name }) => portConfig(setup, name)),
  );
  const keys = keysOf(
    plan.requirement,
    Array.from({ length: seen.size }, (_, input) => seen.seen(input)),
  );
  return {
    entries: Uint16Array.from(
      numbers,
      (number, at) => entryOf(number) + (offsets[packets[at]?.port ?? 0] ?? 0),
    ),
    ports: Uint8Array.from(packets, ({ port }) => port),
    keys: Uint32Array.from(numbers, (number) => keys[number] ?? 0),
    table,
    records: records.map(({ port, ...record }) => ({
      ...record,
      constant: record.constant + offsetOf(port),
    })),
    chains: numbered,
    decide: (counts, entries, isMoving) =>
      greedyMoves(counts, {
        entries,
        cores: plan.cores,
        // Frames without a hash land on entry 0, whose queue stays.
        fixed: (entry) => entry % size === 0 || isMoving(entry),
      }),
  };
}

/** The indices are split as the emitted program has them. */
function chainOf(
  { head, members, allocator }: Family,
  cores: number,
): RecordChain {
  const facts = allocator?.allocator;
  const cells = allocator?.maxEntries ?? 0;
  const keyOffset = facts?.keyOffset;
  if (
    allocator === undefined ||
    facts === undefined ||
    keyOffset === undefined ||
    cells === 0
  )
    throw immovable(head.name, "the allocator of its indices is not known");
  const following = members.filter(
    (member) => member !== head && member !== allocator,
  );
  for (const { name, maxEntries } of following)
    if (maxEntries !== cells - 1)
      throw immovable(name, "it has not one cell for each index");
  return {
    array: allocator.name,
    entries: head.name,
    cells,
    cellSize: facts.cellSize,
    keyOffset,
    shares: capacitySplit(facts.capacity, cores),
    following: following.map(({ name }) => name),
  };
}

function immovable(object: string, text: string): UnsupportedError {
  return new UnsupportedError(
    `${printable(object)} cannot be rebalanced at run time: ${text}`,
    {
      feature: `moving the records of ${printable(object)}`,
      fix: "balance at the start only: divisi split … --trace TRACE",
    },
  );
}

/**
 * The tables of all key groups as one, the second group's entries behind the first's:
 * groups move apart from each other, and are balanced together.
 */
function joinedTable({ plan, setup }: RebalancePlan): {
  readonly table: readonly number[];
  readonly size: number;
  readonly offsetOf: (port: string) => number;
} {
  const groups = keyGroups(plan.requirement);
  const tables = groups.map(
    ([name]) =>
      setup.ports.find((port) => port.name === name)?.table.entries ?? [],
  );
  const size = tables[0]?.length ?? 1;
  return {
    table: tables.flat(),
    size,
    offsetOf: (port) =>
      size *
      Math.max(
        0,
        groups.findIndex((group) => group.includes(port)),
      ),
  };
}
