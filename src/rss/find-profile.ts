/**
 * A NIC profile by name, or from a JSON file's text: the members of NicProfile,
 * each checked. A file may start from a shipped profile with `"like": "e810"`.
 */
import { InputError, nearest, printable } from "../base/index.ts";
import type { NicProfile } from "./nic-profile.ts";
import { nicProfiles } from "./nic-profile-table.ts";
import { isHashFields, isPacketClass } from "./packet-class.ts";

export function nicProfile(name: string): NicProfile {
  const found = Object.hasOwn(nicProfiles, name)
    ? nicProfiles[name]
    : undefined;
  if (found !== undefined) return found;
  const names = Object.keys(nicProfiles);
  const near = nearest(name, names);
  throw new InputError(
    `unknown NIC profile ${printable(name)}${near === undefined ? "" : `; did you mean ${near}?`}`,
    {
      code: "nic-unknown",
      kind: "usage",
      fix: `one of ${names.join(" ")}, or a JSON file`,
    },
  );
}

/** `file` is for messages. */
export function parseNicProfile(text: string, file: string): NicProfile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw bad(file, "it is no JSON", cause);
  }
  if (!isRecord(value)) throw bad(file, "it is no JSON object");
  const { like = "generic", ...given } = value;
  if (typeof like !== "string" || !Object.hasOwn(nicProfiles, like))
    throw bad(file, "`like` names no profile");
  const base = nicProfile(like);
  const profile: Record<string, unknown> = { ...base, doubts: [], sources: [] };
  for (const [name, member] of Object.entries(given)) {
    const check = Object.hasOwn(checks, name)
      ? checks[name as keyof NicProfile]
      : undefined;
    if (check === undefined) {
      const near = nearest(name, Object.keys(checks));
      throw bad(
        file,
        `unknown member ${printable(name)}${near === undefined ? "" : `; did you mean ${near}?`}`,
      );
    }
    if (!check.holds(member))
      throw bad(file, `\`${name}\` must be ${check.what}`);
    profile[name] =
      name === "inputs" && isRecord(member)
        ? { ...base.inputs, ...member }
        : member;
  }
  if (typeof given["name"] !== "string") profile["name"] = file;
  // Every member was checked or comes from a shipped profile.
  return profile as unknown as NicProfile;
}

interface Check {
  readonly what: string;
  readonly holds: (value: unknown) => boolean;
}

const isText = (value: unknown): boolean => typeof value === "string";
const isTexts = (value: unknown): boolean =>
  Array.isArray(value) && value.length <= 100 && value.every(isText);
const isFlag = (value: unknown): boolean => typeof value === "boolean";
const isFlagOrNull = (value: unknown): boolean =>
  value === null || isFlag(value);
const isCount =
  (most: number) =>
  (value: unknown): boolean =>
    Number.isInteger(value) && Number(value) >= 0 && Number(value) <= most;

// prettier-ignore
const checks: Readonly<Record<keyof NicProfile, Check>> = {
  name: { what: "a text", holds: isText },
  title: { what: "a text", holds: isText },
  rss: { what: "true or false", holds: isFlag },
  keyBytes: { what: "a number from 16 to 256", holds: (value) => isCount(256)(value) && Number(value) >= 16 },
  tableEntries: { what: "a power of two from 2 to 4096", holds: (value) => isCount(4096)(value) && Number(value) >= 2 && Number.isInteger(Math.log2(Number(value))) },
  queues: { what: "a number from 1 to 65536", holds: (value) => isCount(65536)(value) && Number(value) >= 1 },
  indexRule: { what: '"low" or "unsure"', holds: (value) => value === "low" || value === "unsure" },
  inputs: { what: "packet classes with lists of hash fields (letters of sdfn), or null", holds: isInputs },
  settable: { what: "a list of packet classes", holds: (value) => isTexts(value) && (value as string[]).every(isPacketClass) },
  vlanTags: { what: "0, 1, 2 or null", holds: (value) => value === null || isCount(2)(value) },
  keySettable: { what: "true, false or null", holds: isFlagOrNull },
  transform: { what: '"none" or "symmetric-or-xor"', holds: (value) => value === "none" || value === "symmetric-or-xor" },
  ntuple: { what: "true, false or null", holds: isFlagOrNull },
  tables: { what: "a number or null", holds: (value) => value === null || isCount(65536)(value) },
  irqNames: { what: "a list of texts without control characters", holds: (value) => isTexts(value) && (value as string[]).every((name) => name === printable(name)) },
  sources: { what: "a list of texts", holds: isTexts },
  doubts: { what: "a list of texts", holds: isTexts },
};

function isInputs(value: unknown): boolean {
  if (!isRecord(value)) return false;
  return Object.entries(value).every(([name, fields]) => {
    if (!isPacketClass(name)) return false;
    if (fields === null) return true;
    const ip = name !== "non-ip";
    const ports = /^(tcp|udp|sctp)/.test(name);
    return (
      isTexts(fields) &&
      (fields as string[]).length > 0 &&
      (fields as string[]).every(
        (each) =>
          isHashFields(each) &&
          (ip || each === "") &&
          (ports || !/[fn]/.test(each)),
      )
    );
  });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function bad(file: string, why: string, cause?: unknown): InputError {
  return new InputError(`${printable(file)} is no NIC profile: ${why}`, {
    code: "nic-profile",
    file,
    ...(cause === undefined ? {} : { cause }),
  });
}
