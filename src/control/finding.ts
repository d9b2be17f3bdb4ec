/** One line of doctor's report. */
export interface Finding {
  /** Stable, for scripts: `bpf`, `map ringbuf`, `eth0: queues`. */
  readonly name: string;
  /** `engine` and `interface` findings decide the exit code, `advice` never does. */
  readonly about: "engine" | "interface" | "feature" | "tool" | "advice";
  readonly ok: boolean;
  readonly detail: string;
  /** What to do, where it is not ok. */
  readonly fix?: string;
}

export function good(
  about: Finding["about"],
  name: string,
  detail: string,
): Finding {
  return { name, about, ok: true, detail };
}

export function bad(
  about: Finding["about"],
  name: string,
  detail: string,
  fix: string,
): Finding {
  return { name, about, ok: false, detail, fix };
}
