/**
 * What a trace does to a program's state, counted in a run of the sequential program
 * in the interpreter: the input of the cost model (strategy/cost.ts).
 *
 * A packet counts as a writer as the guards of the portable engine see it
 * (codegen/wasm/guard.ts): every change of a map by a helper; every store into a value;
 * a look-up in a map that keeps its order of use. What an allocator's own refresh
 * function does to its chain is no write under a lock, and is one under transactions.
 *
 * The first half of the sample fills the state and is not counted, so that the first
 * packets of long flows do not pass for churn. Flows are counted over the whole trace.
 */
import type { StateReport } from "./analysis/index.ts";
import {
  BytecodeMachine,
  createState,
  type CellTouch,
  type PacketInput,
} from "./interp/index.ts";
import type { ProgramSpec } from "./isa/index.ts";
import { deviceContents, type MapContents } from "./proof/index.ts";
import {
  SteeringInputs,
  type ObjectTouches,
  type PacketWrites,
  type Port,
  type TrafficFacts,
} from "./strategy/index.ts";

export interface MeasureRequest {
  readonly program: ProgramSpec;
  readonly report: StateReport;
  readonly ports: readonly Port[];
  readonly packets: readonly PacketInput[];
  readonly contents?: MapContents;
  readonly seed: number;
  /** Packets that the interpreter runs at most. */
  readonly most?: number;
}

/** Of which one half is counted; half a second on one core. */
const mostPackets = 20_000;
/** Steps of one run, above what the interpreter allows by default. */
const budget = 1_000_000;

export function measureTraffic(request: MeasureRequest): TrafficFacts {
  const { program, report, ports, packets, seed } = request;
  const sample = packets.slice(0, request.most ?? mostPackets);
  const warmUp = sample.length >> 1;
  const ifindexes = ports.map(({ ifindex }) => ifindex);
  const state = createState(program.maps, {
    contents: { ...deviceContents(program, ifindexes), ...request.contents },
  });
  const counter = new TouchCounter(report, program);
  const machine = new BytecodeMachine(program, state, {
    seed,
    budget,
    observer: { touch: (touch) => counter.touch(touch) },
  });
  let instructions = 0;
  for (const [number, packet] of sample.entries()) {
    counter.begin();
    machine.run(packet);
    if (number < warmUp) continue;
    instructions += budget - machine.left;
    counter.end();
  }
  return {
    packets: sample.length - warmUp,
    warmUp,
    instructions,
    touches: Object.fromEntries(counter.touches),
    writes: [...counter.writes.values()],
    ...flowsOf(request),
  };
}

/** Flows as a NIC tells them apart, and ports. */
function flowsOf({
  packets,
  ports,
}: MeasureRequest): Pick<TrafficFacts, "ports" | "seen"> {
  const inputs = new SteeringInputs();
  const counts: number[] = [];
  const byPort = ports.map(() => 0);
  for (const { data, ifindex } of packets) {
    const port = Math.max(
      0,
      ports.findIndex((each) => each.ifindex === ifindex),
    );
    const input = inputs.intern(data, port);
    counts[input] = (counts[input] ?? 0) + 1;
    byPort[port] = (byPort[port] ?? 0) + 1;
  }
  return { ports: byPort, seen: { inputs, packets: counts } };
}

/** The touches of one packet, and what was counted of those before. */
class TouchCounter {
  readonly touches = new Map<string, ObjectTouches>();
  readonly writes = new Map<string, PacketWrites>();
  /** Chain by the function that refreshes it. */
  readonly #refreshes: ReadonlyMap<string, string>;
  readonly #keepsOrder: ReadonlySet<string>;
  readonly #looked = new Map<string, number>();
  readonly #changed = new Map<string, number>();
  readonly #touched = new Set<string>();
  readonly #written = new Set<string>();
  readonly #refreshed = new Set<string>();
  #makesEntries = false;

  constructor({ objects }: StateReport, { maps }: ProgramSpec) {
    this.#refreshes = new Map(
      objects.flatMap(({ name, allocator }) =>
        allocator?.expiry === undefined ||
        allocator.functions.refresh === undefined
          ? []
          : [[allocator.functions.refresh, name] as const],
      ),
    );
    this.#keepsOrder = new Set(
      maps.flatMap(({ name, type }) => (type.startsWith("lru") ? name : [])),
    );
  }

  begin(): void {
    this.#looked.clear();
    this.#changed.clear();
    this.#touched.clear();
    this.#written.clear();
    this.#refreshed.clear();
    this.#makesEntries = false;
  }

  touch({ map, op, writes, at }: CellTouch): void {
    this.#touched.add(map);
    if (op === "lookup") {
      count(this.#looked, map);
      if (this.#keepsOrder.has(map)) this.#written.add(map);
    } else if (op === "update" || op === "delete") {
      count(this.#changed, map);
      if (!writes) return;
      this.#makesEntries = true;
      this.#written.add(map);
    } else if (writes) {
      const isRefresh = this.#refreshes.get(at.function) === map;
      (isRefresh ? this.#refreshed : this.#written).add(map);
    }
  }

  /** The packet counts. */
  end(): void {
    for (const map of this.#touched) {
      const known = this.touches.get(map);
      this.touches.set(map, {
        cells: (known?.cells ?? 0) + (this.#looked.get(map) ?? 0),
        entries: (known?.entries ?? 0) + (this.#changed.get(map) ?? 0),
        packets: (known?.packets ?? 0) + 1,
      });
    }
    const objects = [...this.#written].sort();
    const refreshed = [...this.#refreshed]
      .filter((name) => !this.#written.has(name))
      .sort();
    if (objects.length + refreshed.length === 0) return;
    const makesEntries = this.#makesEntries;
    const key = JSON.stringify([objects, refreshed, makesEntries]);
    const packets = (this.writes.get(key)?.packets ?? 0) + 1;
    this.writes.set(key, { objects, refreshed, makesEntries, packets });
  }
}

function count(of: Map<string, number>, name: string): void {
  of.set(name, (of.get(name) ?? 0) + 1);
}
