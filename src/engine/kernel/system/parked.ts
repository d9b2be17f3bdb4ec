/**
 * A place where an XDP program is attached and sees no packet: the loopback interface
 * of a namespace of its own.
 *
 * The kernel keeps a list of attached XDP programs, which direct calls go by. TEST_RUN
 * with more than one repeat enters its program there and takes it out again, waiting
 * for all CPUs (16 ms) each time: not for a program that is on the list already.
 *
 * Source: kernel/bpf/dispatcher.c, net/bpf/test_run.c (bpf_prog_change_xdp).
 */
import { attachXdp } from "../links/link.ts";
import { createNamespace } from "./namespace.ts";
import type { Syscalls } from "../syscalls.ts";

const loopback = 1;

/** Parks the program; what comes back ends it. */
export async function parkProgram(
  syscalls: Syscalls,
  program: number,
): Promise<() => void> {
  const namespace = await createNamespace();
  try {
    const link = namespace.run(() =>
      attachXdp(syscalls, { fd: program }, loopback, { mode: "skb" }),
    );
    return () => {
      link.close();
      namespace.close();
    };
  } catch (error) {
    namespace.close();
    throw error;
  }
}
