/**
 * Keys as JavaScript values with identity: a number for up to four bytes, else a
 * string of 16-bit units, two bytes each (low byte first), the last perhaps half.
 */
export type KeyText = number | string;

export function keyText(bytes: Uint8Array): KeyText {
  const size = bytes.length;
  if (size <= 4) {
    let value = 0;
    for (let index = size - 1; index >= 0; index--)
      value = value * 256 + (bytes[index] ?? 0);
    return value;
  }
  let text = "";
  for (let index = 0; index < size; index += 2)
    text += String.fromCharCode(
      (bytes[index] ?? 0) | ((bytes[index + 1] ?? 0) << 8),
    );
  return text;
}

/** Inverse of keyText, given the key's size. */
export function keyBytes(text: KeyText, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let index = 0; index < size; index++)
    bytes[index] =
      typeof text === "number"
        ? Math.floor(text / 256 ** index)
        : text.charCodeAt(index >> 1) >> (8 * (index & 1));
  return bytes;
}
