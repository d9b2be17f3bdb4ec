/**
 * Which programs of an object are loaded, and what is said of the others.
 *
 * Objects mix types, and bind programs to functions that only some kernels have;
 * that one of them cannot be loaded stops none of the others. What a program *calls*
 * is another matter: that is the object's own fault and stops it.
 */
import {
  InputError,
  UnsupportedError,
  type Diagnostic,
} from "../../../base/index.ts";
import {
  isOptional,
  type ProgramSpec,
  type ProgramTypeName,
} from "../../../isa/index.ts";
import {
  fillKconfig,
  programSpec,
  type ObjectSpec,
} from "../../../object/index.ts";
import { purposeOf } from "./attach-target.ts";
import { kernelConfigValue } from "../../../host/index.ts";

export interface LoadablePrograms {
  readonly programs: readonly ProgramSpec[];
  readonly notes: readonly Diagnostic[];
}

export function loadablePrograms(
  object: ObjectSpec,
  options: {
    readonly programs?: readonly string[];
    readonly type?: ProgramTypeName;
  },
): LoadablePrograms {
  const { object: filled, missing } = fillKconfig(object, kernelConfigValue);
  const wanted = options.programs;
  const notes: Diagnostic[] = [];
  const leaveOut = (name: string, reason: string): void => {
    notes.push({
      code: "program-left-out",
      severity: "note",
      message: `program ${name} is left out: ${reason}`,
    });
  };
  const programs = object.programs.flatMap((entry): ProgramSpec[] => {
    const { name, section } = entry;
    const isWanted = wanted?.includes(name) ?? !isOptional(section);
    if (!isWanted) return [];
    const type = options.type ?? entry.type;
    if (type !== undefined) {
      const spec = programSpec(filled, { entry: name, type });
      const reason = reasonAgainst(spec);
      if (reason === undefined) return [spec];
      leaveOut(name, reason);
    } else leaveOut(name, `section ${section} tells no type`);
    return [];
  });
  if (programs.length === 0)
    throw new InputError(
      notes[0]?.message ?? "the object has no program to load",
      { code: "program-missing", file: object.file },
    );
  const [first] = missing;
  if (first !== undefined && programs.some(usesConfiguration))
    throw new UnsupportedError(
      `this kernel's configuration does not say ${first}, which the object needs`,
      {
        feature: first,
        fix: "a kernel that sets it; /proc/config.gz or /boot/config-* must be readable",
      },
    );
  return { programs, notes };
}

function usesConfiguration({ maps }: ProgramSpec): boolean {
  return maps.some(({ section }) => section === ".kconfig");
}

/** Why no kernel like this one loads it, whatever its instructions are. */
function reasonAgainst(spec: ProgramSpec): string | undefined {
  try {
    purposeOf(spec);
    return undefined;
  } catch (error) {
    if (error instanceof UnsupportedError) return error.message;
    throw error;
  }
}
