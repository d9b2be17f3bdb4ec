/** What every strategy is told besides the object. */
import type { StateObject, StateReport } from "../analysis/index.ts";
import type { FieldName } from "../packet/index.ts";
import type { NicProfile } from "../rss/index.ts";
import { aloneFamily, familiesOf, type Family } from "./families.ts";
import type { Port } from "./plan.ts";

export interface Context {
  readonly ports: readonly Port[];
  readonly cores: number;
  /** A program before the NIC's queues are read brings packets to cores. */
  readonly software: boolean;
  /** Why cores cannot have cells of their own; undefined: they can. */
  readonly withoutLayouts: string | undefined;
  /** Can the NIC, or that program, hash this field for some class of packets? */
  readonly hashable: (field: FieldName) => boolean;
  /** VLAN tags that the NIC, or that program, looks behind. */
  readonly vlanTags: number;
  /** The objects that an object shares its strategy with. */
  readonly familyOf: (object: StateObject) => Family;
}

/** Ports to plan for where the user named none. */
export function defaultPorts(report: StateReport): readonly Port[] {
  const tested = report.testedPorts ?? [];
  if (tested.length === 0) return [{ name: "any", ifindex: 0 }];
  const ports = tested.map((ifindex) => ({ name: `if${ifindex}`, ifindex }));
  const elsewhere = report.objects.some(({ accesses }) =>
    accesses.some(({ guard }) => guard.ifindex === undefined),
  );
  return elsewhere ? [...ports, { name: "other", ifindex: -1 }] : ports;
}

/** Fields that some NIC's receive-side scaling hashes. */
const hashed: readonly FieldName[] = [
  "ipv4.src",
  "ipv4.dst",
  "ipv6.src",
  "ipv6.dst",
  "l4.sport",
  "l4.dport",
  "tcp.sport",
  "tcp.dport",
  "udp.sport",
  "udp.dport",
];

export function contextOf({
  report,
  ports,
  cores,
  dispatch,
  withoutLayouts,
  profile,
}: {
  readonly report: StateReport;
  readonly ports: readonly Port[];
  readonly cores: number;
  readonly dispatch?: "nic" | "software" | undefined;
  readonly withoutLayouts?: string | undefined;
  /** Absent: any NIC there is. */
  readonly profile?: NicProfile;
}): Context {
  const families = familiesOf(report.objects);
  return {
    ports,
    cores,
    software: dispatch === "software",
    withoutLayouts,
    vlanTags:
      dispatch === "software" || profile === undefined
        ? 2
        : (profile.vlanTags ?? 0),
    hashable: (field) => dispatch === "software" || hashed.includes(field),
    familyOf: (object) =>
      families.find(({ members }) => members.includes(object)) ??
      aloneFamily(object),
  };
}
