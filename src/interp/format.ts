/**
 * The kernel's format strings as BPF may use them: %d %i %u %x %X %o %c %s %p with
 * width, zero padding and l or ll, %pI4/%pi4, %pI6/%pi6, %%. Anything else is
 * EINVAL (kernel/bpf/helpers.c, bpf_bprintf_prepare). A pointer prints as its value;
 * the kernel would hash it.
 */
import { errno } from "./errno.ts";

/** Bytes at an address of the program's memory; undefined where it may not be read. */
export type ByteSource = (
  address: number,
  size: number,
) => Uint8Array | undefined;

const directive =
  /%(?:(%)|([-0]*)(\d*)(ll|l|)([diuxXoc])|([-0]*)(\d*)(s)|p([iI][46]|[KxsSB]?))/y;

/** The text without its NUL, or a negated error number. */
export function formatText(
  source: ByteSource,
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
      out += text[at++];
      continue;
    }
    directive.lastIndex = at;
    const match = directive.exec(text);
    if (match === null) return -errno.EINVAL;
    at += match[0].length;
    if (match[1] !== undefined) {
      out += "%";
      continue;
    }
    const word = args[used++];
    if (word === undefined) return -errno.EINVAL;
    out += piece(source, match, word);
  }
  return Uint8Array.from(out, (character) => character.charCodeAt(0));
}

function piece(
  source: ByteSource,
  match: RegExpExecArray,
  word: bigint,
): string {
  const [
    ,
    ,
    flags,
    width,
    length,
    kind,
    textFlags,
    textWidth,
    isText,
    pointer,
  ] = match;
  if (kind !== undefined)
    return pad(number(kind, length ?? "", word), flags ?? "", width ?? "");
  if (isText !== undefined)
    return pad(
      readText(source, Number(word)),
      textFlags ?? "",
      textWidth ?? "",
    );
  return pointerText(source, pointer ?? "", word);
}

function number(kind: string, length: string, word: bigint): string {
  const bits = length === "" ? 32 : 64;
  switch (kind) {
    case "d":
    case "i":
      return BigInt.asIntN(bits, word).toString();
    case "c":
      return String.fromCharCode(Number(BigInt.asUintN(8, word)));
    case "u":
      return BigInt.asUintN(bits, word).toString();
    case "o":
      return BigInt.asUintN(bits, word).toString(8);
    case "X":
      return BigInt.asUintN(bits, word).toString(16).toUpperCase();
    default:
      return BigInt.asUintN(bits, word).toString(16);
  }
}

function pad(text: string, flags: string, width: string): string {
  const size = Math.min(Number(width), 512);
  if (flags.includes("-")) return text.padEnd(size);
  return text.padStart(size, flags.includes("0") ? "0" : " ");
}

/** A NUL-terminated string, or what the kernel prints for a bad pointer. */
function readText(source: ByteSource, address: number): string {
  let text = "";
  for (let index = 0; index < 512; index++) {
    const byte = source(address + index, 1)?.[0] ?? 0;
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

function pointerText(source: ByteSource, kind: string, word: bigint): string {
  if (!/^[iI]/.test(kind)) return word.toString(16).padStart(16, "0");
  const size = kind.endsWith("4") ? 4 : 16;
  const bytes = source(Number(word), size);
  if (bytes === undefined) return "";
  if (size === 4) return bytes.join(".");
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0"));
  const groups = hex.flatMap((byte, index) =>
    index % 2 === 0 ? [byte + (hex[index + 1] ?? "")] : [],
  );
  return groups.join(kind.startsWith("I") ? ":" : "");
}
