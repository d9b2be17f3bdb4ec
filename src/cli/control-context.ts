/**
 * What the commands that change the machine need: the kernel, the journal under its
 * lock, and the moments between two changes, at which a test may kill us.
 */
import process from "node:process";
import { Journal, stateFolder, type ControlContext } from "../control/index.ts";
import { openKernel } from "../engine/index.ts";

/** Opens all, does the work, closes all. */
export async function withControl<T>(
  work: (context: ControlContext) => T | Promise<T>,
): Promise<T> {
  const kernel = await openKernel();
  try {
    const journal = await Journal.open(stateFolder());
    try {
      return await work({ kernel, journal, step: crashPoint() });
    } finally {
      journal.close();
    }
  } finally {
    kernel.close();
  }
}

/** For tests: DIVISI_TEST_KILL=N dies, as by kill -9, at the N-th moment. */
export function crashPoint(): (name: string) => void {
  let left = Number(process.env["DIVISI_TEST_KILL"] ?? Number.NaN);
  return () => {
    left--;
    if (left === 0) process.kill(process.pid, "SIGKILL");
  };
}
