/**
 * Kernel functions that the machine has. Conntrack is an empty table: a lookup finds
 * nothing and says ENOENT in its options (net/netfilter/nf_conntrack_bpf.c,
 * `struct bpf_ct_opts`: the error is at byte 4).
 */
import { errno } from "../errno.ts";
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

export const kfuncFunctions: ReadonlyMap<string, HelperFunction> = new Map(
  Object.entries({
    bpf_xdp_ct_lookup: lookupConnection,
    bpf_skb_ct_lookup: lookupConnection,
    bpf_ct_release: () => 0,
  }),
);
