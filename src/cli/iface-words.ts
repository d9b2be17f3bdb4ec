/** `--iface IF[,IF…]`: which interface is which port, `v0` in order or `lan=v0`. */
import type { Words } from "./command.ts";
import type { IfaceSubject } from "./iface-subject.ts";
import { usage, valuesOf } from "./words.ts";

interface GivenInterface {
  readonly port: string | undefined;
  readonly name: string;
}

/** `v0`, or `lan=v0`. */
export function interfacesGiven(words: Words): readonly GivenInterface[] {
  const given = valuesOf(words, "iface").flatMap((word) => word.split(","));
  const names: string[] = [];
  return given.map((word) => {
    const at = word.indexOf("=");
    const name = word.slice(at + 1);
    if (!/^[\w.@-]{1,15}$/.test(name) || /^\.+$/.test(name))
      throw usage(
        `--iface: ${JSON.stringify(name)} is no name of an interface`,
      );
    if (names.includes(name)) throw usage(`--iface ${name} is given twice`);
    names.push(name);
    return { port: at < 0 ? undefined : word.slice(0, at), name };
  });
}

/** Names in the order of the ports. */
export function namesInOrder(
  given: readonly GivenInterface[],
  { ports }: IfaceSubject,
): readonly string[] {
  const left = given.filter(({ port }) => port === undefined);
  const names = ports.map((port) => port.name);
  for (const { port } of given)
    if (port !== undefined && !names.includes(port))
      throw usage(
        `--iface: no port is called ${port}`,
        `ports: ${names.join(", ")}`,
      );
  return names.map((name) => {
    const found = given.find(({ port }) => port === name) ?? left.shift();
    if (found === undefined) throw usage(`--iface names none for port ${name}`);
    return found.name;
  });
}
