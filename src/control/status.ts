/** What is attached, and whether it still is as it was made. Changes nothing. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { misdirectedMap } from "../codegen/index.ts";
import type { Kernel } from "../engine/index.ts";
import { mapPin, type AttachmentRecord } from "./attachment.ts";
import { readMisdirected, type MisdirectedCount } from "./misdirected.ts";
import { checkNic } from "./nic.ts";
import { networkNamespace, readText } from "./processes.ts";

export interface InterfaceStatus {
  readonly port: string;
  /** Its name now. */
  readonly name: string;
  readonly ifindex: number;
  readonly mode: string;
  readonly link: number | undefined;
  readonly program: number | undefined;
  /** `ok`, or what is wrong. */
  readonly health: string;
}

export interface AttachmentStatus {
  readonly name: string;
  readonly directory: string;
  readonly since: string;
  readonly program: { readonly name: string; readonly id: number | undefined };
  readonly strategy: string;
  readonly cores: number;
  readonly pins: string;
  readonly interfaces: readonly InterfaceStatus[];
  readonly maps: readonly {
    readonly name: string;
    readonly type: string;
    readonly id: number | undefined;
    readonly strategy: string;
  }[];
  /** Runs of the program; undefined: the kernel does not count them. */
  readonly packets: bigint | undefined;
  /** Packets on another queue than the plan's; undefined: the plan names no queues. */
  readonly misdirected: MisdirectedCount | undefined;
  readonly healthy: boolean;
  /** What is wrong with the whole. */
  readonly problems: readonly string[];
}

export function attachmentStatus(
  record: AttachmentRecord,
  kernel: Kernel,
): AttachmentStatus {
  const { pins } = kernel;
  const at = (name: string): string => join(record.pins, name);
  const isThere = existsSync(record.pins);
  const program = isThere ? pins.program(at("program")) : undefined;
  if (program !== undefined) pins.close(program);
  const interfaces = record.interfaces.map((each) =>
    interfaceStatus(each, record, { kernel, programId: program?.info.id }),
  );
  const maps = record.maps.map(({ name, type, strategy }) => {
    const map = isThere ? pins.map(at(mapPin(name)), name) : undefined;
    const id = map === undefined ? undefined : pins.mapInfo(map).id;
    map?.close();
    return { name, type, id, strategy };
  });
  const counters = isThere
    ? pins.map(at(mapPin(misdirectedMap)), misdirectedMap)
    : undefined;
  const misdirected =
    counters === undefined ? undefined : readMisdirected(counters);
  counters?.close();
  const problems =
    program === undefined
      ? [
          `its pins in ${record.pins} are gone: divisi detach ${record.name} removes the rest`,
        ]
      : maps
          .filter(({ id }) => id === undefined)
          .map(({ name }) => `map ${name} is no longer pinned`);
  const nic = nicProblems(record, interfaces);
  const isCounting =
    readText("/proc/sys/kernel/bpf_stats_enabled").trim() === "1";
  return {
    name: record.name,
    directory: record.directory,
    since: record.time,
    program: { name: record.program, id: program?.info.id },
    strategy: record.strategy,
    cores: record.cores,
    pins: record.pins,
    interfaces,
    maps,
    packets: isCounting ? program?.info.runs : undefined,
    misdirected,
    healthy:
      problems.length + nic.length === 0 &&
      interfaces.every(({ health }) => health === "ok"),
    problems: [...problems, ...nic],
  };
}

/** As attach asks: has every port still a queue per core? */
function nicProblems(
  { netns, cores, anyQueues = false }: AttachmentRecord,
  interfaces: readonly InterfaceStatus[],
): readonly string[] {
  if (netns !== networkNamespace()) return [];
  const { wrong, fix } = checkNic({
    ports: interfaces
      .filter(({ health }) => health === "ok")
      .map(({ port, name }) => ({ port, iface: name })),
    cores,
    setup: undefined,
    anyQueues,
  });
  if (wrong.length === 0) return [];
  return fix === undefined ? wrong : [...wrong, `fix: ${fix}`];
}

interface Facts {
  readonly kernel: Kernel;
  readonly programId: number | undefined;
}

function interfaceStatus(
  {
    port,
    name,
    ifindex,
    mode,
    link: pin,
  }: AttachmentRecord["interfaces"][number],
  record: AttachmentRecord,
  { kernel, programId }: Facts,
): InterfaceStatus {
  const path = join(record.pins, pin);
  const link = existsSync(path) ? kernel.pins.link(path) : undefined;
  const info = link?.info();
  link?.close();
  const isHere = record.netns === networkNamespace();
  const present = isHere
    ? kernel.interfaces().find((each) => each.ifindex === ifindex)
    : undefined;
  const health =
    info === undefined
      ? "link is gone"
      : info.ifindex === 0
        ? "interface is gone"
        : info.programId === 0
          ? "detached by somebody"
          : info.programId !== programId
            ? `runs program ${info.programId}, not ours`
            : isHere &&
                present?.programs.some(({ id }) => id === programId) !== true
              ? "interface does not run it"
              : "ok";
  return {
    port,
    name: present?.name ?? name,
    ifindex,
    mode: present?.programs[0]?.mode ?? mode,
    link: info?.id,
    program: info?.programId,
    health,
  };
}
