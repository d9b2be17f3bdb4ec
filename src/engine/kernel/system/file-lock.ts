/**
 * A lock between processes: flock(2) on a file that is never removed. It is the
 * open file's: children that inherit the descriptor hold it too, and the kernel
 * lets go of it when the last of them is gone, however that happens.
 */
import { closeSync, openSync } from "node:fs";
import { openSyscalls } from "../syscalls.ts";

const exclusive = 2;
const withoutWaiting = 4;

export interface FileLock {
  /** For children that work under the lock. */
  readonly fd: number;
  readonly release: () => void;
}

/** Undefined: another process holds it. */
export async function lockFile(path: string): Promise<FileLock | undefined> {
  const syscalls = await openSyscalls();
  const fd = openSync(path, "a+", 0o600);
  if (syscalls.call("flock", fd, exclusive | withoutWaiting) < 0) {
    closeSync(fd);
    return undefined;
  }
  let isHeld = true;
  return {
    fd,
    release: () => {
      if (isHeld) closeSync(fd);
      isHeld = false;
    },
  };
}
