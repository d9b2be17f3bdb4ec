/**
 * Helpers that answer from the environment of a run: time, CPU, random numbers, task.
 * There is no task behind a packet: pid, uid and name are those of the idle task.
 * All clocks show the packet's time; HZ is 250.
 */
import { errno } from "../errno.ts";
import type { HelperFunction } from "../host.ts";

const time: HelperFunction = (host) => BigInt.asUintN(64, host.input.time);
const zero: HelperFunction = () => 0;
/** Iterations that bpf_loop takes at most (kernel: BPF_MAX_LOOPS). */
const mostLoops = 8 * 1024 * 1024;

const loop: HelperFunction = (host) => {
  const count = host.args.low(1);
  const callback = host.args.address(2);
  const context = host.args.word(3);
  if (host.args.word(4) !== 0n) return -errno.EINVAL;
  if (count > mostLoops) return -errno.E2BIG;
  for (let index = 0; index < count; index++)
    if (host.callBack(callback, [index, context]) !== 0n) return index + 1;
  return count;
};

const comm: HelperFunction = (host) => {
  const size = host.args.low(2);
  const target = host.bytes(1, size, true);
  target.fill(0);
  target.set(new TextEncoder().encode("swapper/0").subarray(0, size));
  if (size > 0) target[size - 1] = 0;
  return 0;
};

export const environmentHelpers: Readonly<Record<string, HelperFunction>> = {
  ktime_get_ns: time,
  ktime_get_boot_ns: time,
  ktime_get_coarse_ns: time,
  ktime_get_tai_ns: time,
  jiffies64: (host) => BigInt.asUintN(64, host.input.time) / 4_000_000n,
  get_prandom_u32: (host) => host.random.u32(),
  get_smp_processor_id: (host) => host.input.cpu,
  get_numa_node_id: zero,
  loop,
  get_current_pid_tgid: zero,
  get_current_uid_gid: zero,
  get_current_comm: comm,
  get_current_cgroup_id: () => 1,
  get_stackid: () => -errno.EFAULT,
};
