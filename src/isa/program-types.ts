/**
 * Program types: what the context holds, what r0 means, by the names bpftool
 * prints. Number: kernel `enum bpf_prog_type`. Contexts: `struct xdp_md`,
 * `struct __sk_buff` (include/uapi/linux/bpf.h).
 *
 * Strategies exist for `xdp` only; every type here loads, lifts, lints and proves.
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
  /** ELF section prefixes, libbpf's names first. */
  readonly sections: readonly string[];
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

export const programTypes = {
  xdp: {
    number: 6,
    sections: ["xdp", "xdp.frags", "xdp/cpumap", "xdp/devmap"],
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
    sections: ["tc", "classifier", "tcx/ingress", "tcx/egress"],
    contextSize: 192,
    context: classifierContext,
    // prettier-ignore
    verdicts: { 0: "ok", 1: "reclassify", 2: "shot", 3: "pipe", 4: "stolen", 5: "queued", 6: "repeat", 7: "redirect", 8: "trap", 4294967295: "unspec" },
    packetAccess: "direct",
  },
  tracepoint: {
    number: 5,
    sections: ["tracepoint", "tp"],
    contextSize: 512,
    context: [],
    verdicts: {},
    packetAccess: "none",
  },
  socket_filter: {
    number: 1,
    sections: ["socket"],
    contextSize: 192,
    context: filterContext,
    verdicts: {},
    packetAccess: "legacy",
  },
} as const satisfies Record<string, ProgramTypeRow>;

export type ProgramTypeName = keyof typeof programTypes;

export function programTypeRow(name: ProgramTypeName): ProgramTypeRow {
  return programTypes[name];
}
