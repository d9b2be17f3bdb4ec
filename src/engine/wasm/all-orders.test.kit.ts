/**
 * For tests: all interleavings of a few packets on a few guarded cores.
 *
 * The bytes of the module that the engine would run are run here, one shared access at a
 * time (core-steps.test.kit.ts); every order of the cores' accesses is tried, each
 * reachable state once. A state is the cores' frames and the words of memory that were
 * ever written, counters apart. In every state where all cores are done, the outcomes
 * must be those of the sequential program in the order of the tickets, and the words of
 * the guard must be as nobody left them. A state in which nobody can go on is a deadlock;
 * a way back to a state on the way is a livelock.
 *
 * Steps end at atomic instructions, and between the two halves of the map's only value,
 * so that readers can meet a half-written one: accesses to its first half go with what
 * was before them.
 *
 * Memory is sequentially consistent here, as WebAssembly's atomics are; what plain
 * accesses may do beyond that is not explored.
 */
import { descriptor, linePair, compile } from "../../codegen/index.ts";
import type { GuardLayout, GuardOptions } from "../../codegen/index.ts";
import type { PacketInput } from "../../interp/index.ts";
import type { ProgramSpec } from "../../isa/index.ts";
import { commitOrder } from "./commit-order.ts";
import { CoreSteps, type Shared } from "./core-steps.test.kit.ts";
import { readModule } from "./module-code.test.kit.ts";
import { preparePortable } from "./prepare.ts";
import { loadPortable, PortableProgram } from "./program.ts";

export interface Orders {
  readonly program: ProgramSpec;
  readonly guard: GuardOptions;
  /** First bytes of the packets of each core. */
  readonly packets: readonly (readonly number[])[];
}

export interface Explored {
  readonly states: number;
  readonly ends: number;
  /** Orders of commits that were seen. */
  readonly orders: number;
  /** What went wrong, in words; the first few. */
  readonly wrong: readonly string[];
}

const mostWrong = 3;

export function allOrders(orders: Orders): Explored {
  const { guard, packets, program } = orders;
  const cores = packets.length;
  const inputs = packets.map((bytes, core) =>
    bytes.map((byte, at) => packetOf(byte, core, at)),
  );
  const options = { cpus: cores, guard, capacities: {} };
  const seats = inputs.map((_, core) => ({ core, cores }));
  const [first] = seats.map((seat) =>
    preparePortable(program, { ...options, memory: seat }),
  );
  if (first === undefined) throw new RangeError("no cores");
  for (const [core, mine] of inputs.entries())
    fill(
      orders,
      { core, cores, memory: core === 0 ? undefined : first.memory },
      mine,
      first,
    );
  const compiled = seats.map((seat) =>
    compile(program, { ...options, memory: seat }),
  );
  const [layout] = compiled.map((each) => each.layout);
  if (layout?.guard === undefined) throw new RangeError("no guard");
  const [map] = layout.maps;
  if (map === undefined) throw new RangeError("no map");
  const memory = new Journal(new Uint8Array(first.memory.buffer).slice(), {
    seen: [map.values + map.valueSize / 2, map.values + map.valueSize],
    counters: [layout.guard.counters, layout.guard.counters + cores * linePair],
  });
  const start = compiled.map(({ bytes, layout: { descriptors } }, core) => {
    const steps = new CoreSteps(readModule(bytes), memory);
    steps.start("run", [descriptors, packets[core]?.length ?? 0]);
    return steps;
  });
  const judge = new Judge(orders, inputs, {
    memory,
    descriptors: compiled.map((each) => each.layout.descriptors),
    guard: layout.guard,
    values: map.values,
  });
  return explore(start, memory, judge);
}

