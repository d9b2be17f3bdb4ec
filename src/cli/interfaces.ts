/**
 * `--iface IF[,IF…]`: interfaces of this network namespace, in the order of the
 * plan's ports, or each as PORT=IF.
 */
import { nearest } from "../base/index.ts";
import { unknownInterface, type Kernel } from "../engine/index.ts";
import type { Port } from "../strategy/index.ts";
import type { Words } from "./command.ts";
import { usage, valuesOf } from "./words.ts";

export interface BoundInterface {
  readonly port: string;
  readonly name: string;
  readonly ifindex: number;
}

export function interfacesOf(
  words: Words,
  ports: readonly Port[],
  kernel: Kernel,
): readonly BoundInterface[] {
  const given = valuesOf(words, "iface").flatMap((word) => word.split(","));
  const names = ports.map(({ name }) => name);
  const wanted = `the plan has ${ports.length === 1 ? "one port" : `${ports.length} ports`} (${names.join(", ")})`;
  const example = `--iface ${ports.length === 1 ? "IF" : names.map((name) => `${name}=IF`).join(",")}`;
  if (given.length === 0) throw usage("--iface is missing", example);
  const byPort = new Map<string, string>();
  for (const [index, word] of given.entries()) {
    const at = word.indexOf("=");
    const port = at < 0 ? names[index] : word.slice(0, at);
    if (port === undefined || !names.includes(port)) {
      const near = port === undefined ? undefined : nearest(port, names);
      throw usage(
        port === undefined
          ? `${given.length} interfaces are given; ${wanted}`
          : `--iface: no port is called ${port}; ${wanted}`,
        near === undefined ? example : `did you mean ${near}?`,
      );
    }
    if (byPort.has(port)) throw usage(`--iface: port ${port} is given twice`);
    byPort.set(port, word.slice(at + 1));
  }
  if (byPort.size < ports.length)
    throw usage(
      `${byPort.size === 1 ? "one interface is" : `${byPort.size} interfaces are`} given; ${wanted}`,
      example,
    );
  const present = kernel.interfaces();
  const bound = names.map((port): BoundInterface => {
    const name = byPort.get(port) ?? "";
    const found = present.find((each) => each.name === name);
    if (found !== undefined) return { port, name, ifindex: found.ifindex };
    throw unknownInterface(
      name,
      present.map((each) => each.name),
    );
  });
  for (const [index, { name }] of bound.entries())
    if (bound.slice(0, index).some((other) => other.name === name))
      throw usage(`--iface: ${name} is given for two ports`);
  return bound;
}
