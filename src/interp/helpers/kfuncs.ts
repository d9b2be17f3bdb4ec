/**
 * Kernel functions that the machine has: iterators (kernel/bpf/bpf_iter.c), resilient
 * locks (kernel/bpf/rqspinlock.c), metadata of drivers (net/core/xdp.c), dynptrs. Conntrack is an empty table: a lookup finds
 * nothing and says ENOENT in its options (net/netfilter/nf_conntrack_bpf.c,
 * `struct bpf_ct_opts`: the error is at byte 4).
 */
import { errno } from "../errno.ts";
import { dynptrKfuncs } from "./dynptr.ts";
import { fault } from "../fault.ts";
import type { HelperFunction } from "../host.ts";

/** BPF_MAX_LOOPS. */
const mostLoops = 8 * 1024 * 1024;

const lookupConnection: HelperFunction = (host) => {
  const options = host.bytes(4, host.args.low(5), true);
  if (options.length >= 8)
    new DataView(options.buffer, options.byteOffset).setInt32(
      4,
      -errno.ENOENT,
      true,
    );
  return 0;
};

/** A lock that this run holds already is a deadlock of the kind AA, and told. */
const lock: HelperFunction = ({ memory, args }) => {
  memory.locate(args.address(1), 4, true);
  const { view } = memory.chunk;
  if (view.getUint32(memory.at, true) === 1) return -errno.EDEADLK;
  view.setUint32(memory.at, 1, true);
  return 0;
};

const unlock: HelperFunction = ({ memory, args }) => {
  memory.locate(args.address(1), 4, true);
  const { view } = memory.chunk;
  if (view.getUint32(memory.at, true) === 0) fault("lock is not held");
  view.setUint32(memory.at, 0, true);
  return 0;
};

/** `struct bpf_iter_num`: the current number, then the end; both 32 bits, signed. */
const iteratorNew: HelperFunction = ({ memory, args }) => {
  memory.locate(args.address(1), 8, true);
  const { chunk, at } = memory;
  const [start, end] = [args.int(2), args.int(3)];
  const error =
    start > end ? errno.EINVAL : end - start > mostLoops ? errno.E2BIG : 0;
  chunk.view.setInt32(at, error === 0 ? start - 1 : 0, true);
  chunk.view.setInt32(at + 4, error === 0 ? end : 0, true);
  return -error;
};

/** Address of the number, which is in the iterator; 0 at the end. */
const iteratorNext: HelperFunction = ({ memory, args }) => {
  memory.locate(args.address(1), 8, true);
  const { chunk, at } = memory;
  const next = chunk.view.getInt32(at, true) + 1;
  if (next >= chunk.view.getInt32(at + 4, true)) {
    chunk.bytes.fill(0, at, at + 8);
    return 0;
  }
  chunk.view.setInt32(at, next, true);
  return args.address(1);
};

const iteratorDestroy: HelperFunction = ({ memory, args }) => {
  memory.locate(args.address(1), 8, true);
  memory.chunk.bytes.fill(0, memory.at, memory.at + 8);
  return 0;
};

/** No driver here fills them in. */
const noMetadata: HelperFunction = () => -errno.EOPNOTSUPP;

const nothing: HelperFunction = () => 0;

export const kfuncFunctions: ReadonlyMap<string, HelperFunction> = new Map(
  Object.entries({
    bpf_xdp_ct_lookup: lookupConnection,
    bpf_skb_ct_lookup: lookupConnection,
    bpf_ct_release: nothing,
    ...dynptrKfuncs,
    bpf_iter_num_new: iteratorNew,
    bpf_iter_num_next: iteratorNext,
    bpf_iter_num_destroy: iteratorDestroy,
    bpf_xdp_metadata_rx_timestamp: noMetadata,
    bpf_xdp_metadata_rx_hash: noMetadata,
    bpf_xdp_metadata_rx_vlan_tag: noMetadata,
    bpf_res_spin_lock: lock,
    bpf_res_spin_unlock: unlock,
    bpf_preempt_disable: nothing,
    bpf_preempt_enable: nothing,
    bpf_rcu_read_lock: nothing,
    bpf_rcu_read_unlock: nothing,
  }),
);
