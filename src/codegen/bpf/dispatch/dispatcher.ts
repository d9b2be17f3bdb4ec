/**
 * The dispatcher: an XDP program that finds the owner of each packet and hands the
 * packet to the owner's CPU.
 *
 *   ready = 0                              →   XDP_ABORTED
 *   port by ctx->ingress_ifindex, class by headers   →   the group of the packet
 *   entry = hash of the group's lanes, or the receive queue where there is no group
 *   redirect to divisi_cpus[divisi_table[entry mod entries]]
 *
 *   divisi_table   array      entry → CPU; user space may rewrite entries at any time
 *   divisi_cpus    cpumap     CPU → queue and the worker, which runs there
 *   ready          .data.dispatch       set when both are filled
 *
 * A program that reads its receive queue gets it as eight bytes of metadata: behind a
 * cpumap the kernel tells the interface and no queue. With tickets (tickets.ts) each
 * frame has sixteen.
 *
 * Law: packets with equal owner have equal entries, on whatever port; a packet without
 * an owner touches no sharded state. So rewriting the table moves owners whole.
 *
 * Source: kernel/bpf/cpumap.c; include/uapi/linux/bpf.h (struct bpf_cpumap_val).
 */
import { Bug } from "../../../base/index.ts";
import {
  parseFunction,
  type FunctionSpec,
  type MapSpec,
} from "../../../isa/index.ts";
import type { OwnerFunction, OwnerGroup } from "../../../strategy/index.ts";
import {
  classText,
  dispatchClasses,
  headersText,
  within,
  type DispatchClass,
} from "./find-headers.ts";
import { hashText } from "./hash-lanes.ts";
import { mmapable, ticketMaps, ticketMetadata, ticketText } from "./tickets.ts";

export const dispatchTable = "divisi_table";
export const dispatchCpus = "divisi_cpus";
/** Bytes of metadata: the receive queue, and four of zeros. */
export const queueMetadata = 8;

/** A word in a data section. */
export interface DataWord {
  readonly section: string;
  readonly offset: number;
}

export interface DispatcherOptions {
  /** Name of the function. */
  readonly name: string;
  readonly section: string;
  readonly owner: OwnerFunction;
  readonly ports: readonly {
    readonly name: string;
    /** Where its interface's index stands; not asked where there is one port. */
    readonly ifindex: DataWord;
  }[];
  readonly ready: DataWord;
  /** Entries of the table; a power of two. */
  readonly entries: number;
  /** Slots of the cpumap; the kernel refuses more than it has CPUs for. */
  readonly cpus: number;
  readonly seed: bigint;
  /** Put the receive queue in front of the packet. */
  readonly queue: boolean;
  /** The table may be rewritten while packets pass (tickets.ts). */
  readonly tickets?: boolean;
}

export interface Dispatcher {
  readonly function: FunctionSpec;
  readonly maps: readonly MapSpec[];
}

export function dispatcher(options: DispatcherOptions): Dispatcher {
  const { entries, cpus, section } = options;
  if ((entries & (entries - 1)) !== 0) throw new Bug(`${entries} entries`);
  const { name } = options;
  return {
    function: {
      ...parseFunction(`function ${name}\n${dispatcherText(options)}`),
      section,
      linkage: "global",
    },
    maps: [
      {
        ...map({
          name: dispatchTable,
          type: "array",
          valueSize: 4,
          maxEntries: entries,
        }),
        // Written in one piece, while packets pass.
        flags: options.tickets === true ? mmapable : 0,
      },
      map({
        name: dispatchCpus,
        type: "cpumap",
        valueSize: 8,
        maxEntries: cpus,
      }),
      ...(options.tickets === true ? ticketMaps(entries, cpus) : []),
    ],
  };
}

function map(
  given: Pick<MapSpec, "name" | "type" | "valueSize" | "maxEntries">,
): MapSpec {
  return { ...given, keySize: 4, flags: 0, section: ".maps", readOnly: false };
}

