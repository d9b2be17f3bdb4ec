/**
 * Addresses as text and as numbers: MAC `02:00:00:00:00:01`, IPv4 `10.0.0.1`,
 * IPv6 `2001:db8::1` (RFC 5952 for printing), prefixes `10.0.0.0/8`.
 */
import { InputError, printable } from "../base/index.ts";

export function parseMac(text: string): bigint {
  if (!/^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$/.test(text))
    throw malformed(text, "a MAC address like 02:00:00:00:00:01");
  return BigInt(`0x${text.replace(/[:-]/g, "")}`);
}

export function printMac(value: bigint): string {
  return value
    .toString(16)
    .padStart(12, "0")
    .replace(/..(?=.)/g, "$&:");
}

export function parseIpv4(text: string): bigint {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  const bytes = parts?.slice(1).map(Number) ?? [];
  if (bytes.length !== 4 || bytes.some((byte) => byte > 255))
    throw malformed(text, "an IPv4 address like 10.0.0.1");
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

export function printIpv4(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((by) => (value >> by) & 0xffn).join(".");
}

export function parseIpv6(text: string): bigint {
  const wanted = "an IPv6 address like 2001:db8::1";
  if (text.length > 45) throw malformed(text, wanted);
  // A dotted tail counts as two groups.
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  let plain = text;
  if (dotted !== null) {
    const tail = parseIpv4(dotted[2] ?? "");
    plain = `${dotted[1]}${(tail >> 16n).toString(16)}:${(tail & 0xffffn).toString(16)}`;
  }
  const halves = plain.split("::");
  const groups = (half: string): readonly string[] =>
    half === "" ? [] : half.split(":");
  const head = groups(halves[0] ?? "");
  const tail = groups(halves[1] ?? "");
  const gap = 8 - head.length - tail.length;
  const all = [...head, ...Array<string>(Math.max(0, gap)).fill("0"), ...tail];
  const fits =
    halves.length === 2 ? gap >= 1 : halves.length === 1 && gap === 0;
  if (!fits || all.some((group) => !/^[0-9a-fA-F]{1,4}$/.test(group)))
    throw malformed(text, wanted);
  return all.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

export function printIpv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) =>
    Number((value >> BigInt(112 - 16 * index)) & 0xffffn),
  );
  // The longest run of two or more zero groups, the first of equals.
  let best = { at: 0, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (at + length < 8 && groups[at + length] === 0) length++;
    if (length > best.length) best = { at, length };
  }
  const hex = (part: readonly number[]): string =>
    part.map((group) => group.toString(16)).join(":");
  if (best.length < 2) return hex(groups);
  return `${hex(groups.slice(0, best.at))}::${hex(groups.slice(best.at + best.length))}`;
}

export interface Prefix {
  readonly version: 4 | 6;
  readonly address: bigint;
  readonly length: number;
}

/** `10.0.0.0/8`, `2001:db8::/32`; without a length, the one address. */
export function parsePrefix(text: string): Prefix {
  const [address = "", length, ...more] = text.split("/");
  const version = address.includes(":") ? 6 : 4;
  const bits = version === 4 ? 32 : 128;
  const size = length === undefined ? bits : Number(length);
  if (more.length > 0 || !/^\d{1,3}$/.test(length ?? "0") || size > bits)
    throw malformed(text, "a prefix like 10.0.0.0/8");
  const value = version === 4 ? parseIpv4(address) : parseIpv6(address);
  return { version, address: value, length: size };
}

export function inPrefix(
  prefix: Prefix,
  version: 4 | 6,
  address: bigint,
): boolean {
  if (prefix.version !== version) return false;
  const rest = BigInt((version === 4 ? 32 : 128) - prefix.length);
  return address >> rest === prefix.address >> rest;
}

function malformed(text: string, wanted: string): InputError {
  return new InputError(`${printable(text)} is not ${wanted}`, {
    code: "address-malformed",
    kind: "usage",
  });
}
