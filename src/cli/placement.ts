/**
 * What decides to which core a packet goes, as digests for the record of an attachment.
 * Two directories have the same if the same packets find the same cores.
 */
import type { Placement } from "../control/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import type { NicSetup } from "../rss/index.ts";
import { sha256 } from "./files.ts";

export function placementOf({
  setup,
  dispatcher,
}: {
  readonly setup: NicSetup | undefined;
  readonly dispatcher: ProgramSpec | undefined;
}): Placement {
  return {
    ...(setup === undefined ? {} : { nic: digest(settings(setup)) }),
    ...(dispatcher === undefined
      ? {}
      : { dispatcher: digest(dispatcher.functions.map(withoutPlaces)) }),
  };
}

/** What the NIC hashes with; not how its interface is called. */
function settings({ profile, ports }: NicSetup): unknown {
  return [
    profile.name,
    ports.map(({ name, key, fields, table }) => [
      name,
      key,
      fields,
      table.entries,
    ]),
  ];
}

/** Where a variable lies in its section is the linker's choice. */
function withoutPlaces({
  instructions,
}: ProgramSpec["functions"][number]): unknown {
  return instructions.map((instruction) =>
    instruction.kind === "load-wide" && instruction.value.kind === "map-value"
      ? { ...instruction, value: "variable" }
      : instruction,
  );
}

function digest(value: unknown): string {
  const text = JSON.stringify(value, (_, member: unknown) =>
    typeof member === "bigint" ? String(member) : member,
  );
  return sha256(new TextEncoder().encode(text));
}
