/**
 * The command line is a child of a supervisor (docs/decisions/0002). What it holds in
 * the kernel must go when the supervisor is killed, which leaves nobody to tell it:
 * so the kernel is asked to kill this process then.
 *
 * Source: prctl(2), PR_SET_PDEATHSIG; it speaks of the thread that started us.
 */
import process from "node:process";
import { openSyscalls } from "../syscalls.ts";

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

/** `supervisor`: process that started this one; it may be gone already. */
export async function dieWithParent(
  supervisor: number | undefined,
): Promise<void> {
  const syscalls = await openSyscalls();
  syscalls.call("prctl", PR_SET_PDEATHSIG, SIGKILL);
  if (supervisor !== undefined && process.ppid !== supervisor)
    process.kill(process.pid, "SIGKILL");
}