function explore(
  start: readonly CoreSteps[],
  memory: Journal,
  judge: Judge,
): Explored {
  const wrong = new Set<string>();
  const known = new Map<string, "open" | "closed">();
  interface Node {
    readonly text: string;
    readonly cores: readonly CoreSteps[];
    readonly mark: number;
    next: number;
  }
  const enter = (
    cores: readonly CoreSteps[],
    mark: number,
  ): Node | undefined => {
    const text = `${cores.map((core) => core.text).join("/")}/${memory.text}`;
    const before = known.get(text);
    if (before === "open") wrong.add("livelock: a state comes again");
    if (before !== undefined) return undefined;
    known.set(text, "open");
    if (cores.every((core) => core.isDone))
      for (const what of judge.end()) wrong.add(what);
    else if (!cores.some((core) => core.canAdvance))
      wrong.add("deadlock: nobody can go on");
    return { text, cores, mark, next: 0 };
  };
  const path: Node[] = [];
  const root = enter(start, memory.mark);
  if (root !== undefined) path.push(root);
  while (path.length > 0 && wrong.size < mostWrong) {
    const node = path[path.length - 1];
    if (node === undefined) break;
    const turn = node.next++;
    if (turn === node.cores.length) {
      known.set(node.text, "closed");
      memory.back(node.mark);
      path.pop();
      continue;
    }
    if (node.cores[turn]?.canAdvance !== true) continue;
    const mark = memory.mark;
    const cores = node.cores.map((core, at) =>
      at === turn ? core.clone() : core,
    );
    cores[turn]?.advance();
    const child = enter(cores, mark);
    if (child === undefined) memory.back(mark);
    else path.push(child);
  }
  return {
    states: known.size,
    ends: judge.ends,
    orders: judge.orders,
    wrong: [...wrong],
  };
}

function packetOf(byte: number, core: number, at: number): PacketInput {
  const data = new Uint8Array(16);
  data[0] = byte;
  // Times differ, so that readers of one epoch have an order.
  return {
    data,
    ifindex: 1,
    rxQueue: core,
    cpu: core,
    time: BigInt(16 * at + core),
  };
}

class Filled extends Error {}

/** The core's packets in its slots, and nothing run. */
function fill(
  { program, guard }: Orders,
  seat: { core: number; cores: number; memory: unknown },
  packets: readonly PacketInput[],
  first: ReturnType<typeof preparePortable>,
): void {
  const { core, cores, memory } = seat;
  const options = {
    cpus: cores,
    guard,
    memory: {
      core,
      cores,
      ...(memory === undefined ? {} : { memory: first.memory }),
    },
  };
  const prepared = core === 0 ? first : preparePortable(program, options);
  const one = new PortableProgram(program, prepared, options);
  try {
    one.runBatches(
      packets,
      () => {},
      () => {
        throw new Filled("filled");
      },
    );
  } catch (error) {
    if (!(error instanceof Filled)) throw error;
  }
}

/** Memory that forgets: what was stored since a mark can be taken back. */
class Journal implements Shared {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #first: Uint8Array;
  readonly #seen: readonly [number, number];
  readonly #counters: readonly [number, number];
  readonly #log: (readonly [address: number, old: number])[] = [];
  /** Words that ever differed from their first contents. */
  readonly #written = new Map<number, number>();

  constructor(
    bytes: Uint8Array,
    about: {
      readonly seen: readonly [number, number];
      readonly counters: readonly [number, number];
    },
  ) {
    this.#bytes = bytes;
    this.#first = bytes.slice();
    this.#view = new DataView(bytes.buffer);
    this.#seen = about.seen;
    this.#counters = about.counters;
  }

  get mark(): number {
    return this.#log.length;
  }

  back(mark: number): void {
    while (this.#log.length > mark) {
      const [address, old] = this.#log.pop() ?? [0, 0];
      this.#view.setUint32(address, old, true);
    }
  }

  /** Only words that are not as at first, by address. */
  get text(): string {
    let text = "";
    for (const [address, first] of this.#written) {
      const word = this.#view.getUint32(address, true);
      if (word !== first) text += `${address}=${word},`;
    }
    return text;
  }

  isSeen(address: number): boolean {
    return address >= this.#seen[0] && address < this.#seen[1];
  }

