/**
 * Which hash fields to give each class: the NIC's settable classes are a variable
 * of the search. One candidate per level (all transports at 4-tuple, at
 * addresses, at source address, …), each class at the level if its NIC offers it
 * and at the driver's default otherwise. The default comes first.
 */
import type { NicProfile } from "./nic-profile.ts";
import {
  packetClasses,
  type ClassFields,
  type ClassInputs,
  type HashFields,
  type PacketClass,
} from "./packet-class.ts";

const levels: readonly (HashFields | undefined)[] = [
  undefined,
  "sdfn",
  "sd",
  "s",
  "sdf",
];

/** Without duplicates, the driver's default first. */
export function candidates(
  profile: NicProfile,
  fieldSets: readonly (HashFields | undefined)[] = levels,
): readonly ClassInputs[] {
  const seen = new Map<string, ClassInputs>();
  for (const level of fieldSets) {
    const inputs = inputsAt(profile, level);
    const key = JSON.stringify(inputs);
    if (!seen.has(key)) seen.set(key, inputs);
  }
  return [...seen.values()];
}

/** The fields that are set, or else the driver's default. */
export function fieldsOf(inputs: ClassInputs): ClassFields {
  return perClass((name) => inputs[name]?.[0] ?? null);
}

/** The same the other way: each class hashes exactly these fields. */
export function inputsOf(fields: ClassFields): ClassInputs {
  return perClass((name) => {
    const hashed = fields[name];
    return hashed === null ? null : [hashed];
  });
}

function inputsAt(
  profile: NicProfile,
  level: HashFields | undefined,
): ClassInputs {
  return perClass((name) => {
    const offered = profile.inputs[name];
    if (offered === undefined) return [""];
    if (offered === null || !profile.settable.includes(name)) return offered;
    const chosen = offered.find((fields) => fields === level) ?? offered[0];
    return chosen === undefined ? null : [chosen];
  });
}

function perClass<T>(value: (name: PacketClass) => T): Record<PacketClass, T> {
  return Object.fromEntries(
    packetClasses.map((name) => [name, value(name)]),
  ) as Record<PacketClass, T>;
}
