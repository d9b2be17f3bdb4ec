/**
 * An object whose packets a dispatcher of its own brings to their cores: the program
 * becomes the worker behind a cpumap, and beside it stand the dispatcher and its maps
 * (codegen: dispatcher). And back: where such an object sends a packet, by running it.
 */
import { Bug, InputError } from "./base/index.ts";
import {
  cpumapWorker,
  dispatchCpus,
  dispatcher,
  dispatchTable,
  mostSources,
  ticketOwners,
  ticketSources,
  waitFunction,
  waitFunctionName,
  type DataWord,
} from "./codegen/index.ts";
import type { BoundDispatcher } from "./engine/index.ts";
import {
  BytecodeMachine,
  createState,
  type PacketInput,
} from "./interp/index.ts";
import type { Instruction, ProgramSpec } from "./isa/index.ts";
import {
  addMap,
  addVariable,
  hasVariable,
  programSpec,
  replaceFunctions,
  type ObjectSpec,
} from "./object/index.ts";
import type { MapContents, Steering, SteeringMutant } from "./proof/index.ts";
import {
  ownerFunction,
  refuseImmovable,
  type Plan,
  type Port,
  type SteeringDemand,
} from "./strategy/index.ts";

/** Entries of the table: enough for balancing, and one page. */
export const dispatchEntries = 1024;
const dataSection = ".data.dispatch";
const constantSection = ".rodata.dispatch";
export const dispatcherName = "dispatch";
/** What a loader fills, in this order: `ready` last. */
export const dispatchToFill = [dispatchCpus, dispatchTable, "ready"] as const;

export interface DispatchRequest {
  /** Name of the program. */
  readonly entry: string;
  readonly plan: Pick<Plan, "cores" | "ports" | "requirement" | "objects">;
  /** It reads the number of its receive queue. */
  readonly readsQueue: boolean;
  readonly seed: number;
  /** The table may be rewritten while packets pass. */
  readonly movable?: boolean;
}

export function dispatchedObject(
  object: ObjectSpec,
  { entry, plan, readsQueue, seed, movable = false }: DispatchRequest,
): ObjectSpec {
  const owner = ownerFunction(plan.requirement.conjuncts);
  const program = object.functions.find(({ name }) => name === entry);
  if (owner === undefined || program === undefined)
    throw new Bug(`nothing to dispatch ${entry} by`);
  for (const name of [dispatcherName, waitFunctionName])
    if (object.functions.some((fn) => fn.name === name))
      throw new InputError(
        `${object.file} has a function ${name} already, which is the dispatcher's name`,
        { code: "dispatch-name", fix: "give it another name" },
      );
  if (movable) refuseImmovable(plan);
  const worker = cpumapWorker(program, {
    queue: readsQueue,
    tickets: movable,
  });
  let edited = replaceFunctions(object, [
    worker,
    ...(movable ? [waitFunction(plan.cores)] : []),
  ]);
  const ready = addVariable(edited, dataSection, "ready", new Uint8Array(4));
  edited = ready.object;
  const ports = plan.ports.map(({ name, ifindex }) => {
    const variable = `${name}_ifindex`;
    if (!hasVariable(edited, variable))
      edited = addVariable(
        edited,
        constantSection,
        variable,
        new Uint8Array(Uint32Array.of(ifindex).buffer),
      ).object;
    return { name, ifindex: wordOf(edited, variable) };
  });
  const made = dispatcher({
    name: dispatcherName,
    section: worker.section.replace("/cpumap", ""),
    owner,
    ports,
    ready: wordOf(edited, "ready"),
    entries: dispatchEntries,
    cpus: plan.cores,
    seed: 0x9e3779b97f4a7c15n * BigInt(seed + 1),
    queue: readsQueue,
    tickets: movable,
  });
  for (const map of made.maps) edited = addMap(edited, map);
  return replaceFunctions(edited, [made.function]);
}

function wordOf({ variables, file }: ObjectSpec, name: string): DataWord {
  const found = variables.find((variable) => variable.name === name);
  if (found === undefined) throw new Bug(`${file} has no variable ${name}`);
  const { section, offset } = found;
  return { section, offset };
}

/** The dispatcher of an object; undefined: it has none. */
export function dispatcherOf(object: ObjectSpec): ProgramSpec | undefined {
  return object.maps.some(({ name }) => name === dispatchTable)
    ? programSpec(object, { entry: dispatcherName, type: "xdp" })
    : undefined;
}

/** Entry i belongs to CPU i mod cores. */
export function evenTable(cores: number): readonly number[] {
  return Array.from({ length: dispatchEntries }, (_, entry) => entry % cores);
}

