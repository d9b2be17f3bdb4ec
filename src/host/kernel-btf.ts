/** Types of the running kernel, for CO-RE; undefined where they cannot be read. */
import { existsSync, readFileSync } from "node:fs";

export function kernelBtf(): Uint8Array | undefined {
  const path = "/sys/kernel/btf/vmlinux";
  try {
    return existsSync(path) ? new Uint8Array(readFileSync(path)) : undefined;
  } catch {
    return undefined;
  }
}
