/**
 * What a guard is in the kernel, where no lock is held around a whole packet: a lock or
 * an atomic addition per value for every guarded object, or nothing. With nothing the
 * emitted object is for the portable engine alone, and its file says so.
 */
import { weaker, type Deviation, type Plan } from "./plan.ts";
import type { Refusal } from "./refusal.ts";

export type LockForm = "atomic" | "lock" | "own";

export type KernelGuard =
  | {
      readonly kind: "locked";
      readonly objects: readonly KernelLock[];
    }
  | { readonly kind: "refused"; readonly refusals: readonly Refusal[] };

export interface KernelLock {
  readonly object: string;
  /** Atomic additions; a lock behind each value; the program's own lock. */
  readonly how: LockForm;
}

/** The plan with its guarded objects locked one by one. */
export function kernelLocked(
  plan: Plan,
  objects: readonly KernelLock[],
  { readsTime }: { readonly readsTime: boolean },
): Plan {
  const longer = new Set(
    objects.flatMap(({ object, how }) => (how === "lock" ? object : [])),
  );
  const isTimed = readsTime && objects.some(({ how }) => how !== "atomic");
  return {
    ...plan,
    grade: weaker(plan.grade, "reordered"),
    objects: plan.objects.map((part) =>
      longer.has(part.object)
        ? { ...part, layout: "locked", layoutChanged: true }
        : part,
    ),
    deviations: [...plan.deviations, ...(isTimed ? [clock] : [])],
    kernel: { kind: "locked", objects },
  };
}

const clock: Deviation = {
  code: "clock",
  text: "in the kernel a packet reads the clock before it has the lock: it may find a later time in a value than its own",
};

/** The plan for the portable engine alone. */
export function kernelRefused(plan: Plan, refusals: readonly Refusal[]): Plan {
  return { ...plan, kernel: { kind: "refused", refusals } };
}

/** Name of the emitted object: what is not for the kernel is not called as if it were. */
export function emittedFile({
  kernel,
}: {
  readonly kernel?: { readonly kind: string };
}): "core.o" | "portable.o" {
  return kernel?.kind === "refused" ? "portable.o" : "core.o";
}

export const lockForms: Readonly<Record<LockForm, string>> = {
  atomic: "by atomic instructions",
  lock: "by a lock in each value",
  own: "by the program's own lock",
};

/** `sources by atomic instructions`. */
export const lockText = ({ object, how }: KernelLock): string =>
  `${object} ${lockForms[how]}`;