/** What fills the maps of a dispatcher that only redirects; the kernel's wants a program, too. */
export function dispatchContents(
  { maps }: ProgramSpec,
  table: readonly number[],
): MapContents {
  const word = (...numbers: readonly number[]): Uint8Array =>
    new Uint8Array(Uint32Array.from(numbers).buffer);
  const data = maps.find(({ name }) => name === dataSection);
  return {
    [dispatchTable]: table.map((cpu, entry) => ({
      key: word(entry),
      value: word(cpu),
    })),
    [dispatchCpus]: [...new Set(table)].map((cpu) => ({
      key: word(cpu),
      value: word(queueSize, 0),
    })),
    [dataSection]: [
      {
        key: word(0),
        value: (data?.data ?? new Uint8Array(4)).with(0, 1),
      },
    ],
  };
}

/** Entries of this dispatcher's table may move while packets pass. */
export function isMovable({ maps }: ProgramSpec): boolean {
  return maps.some(({ name }) => name === ticketSources);
}

/** Who has each entry at first, where entries may move; it is a map of the worker. */
export function ownerContents(
  program: ProgramSpec,
  table: readonly number[],
): MapContents {
  if (!isMovable(program)) return {};
  return {
    [ticketOwners]: table.map((cpu, entry) => ({
      key: new Uint8Array(Uint32Array.of(entry).buffer),
      value: new Uint8Array(Uint32Array.of(cpu, 0).buffer),
    })),
  };
}

/** Packets that may wait for a CPU. */
export const queueSize = 2048;

/** What plan.json says of it. */
interface DispatchedPlan {
  readonly cores: number;
  /** Absent: entries are spread evenly. */
  readonly dispatchTable?: readonly number[];
}

/** What loading an object with a dispatcher needs besides; undefined: it has none. */
export function boundDispatcher(
  object: ObjectSpec,
  { cores, dispatchTable: table = evenTable(cores) }: DispatchedPlan,
): BoundDispatcher | undefined {
  const program = dispatcherOf(object);
  if (program === undefined) return undefined;
  const { [dispatchCpus]: _, ...filled } = dispatchContents(program, table);
  const contents = { ...ownerContents(program, table), ...filled };
  return {
    program,
    cpumap: dispatchCpus,
    cpus: cores,
    queueSize,
    contents,
    ...(isMovable(program) ? { urgent: true, sources: mostSources } : {}),
  };
}

/** Where a dispatcher sends packets, asked packet by packet. */
export class Dispatching {
  readonly #machine: BytecodeMachine;
  readonly #ports: readonly Port[];
  #entry = 0;

  constructor(
    program: ProgramSpec,
    options: {
      readonly table: readonly number[];
      readonly ports: readonly Port[];
      /** Told of every instruction that runs. */
      readonly instruction?: (at: number) => void;
    },
  ) {
    const state = createState(program.maps, {
      contents: dispatchContents(program, options.table),
    });
    this.#ports = options.ports;
    this.#machine = new BytecodeMachine(program, state, {
      observer: {
        ...(options.instruction === undefined
          ? {}
          : {
              instruction: ({ instruction }) =>
                options.instruction?.(instruction),
            }),
        touch: ({ map, cell }) => {
          if (map === dispatchTable)
            this.#entry = Number.parseInt(
              cell.slice(0, 4).replace(/(..)(..)/, "$2$1"),
              16,
            );
        },
      },
    });
  }

  /** `port`: index into the ports. */
  of(
    data: Uint8Array,
    port: number,
  ): { readonly entry: number; readonly cpu: number } {
    const { redirect, fault } = this.#machine.run({
      data,
      ifindex: this.#ports[port]?.ifindex ?? 0,
      rxQueue: 0,
      cpu: 0,
      time: 0n,
    });
    if (redirect?.key === undefined)
      throw new Bug(`the dispatcher redirects nothing: ${fault?.text ?? ""}`);
    return { entry: this.#entry, cpu: redirect.key };
  }
}

/** The dispatcher of an object that has one. */
export function dispatchingOf(
  object: ObjectSpec,
  {
    cores,
    dispatchTable: table = evenTable(cores),
    ports,
  }: DispatchedPlan & { readonly ports: readonly Port[] },
): Dispatching {
  const program = dispatcherOf(object);
  if (program === undefined) throw new Bug("no dispatcher");
  return new Dispatching(program, { table, ports });
}

/** CPU of each packet; undefined: the object has no dispatcher. */
export function dispatchedCpus(
  object: ObjectSpec,
  packets: readonly Pick<PacketInput, "data" | "ifindex">[],
  plan: DispatchedPlan & { readonly ports: readonly Port[] },
): readonly number[] | undefined {
  if (dispatcherOf(object) === undefined) return undefined;
  const { ports } = plan;
  const dispatching = dispatchingOf(object, plan);
  return packets.map(
    ({ data, ifindex }) =>
      dispatching.of(
        data,
        ports.findIndex((port) => port.ifindex === ifindex),
      ).cpu,
  );
}

/** Wrong dispatchers tried per kind. */
const mostMutants = 8;

