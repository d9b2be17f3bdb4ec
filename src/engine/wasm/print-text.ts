/**
 * bpf_trace_printk's format strings: %d %i %u %x %X %o %c with width, padding and
 * l or ll, %s, %p, %pI4, %pI6. Anything else is EINVAL, as in bpf_bprintf_prepare
 * (kernel/trace/bpf_trace.c). Strings are read from linear memory only.
 */
import { errno, type MemoryView } from "./memory-view.ts";

const directive =
  /%(?:(%)|([-0]*)(\d*)(ll|l|)([diuxXoc])|([-0]*)(\d*)(s)|p([iI][46]|[KxsSB]?))/y;

/** The text without its NUL, or a negated error number. */
export function printText(
  memory: MemoryView,
  format: Uint8Array,
  args: readonly bigint[],
): Uint8Array | number {
  const end = format.indexOf(0);
  if (end < 0) return -errno.EINVAL;
  const text = String.fromCharCode(...format.subarray(0, end));
  let out = "";
  let used = 0;
  for (let at = 0; at < text.length;) {
    if (text[at] !== "%") {
      out += text[at++] ?? "";
      continue;
    }
    directive.lastIndex = at;
    const match = directive.exec(text);
    if (match === null) return -errno.EINVAL;
    at += match[0].length;
    if (match[1] === "%") {
      out += "%";
      continue;
    }
    const word = args[used++];
    if (word === undefined) return -errno.EINVAL;
    out += piece(memory, match, word);
  }
  return Uint8Array.from(out, (character) => character.charCodeAt(0));
}

function piece(
  memory: MemoryView,
  match: RegExpExecArray,
  word: bigint,
): string {
  const [, , flags = "", width = "", length, kind] = match;
  if (kind !== undefined) {
    const bits = length === "" ? 32 : 64;
    return pad(numberText(kind, bits, word), flags, width);
  }
  const [textFlags = "", textWidth = "", isText, pointer = ""] = match.slice(6);
  const address = Number(BigInt.asUintN(32, word));
  if (isText !== undefined)
    return pad(stringAt(memory, address), textFlags, textWidth);
  if (!/^[iI]/.test(pointer)) return word.toString(16).padStart(16, "0");
  const bytes = memory.copy(address, pointer.endsWith("4") ? 4 : 16);
  if (bytes.length === 4) return bytes.join(".");
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"));
  const groups = hex.flatMap((byte, index) =>
    index % 2 === 0 ? [byte + (hex[index + 1] ?? "")] : [],
  );
  return groups.join(pointer.startsWith("I") ? ":" : "");
}

function numberText(kind: string, bits: number, word: bigint): string {
  const value = BigInt.asUintN(bits, word);
  switch (kind) {
    case "d":
    case "i":
      return BigInt.asIntN(bits, word).toString();
    case "c":
      return String.fromCharCode(Number(value & 0xffn));
    case "u":
      return value.toString();
    case "o":
      return value.toString(8);
    case "X":
      return value.toString(16).toUpperCase();
    default:
      return value.toString(16);
  }
}

function pad(text: string, flags: string, width: string): string {
  const size = Math.min(Number(width), 512);
  if (flags.includes("-")) return text.padEnd(size);
  return text.padStart(size, flags.includes("0") ? "0" : " ");
}

function stringAt(memory: MemoryView, address: number): string {
  let text = "";
  for (let index = 0; index < 512; index++) {
    const byte = memory.bytes[address + index] ?? 0;
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}
