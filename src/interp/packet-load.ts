/**
 * LD_ABS and LD_IND: a load from the packet in network order, the result in host
 * order. Outside the packet the program returns 0 (kernel: bpf_skb_load_helper_*).
 * Negative offsets reach link and network header (SKF_LL_OFF, SKF_NET_OFF).
 */
import type { Executor } from "./code.ts";
import { returned, type Step } from "./word-steps.ts";

const networkOffset = -0x100000;
const linkOffset = -0x200000;
const ethernetHeader = 14;

export function packetLoadStep(
  machine: Executor,
  load: {
    readonly size: 1 | 2 | 4;
    readonly index?: number;
    readonly imm: number;
  },
  { result, next }: { readonly result: number; readonly next: number },
): Step {
  const { size, index, imm } = load;
  return (frame) => {
    const moving = index === undefined ? 0 : frame.getInt32(8 * index, true);
    const offset = fromStart((imm + moving) | 0);
    if (offset < 0 || offset + size > machine.frame.length) {
      frame.setBigUint64(0, 0n, true);
      return returned;
    }
    let value = 0;
    for (const byte of machine.frame.bytes(offset, size))
      value = value * 256 + byte;
    frame.setUint32(8 * result, value, true);
    frame.setUint32(8 * result + 4, 0, true);
    return next;
  };
}

function fromStart(offset: number): number {
  if (offset >= 0) return offset;
  if (offset >= networkOffset) return offset - networkOffset + ethernetHeader;
  return offset - linkOffset;
}
