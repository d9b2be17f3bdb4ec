/**
 * Everything that nic/apply.sh, nic/undo.sh and nic/dpdk.json say: the solution,
 * per port, with the NIC's profile.
 */
import { Bug, InputError, printable } from "../base/index.ts";
import type { NicProfile } from "./nic-profile.ts";
import type { PortConfig } from "./nic.ts";
import { checkInterfaceName } from "./shell.ts";
import type { KeySolution, PortKey } from "./solution.ts";
import type { IndirectionTable } from "./table.ts";

export interface NicSetup {
  /** Names the state file; the same set-up has the same name. */
  readonly id: string;
  readonly profile: NicProfile;
  readonly cores: number;
  readonly ports: readonly PortSetup[];
}

export interface PortSetup {
  readonly name: string;
  /** Default of apply.sh; otherwise it wants `NAME=IFACE` as an argument. */
  readonly iface?: string;
  readonly key: string;
  readonly fields: PortKey["fields"];
  readonly set: PortKey["set"];
  readonly table: IndirectionTable;
}

/** `interfaces`: by port name, where they are known already. */
export function nicSetup(
  solution: KeySolution,
  profile: NicProfile,
  interfaces: Readonly<Record<string, string>> = {},
): NicSetup {
  if (profile.name !== solution.profile)
    throw new Bug(`a key for ${solution.profile} on ${profile.name}`);
  const ports = solution.ports.map(({ name, key, fields, set }): PortSetup => {
    const group = solution.groups.find((each) => each.ports.includes(name));
    if (group === undefined) throw new Bug(`port ${name} has no table`);
    if (/[=\0]/.test(name) || name === "" || name.startsWith("-"))
      throw new InputError(`${printable(name)} is no name for a port`, {
        code: "port-name",
        kind: "usage",
      });
    const common = { name, key, fields, set, table: group.table };
    if (!Object.hasOwn(interfaces, name)) return common;
    const iface = interfaces[name] ?? "";
    checkInterfaceName(iface);
    return { ...common, iface };
  });
  const { cores } = solution;
  return {
    id: fingerprint([profile.name, cores, ports]),
    profile,
    cores,
    ports,
  };
}

/** What the model of the NIC needs of a port. */
export function portConfig(setup: NicSetup, port: string): PortConfig {
  const found = setup.ports.find(({ name }) => name === port);
  if (found === undefined) throw new Bug(`no port ${port}`);
  const { key, fields, table } = found;
  const vlanTags = setup.profile.vlanTags ?? 0;
  return { key, fields, table: table.entries, vlanTags };
}

/** FNV-1a, twice: 16 hex digits. For file names, not for trust. */
function fingerprint(value: unknown): string {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  const hash = (start: number): string => {
    let sum = start;
    for (const byte of bytes) sum = Math.imul(sum ^ byte, 0x01000193);
    return (sum >>> 0).toString(16).padStart(8, "0");
  };
  return hash(0x811c9dc5) + hash(0x1b873593);
}
