/**
 * The running kernel's configuration, and what libbpf calls its virtual externs
 * (LINUX_…). Read at the first question and kept.
 *
 * Source: libbpf bpf_object__resolve_externs; Documentation/bpf/libbpf.
 */
import { existsSync, readFileSync } from "node:fs";
import { release, version } from "node:os";
import { gunzipSync } from "node:zlib";

let values: ReadonlyMap<string, string> | undefined;

/** As the configuration writes it: `y`, `250`, `"text"`; undefined where it is not set or not readable. */
export function kernelConfigValue(name: string): string | undefined {
  switch (name) {
    case "LINUX_KERNEL_VERSION":
      return String(kernelVersion());
    case "LINUX_HAS_BPF_COOKIE":
      return kernelVersion() >= code(5, 15, 0) ? "1" : "0";
    case "LINUX_HAS_SYSCALL_WRAPPER":
      return kernelVersion() >= code(4, 17, 0) ? "1" : "0";
    default:
      values ??= parseConfig(readConfig());
      return values.get(name);
  }
}

/** Lines `NAME=VALUE`; what is not set has none. */
export function parseConfig(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (line.startsWith("CONFIG_") && at > 0)
      found.set(line.slice(0, at), line.slice(at + 1).trim());
  }
  return found;
}

/** Where distributions put it; "" where nobody may read it. */
function readConfig(): string {
  for (const path of [`/boot/config-${release()}`, "/proc/config.gz"])
    try {
      if (!existsSync(path)) continue;
      const bytes = readFileSync(path);
      return (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString();
    } catch {
      continue;
    }
  return "";
}

/** KERNEL_VERSION(a, b, c), of the sources and not of the distribution's name for them. */
function kernelVersion(): number {
  const [, major = "0", minor = "0", patch = "0"] =
    /Debian (\d+)\.(\d+)\.(\d+)/.exec(version()) ??
    /^Ubuntu \S+ (\d+)\.(\d+)\.(\d+)/.exec(ubuntuSignature()) ??
    /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(release()) ??
    [];
  return code(Number(major), Number(minor), Number(patch));
}

function code(major: number, minor: number, patch: number): number {
  return (major << 16) | (minor << 8) | Math.min(patch, 255);
}

function ubuntuSignature(): string {
  try {
    return readFileSync("/proc/version_signature", "utf8");
  } catch {
    return "";
  }
}
