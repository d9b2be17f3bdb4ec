/**
 * Real-time priority (SCHED_FIFO) for the calling thread, and back. Only for bursts
 * below 900 ms: the kernel stops real-time threads for a part of each second, and until
 * then nothing else runs on their CPU.
 */
import { memory, type Syscalls } from "../syscalls.ts";

const fifo = 1;
const ordinary = 0;
const priority = 50;

/** False where it is not allowed. */
export function setRealTime(syscalls: Syscalls, on: boolean): boolean {
  const parameter = memory(4);
  parameter.writeUInt32LE(on ? priority : 0);
  const policy = on ? fifo : ordinary;
  return syscalls.call("sched_setscheduler", 0, policy, parameter) === 0;
}
