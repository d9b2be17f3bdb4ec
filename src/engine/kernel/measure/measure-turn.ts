/**
 * Taking turns with other processes that measure on this machine: two bursts of
 * real-time threads would be each other's disturbance. Held for one sample at a time;
 * who does not get it in time goes on without, and the sample judges itself.
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lockFile, type FileLock } from "../system/file-lock.ts";

/** Milliseconds. */
const patience = 3000;
const between = 10;

export async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const lock = await wait(join(tmpdir(), "divisi-measuring.lock"));
  try {
    return await work();
  } finally {
    lock?.release();
  }
}

async function wait(path: string): Promise<FileLock | undefined> {
  const end = performance.now() + patience;
  while (performance.now() < end) {
    try {
      const lock = await lockFile(path);
      if (lock !== undefined) return lock;
    } catch {
      // Another user's file: there are no turns to take with them.
      return undefined;
    }
    await sleep(between);
  }
  return undefined;
}
