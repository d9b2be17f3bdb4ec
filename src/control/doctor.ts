/**
 * What can run here, found without changing anything: the machine, its kernel's
 * features, interfaces. Each finding that is not ok has the way to mend it.
 */
import { UnsupportedError } from "../base/index.ts";
import { haveBpf, probeKernel, type FeatureProbe } from "../engine/index.ts";
import { interfaceFindings, interfaceNames } from "./doctor-interface.ts";
import { systemFindings } from "./doctor-system.ts";
import { bad, good, type Finding } from "./finding.ts";
import type { Machine } from "./machine.ts";

export interface DoctorOptions {
  /** Only these; all but the loopback device when none is named. */
  readonly interfaces: readonly string[];
}

export async function examine(
  machine: Machine,
  { interfaces }: DoctorOptions,
): Promise<readonly Finding[]> {
  const names = interfaces.length > 0 ? interfaces : interfaceNames(machine);
  // Names first: a wrong one is told before seconds of probing.
  const ofInterfaces = names.flatMap((name) =>
    interfaceFindings(machine, name),
  );
  return [
    ...systemFindings(machine),
    ...(await kernelFindings()),
    ...ofInterfaces,
  ];
}

async function kernelFindings(): Promise<readonly Finding[]> {
  const reason = await haveBpf();
  if (reason !== undefined)
    return [
      bad(
        "engine",
        "kernel engine",
        reason.message,
        reason.fix ?? "use --engine wasm",
      ),
    ];
  return [
    good("engine", "kernel engine", "bpf(2) works"),
    ...(await probed()).map(featureFinding),
  ];
}

async function probed(): Promise<readonly FeatureProbe[]> {
  try {
    return await probeKernel();
  } catch (error) {
    if (error instanceof UnsupportedError) return [];
    throw error;
  }
}

export function featureFinding({
  name,
  have,
  firstKernel,
  answer,
}: FeatureProbe): Finding {
  return have
    ? good("feature", name, `since Linux ${firstKernel}`)
    : bad(
        "feature",
        name,
        `the kernel said ${answer ?? "no"}`,
        `Linux ${firstKernel} or later`,
      );
}
