/** Where pins go: a bpffs that is mounted already. */
import { existsSync, readFileSync, statfsSync } from "node:fs";
import { UnsupportedError } from "../base/index.ts";
import { outerProcess, privateMounts } from "./mount-namespace.ts";

/** BPF_FS_MAGIC of include/uapi/linux/magic.h. */
const bpfMagic = 0xcafe4a11;
const usual = "/sys/fs/bpf";

/** `wanted`, or the usual place, or wherever a bpffs is mounted. */
export function findPinRoot(wanted: string | undefined): string {
  if (wanted !== undefined) {
    if (isBpfFileSystem(wanted)) return wanted;
    if (outerProcess() !== undefined) throw privateMounts();
    throw new UnsupportedError(`${wanted} is in no BPF file system`, {
      feature: "bpffs",
      fix: `mount -t bpf bpf ${wanted}`,
    });
  }
  if (isBpfFileSystem(usual)) return usual;
  const mounted = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .find(([, at = "", type]) => type === "bpf" && !at.includes("/divisi/"));
  if (mounted?.[1] !== undefined) return mounted[1];
  if (outerProcess() !== undefined) throw privateMounts();
  throw new UnsupportedError("no BPF file system is mounted", {
    feature: "bpffs",
    fix: `mount -t bpf bpf ${usual}`,
  });
}

function isBpfFileSystem(path: string): boolean {
  return existsSync(path) && statfsSync(path).type === bpfMagic;
}
