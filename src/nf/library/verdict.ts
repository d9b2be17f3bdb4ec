/**
 * What becomes of a packet. In the object: XDP_PASS, XDP_DROP, XDP_TX,
 * XDP_ABORTED; `out` and `flood` redirect through the device map `ports`, and
 * `redirect` goes to an interface by its number.
 */
export type Verdict =
  | { readonly kind: "pass" | "drop" | "tx" | "aborted" | "flood" }
  | { readonly kind: "out"; readonly port: number }
  | { readonly kind: "redirect"; readonly ifindex: number };

/** To the kernel's network stack. */
export const pass: Verdict = Object.freeze({ kind: "pass" });
export const drop: Verdict = Object.freeze({ kind: "drop" });
/** Back out of the port it came from. */
export const tx: Verdict = Object.freeze({ kind: "tx" });
/** An error of the network function: dropped, and traced by the kernel. */
export const aborted: Verdict = Object.freeze({ kind: "aborted" });
/** Out of every port but the one it came from. */
export const flood: Verdict = Object.freeze({ kind: "flood" });

const outs: Verdict[] = [];

/** Out of a declared port; `aborted` where there is no such port. */
export function out(port: number): Verdict {
  if (port >= 0 && port < 64)
    return (outs[port] ??= Object.freeze({ kind: "out", port }));
  return { kind: "out", port };
}

/** Out of an interface by its number. */
export function redirect(ifindex: number): Verdict {
  return { kind: "redirect", ifindex };
}
