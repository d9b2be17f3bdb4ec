/**
 * Numbers of the system calls that are used here, by architecture.
 *
 * Source: arch/x86/entry/syscalls/syscall_64.tbl; include/uapi/asm-generic/unistd.h
 * for arm64 and riscv64, which agree.
 */

// x64 first, then arm64 and riscv64.
// prettier-ignore
export const syscallTable = {
  bpf:                [321, 280],
  mmap:               [9,   222],
  munmap:             [11,  215],
  ioctl:              [16,  29],
  socket:             [41,  198],
  sendto:             [44,  206],
  recvfrom:           [45,  207],
  bind:               [49,  200],
  getsockname:        [51,  204],
  recvmsg:            [47,  212],
  setsockopt:         [54,  208],
  getsockopt:         [55,  209],
  ppoll:              [271, 73],
  flock:              [73,  32],
  mount:              [165, 40],
  umount2:            [166, 39],
  unshare:            [272, 97],
  setns:              [308, 268],
  gettid:             [186, 178],
  prctl:              [157, 167],
  sched_setscheduler: [144, 119],
  sched_setaffinity:  [203, 122],
  sched_getaffinity:  [204, 123],
  perf_event_open:    [298, 241],
  open_tree:          [428, 428],
  move_mount:         [429, 429],
  fsopen:             [430, 430],
  fsconfig:           [431, 431],
  fsmount:            [432, 432],
} as const satisfies Record<string, readonly [number, number]>;

export type SyscallName = keyof typeof syscallTable;

const columns: Partial<Readonly<Record<NodeJS.Architecture, 0 | 1>>> = {
  x64: 0,
  arm64: 1,
  riscv64: 1,
};

/** Column of the table for an architecture in Node's words. */
export function syscallNumbers(
  architecture: NodeJS.Architecture,
): 0 | 1 | undefined {
  return columns[architecture];
}
