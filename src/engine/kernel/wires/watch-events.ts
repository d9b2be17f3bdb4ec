/**
 * XDP's tracepoints: what the kernel itself says of verdicts that it cannot or does
 * act on. They speak of all interfaces of all namespaces, so programs here look at
 * the device's index and namespace first.
 *
 *   xdp_exception     device, program, verdict
 *   xdp_redirect(_err) device, program, target, errno, …
 *
 * Source: include/trace/events/xdp.h.
 */
import { UnsupportedError } from "../../../base/index.ts";
import { attributes, command } from "../attributes.ts";
import { kernelOffset } from "../load/kernel-layout.ts";
import { loadSmallProgram } from "../load/small-program.ts";
import { memory, type Syscalls } from "../syscalls.ts";

const rawTracepointType = 17;

export const watchedEvents = [
  "xdp_exception",
  "xdp_redirect",
  "xdp_redirect_err",
] as const;
export type WatchedEvent = (typeof watchedEvents)[number];

export interface EventProgram {
  readonly text: string;
  readonly maps: Readonly<Record<string, number>>;
}

/** Descriptors that keep the program at its tracepoint. */
export function attachEvent(
  syscalls: Syscalls,
  event: WatchedEvent,
  { text, maps }: EventProgram,
): readonly number[] {
  const type = rawTracepointType;
  const program = loadSmallProgram(syscalls, text, { maps, type });
  const name = memory(event.length + 1);
  name.write(event);
  const link = syscalls.bpf(
    command.rawTracepointOpen,
    attributes(syscalls, "rawTracepoint", { name, programFd: program }),
  );
  if (link >= 0) return [link, program];
  syscalls.close(program);
  throw new UnsupportedError(
    `tracepoint ${event} cannot be watched (${syscalls.errorName(-link)})`,
    { feature: `tracepoint ${event}`, firstKernel: "4.17" },
  );
}

/** Goes on with the device's index at r10 - 8, if it is of this namespace; r6 is the context. */
export function deviceText(namespace: number): string {
  const read = (at: number, size: number): string => `
  r1 = r10
  r1 += ${at}
  r2 = ${size}
  call probe_read_kernel
  if r0 != 0 goto end`;
  const inum = kernelOffset("net", "ns") + kernelOffset("ns_common", "inum");
  return `
  r3 = *(u64 *)(r6 + 0)
  r3 += ${kernelOffset("net_device", "nd_net")}${read(-16, 8)}
  r3 = *(u64 *)(r10 - 16)
  r3 += ${inum}${read(-16, 4)}
  r1 = *(u32 *)(r10 - 16)
  r2 = ${namespace} ll
  if r1 != r2 goto end
  r3 = *(u64 *)(r6 + 0)
  r3 += ${kernelOffset("net_device", "ifindex")}${read(-8, 4)}`;
}

/** Counts the event in 8 bytes of the interface's value in `counts`. */
export function countText(
  event: WatchedEvent,
  offset: number,
  namespace: number,
): string {
  return `function divisi_${event.slice(4, 8)}
  r6 = r1${deviceText(namespace)}
  r1 = map counts ll
  r2 = r10
  r2 += -8
  call map_lookup_elem
  if r0 == 0 goto end
  r1 = *(u64 *)(r0 + ${offset})
  r1 += 1
  *(u64 *)(r0 + ${offset}) = r1
end:
  r0 = 0
  exit`;
}
