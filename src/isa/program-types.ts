/**
 * Program types: what the context holds, what r0 means, by the names bpftool
 * prints. Number: kernel `enum bpf_prog_type`. Contexts: `struct xdp_md`,
 * `struct __sk_buff` (include/uapi/linux/bpf.h).
 *
 * Strategies exist for `xdp` only; the types that are not `kernelOnly` also lift,
 * lint and prove. The others are loaded beside them: objects mix them.
 */
export type ContextFieldMeaning =
  | "packet"
  | "packet-end"
  | "packet-meta"
  | "ingress-ifindex"
  | "rx-queue"
  | "egress-ifindex"
  | "packet-length"
  | "protocol"
  | "scalar"
  | "socket";

export interface ContextField {
  readonly name: string;
  /** In bytes. */
  readonly offset: number;
  readonly size: number;
  readonly meaning: ContextFieldMeaning;
  readonly writable?: true;
}

export interface ProgramTypeRow {
  readonly number: number;
  /** First Linux release that has it. */
  readonly since: string;
  /** Its context leads into the kernel's memory: only the kernel runs it. */
  readonly kernelOnly?: true;
  /** Size in bytes and fields of what r1 points to at entry; tracepoints are plain memory. */
  readonly contextSize: number;
  readonly context: readonly ContextField[];
  /** Verdict names by value of r0; empty where r0 is a plain number. */
  readonly verdicts: Readonly<Record<number, string>>;
  /** Packet reached through data/data_end pointers, or by LD_ABS and helpers only. */
  readonly packetAccess: "direct" | "legacy" | "none";
}

const md = (
  name: string,
  offset: number,
  meaning: ContextFieldMeaning,
): ContextField => ({ name, offset, size: 4, meaning });

const skb = (
  name: string,
  offset: number,
  meaning: ContextFieldMeaning = "scalar",
  size = 4,
): ContextField => ({ name, offset, size, meaning });

// prettier-ignore
const skBuff: readonly ContextField[] = [
  skb("len", 0, "packet-length"), skb("pkt_type", 4), skb("mark", 8), skb("queue_mapping", 12),
  skb("protocol", 16, "protocol"), skb("vlan_present", 20), skb("vlan_tci", 24), skb("vlan_proto", 28),
  skb("priority", 32), skb("ingress_ifindex", 36, "ingress-ifindex"), skb("ifindex", 40, "egress-ifindex"),
  skb("tc_index", 44), skb("cb", 48, "scalar", 20), skb("hash", 68), skb("tc_classid", 72),
  skb("data", 76, "packet"), skb("data_end", 80, "packet-end"), skb("napi_id", 84),
  skb("family", 88), skb("remote_ip4", 92), skb("local_ip4", 96), skb("remote_ip6", 100, "scalar", 16),
  skb("local_ip6", 116, "scalar", 16), skb("remote_port", 132), skb("local_port", 136),
  skb("data_meta", 140, "packet-meta"), skb("flow_keys", 144, "scalar", 8), skb("tstamp", 152, "scalar", 8),
  skb("wire_len", 160), skb("gso_segs", 164), skb("sk", 168, "socket", 8), skb("gso_size", 176),
  skb("tstamp_type", 180, "scalar", 1), skb("hwtstamp", 184, "scalar", 8),
];

/** The fields of `struct __sk_buff` with those of that name writable. */
function writable(...names: readonly string[]): readonly ContextField[] {
  return skBuff.map((field) =>
    names.includes(field.name) ? { ...field, writable: true } : field,
  );
}

// tc_cls_act_is_valid_access and sk_filter_is_valid_access (net/core/filter.c).
// prettier-ignore
const classifierContext = writable("mark", "queue_mapping", "priority", "tc_index", "cb", "tc_classid", "tstamp");
const filterContext = writable("cb");

/** Plain memory in front, the kernel behind it. */
const kernelOnly = <Since extends string>(number: number, since: Since) =>
  ({
    number,
    since,
    kernelOnly: true,
    contextSize: 512,
    context: [],
    verdicts: {},
    packetAccess: "none",
  }) as const;

export const programTypes = {
  xdp: {
    number: 6,
    since: "4.8",
    contextSize: 24,
    // prettier-ignore
    context: [
      md("data", 0, "packet"), md("data_end", 4, "packet-end"), md("data_meta", 8, "packet-meta"),
      md("ingress_ifindex", 12, "ingress-ifindex"), md("rx_queue_index", 16, "rx-queue"),
      md("egress_ifindex", 20, "egress-ifindex"),
    ],
    verdicts: { 0: "aborted", 1: "drop", 2: "pass", 3: "tx", 4: "redirect" },
    packetAccess: "direct",
  },
  sched_cls: {
    number: 3,
    since: "4.1",
    contextSize: 192,
    context: classifierContext,
    // prettier-ignore
    verdicts: { 0: "ok", 1: "reclassify", 2: "shot", 3: "pipe", 4: "stolen", 5: "queued", 6: "repeat", 7: "redirect", 8: "trap", 4294967295: "unspec" },
    packetAccess: "direct",
  },
  tracepoint: {
    number: 5,
    since: "4.7",
    contextSize: 512,
    context: [],
    verdicts: {},
    packetAccess: "none",
  },
  socket_filter: {
    number: 1,
    since: "3.19",
    contextSize: 192,
    context: filterContext,
    verdicts: {},
    packetAccess: "legacy",
  },
  kprobe: kernelOnly(2, "4.1"),
  sched_act: kernelOnly(4, "4.1"),
  perf_event: kernelOnly(7, "4.9"),
  cgroup_skb: kernelOnly(8, "4.10"),
  cgroup_sock: kernelOnly(9, "4.10"),
  lwt_in: kernelOnly(10, "4.10"),
  lwt_out: kernelOnly(11, "4.10"),
  lwt_xmit: kernelOnly(12, "4.10"),
  sock_ops: kernelOnly(13, "4.13"),
  sk_skb: kernelOnly(14, "4.14"),
  cgroup_device: kernelOnly(15, "4.15"),
  sk_msg: kernelOnly(16, "4.17"),
  raw_tracepoint: kernelOnly(17, "4.17"),
  cgroup_sock_addr: kernelOnly(18, "4.17"),
  lwt_seg6local: kernelOnly(19, "4.18"),
  lirc_mode2: kernelOnly(20, "4.18"),
  sk_reuseport: kernelOnly(21, "4.19"),
  flow_dissector: kernelOnly(22, "4.20"),
  cgroup_sysctl: kernelOnly(23, "5.2"),
  raw_tracepoint_writable: kernelOnly(24, "5.2"),
  cgroup_sockopt: kernelOnly(25, "5.3"),
  tracing: kernelOnly(26, "5.5"),
  struct_ops: kernelOnly(27, "5.6"),
  ext: kernelOnly(28, "5.6"),
  lsm: kernelOnly(29, "5.7"),
  sk_lookup: kernelOnly(30, "5.9"),
  syscall: kernelOnly(31, "5.14"),
  netfilter: kernelOnly(32, "6.4"),
} as const satisfies Record<string, ProgramTypeRow>;

export type ProgramTypeName = keyof typeof programTypes;

export function programTypeRow(name: ProgramTypeName): ProgramTypeRow {
  return programTypes[name];
}
