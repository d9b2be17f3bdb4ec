/**
 * LD_ABS and LD_IND: a load from the packet in network order. Outside the packet the
 * function returns 0. Negative offsets reach the network header (from SKF_NET_OFF) and
 * the link header (from SKF_LL_OFF).
 *
 * Source: bpf_skb_load_helper_8 … 32 in net/core/filter.c, include/uapi/linux/filter.h.
 */
import type { Instruction, Register } from "../../isa/index.ts";
import { local } from "./access.ts";
import { writeEndian } from "./alu.ts";
import type { ContextLayout } from "./context-layout.ts";
import { op, type Code } from "./encoder.ts";

const networkOffset = -0x100000;
const linkOffset = -0x200000;
const ethernetHeader = 14;
const loads = { 1: op.i64Load8U, 2: op.i64Load16U, 4: op.i64Load32U } as const;

/** Leaves the i64 value on the stack, or has returned. */
export function writePacketLoad(
  code: Code,
  load: Instruction & { readonly kind: "load-packet" },
  { data, dataEnd }: ContextLayout,
  push: (register: Register) => void,
): void {
  const { size, index, imm } = load;
  if (index === undefined) code.i32Const(fromStart(imm)).set(local.narrow);
  else {
    push(index);
    code.byte(op.i32WrapI64).i32Const(imm).byte(op.i32Add).tee(local.narrow);
    code.i32Const(0).byte(op.i32LtS).if();
    code.get(local.narrow).i32Const(-linkOffset).byte(op.i32Add);
    code.get(local.narrow);
    code.i32Const(ethernetHeader - networkOffset).byte(op.i32Add);
    code.get(local.narrow).i32Const(networkOffset).byte(op.i32LtS);
    code.byte(op.select).set(local.narrow).end();
  }
  // A negative offset is a large one here.
  code.get(local.narrow).byte(op.i64ExtendI32U).i64Const(size).byte(op.i64Add);
  code.i32Const(0).memory(op.i64Load32U, dataEnd);
  code.i32Const(0).memory(op.i64Load32U, data).ops(op.i64Sub, op.i64GtU);
  code.if().i64Const(0).byte(op.return).end();
  code.get(local.narrow).i32Const(0).memory(op.i32Load, data);
  code.byte(op.i32Add).memory(loads[size], 0);
  if (size > 1) writeEndian(code, size === 2 ? "be16" : "be32");
}

function fromStart(offset: number): number {
  if (offset >= 0) return offset;
  if (offset >= networkOffset) return offset - networkOffset + ethernetHeader;
  return offset - linkOffset;
}
