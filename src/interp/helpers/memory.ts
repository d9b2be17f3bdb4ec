/**
 * Helpers that copy or compare memory. A bad address given to probe_read is no fault:
 * the destination is zeroed and the answer is EFAULT (kernel/trace/bpf_trace.c).
 */
import { errno } from "../errno.ts";
import { Fault } from "../fault.ts";
import { formatText } from "../format.ts";
import { readable, type HelperFunction } from "../host.ts";
import { wordsOf } from "./events.ts";

const probeRead: HelperFunction = (host) => {
  const size = host.args.low(2);
  const target = host.bytes(1, size, true);
  try {
    target.set(host.bytes(3, size));
    return 0;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    target.fill(0);
    return -errno.EFAULT;
  }
};

/** Answers the length with its NUL. */
const probeReadText: HelperFunction = (host) => {
  const size = host.args.low(2);
  const target = host.bytes(1, size, true);
  const address = host.args.address(3);
  if (size === 0) return 0;
  let length = 0;
  try {
    while (length < size - 1) {
      const byte = host.memory.bytes(address + length, 1)[0] ?? 0;
      if (byte === 0) break;
      target[length++] = byte;
    }
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    target.fill(0);
    return -errno.EFAULT;
  }
  target[length] = 0;
  return length + 1;
};

const compareText: HelperFunction = (host) => {
  const size = host.args.low(2);
  const left = host.bytes(1, size);
  const right = host.args.address(3);
  for (let index = 0; index < size; index++) {
    const a = left[index] ?? 0;
    const b = host.memory.bytes(right + index, 1)[0] ?? 0;
    if (a !== b) return a < b ? -1 : 1;
    if (a === 0) break;
  }
  return 0;
};

const snprintf: HelperFunction = (host) => {
  const size = host.args.low(2);
  const dataSize = host.args.low(5);
  if ((dataSize & 7) !== 0 || dataSize > 96) return -errno.EINVAL;
  const formatAt = host.args.address(3);
  const bytes: number[] = [];
  for (let byte = -1; byte !== 0 && bytes.length < 4096; bytes.push(byte))
    byte = host.memory.bytes(formatAt + bytes.length, 1)[0] ?? 0;
  const args = dataSize === 0 ? [] : wordsOf(host.bytes(4, dataSize));
  const text = formatText(readable(host), Uint8Array.from(bytes), args);
  if (typeof text === "number") return text;
  if (size > 0) {
    const target = host.bytes(1, size, true);
    const kept = text.subarray(0, size - 1);
    target.set(kept);
    target[kept.length] = 0;
  }
  return text.length + 1;
};

function parseNumber(signed: boolean): HelperFunction {
  return (host) => {
    const size = host.args.low(2);
    const bytes = host.bytes(1, size);
    const flags = host.args.word(3);
    const text = String.fromCharCode(...bytes.subarray(0, 64));
    const base = Number(flags & 31n);
    if ((flags & ~31n) !== 0n || ![0, 8, 10, 16].includes(base))
      return -errno.EINVAL;
    const match = /^(\s*)(-?)(0[xX]|0)?([0-9a-fA-F]*)/.exec(text);
    if (match === null) return -errno.EINVAL;
    const [, space = "", minus = "", prefix = "", tail = ""] = match;
    if (minus !== "" && !signed) return -errno.EINVAL;
    const implied = prefix === "" ? 10 : prefix.length === 2 ? 16 : 8;
    const radix = base === 0 ? implied : base;
    const allowed =
      radix === 16 ? /^[\da-f]*/i : radix === 8 ? /^[0-7]*/ : /^\d*/;
    const hexPrefix = prefix.length === 2 && radix === 16 ? prefix : "";
    const rest = hexPrefix === "" ? prefix.slice(0, 1) + tail : tail;
    const digits = allowed.exec(rest)?.[0] ?? "";
    if (digits === "") return -errno.EINVAL;
    const letter = { 8: "0o", 10: "", 16: "0x" }[radix] ?? "";
    const value = BigInt(letter + digits) * (minus === "" ? 1n : -1n);
    const bound = signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value);
    if (bound !== value) return -errno.ERANGE;
    const target = host.bytes(4, 8, true);
    new DataView(target.buffer, target.byteOffset, 8).setBigUint64(
      0,
      BigInt.asUintN(64, value),
      true,
    );
    return space.length + minus.length + hexPrefix.length + digits.length;
  };
}

export const memoryHelpers: Readonly<Record<string, HelperFunction>> = {
  probe_read: probeRead,
  probe_read_kernel: probeRead,
  probe_read_user: probeRead,
  probe_read_str: probeReadText,
  probe_read_kernel_str: probeReadText,
  probe_read_user_str: probeReadText,
  strncmp: compareText,
  snprintf,
  strtol: parseNumber(true),
  strtoul: parseNumber(false),
};
