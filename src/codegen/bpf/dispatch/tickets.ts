/**
 * Tickets: what lets user space rewrite the table while packets pass. Each frame gets a
 * number of its own from the dispatcher; a worker that meets an entry which another CPU
 * had waits until that CPU is through with all that it was sent.
 *
 *   source   a CPU that receives, and runs the dispatcher
 *
 *   divisi_sources   array, by source   begun  ended  sent[CPU] …       of u64
 *   divisi_done      array, by CPU      done[source] …                  of u64
 *   divisi_owners    array, by entry    CPU whose worker has it   and four bytes of zeros
 *   divisi_waits     array, by CPU      waits  given up  nanoseconds    of u64
 *   divisi_counts    per-CPU array      packets of the entry            of u64
 *
 *   metadata   0 queue   4 entry   8 source   12 sent[CPU], the low half
 *
 *   dispatcher   begun++   read the table   sent[CPU]++   ended++
 *   worker       owner = own CPU?   else wait   …the program…   done[source] = ticket
 *   wait         for each source: s = begun, until ended ≥ s; t = sent[owner], until
 *                done ≥ t at the owner; then owner = own CPU
 *
 * Law: no frame of an entry runs before, or while, another CPU runs one that was
 * dispatched earlier: begun and ended are read-modify-writes, full barriers in between
 * which the table is read, and the wait begins with another; so whatever run of a dispatcher it
 * does not see has the new table. A queue of a cpumap is first in, first out for each source.
 *
 * A frame that a full queue dropped leaves a hole, which the next frame of the same
 * source to the same CPU closes: `done` is a high-water mark. Two CPUs that wait for
 * each other would wait for nothing, so user space keeps the moves that have not
 * settled (owner ≠ table) free of cycles (src/control/live-table.ts). A wait ends after
 * `longestWait` whatever happens, and is counted as given up.
 *
 * Not promised: the order in which frames leave. A worker's frames go out after its
 * batch of eight, and devices have a queue per CPU.
 *
 * Source: kernel/bpf/cpumap.c (bq_enqueue, cpu_map_kthread_run);
 * Documentation/core-api/wrappers/memory-barriers.rst.
 */
import {
  parseFunction,
  type FunctionSpec,
  type MapSpec,
} from "../../../isa/index.ts";

export const ticketSources = "divisi_sources";
export const ticketDone = "divisi_done";
export const ticketOwners = "divisi_owners";
export const ticketWaits = "divisi_waits";
export const ticketCounts = "divisi_counts";
/** CPUs that may receive. */
export const mostSources = 256;
/** Bytes of metadata. */
export const ticketMetadata = 16;
/** Where `sent` begins in a source's row. */
export const sentOffset = 16;
export const waitFunctionName = "divisi_wait";
/** Nanoseconds; less than what the kernel grants a loop with may_goto (250 ms). */
const longestWait = 200_000_000;
/** BPF_F_MMAPABLE. */
export const mmapable = 1 << 10;

export function ticketMaps(entries: number, cpus: number): readonly MapSpec[] {
  const array = (
    name: string,
    valueSize: number,
    maxEntries: number,
  ): MapSpec => ({
    name,
    type: "array",
    keySize: 4,
    valueSize,
    maxEntries,
    flags: mmapable,
    section: ".maps",
    readOnly: false,
  });
  return [
    array(ticketSources, sentOffset + 8 * cpus, mostSources),
    array(ticketDone, 8 * mostSources, cpus),
    array(ticketOwners, 8, entries),
    array(ticketWaits, 24, cpus),
    { ...array(ticketCounts, 8, entries), type: "percpu_array", flags: 0 },
  ];
}

const find = (map: string, key: number): string => `
    r1 = map ${map} ll
    r2 = r10
    r2 += ${-key}
    call map_lookup_elem`;

/**
 * Of the dispatcher, from the entry at r10 - 4 on: counts, takes the ticket, writes the
 * metadata, and redirects. `aborted` is a label behind it.
 */
