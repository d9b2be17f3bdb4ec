/**
 * A program with the worlds that it is run in on four machines: three knocks for
 * port-knock, a covering sequence with what user space writes on the way, then ordinary flows. Interfaces are those
 * that exist here, since the kernel takes no others, and hash maps are small enough
 * to fill up.
 */
import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { UnsupportedError } from "#base";
import { openKernel, type Kernel } from "#engine";
import { createState, type PacketInput } from "#interp";
import type { MapSpec, ProgramSpec } from "#isa";
import {
  hasVariable,
  programSpec,
  readObject,
  setVariable,
  type ObjectSpec,
} from "#object";
import { buildFrame } from "#packet";
import { coverProgram, type Cover, type MapContents } from "#proof";
import { generate, parseGenerator } from "#traffic";
import { comparable, cpus, type World } from "./machines.ts";

/** Where programs are run: the kernel, and interfaces that exist in it. */
export interface Where {
  readonly kernel: Kernel;
  readonly ports: readonly number[];
}

export interface Subject {
  readonly name: string;
  readonly object: ObjectSpec;
  readonly program: ProgramSpec;
  readonly cover: Cover;
  /** The first has both ports in the device map `ports`, the others lack one. */
  readonly worlds: readonly World[];
}

export interface SubjectOptions {
  readonly where: Where;
  readonly seed: number;
  readonly entry?: string;
  /** Runs that the search for the covering sequence may spend. */
  readonly budget?: number;
  /** Variables of `.rodata`, by name. */
  readonly set?: Readonly<Record<string, string>>;
}

/** The reason where there is no kernel engine, or not enough interfaces. */
export async function openWhere(): Promise<Where | UnsupportedError> {
  try {
    return { kernel: await openKernel(), ports: interfaces() };
  } catch (error) {
    if (error instanceof UnsupportedError) return error;
    throw error;
  }
}

/** LAN, WAN and one that is neither. */
function interfaces(): readonly number[] {
  const folder = "/sys/class/net";
  const found = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !entry.isFile())
    .map(({ name }) => readFileSync(join(folder, name, "ifindex"), "utf8"))
    .map(Number)
    .sort((left, right) => left - right);
  if (found.length < 3)
    throw new UnsupportedError(`${found.length} network interfaces, not 3`, {
      feature: "three network interfaces",
    });
  return found.slice(0, 3);
}

export function nameOf(path: string): string {
  return basename(path, ".o");
}

export function subjectOf(path: string, options: SubjectOptions): Subject {
  const { seed, entry, budget = 6_000 } = options;
  const { ports } = options.where;
  const name = nameOf(path);
  const object = configured(readObject(readFileSync(path), path), options);
  const whole = programSpec(object, entry === undefined ? {} : { entry });
  const program = { ...whole, maps: whole.maps.map(shrunk) };
  const hasPorts = program.maps.some((map) => map.name === "ports");
  const devices = (present: readonly number[]): MapContents => {
    const entries = present.map((key) => ({
      key: number(key),
      value: number(ports[key] ?? 0),
    }));
    return hasPorts ? { ports: entries } : {};
  };
  const cover = coverProgram(program, {
    state: createState(program.maps, { cpus, contents: devices([0, 1]) }),
    seed,
    budget,
    ports,
    shortest: 14,
    userWrites: comparable(program)
      .map((map) => map.name)
      .filter((map) => isFilledByUsers(program, map)),
  });
  const packets = [...knocks, ...cover.packets, ...flows(cover, options)].map(
    (packet, at): PacketInput => ({
      ...packet,
      // The search tries other interfaces and queues too.
      ifindex: ports.includes(packet.ifindex)
        ? packet.ifindex
        : (ports[2] ?? 1),
      rxQueue: 0,
      cpu: at % cpus,
    }),
  );
  const worlds = (hasPorts ? [[0, 1], [0], [1]] : [[]]).map((present) => ({
    contents: devices(present),
    packets,
    writes: cover.writes.map((write) => ({
      ...write,
      before: write.before + knocks.length,
    })),
  }));
  return { name, object, program, cover, worlds };
}

/** What the search does not find with every seed: port-knock lets a packet through. */
const knocks: readonly PacketInput[] = [100, 101, 102].map((dport, at) => ({
  data: buildFrame({
    ipv4: { src: "192.0.2.77", dst: "192.0.2.1" },
    tcp: { sport: 4000, dport, flags: at === 0 ? 2 : 16 },
  }),
  ifindex: 1,
  rxQueue: 0,
  cpu: 0,
  time: BigInt(at + 1),
}));

function number(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function configured(
  object: ObjectSpec,
  { where: { ports }, set = {} }: SubjectOptions,
): ObjectSpec {
  const values: Readonly<Record<string, string>> = {
    lan_ifindex: String(ports[0]),
    wan_ifindex: String(ports[1]),
    // libxdp's dispatcher: all ten programs, each followed by the next.
    "conf.num_progs_enabled": "10",
    ...Object.fromEntries(
      Array.from({ length: 10 }, (_, at) => [
        `conf.chain_call_actions[${at}]`,
        String(2 ** 32 - 1),
      ]),
    ),
    ...set,
  };
  let changed = object;
  for (const [name, value] of Object.entries(values))
    if (name in set || hasVariable(object, name))
      changed = setVariable(changed, name, value);
  return changed;
}

function shrunk(map: MapSpec): MapSpec {
  const most = map.type.endsWith("hash") ? 48 : 256;
  return { ...map, maxEntries: Math.min(map.maxEntries, most) };
}

function isFilledByUsers({ name }: ProgramSpec, map: string): boolean {
  return (
    /^(stations|filter_\w+)$/.test(map) ||
    (name === "ddos_mitigator" && map === "sources")
  );
}

/** Ordinary flows, later than the covering sequence. */
function flows({ packets }: Cover, options: SubjectOptions): PacketInput[] {
  const { ports } = options.where;
  const start = (packets.at(-1)?.time ?? 0n) + 1n;
  const models = ["bidirectional,flows=30", "churn,flows=60"];
  return models.flatMap((model, part) => {
    const text = `gen:${model},packets=400,seed=${options.seed}`;
    return Array.from(generate(parseGenerator(text)), (packet) => ({
      data: packet.data,
      time: start + BigInt(part) * 1_000_000_000_000n + packet.time,
      ifindex: ports[packet.port] ?? 0,
      rxQueue: 0,
      cpu: 0,
    }));
  });
}
