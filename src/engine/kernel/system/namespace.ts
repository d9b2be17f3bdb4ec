/**
 * A network namespace that dies with the process.
 *
 * It has no name anywhere: a descriptor of it is all that keeps it, and the kernel
 * closes descriptors of a process however that ends. So no `kill -9` leaves one.
 *
 *   thread:   own namespace --unshare--> new one --setns--> back
 *   process:  descriptor of the new one, for `run` and for workers
 *
 * A namespace belongs to a thread. `run` moves the calling thread in and back, so
 * its work must be synchronous; programs that it spawns start inside. A worker that
 * stays inside calls `enterNamespace` with the descriptor.
 *
 * Source: namespaces(7), unshare(2), setns(2).
 */
import { closeSync, openSync, statSync, writeFileSync } from "node:fs";
import { Bug, UnsupportedError } from "../../../base/index.ts";
import { openSyscalls, type Syscalls } from "../syscalls.ts";

const CLONE_NEWNET = 0x4000_0000;
const EPERM = 1;
/** Of the thread that asks. */
const ownPath = "/proc/thread-self/ns/net";

export interface NetworkNamespace {
  /** Valid in all threads of the process until `close`. */
  readonly fd: number;
  /** Moves this thread in, works, moves it back. The work must not be asynchronous. */
  readonly run: <T>(work: () => T) => T;
  readonly close: () => void;
}

/** A new, empty, quiet one: no IPv6 chatter on what is made in it. Throws an UnsupportedError without CAP_SYS_ADMIN. */
export async function createNamespace(): Promise<NetworkNamespace> {
  return makeNamespace(await openSyscalls(), quieten);
}

/** A new one, in which `prepare` has worked. */
export function makeNamespace(
  syscalls: Syscalls,
  prepare: () => void = () => {},
): NetworkNamespace {
  const own = openSync(ownPath, "r");
  try {
    const code = syscalls.call("unshare", CLONE_NEWNET);
    if (code < 0)
      throw new UnsupportedError(
        `a network namespace cannot be made (${syscalls.errorName(-code)})`,
        code === -EPERM
          ? { feature: "CAP_SYS_ADMIN", fix: "run as root" }
          : { feature: "network namespaces" },
      );
    let namespace: NetworkNamespace;
    try {
      namespace = holding(syscalls, openSync(ownPath, "r"));
      prepare();
    } finally {
      enterNamespace(syscalls, own);
    }
    return namespace;
  } finally {
    closeSync(own);
  }
}

/** The namespace that this thread is in. */
export async function currentNamespace(): Promise<NetworkNamespace> {
  return holding(await openSyscalls(), openSync(ownPath, "r"));
}

/** Moves the calling thread for good, or until it is moved again. */
export function enterNamespace(syscalls: Syscalls, fd: number): void {
  const code = syscalls.call("setns", fd, CLONE_NEWNET);
  if (code < 0)
    throw new Bug(`namespace ${fd}: ${syscalls.errorName(-code)} on entering`);
}

/** Which namespace a descriptor stands for: equal numbers, equal namespaces. */
export function namespaceIdentity(fd: number | "own"): number {
  return statSync(fd === "own" ? ownPath : `/proc/self/fd/${fd}`).ino;
}

function holding(syscalls: Syscalls, fd: number): NetworkNamespace {
  let isOpen = true;
  return {
    fd,
    run: (work) => {
      if (!isOpen) throw new Bug("the namespace is closed");
      const back = openSync(ownPath, "r");
      try {
        enterNamespace(syscalls, fd);
        try {
          return work();
        } finally {
          enterNamespace(syscalls, back);
        }
      } finally {
        closeSync(back);
      }
    },
    close: () => {
      if (isOpen) closeSync(fd);
      isOpen = false;
    },
  };
}

/** What is made later inherits `default`. A kernel without IPv6 is quiet already. */
function quieten(): void {
  for (const which of ["all", "default"])
    try {
      writeFileSync(`/proc/sys/net/ipv6/conf/${which}/disable_ipv6`, "1");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
}
