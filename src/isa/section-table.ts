/**
 * ELF sections → program types, with what the kernel wants to know at load time:
 * the expected attach type (kernel `enum bpf_attach_type`) and, for programs that
 * are bound to one function of the kernel, what their section's second word names.
 *
 *     xdp/cpumap       type xdp, attach 35
 *     fentry/do_exit   type tracing, attach 24, kernel function do_exit
 *     fentry.s/…       the same, may sleep
 *     ?tc              not loaded unless asked for by name
 *
 * A prefix fits when no letter follows it: `xdp_main`, `xdp1`, `xdp-x` are XDP. The
 * longest that fits decides. Source: libbpf `section_defs`.
 */
import type { ProgramTypeName } from "./program-types.ts";

/** What the second word of a section is the name of, and how kernel BTF spells it. */
export type AttachTarget =
  "function" | "tracepoint" | "lsm" | "iterator" | "program" | "struct";

export interface SectionRow {
  readonly prefix: string;
  readonly type: ProgramTypeName;
  readonly attach?: number;
  readonly target?: AttachTarget;
}

// prettier-ignore
export const sectionTable: readonly SectionRow[] = [
  { prefix: "xdp",                     type: "xdp",                     attach: 37 },
  { prefix: "xdp.frags",               type: "xdp",                     attach: 37 },
  { prefix: "xdp/cpumap",              type: "xdp",                     attach: 35 },
  { prefix: "xdp.frags/cpumap",        type: "xdp",                     attach: 35 },
  { prefix: "xdp/devmap",              type: "xdp",                     attach: 33 },
  { prefix: "xdp.frags/devmap",        type: "xdp",                     attach: 33 },
  { prefix: "tc",                      type: "sched_cls" },
  { prefix: "classifier",              type: "sched_cls" },
  { prefix: "tcx/ingress",             type: "sched_cls" },
  { prefix: "tcx/egress",              type: "sched_cls" },
  { prefix: "action",                  type: "sched_act" },
  { prefix: "socket",                  type: "socket_filter" },
  { prefix: "tracepoint",              type: "tracepoint" },
  { prefix: "tp",                      type: "tracepoint" },
  { prefix: "raw_tracepoint",          type: "raw_tracepoint" },
  { prefix: "raw_tp",                  type: "raw_tracepoint" },
  { prefix: "raw_tracepoint.w",        type: "raw_tracepoint_writable" },
  { prefix: "raw_tp.w",                type: "raw_tracepoint_writable" },
  { prefix: "tp_btf",                  type: "tracing",                 attach: 23, target: "tracepoint" },
  { prefix: "fentry",                  type: "tracing",                 attach: 24, target: "function" },
  { prefix: "fexit",                   type: "tracing",                 attach: 25, target: "function" },
  { prefix: "fmod_ret",                type: "tracing",                 attach: 26, target: "function" },
  { prefix: "iter",                    type: "tracing",                 attach: 28, target: "iterator" },
  { prefix: "lsm",                     type: "lsm",                     attach: 27, target: "lsm" },
  { prefix: "lsm_cgroup",              type: "lsm",                     attach: 43, target: "lsm" },
  { prefix: "freplace",                type: "ext",                     target: "program" },
  { prefix: "struct_ops",              type: "struct_ops",              target: "struct" },
  { prefix: "syscall",                 type: "syscall" },
  { prefix: "kprobe",                  type: "kprobe" },
  { prefix: "kretprobe",               type: "kprobe" },
  { prefix: "ksyscall",                type: "kprobe" },
  { prefix: "kretsyscall",             type: "kprobe" },
  { prefix: "uprobe",                  type: "kprobe" },
  { prefix: "uretprobe",               type: "kprobe" },
  { prefix: "usdt",                    type: "kprobe" },
  { prefix: "kprobe.multi",            type: "kprobe",                  attach: 42 },
  { prefix: "kretprobe.multi",         type: "kprobe",                  attach: 42 },
  { prefix: "perf_event",              type: "perf_event" },
  { prefix: "cgroup_skb/ingress",      type: "cgroup_skb",              attach: 0 },
  { prefix: "cgroup_skb/egress",       type: "cgroup_skb",              attach: 1 },
  { prefix: "cgroup/skb",              type: "cgroup_skb" },
  { prefix: "cgroup/sock",             type: "cgroup_sock",             attach: 2 },
  { prefix: "cgroup/sock_create",      type: "cgroup_sock",             attach: 2 },
  { prefix: "cgroup/sock_release",     type: "cgroup_sock",             attach: 34 },
  { prefix: "cgroup/post_bind4",       type: "cgroup_sock",             attach: 12 },
  { prefix: "cgroup/post_bind6",       type: "cgroup_sock",             attach: 13 },
  { prefix: "cgroup/bind4",            type: "cgroup_sock_addr",        attach: 8 },
  { prefix: "cgroup/bind6",            type: "cgroup_sock_addr",        attach: 9 },
  { prefix: "cgroup/connect4",         type: "cgroup_sock_addr",        attach: 10 },
  { prefix: "cgroup/connect6",         type: "cgroup_sock_addr",        attach: 11 },
  { prefix: "cgroup/sendmsg4",         type: "cgroup_sock_addr",        attach: 14 },
  { prefix: "cgroup/sendmsg6",         type: "cgroup_sock_addr",        attach: 15 },
  { prefix: "cgroup/recvmsg4",         type: "cgroup_sock_addr",        attach: 19 },
  { prefix: "cgroup/recvmsg6",         type: "cgroup_sock_addr",        attach: 20 },
  { prefix: "cgroup/getpeername4",     type: "cgroup_sock_addr",        attach: 29 },
  { prefix: "cgroup/getpeername6",     type: "cgroup_sock_addr",        attach: 30 },
  { prefix: "cgroup/getsockname4",     type: "cgroup_sock_addr",        attach: 31 },
  { prefix: "cgroup/getsockname6",     type: "cgroup_sock_addr",        attach: 32 },
  { prefix: "cgroup/dev",              type: "cgroup_device",           attach: 6 },
  { prefix: "cgroup/sysctl",           type: "cgroup_sysctl",           attach: 18 },
  { prefix: "cgroup/getsockopt",       type: "cgroup_sockopt",          attach: 21 },
  { prefix: "cgroup/setsockopt",       type: "cgroup_sockopt",          attach: 22 },
  { prefix: "sockops",                 type: "sock_ops",                attach: 3 },
  { prefix: "sk_skb",                  type: "sk_skb" },
  { prefix: "sk_skb/stream_parser",    type: "sk_skb",                  attach: 4 },
  { prefix: "sk_skb/stream_verdict",   type: "sk_skb",                  attach: 5 },
  { prefix: "sk_skb/verdict",          type: "sk_skb",                  attach: 38 },
  { prefix: "sk_msg",                  type: "sk_msg",                  attach: 7 },
  { prefix: "sk_lookup",               type: "sk_lookup",               attach: 36 },
  { prefix: "sk_reuseport",            type: "sk_reuseport",            attach: 39 },
  { prefix: "sk_reuseport/migrate",    type: "sk_reuseport",            attach: 40 },
  { prefix: "lwt_in",                  type: "lwt_in" },
  { prefix: "lwt_out",                 type: "lwt_out" },
  { prefix: "lwt_xmit",                type: "lwt_xmit" },
  { prefix: "lwt_seg6local",           type: "lwt_seg6local" },
  { prefix: "flow_dissector",          type: "flow_dissector",          attach: 17 },
  { prefix: "lirc_mode2",              type: "lirc_mode2",              attach: 16 },
  { prefix: "netfilter",               type: "netfilter",               attach: 45 },
];

/** The row that speaks of a section; undefined where its name tells nothing. */
export function sectionRow(section: string): SectionRow | undefined {
  const name = section.startsWith("?") ? section.slice(1) : section;
  let best: SectionRow | undefined;
  for (const row of sectionTable)
    if (
      row.prefix.length > (best?.prefix.length ?? 0) &&
      name.startsWith(row.prefix) &&
      !/^[a-z]/i.test(name.slice(row.prefix.length))
    )
      best = row;
  return best;
}

/** Sections of a program type, libbpf's names. */
export function sectionsOf(type: ProgramTypeName): readonly string[] {
  return sectionTable
    .filter((row) => row.type === type)
    .map(({ prefix }) => prefix);
}

/** `?xdp`: the object's author loads it only in some cases. */
export function isOptional(section: string): boolean {
  return section.startsWith("?");
}

/** `fentry.s/x`, `lsm.s/x`, `syscall`: may sleep. */
export function isSleepable(section: string): boolean {
  return /^\??(?:\w+\.s(?:\/|$)|syscall\b)/.test(section);
}
