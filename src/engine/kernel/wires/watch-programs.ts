/**
 * The programs that watch another one from outside, as text. The watched program runs
 * as it is, called last by the gate:
 *
 *   frame → gate → watched program ─ PASS ─────→ stack catcher (tcx ingress, drops)
 *             │                    ├ TX, REDIRECT → wire catcher (XDP of the peer, drops)
 *             │                    ├ ABORTED ──→ tracepoint xdp_exception
 *             │                    └ DROP ─────→ nowhere: none of the others
 *             └ a record and a tag of 8 bytes in the frame's metadata, which moves with it
 *
 * So a verdict is known by what the kernel did with it. Redirects also show at the
 * tracepoints xdp_redirect and xdp_redirect_err. The frame's bytes are not touched;
 * what the watched program could notice is 8 bytes of metadata and of head room less.
 *
 *   record  0 number + 1     8 length   20 interface  28 CPU   32 time (64 bits)   44 error
 *           4 1: whole      16 exception's verdict + 1         40 redirect: 1 done, 2 failed
 *                           24 queue                           64 the frame
 *   catch   0 number + 1     8 length   20 interface  28 CPU   32 VLAN: tag, protocol
 *           4 tag, 0: none  16 1 wire, 2 stack   24 queue      64 the frame
 *
 * Source: net/core/filter.c, net/core/dev.c, include/trace/events/xdp.h.
 */
import { environmentLayout } from "../../../codegen/index.ts";
import { deviceText, type WatchedEvent } from "./watch-events.ts";

export const recordHeader = 64;
/** Records are used again after so many: both powers of two. */
export const recordCapacity = 1024;
export const catchCapacity = 4096;

const nanosecondsPerJiffy = 4_000_000;
const magic = 0x6469_7669;

/** Key `value` of four bytes at r10 - 4, its address in r2. */
const key = (value: number | string): string => `
  *(u32 *)(r10 - 4) = ${value}
  r2 = r10
  r2 += -4`;

/** Looks `map` up; ends the program when there is nothing. */
const find = (map: string, index: number | string): string => `
  r1 = map ${map} ll${key(index)}
  call map_lookup_elem
  if r0 == 0 goto end`;

/** Frame of context r6 to the record at r9, its length too. */
const copyFrame = (helper: string, room: number): string => `
  *(u32 *)(r9 + 8) = r4
  if r4 < 1 goto copied
  if r4 <= ${room} goto copy
  r4 = ${room}
copy:
  r1 = r6
  r2 = 0
  r3 = r9
  r3 += ${recordHeader}
  call ${helper}
copied:`;

/** Length of an XDP frame in r4. */
const xdpLength = `
  r3 = *(u32 *)(r6 + 0)
  r4 = *(u32 *)(r6 + 4)
  r4 -= r3`;

/**
 * A program whose clock is an input (codegen's environment) reads the recorded time: of
 * the one value, or of its CPU's.
 */
const environment = (copies: number): string => `
  r1 = value environment[0] ll${copies > 1 ? ownEnvironment(copies) : ""}
  r2 = *(u64 *)(r9 + 32)
  *(u64 *)(r1 + ${environmentLayout.time}) = r2
  r2 /= ${nanosecondsPerJiffy}
  *(u64 *)(r1 + ${environmentLayout.jiffies}) = r2
  r2 = *(u32 *)(r9 + 28)
  *(u32 *)(r1 + ${environmentLayout.cpu}) = r2`;

const ownEnvironment = (copies: number): string => `
  r3 = *(u32 *)(r9 + 28)
  if r3 >= ${copies} goto end
  r3 *= ${environmentLayout.size}
  r1 += r3`;

/** Into the metadata; the end of the program when there is no room. */
const writeTag = `
  r1 = r6
  r2 = -8
  call xdp_adjust_meta
  if r0 != 0 goto end
  r1 = *(u32 *)(r6 + 8)
  r2 = *(u32 *)(r6 + 0)
  r3 = r1
  r3 += 8
  if r3 > r2 goto end
  *(u32 *)(r1 + 0) = ${magic}
  *(u32 *)(r1 + 4) = r8`;

export interface GateOptions {
  /** Bytes of a record's frame. */
  readonly room: number;
  /** Runs go on one by one, so that the last one is meant: the metadata is the program's. */
  readonly tagged: boolean;
  /** Values that tell the program its time: none, one, or one for each CPU. */
  readonly environments: number;
}

