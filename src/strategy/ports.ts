/**
 * Names for ingress interfaces, and the port index of a packet.
 *
 * A binding comes from `--port NAME=IFINDEX`, or from the program itself: a
 * read-only variable `lan_ifindex` with a value binds `lan`. Without any, all
 * packets come in on one port called `port0`.
 */
import { InputError } from "../base/index.ts";
import type { StateReport } from "../analysis/index.ts";
import type { Port } from "./plan.ts";

/** Where there is no binding and no test of the port. */
export const onlyPort: Port = { name: "port0", ifindex: 1 };

/** The ports of a program, or a usage error that names the value it tests without a name. */
export function portsFor(
  report: StateReport,
  bound: readonly Port[],
): readonly Port[] {
  const tested = report.testedPorts ?? [];
  const unnamed = tested.find(
    (ifindex) => !bound.some((port) => port.ifindex === ifindex),
  );
  if (
    unnamed !== undefined ||
    (report.testsPort === true && bound.length === 0)
  )
    throw new InputError(
      unnamed === undefined
        ? "the program tests the ingress port, and no port is bound"
        : `the program tests for ingress interface ${unnamed}, which no port is bound to`,
      {
        code: "port-unbound",
        kind: "usage",
        fix: `bind it with --port NAME=${unnamed ?? "IFINDEX"}`,
      },
    );
  return bound.length === 0 ? [onlyPort] : bound;
}

/** Index into `ports` of a trace's port index: `lan` and `wan` are a generator's 0 and 1. */
export function portOfTrace(ports: readonly Port[]): (port: number) => number {
  const lan = ports.findIndex(({ name }) => name === "lan");
  const wan = ports.findIndex(({ name }) => name === "wan");
  const order = ports.map((_, index) => index);
  if (lan >= 0 && wan >= 0) {
    const others = order.filter((index) => index !== lan && index !== wan);
    order.splice(0, order.length, lan, wan, ...others);
  }
  return (port) => order[port] ?? order[0] ?? 0;
}
