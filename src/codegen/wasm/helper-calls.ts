/**
 * The helpers that the portable engine has, and how a call of each crosses from
 * the program to the engine: no 64-bit number is ever boxed on the way.
 *
 * Direct calls, for what packets do often: every argument becomes zero, one or two i32.
 *
 *   ctx     nothing; the engine knows the context
 *   map     nothing when known at translation; else the call is bridged
 *   key value   address of keySize or valueSize bytes, checked to be readable
 *   in out  address of as many bytes as the next argument says, checked; `?`: may be null
 *   size    the low 32 bits, or 2^32 − 1 if the number is larger; so flags too
 *   u32     the low 32 bits
 *   wide    low and high 32 bits
 *   lock    address of a lock
 *
 * Results: long = i32, sign-extended; u32 = zero-extended; pointer = address or 0;
 * wide = 64 bits in the result cell; void = 0.
 * `inline` calls are emitted by the translator and need no import.
 *
 * Bridged calls, for everything else: r1 … r5 are stored into cells, the result is
 * loaded from one, and the engine does what interp does, on linear memory.
 *
 * Source of numbers and arguments: include/uapi/linux/bpf.h.
 */
import {
  helperByName,
  helperByNumber,
  kfuncByName,
  type Callee,
  type FunctionSignature,
} from "../../isa/index.ts";

type Word =
  | "ctx"
  | "map"
  | "key"
  | "value"
  | "in"
  | "in?"
  | "out"
  | "size"
  | "u32"
  | "wide"
  | "lock"
  | "callback"
  | "any";

export interface HelperCall {
  readonly name: string;
  readonly args: readonly Word[];
  readonly result: "long" | "u32" | "pointer" | "wide" | "void";
  readonly inline: boolean;
  /** Through cells; `args` then tells no more than where maps and callbacks are. */
  readonly bridged: boolean;
  /** Bridged: how many of r1 … r5 go across. */
  readonly count: number;
  /** data, data_end or data_meta may change. */
  readonly movesPacket: boolean;
}

// prettier-ignore
const rows: readonly (readonly [string, string, HelperCall["result"], string?])[] = [
  ["map_lookup_elem", "map key", "pointer"],
  ["map_update_elem", "map key value size", "long"],
  ["map_delete_elem", "map key", "long"],
  ["ktime_get_ns", "", "wide", "inline"],
  ["get_prandom_u32", "", "u32"],
  ["get_smp_processor_id", "", "u32", "inline"],
  ["tail_call", "ctx map u32", "void", "inline"],
  ["redirect", "u32 wide", "long"],
  ["csum_diff", "in? size in? size u32", "wide"],
  ["get_numa_node_id", "", "u32", "inline"],
  ["xdp_adjust_head", "ctx u32", "long", "moves"],
  ["redirect_map", "map u32 wide", "long"],
  ["xdp_adjust_meta", "ctx u32", "long", "moves"],
  ["xdp_adjust_tail", "ctx u32", "long", "moves"],
  ["spin_lock", "lock", "long", "inline"],
  ["spin_unlock", "lock", "long", "inline"],
  ["bpf_res_spin_lock", "lock", "long", "inline"],
  ["bpf_res_spin_unlock", "lock", "long", "inline"],
  ["bpf_preempt_disable", "", "void", "inline"],
  ["bpf_preempt_enable", "", "void", "inline"],
  ["bpf_rcu_read_lock", "", "void", "inline"],
  ["bpf_rcu_read_unlock", "", "void", "inline"],
  ["jiffies64", "", "wide", "inline"],
  ["ktime_get_boot_ns", "", "wide", "inline"],
  ["ktime_get_coarse_ns", "", "wide", "inline"],
  ["loop", "u32 callback any size", "long", "inline"],
  ["xdp_get_buff_len", "ctx", "u32"],
  ["xdp_load_bytes", "ctx size out size", "long"],
  ["xdp_store_bytes", "ctx size in size", "long"],
  ["ktime_get_tai_ns", "", "wide", "inline"],
];

