/**
 * What the running kernel's verifier says of emitted bytes. A rejection is a
 * failure of the command (exit 5); not being able to ask is an answer.
 */
import { release } from "node:os";
import { UnsupportedError } from "../base/index.ts";
import { dispatcherName, dispatcherOf } from "../dispatched.ts";
import { haveBpf, openKernel } from "../engine/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import { readObject } from "../object/index.ts";

/** `accepted by Linux 6.18.4`, or `not asked: REASON`. Throws a VerifierError on rejection. */
export async function askVerifier(
  bytes: Uint8Array,
  program: ProgramSpec,
): Promise<string> {
  const why = await haveBpf();
  if (why !== undefined) return `not asked: ${why.message}`;
  const object = readObject(bytes, "core.o");
  const kernel = await openKernel();
  try {
    kernel.loadObject(object, {
      programs: [
        program.name,
        ...(dispatcherOf(object) === undefined ? [] : [dispatcherName]),
      ],
      type: program.type,
    });
    return `accepted by Linux ${release().split("-")[0]}`;
  } catch (error) {
    if (error instanceof UnsupportedError) return `not asked: ${error.message}`;
    throw error;
  } finally {
    kernel.close();
  }
}
