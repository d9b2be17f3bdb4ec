/** The verdicts that are numbers: `enum xdp_action` (include/uapi/linux/bpf.h). */

// prettier-ignore
const numbers: Readonly<Record<string, number>> = { aborted: 0, drop: 1, pass: 2, tx: 3 };

/** The number of a constant verdict of the library; undefined for everything else. */
export function verdictNumber(value: unknown): number | undefined {
  if (typeof value !== "object" || value === null || !("kind" in value))
    return undefined;
  return typeof value.kind === "string" ? numbers[value.kind] : undefined;
}

/** A constant verdict that is a call: `flood`, or a constant `out(port)`. */
export function calledVerdict(
  value: unknown,
): { kind: "flood" } | { kind: "out" | "redirect"; to: number } | undefined {
  if (typeof value !== "object" || value === null || !("kind" in value))
    return undefined;
  if (value.kind === "flood") return { kind: "flood" };
  if (value.kind === "out" && "port" in value && typeof value.port === "number")
    return { kind: "out", to: value.port };
  if (
    value.kind === "redirect" &&
    "ifindex" in value &&
    typeof value.ifindex === "number"
  )
    return { kind: "redirect", to: value.ifindex };
  return undefined;
}
