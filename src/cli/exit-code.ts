/**
 * Exit codes between the command line and its supervisor. Node itself exits with
 * 1 when something was never caught, and with other small numbers; so that such an
 * end cannot pass for an answer, the child adds 100 to what it decided.
 */
const offset = 100;

/** The codes of the contract (docs/reference/cli.md). */
const contract = [0, 1, 2, 3, 4, 5, 70];

export function encodeExit(code: number): number {
  return offset + code;
}

/** The decided code, or undefined where nothing was decided. */
export function decodeExit(status: number): number | undefined {
  return contract.find((code) => code === status - offset);
}
