/**
 * Kernel functions (kfuncs) that packet programs use: iterators, dynptrs,
 * queued spin locks, receive metadata, connection tracking. They have names and
 * no numbers; the words are those of the helper table, and besides:
 *
 *   iter:N iter-out:N  an iterator of N bytes on the stack, started / fresh
 *
 * A kfunc that is not here is not described; a consumer must refuse the call.
 *
 * Source: kernel/bpf/helpers.c, kernel/bpf/rqspinlock.c, net/core/xdp.c,
 * net/core/filter.c, net/netfilter/nf_conntrack_bpf.c.
 */
type Row = readonly [name: string, args: string, result: string, tags: string];

// prettier-ignore
export const kfuncRows: readonly Row[] = [
  ["bpf_iter_num_new", "iter-out:8 num num", "err", ""],
  ["bpf_iter_num_next", "iter:8", "memory?", ""],
  ["bpf_iter_num_destroy", "iter:8", "void", ""],
  ["bpf_dynptr_from_xdp", "ctx num dynptr-out", "err", "packet"],
  ["bpf_dynptr_from_skb", "ctx num dynptr-out", "err", "packet"],
  ["bpf_dynptr_slice", "dynptr num out? size", "memory?", "packet"],
  ["bpf_dynptr_slice_rdwr", "dynptr num out? size", "memory?", "packet"],
  ["bpf_dynptr_adjust", "dynptr num num", "err", ""],
  ["bpf_dynptr_is_null", "dynptr", "num", ""],
  ["bpf_dynptr_is_rdonly", "dynptr", "num", ""],
  ["bpf_dynptr_size", "dynptr", "num", ""],
  ["bpf_dynptr_clone", "dynptr dynptr-out", "err", ""],
  ["bpf_res_spin_lock", "lock", "err", "lock"],
  ["bpf_res_spin_unlock", "lock", "void", "lock"],
  ["bpf_preempt_disable", "", "void", "lock"],
  ["bpf_preempt_enable", "", "void", "lock"],
  ["bpf_rcu_read_lock", "", "void", "lock"],
  ["bpf_rcu_read_unlock", "", "void", "lock"],
  ["bpf_xdp_metadata_rx_timestamp", "ctx out:8", "err", "packet time"],
  ["bpf_xdp_metadata_rx_hash", "ctx out:4 out:4", "err", "packet"],
  ["bpf_xdp_metadata_rx_vlan_tag", "ctx out:2 out:2", "err", "packet"],
  ["bpf_xdp_ct_lookup", "ctx in size inout size", "object?", "kernel"],
  ["bpf_xdp_ct_alloc", "ctx in size inout size", "object?", "kernel effect"],
  ["bpf_skb_ct_lookup", "ctx in size inout size", "object?", "kernel"],
  ["bpf_skb_ct_alloc", "ctx in size inout size", "object?", "kernel effect"],
  ["bpf_ct_insert_entry", "object", "object?", "effect"],
  ["bpf_ct_release", "object", "void", "effect"],
  ["bpf_ct_set_timeout", "object num", "void", "effect"],
  ["bpf_ct_change_timeout", "object num", "err", "effect"],
  ["bpf_ct_set_status", "object num", "err", "effect"],
  ["bpf_ct_change_status", "object num", "err", "effect"],
];