/** Frames that a dispatcher was shown, interned by what it may read of them. */
export class DispatchInputs {
  readonly #numbers = new Map<string, number>();
  readonly #frames: { readonly data: Uint8Array; readonly port: number }[] = [];
  readonly #program: ProgramSpec;
  readonly #options: {
    readonly cores: number;
    readonly demand: SteeringDemand;
    readonly ports: readonly Port[];
  };
  /** Of the dispatcher as it is, by number of input. */
  readonly #answers: ReturnType<Dispatching["of"]>[] = [];
  readonly #dispatching: Dispatching;

  constructor(
    program: ProgramSpec,
    options: {
      readonly cores: number;
      readonly demand: SteeringDemand;
      readonly ports: readonly Port[];
    },
  ) {
    this.#program = program;
    this.#options = options;
    this.#dispatching = this.#ask(program);
  }

  intern(data: Uint8Array, port: number): number {
    const name = `${port} ${latin1.decode(data)}`;
    let number = this.#numbers.get(name);
    if (number === undefined) {
      number = this.#frames.length;
      this.#numbers.set(name, number);
      this.#frames.push({ data, port });
    }
    return number;
  }

  readonly steering: Steering = (input) => this.#answer(input).cpu;
  /** The table may be rewritten later: entries must agree, too. */
  readonly entries: Steering = (input) => this.#answer(input).entry;

  /** Wrong dispatchers that break something, as far as the demand says so. */
  get mutants(): SteeringMutant[] {
    const { cores, demand, ports } = this.#options;
    const { conjuncts } = demand.requirement;
    const mutants: SteeringMutant[] = [
      {
        name: "an owner's frames on two CPUs in turn",
        steerings: () => [
          (input) => (this.#answer(input).cpu + input) % Math.max(2, cores),
        ],
      },
    ];
    const linked = ports.filter(({ name }) =>
      conjuncts.some(
        ({ ports: [one, other] }) =>
          one !== other && (one === name || other === name),
      ),
    );
    for (const { name } of linked.slice(0, 1))
      mutants.push({
        name: `a table of its own for port ${name}`,
        steerings: () => [
          (input) => {
            const { cpu } = this.#answer(input);
            const { port } = this.#frames[input] ?? { port: 0 };
            return ports[port]?.name === name ? cpu + 1 : cpu;
          },
        ],
      });
    if (linked.length > 0)
      for (const at of this.#hashLoads().slice(0, mostMutants))
        mutants.push({
          name: `a header byte at ${dispatcherName}+${at} left out of the hash`,
          steerings: () => [
            this.#entriesOf(
              withInstruction(this.#program, at, (load) => ({
                kind: "alu",
                op: "mov",
                width: 64,
                dst: load.dst,
                src: { kind: "immediate", value: 0 },
              })),
            ),
          ],
        });
    return mutants;
  }

  #answer(input: number): ReturnType<Dispatching["of"]> {
    const { data, port } = this.#frames[input] ?? {
      data: new Uint8Array(),
      port: 0,
    };
    return (this.#answers[input] ??= this.#dispatching.of(data, port));
  }

  #ask(program: ProgramSpec): Dispatching {
    const { cores, ports } = this.#options;
    return new Dispatching(program, { table: evenTable(cores), ports });
  }

  #entriesOf(program: ProgramSpec): Steering {
    const dispatching = this.#ask(program);
    const answers: (number | undefined)[] = [];
    return (input) => {
      const { data, port } = this.#frames[input] ?? {
        data: new Uint8Array(),
        port: 0,
      };
      return (answers[input] ??= dispatching.of(data, port).entry);
    };
  }

  /** Loads behind the start of a hash, up to its end, that some frame reached. */
  #hashLoads(): readonly number[] {
    const reached = new Set<number>();
    const dispatching = new Dispatching(this.#program, {
      table: evenTable(this.#options.cores),
      ports: this.#options.ports,
      instruction: (at) => reached.add(at),
    });
    for (const { data, port } of this.#frames.slice(0, 4096))
      dispatching.of(data, port);
    const [entry] = this.#program.functions;
    let isHash = false;
    return (entry?.instructions ?? []).flatMap((instruction, at) => {
      if (instruction.kind === "load-wide" && instruction.dst === 9)
        isHash = true;
      if (instruction.kind === "jump") isHash = false;
      return isHash && instruction.kind === "load" && reached.has(at)
        ? [at]
        : [];
    });
  }
}

const latin1 = new TextDecoder("latin1");

type Load = Extract<Instruction, { readonly kind: "load" }>;

function withInstruction(
  program: ProgramSpec,
  at: number,
  change: (load: Load) => Instruction,
): ProgramSpec {
  const [entry, ...others] = program.functions;
  const load = entry?.instructions[at];
  if (entry === undefined || load?.kind !== "load")
    throw new Bug(`no load at ${at}`);
  return {
    ...program,
    functions: [
      { ...entry, instructions: entry.instructions.with(at, change(load)) },
      ...others,
    ],
  };
}
