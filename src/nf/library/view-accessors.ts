/**
 * Properties of the packet views, made from the rows of the table: how a field is
 * read, and how it is written with its checksums kept right.
 */
import { put16, u16, u32, type Frame } from "./frame-bytes.ts";
import { misfit } from "./scalar.ts";
import type { Fix, ViewField } from "./view-table.ts";

interface View {
  readonly frame: Frame;
  /** Where the header starts. */
  readonly at: number;
  /** Keeps checksums right when the 16-bit word at `place` becomes `next`. */
  fix(fix: Fix, place: number, next: number): void;
}

/** The property of a view that is this field. */
export function accessor(
  name: string,
  field: ViewField,
): PropertyDescriptor & ThisType<View> {
  return {
    enumerable: true,
    get: reader(field),
    ...(field.assign === undefined ? {} : { set: writer(name, field) }),
  };
}

function reader(field: ViewField): (this: View) => unknown {
  const { bit, bits, js } = field;
  const from = bit >>> 3;
  if (js === "bigint")
    return bits === 48
      ? function () {
          const { data } = this.frame;
          const at = this.at + from;
          return BigInt(u16(data, at) * 2 ** 32 + u32(data, at + 2));
        }
      : function () {
          const { data } = this.frame;
          const at = this.at + from;
          return (BigInt(u32(data, at)) << 32n) | BigInt(u32(data, at + 4));
        };
  if (bits === 32)
    return function () {
      return u32(this.frame.data, this.at + from);
    };
  if (bits === 16)
    return function () {
      return u16(this.frame.data, this.at + from);
    };
  if (bits === 8 && (bit & 7) === 0)
    return function () {
      return this.frame.data[this.at + from] ?? 0;
    };
  // Parts of bytes: within 32 bits from the first byte they touch.
  const mask = 2 ** bits - 1;
  const bytes = ((bit & 7) + bits + 7) >>> 3;
  const shift = 8 * bytes - (bit & 7) - bits;
  const part = (data: Uint8Array, start: number): number => {
    let value = 0;
    for (let i = 0; i < bytes; i++)
      value = (value << 8) | (data[start + i] ?? 0);
    return (value >>> shift) & mask;
  };
  return js === "boolean"
    ? function () {
        return part(this.frame.data, this.at + from) !== 0;
      }
    : function () {
        return part(this.frame.data, this.at + from);
      };
}

function writer(
  name: string,
  { bit, bits, js, assign = "none" }: ViewField,
): (this: View, value: number | bigint) => void {
  const from = bit >>> 3;
  const type = { name: `${bits}-bit ${name}` };
  /** Writes a word into the view's own copy, fixing checksums first. */
  const word = (view: View, at: number, value: number): void => {
    view.frame.own();
    if (assign !== "none") view.fix(assign, at, value);
    put16(view.frame.data, at, value);
  };
  if (js === "bigint") {
    const words = bits / 16;
    const fits = (value: unknown): bigint =>
      typeof value === "bigint" && BigInt.asUintN(bits, value) === value
        ? value
        : misfit(type, value);
    return function (value) {
      let rest = fits(value);
      for (let i = words - 1; i >= 0; i--) {
        word(this, this.at + from + 2 * i, Number(rest & 0xffffn));
        rest >>= 16n;
      }
    };
  }
  const high = 2 ** bits;
  const check = (value: unknown): number =>
    typeof value === "number" &&
    value >= 0 &&
    value < high &&
    Number.isInteger(value)
      ? value
      : misfit(type, value);
  if (bits === 32)
    return function (value) {
      const whole = check(value);
      word(this, this.at + from, whole >>> 16);
      word(this, this.at + from + 2, whole & 0xffff);
    };
  if (bits === 16)
    return function (value) {
      word(this, this.at + from, check(value));
    };
  // A byte: the other half of its word stays.
  const odd = (from & 1) === 1;
  return function (value) {
    const byte = check(value);
    const at = this.at + from - (odd ? 1 : 0);
    const old = u16(this.frame.data, at);
    word(this, at, odd ? (old & 0xff00) | byte : (old & 0xff) | (byte << 8));
  };
}