/** Stands before the watched program, which is entry 0 of `programs`. */
export function gateText({ room, tagged, environments }: GateOptions): string {
  return `function divisi_gate
  r6 = r1${find("next", 0)}
  r7 = 1
  r7 = atomic_fetch_add((u64 *)(r0 + 0), r7)
  r8 = r7
  r8 += 1${find("current", 0)}
  *(u64 *)(r0 + 0) = r8
  r7 &= ${recordCapacity - 1}${find("records", "r7")}
  r9 = r0
  *(u32 *)(r9 + 4) = 0
  *(u32 *)(r9 + 0) = r8
  *(u32 *)(r9 + 16) = 0
  *(u64 *)(r9 + 40) = 0
  r1 = *(u32 *)(r6 + 12)
  *(u32 *)(r9 + 20) = r1
  r1 = *(u32 *)(r6 + 16)
  *(u32 *)(r9 + 24) = r1
  call get_smp_processor_id
  *(u32 *)(r9 + 28) = r0
  call ktime_get_ns
  *(u64 *)(r9 + 32) = r0${xdpLength}${copyFrame("xdp_load_bytes", room)}${tagged ? writeTag : ""}
  *(u32 *)(r9 + 4) = 1${environments > 0 ? environment(environments) : ""}
  r1 = r6
  r2 = map programs ll
  r3 = 0
  call tail_call
end:
  r0 = 0
  exit`;
}

/** Notes what the kernel says of the run in hand on this CPU, if it is of this namespace. */
export function eventText(event: WatchedEvent, namespace: number): string {
  const noted = {
    xdp_exception: `
  r1 = *(u64 *)(r6 + 16)
  r1 += 1
  *(u32 *)(r9 + 16) = r1`,
    xdp_redirect: `
  *(u32 *)(r9 + 40) = 1`,
    xdp_redirect_err: `
  r1 = *(u64 *)(r6 + 24)
  *(u32 *)(r9 + 44) = r1
  *(u32 *)(r9 + 40) = 2`,
  }[event];
  return `function divisi_event
  r6 = r1${find("current", 0)}
  r8 = *(u64 *)(r0 + 0)
  if r8 == 0 goto end
  r7 = r8
  r7 += -1
  r7 &= ${recordCapacity - 1}${find("records", "r7")}
  r9 = r0
  r1 = *(u32 *)(r9 + 0)
  if w1 != w8 goto end${deviceText(namespace)}
  r1 = *(u32 *)(r10 - 8)
  r2 = *(u32 *)(r9 + 20)
  if r1 != r2 goto end${noted}
end:
  r0 = 0
  exit`;
}

/** A new catch at r9; its number + 1 is left at r10 - 16. */
const newCatch = `${find("caught", 0)}
  r7 = 1
  r7 = atomic_fetch_add((u64 *)(r0 + 0), r7)
  r1 = r7
  r1 += 1
  *(u64 *)(r10 - 16) = r1
  r7 &= ${catchCapacity - 1}${find("catches", "r7")}
  r9 = r0
  *(u32 *)(r9 + 0) = 0
  *(u32 *)(r9 + 4) = 0`;

/** Tag from metadata, whose words of the context are at these offsets. */
const readTag = (meta: number, data: number): string => `
  r1 = *(u32 *)(r6 + ${meta})
  r2 = *(u32 *)(r6 + ${data})
  r3 = r1
  r3 += 8
  if r3 > r2 goto untagged
  r4 = *(u32 *)(r1 + 0)
  if r4 != ${magic} goto untagged
  r4 = *(u32 *)(r1 + 4)
  *(u32 *)(r9 + 4) = r4
untagged:`;

const publish = `
  r1 = *(u64 *)(r10 - 16)
  *(u32 *)(r9 + 0) = r1`;

/** The run that began last: the one in hand where they go one by one. */
const lastRun = `${find("next", 0)}
  r1 = *(u64 *)(r0 + 0)
  *(u32 *)(r9 + 4) = r1`;

/** XDP program of a peer: what came back over the wire. */
export function wireCatcherText({ room, tagged }: GateOptions): string {
  return `function divisi_wire
  r6 = r1${newCatch}${tagged ? readTag(8, 0) : lastRun}
  *(u32 *)(r9 + 16) = 1
  r1 = *(u32 *)(r6 + 12)
  *(u32 *)(r9 + 20) = r1
  r1 = *(u32 *)(r6 + 16)
  *(u32 *)(r9 + 24) = r1
  *(u64 *)(r9 + 32) = 0
  call get_smp_processor_id
  *(u32 *)(r9 + 28) = r0${xdpLength}${copyFrame("xdp_load_bytes", room)}${publish}
end:
  r0 = 1
  exit`;
}

/** First program at tcx ingress: what was passed on. Nothing goes further. */
export function stackCatcherText({ room, tagged }: GateOptions): string {
  return `function divisi_stack
  r6 = r1${newCatch}${tagged ? readTag(140, 76) : lastRun}
  *(u32 *)(r9 + 16) = 2
  r1 = *(u32 *)(r6 + 40)
  *(u32 *)(r9 + 20) = r1
  *(u32 *)(r9 + 24) = 0
  *(u64 *)(r9 + 32) = 0
  r1 = *(u32 *)(r6 + 20)
  if r1 == 0 goto bare
  r1 = *(u32 *)(r6 + 24)
  *(u32 *)(r9 + 32) = r1
  r1 = *(u32 *)(r6 + 28)
  *(u32 *)(r9 + 36) = r1
bare:
  call get_smp_processor_id
  *(u32 *)(r9 + 28) = r0
  r4 = *(u32 *)(r6 + 0)${copyFrame("skb_load_bytes", room)}${publish}
end:
  r0 = 2
  exit`;
}