export function ticketText({
  table,
  cpumap,
  cpus,
}: {
  readonly table: string;
  readonly cpumap: string;
  readonly cpus: number;
}): string {
  return `
    call get_smp_processor_id
    if w0 >= ${mostSources} goto aborted
    *(u32 *)(r10 - 8) = r0${find(ticketCounts, 4)}
    if r0 == 0 goto aborted
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1${find(ticketSources, 8)}
    if r0 == 0 goto aborted
    r7 = r0
    r1 = 1
    r1 = atomic_fetch_add((u64 *)(r7 + 0), r1)${find(table, 4)}
    if r0 == 0 goto unsent
    r8 = *(u32 *)(r0 + 0)
    if r8 >= ${cpus} goto unsent
    r1 = *(u32 *)(r6 + 8)
    r2 = *(u32 *)(r6 + 0)
    r3 = r1
    r3 += ${ticketMetadata}
    if r3 > r2 goto unsent
    r4 = r8
    r4 <<= 3
    r9 = r7
    r9 += r4
    r5 = *(u64 *)(r9 + ${sentOffset})
    r5 += 1
    *(u64 *)(r9 + ${sentOffset}) = r5
    r4 = *(u32 *)(r6 + 16)
    *(u32 *)(r1 + 0) = r4
    r4 = *(u32 *)(r10 - 4)
    *(u32 *)(r1 + 4) = r4
    r4 = *(u32 *)(r10 - 8)
    *(u32 *)(r1 + 8) = r4
    *(u32 *)(r1 + 12) = r5
    r1 = 1
    r1 = atomic_fetch_add((u64 *)(r7 + 8), r1)
    r1 = map ${cpumap} ll
    r2 = r8
    r3 = 0
    call redirect_map
    exit
  unsent:
    r1 = 1
    r1 = atomic_fetch_add((u64 *)(r7 + 8), r1)`;
}

/** Where the worker keeps what it was told, in bytes below r10. */
export interface TicketSlots {
  /** Eight bytes: the queue. */
  readonly queue: number;
  /** Four bytes: the entry; above it four, the source, or ones: there is no ticket. */
  readonly entry: number;
  /** Eight bytes: the ticket. */
  readonly ticket: number;
  /** Four bytes: the own CPU. */
  readonly cpu: number;
}

/** Context in r1. Leads to `none`, without metadata, or on. */
export function takeText(slots: TicketSlots): string {
  const { queue, entry, ticket, cpu } = slots;
  return `
    r2 = -1
    *(u64 *)(r10 - ${entry}) = r2
    r2 = *(u32 *)(r1 + 8)
    r3 = *(u32 *)(r1 + 0)
    r4 = r2
    r4 += ${ticketMetadata}
    if r4 > r3 goto none
    r3 = *(u32 *)(r2 + 0)
    *(u64 *)(r10 - ${queue}) = r3
    r3 = *(u32 *)(r2 + 4)
    *(u32 *)(r10 - ${entry}) = r3
    r3 = *(u32 *)(r2 + 8)
    *(u32 *)(r10 - ${entry - 4}) = r3
    r3 = *(u32 *)(r2 + 12)
    *(u64 *)(r10 - ${ticket}) = r3
    r2 = ${ticketMetadata}
    call xdp_adjust_meta
    call get_smp_processor_id
    *(u32 *)(r10 - ${cpu}) = r0${find(ticketOwners, entry)}
    if r0 == 0 goto ready
    r2 = *(u32 *)(r10 - ${cpu})
    r1 = *(u32 *)(r0 + 0)
    if r1 == r2 goto ready
    r1 = r0
    call function ${waitFunctionName}
    goto ready`;
}

