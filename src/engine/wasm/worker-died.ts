/**
 * An engine, or one of its workers, ended before its work was done: a bug of ours, told with all that helps to
 * find it. The packet is the one in hand, as it arrived; the place is the last that
 * the compiled program noted, a helper call as a rule, and so at or behind it.
 */
import { Bug, printPlace, type Place } from "../../base/index.ts";
import type { PacketInput } from "../../interp/index.ts";
import type { ProgramSpec } from "../../isa/index.ts";

export interface DeathPlace {
  readonly core: number;
  /** Number and copy of the packet in hand, if there was one. */
  readonly packet: number | undefined;
  readonly input: PacketInput | undefined;
  /** The helper call that the program made last. */
  readonly at: Place | undefined;
}

export class WorkerDied extends Bug implements DeathPlace {
  readonly core: number;
  readonly packet: number | undefined;
  readonly input: PacketInput | undefined;
  readonly at: Place | undefined;

  constructor(text: string, about: DeathPlace, cause?: unknown) {
    super(text, { cause });
    this.core = about.core;
    this.packet = about.packet;
    this.input = about.input;
    this.at = about.at;
  }
}

export function describeDeath(
  { file, name }: ProgramSpec,
  error: unknown,
  about: DeathPlace,
): WorkerDied {
  const { core, packet, at } = about;
  const where =
    at === undefined
      ? "between packets"
      : `on packet ${packet}, at or behind ${printPlace(at)}`;
  const why = error instanceof Error ? error.message : String(error);
  return new WorkerDied(
    `${file}: ${name}: core ${core} died ${where}: ${why}`,
    about,
    error,
  );
}