  load(address: number, size: number): bigint {
    let word = 0n;
    for (let at = size - 1; at >= 0; at--)
      word = (word << 8n) | BigInt(this.#bytes[address + at] ?? 0);
    return word;
  }

  store(address: number, size: number, value: bigint): void {
    this.#note(address, size);
    for (let at = 0; at < size; at++)
      this.#bytes[address + at] = Number((value >> BigInt(8 * at)) & 0xffn);
  }

  copy(to: number, from: number, length: number): void {
    this.#note(to, length);
    this.#bytes.copyWithin(to, from, from + length);
  }

  #note(address: number, size: number): void {
    for (let word = address & ~3; word < address + size; word += 4) {
      this.#log.push([word, this.#view.getUint32(word, true)]);
      const isCounted = word >= this.#counters[0] && word < this.#counters[1];
      if (!isCounted && !this.#written.has(word))
        this.#written.set(
          word,
          new DataView(this.#first.buffer).getUint32(word, true),
        );
    }
  }
}

interface JudgedMemory {
  readonly memory: Journal;
  /** Address of each core's first descriptor. */
  readonly descriptors: readonly number[];
  readonly guard: Pick<GuardLayout, "mutex" | "tokens" | "version">;
  /** Of the map's only value. */
  readonly values: number;
}

/** Whether an end is that of the sequential program in the order of commits. */
class Judge {
  readonly #orders: Orders;
  readonly #inputs: readonly (readonly PacketInput[])[];
  readonly #about: JudgedMemory;
  readonly #sequential = new Map<string, string>();
  ends = 0;

  constructor(
    orders: Orders,
    inputs: readonly (readonly PacketInput[])[],
    about: JudgedMemory,
  ) {
    this.#orders = orders;
    this.#inputs = inputs;
    this.#about = about;
  }

  get orders(): number {
    return this.#sequential.size;
  }

  end(): readonly string[] {
    this.ends++;
    const { memory, descriptors, guard, values } = this.#about;
    const word = (address: number): number => Number(memory.load(address, 4));
    const all = this.#inputs.flatMap((mine, core) =>
      mine.map((input, at) => ({
        input,
        core,
        at: (descriptors[core] ?? 0) + at * descriptor.size,
      })),
    );
    const order = commitOrder({
      tickets: Uint32Array.from(all, ({ at }) => word(at + descriptor.ticket)),
      steer: Uint8Array.from(all, ({ core }) => core),
      time: (packet) => all[packet]?.input.time ?? 0n,
    });
    const have = [...order].map((number) => {
      const at = all[number]?.at ?? 0;
      const data = word(at + descriptor.data);
      return `${word(at + descriptor.verdict)} ${memory.load(data, 2)}`;
    });
    have.push(`${memory.load(values, 8)} ${memory.load(values + 8, 8)}`);
    const wrong: string[] = [];
    const want = this.#alone(
      [...order].flatMap((number) => all[number]?.input ?? []),
    );
    if (have.join() !== want)
      wrong.push(`outcomes: ${have.join()}, but ${want}`);
    const cores = this.#inputs.length;
    const held = [
      guard.mutex,
      ...Array.from(
        { length: cores },
        (_, core) => guard.tokens + core * linePair,
      ),
    ];
    if (held.some((address) => word(address) !== 0))
      wrong.push("something stays held");
    if (word(guard.version) % 2 === 1) wrong.push("the version stays odd");
    // The packets of a core in their order.
    for (const [core] of this.#inputs.entries()) {
      const mine = [...order].filter((number) => all[number]?.core === core);
      if (mine.some((number, at) => at > 0 && number < (mine[at - 1] ?? 0)))
        wrong.push(`core ${core}: packets change places`);
    }
    return wrong;
  }

  #alone(packets: readonly PacketInput[]): string {
    const name = packets
      .map(({ data, cpu, time }) => `${data[0]}.${cpu}.${time}`)
      .join();
    let text = this.#sequential.get(name);
    if (text === undefined) {
      const one = loadPortable(this.#orders.program, {
        cpus: this.#inputs.length,
      });
      const lines = one
        .run(packets)
        .map(
          ({ verdict, data }) =>
            `${verdict} ${(data[0] ?? 0) + 256 * (data[1] ?? 0)}`,
        );
      const [map] = this.#orders.program.maps;
      const [entry] = one.entries(map?.name ?? "");
      const view = new DataView(
        (entry?.value ?? new Uint8Array(16)).slice().buffer,
      );
      lines.push(`${view.getBigUint64(0, true)} ${view.getBigUint64(8, true)}`);
      text = lines.join();
      this.#sequential.set(name, text);
    }
    return text;
  }
}