/** In front of an exit: the verdict is in r0, and stays there. */
export function doneText({ entry, ticket, cpu }: TicketSlots): string {
  return `
    r6 = r0
    r7 = *(u64 *)(r10 - ${ticket})
    r8 = *(u32 *)(r10 - ${entry - 4})
    if r8 >= ${mostSources} goto without${find(ticketDone, cpu)}
    if r0 == 0 goto without
    r8 <<= 3
    r0 += r8
    r7 = xchg_64(r0 + 0, r7)
  without:
    r0 = r6`;
}

/** Waits: the owner's cell in r1, the own CPU in r2. */
export function waitFunction(cpus: number): FunctionSpec {
  // What atomic operations write on the stack, the verifier knows nothing of: so each
  // turn of a loop looks to it like the one before.
  // User space may settle what is waited for; then others may wait for this CPU already.
  const look = `
    may_goto late
    r1 = *(u32 *)(r6 + 0)
    if r1 == r7 goto taken
    call ktime_get_ns
    r1 = *(u64 *)(r10 - 16)
    if r0 > r1 goto late`;
  const barrier = `
    r1 = 0
    r1 = atomic_fetch_add((u64 *)(r10 - 40), r1)`;
  return {
    ...parseFunction(`function ${waitFunctionName}
    r6 = r1
    r7 = r2
    r1 = 0
    *(u64 *)(r10 - 24) = r1
    *(u64 *)(r10 - 32) = r1
    *(u64 *)(r10 - 40) = r1
    call ktime_get_ns
    *(u64 *)(r10 - 48) = r0
    r0 += ${longestWait}
    *(u64 *)(r10 - 16) = r0
    r1 = *(u32 *)(r6 + 0)
    if r1 >= ${cpus} goto taken
    *(u32 *)(r10 - 4) = r1${find(ticketDone, 4)}
    if r0 == 0 goto taken
    r8 = r0${barrier}
  source:
    r1 = *(u64 *)(r10 - 32)
    if r1 >= ${mostSources} goto taken
    *(u32 *)(r10 - 8) = r1${find(ticketSources, 8)}
    if r0 == 0 goto taken
    r9 = r0
    r1 = *(u64 *)(r9 + 0)
    if r1 == 0 goto next
    *(u64 *)(r10 - 24) = r1
  running:
    r2 = *(u64 *)(r9 + 8)
    r1 = *(u64 *)(r10 - 24)
    r2 -= r1
    if r2 s>= 0 goto quiet${look}
    goto running
  quiet:${barrier}
    r1 = *(u32 *)(r10 - 4)
    if r1 >= ${cpus} goto taken
    r1 <<= 3
    r2 = r9
    r2 += r1
    r5 = *(u64 *)(r2 + ${sentOffset})
    *(u64 *)(r10 - 24) = r5
  busy:
    r1 = *(u64 *)(r10 - 32)
    if r1 >= ${mostSources} goto taken
    r1 <<= 3
    r2 = r8
    r2 += r1
    r3 = *(u64 *)(r2 + 0)
    r5 = *(u64 *)(r10 - 24)
    w3 -= w5
    if w3 s>= 0 goto next${look}
    goto busy
  next:
    r1 = 1
    lock *(u64 *)(r10 - 32) += r1
    may_goto late
    goto source
  late:
    r9 = 1
    goto count
  taken:
    r9 = 0
  count:
    *(u32 *)(r10 - 4) = r7${find(ticketWaits, 4)}
    if r0 == 0 goto own
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
    r1 = *(u64 *)(r0 + 8)
    r1 += r9
    *(u64 *)(r0 + 8) = r1
    r8 = r0
    call ktime_get_ns
    r1 = *(u64 *)(r10 - 48)
    r0 -= r1
    r1 = *(u64 *)(r8 + 16)
    r1 += r0
    *(u64 *)(r8 + 16) = r1
  own:
    w7 = xchg32_32(r6 + 0, w7)
    r0 = 0
    exit`),
    section: ".text",
    linkage: "static",
  };
}