function dispatcherText(options: DispatcherOptions): string {
  const { ready, entries, cpus, tickets = false } = options;
  return `
    r6 = r1
    r1 = value ${ready.section}[${ready.offset}] ll
    r1 = *(u32 *)(r1 + 0)
    if r1 == 0 goto aborted${tickets ? roomText(ticketMetadata) : options.queue ? queueText : ""}
    r1 = *(u32 *)(r6 + 16)
    *(u32 *)(r10 - 4) = r1
    r7 = *(u32 *)(r6 + 0)
    r8 = *(u32 *)(r6 + 4)${within("r7", 14, "anywhere")}
    ${portsText(options)}
    ${options.ports.map((port) => portText(port.name, options)).join("")}
  hashed:
    *(u32 *)(r10 - 4) = r9
  anywhere:
    r1 = *(u32 *)(r10 - 4)
    r1 &= ${entries - 1}
    *(u32 *)(r10 - 4) = r1${tickets ? ticketText({ table: dispatchTable, cpumap: dispatchCpus, cpus }) : redirectText}
  aborted:
    r0 = 0
    exit`;
}

const redirectText = `
    r1 = map ${dispatchTable} ll
    r2 = r10
    r2 += -4
    call map_lookup_elem
    if r0 == 0 goto aborted
    r2 = *(u32 *)(r0 + 0)
    r1 = map ${dispatchCpus} ll
    r3 = 0
    call redirect_map
    exit`;

/** Room for metadata. */
const roomText = (bytes: number): string => `
    r1 = r6
    r2 = ${-bytes}
    call xdp_adjust_meta
    if r0 != 0 goto aborted`;

const queueText = `${roomText(queueMetadata)}
    r1 = *(u32 *)(r6 + 8)
    r2 = *(u32 *)(r6 + 0)
    r3 = r1
    r3 += ${queueMetadata}
    if r3 > r2 goto aborted
    r2 = *(u32 *)(r6 + 16)
    *(u64 *)(r1 + 0) = r2`;

function portsText({ ports }: DispatcherOptions): string {
  const [only, ...others] = ports;
  if (only === undefined) throw new Bug("no ports");
  if (others.length === 0) return `goto ${label(only.name)}`;
  const tests = ports.map(
    ({ name, ifindex }) => `
    r2 = value ${ifindex.section}[${ifindex.offset}] ll
    r2 = *(u32 *)(r2 + 0)
    if r1 == r2 goto ${label(name)}`,
  );
  return `r1 = *(u32 *)(r6 + 12)${tests.join("")}
    goto anywhere`;
}

/** Names may have letters that labels cannot. */
const label = (port: string): string =>
  `port_${port.replace(/\W/g, (letter) => `$${letter.charCodeAt(0)}`)}`;

/** Every class of a port: to its group's code, which is there once for all that share it. */
function portText(port: string, { owner, seed }: DispatcherOptions): string {
  const bodies = new Map<string, string>();
  const targets: Partial<Record<DispatchClass, string>> = {};
  for (const name of dispatchClasses) {
    const group = groupOf(owner, port, name);
    const target = `${label(port)}_${bodies.size}`;
    const text = group === undefined ? undefined : bodyOf(group, name, "@");
    const known = text === undefined ? "anywhere" : bodies.get(text);
    targets[name] = known ?? target;
    if (text !== undefined && known === undefined) bodies.set(text, target);
  }
  const all = targets as Record<DispatchClass, string>;
  const [first] = Object.values(all);
  const parse =
    new Set(Object.values(all)).size === 1
      ? `
    goto ${first ?? "anywhere"}`
      : classText(all, label(port));
  return `
  ${label(port)}:${parse}
  ${[...bodies].map(([text, target]) => `${target}:${text.replaceAll("@", target)}`).join("\n  ")}`;

  function bodyOf(
    group: OwnerGroup,
    name: DispatchClass,
    prefix: string,
  ): string {
    const found = headersText(group, {
      class: name,
      prefix,
      anywhere: "anywhere",
    });
    // A jump at the end is all there is: nothing of this group is in such packets.
    if (found.trim() === "goto anywhere") return found;
    return `${found}${hashText(group.lanes, seed)}
    goto hashed`;
  }
}

function groupOf(
  { groups }: OwnerFunction,
  port: string,
  name: DispatchClass,
): OwnerGroup | undefined {
  return groups.find(
    (group) => group.port === port && group.classes.includes(name),
  );
}