/** Bridged, by name; the isa tables know numbers and arguments. */
const bridgedHelpers: readonly string[] = `
  map_push_elem map_pop_elem map_peek_elem map_lookup_percpu_elem for_each_map_elem
  probe_read probe_read_user probe_read_kernel probe_read_str probe_read_user_str probe_read_kernel_str
  trace_printk trace_vprintk snprintf strncmp strtol strtoul
  perf_event_output skb_output xdp_output ringbuf_output ringbuf_reserve ringbuf_submit ringbuf_discard ringbuf_query
  fib_lookup check_mtu redirect_neigh redirect_peer
  tcp_raw_gen_syncookie_ipv4 tcp_raw_gen_syncookie_ipv6 tcp_raw_check_syncookie_ipv4 tcp_raw_check_syncookie_ipv6
  get_current_pid_tgid get_current_uid_gid get_current_comm get_current_cgroup_id get_cgroup_classid get_route_realm
  get_netns_cookie get_socket_cookie get_socket_uid sk_lookup_tcp sk_lookup_udp skc_lookup_tcp sk_release get_stackid
  skb_load_bytes skb_load_bytes_relative skb_store_bytes l3_csum_replace l4_csum_replace skb_pull_data clone_redirect
  get_hash_recalc set_hash_invalid set_hash skb_vlan_push skb_vlan_pop skb_change_tail skb_change_head skb_change_type
  skb_change_proto skb_ecn_set_ce skb_set_tstamp skb_cgroup_id skb_ancestor_cgroup_id skb_cgroup_classid skb_under_cgroup
  sk_fullsock tcp_sock get_listener_sock tcp_check_syncookie tcp_gen_syncookie sk_assign sk_cgroup_id
  skc_to_tcp6_sock skc_to_tcp_sock skc_to_tcp_timewait_sock skc_to_tcp_request_sock skc_to_udp6_sock skb_get_xfrm_state
  sk_ancestor_cgroup_id sk_storage_get sk_storage_delete
  dynptr_from_mem dynptr_read dynptr_write dynptr_data ringbuf_reserve_dynptr ringbuf_submit_dynptr ringbuf_discard_dynptr
  timer_init timer_set_callback timer_start timer_cancel
  skb_adjust_room skb_get_tunnel_key skb_get_tunnel_opt skb_set_tunnel_key skb_set_tunnel_opt csum_update csum_level
`
  .trim()
  .split(/\s+/);

const bridgedKfuncs: readonly string[] = `
  bpf_xdp_ct_lookup bpf_skb_ct_lookup bpf_ct_release
  bpf_iter_num_new bpf_iter_num_next bpf_iter_num_destroy
  bpf_dynptr_from_xdp bpf_dynptr_from_skb bpf_dynptr_slice bpf_dynptr_slice_rdwr bpf_dynptr_adjust
  bpf_dynptr_is_null bpf_dynptr_is_rdonly bpf_dynptr_size bpf_dynptr_clone
  bpf_xdp_metadata_rx_timestamp bpf_xdp_metadata_rx_hash bpf_xdp_metadata_rx_vlan_tag
`
  .trim()
  .split(/\s+/);

const direct = new Map(
  rows.map(([name, args, result, tag]): [string, HelperCall] => [
    name,
    {
      name,
      args: args === "" ? [] : (args.split(" ") as Word[]),
      result,
      inline: tag === "inline",
      bridged: false,
      count: 0,
      movesPacket: tag === "moves",
    },
  ]),
);

const bridged = new Map(
  [
    ...bridgedHelpers.map((name) => helperByName(name)),
    ...bridgedKfuncs.map((name) => kfuncByName(name)),
  ].flatMap((signature): [string, HelperCall][] =>
    signature === undefined ? [] : [[signature.name, bridgeTo(signature)]],
  ),
);

function bridgeTo({
  name,
  args = Array.from({ length: 5 }, () => ({ kind: "number" }) as const),
  invalidatesPacket,
}: FunctionSignature): HelperCall {
  return {
    name,
    // Timers never fire: their callbacks are never called.
    args: args.map(({ kind }): Word =>
      kind === "map" || (kind === "callback" && name !== "timer_set_callback")
        ? kind
        : "any",
    ),
    result: "wide",
    inline: false,
    bridged: true,
    count: args.length,
    movesPacket: invalidatesPacket,
  };
}

/** What a call of a helper or kernel function compiles to; undefined: nothing does. */
export function calledHelper(callee: Callee): HelperCall | undefined {
  if (callee.kind === "kfunc")
    return direct.get(callee.name) ?? bridged.get(callee.name);
  if (callee.kind !== "helper") return undefined;
  const name = helperByNumber(callee.helper)?.name ?? "";
  return direct.get(name) ?? bridged.get(name);
}

/** The direct call of that name, as imports of a module spell it. */
export function directCall(name: string): HelperCall | undefined {
  return direct.get(name);
}

/** The same call through cells, for what a direct one cannot do. */
export function bridgeOf({ name }: HelperCall): HelperCall | undefined {
  const signature = helperByName(name);
  return bridged.get(name) ?? (signature && bridgeTo(signature));
}

/** How a call compiles: in place, to a call of the engine, or through cells. */
export type CallForm = "in place" | "direct" | "bridged";

/** Everything that compiles, by name: for the reference page and tests. */
export const portableHelpers: ReadonlyMap<string, CallForm> = new Map(
  [...bridged, ...direct].map(([name, { inline, bridged: isBridged }]) => [
    name,
    inline ? "in place" : isBridged ? "bridged" : "direct",
  ]),
);
