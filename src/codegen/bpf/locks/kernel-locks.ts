/**
 * Kernel locks for all objects that a plan guards: all of them or none, since a packet
 * that meets one without a lock has no moment of its own. And one look-up at most on each
 * way through the program (one-moment.ts): then the order of these moments is an order
 * of whole packets.
 */
import { lockRefusal, type LockRefusal } from "./lock-refusal.ts";
import { secondMoment } from "./one-moment.ts";
import { withLocks, type LockForm, type TypedCode } from "./with-locks.ts";

export type KernelLocks<T> =
  | {
      readonly kind: "locked";
      readonly code: T;
      readonly objects: readonly {
        readonly object: string;
        readonly how: LockForm;
      }[];
    }
  | { readonly kind: "refused"; readonly refusals: readonly LockRefusal[] };

export function withKernelLocks<T extends TypedCode>(
  original: T,
  guarded: readonly string[],
): KernelLocks<T> {
  let code = original;
  const refusals: LockRefusal[] = [];
  const objects: { object: string; how: LockForm }[] = [];
  const observed: string[] = [];
  for (const object of guarded) {
    const locked = withLocks(code, object);
    if (locked.kind === "refused") {
      refusals.push(locked);
      continue;
    }
    code = locked.code;
    objects.push({ object, how: locked.how });
    if (locked.isObserved) observed.push(object);
  }
  const second = secondMoment(original, observed);
  if (second !== undefined)
    refusals.push(
      lockRefusal(second.object, second.fn, {
        code: "R-lock-two",
        at: second.at,
        text: "a packet looks at a second value that has a lock, and others may come between its two looks",
      }),
    );
  return refusals.length > 0
    ? { kind: "refused", refusals }
    : { kind: "locked", code, objects };
}
