/**
 * Kernel functions that the machine has. Conntrack is an empty table: a lookup finds
 * nothing and says ENOENT in its options (net/netfilter/nf_conntrack_bpf.c,
 * `struct bpf_ct_opts`: the error is at byte 4).
 */
import { errno } from "../errno.ts";
import { fault } from "../fault.ts";
import type { HelperFunction } from "../host.ts";

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

const nothing: HelperFunction = () => 0;

export const kfuncFunctions: ReadonlyMap<string, HelperFunction> = new Map(
  Object.entries({
    bpf_xdp_ct_lookup: lookupConnection,
    bpf_skb_ct_lookup: lookupConnection,
    bpf_ct_release: nothing,
    bpf_res_spin_lock: lock,
    bpf_res_spin_unlock: unlock,
    bpf_preempt_disable: nothing,
    bpf_preempt_enable: nothing,
    bpf_rcu_read_lock: nothing,
    bpf_rcu_read_unlock: nothing,
  }),
);
