/** ^C, SIGTERM or a time that is over: asked for, or waited for. */
import process from "node:process";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export class Stop {
  #isAsked = false;
  #onAsked: (() => void) | undefined;
  readonly #ask = (): void => {
    this.#isAsked = true;
    this.#onAsked?.();
  };

  constructor() {
    for (const signal of signals) process.on(signal, this.#ask);
  }

  /** A signal came. */
  readonly isAsked = (): boolean => this.#isAsked;

  /** Resolves at a signal, or after the time. */
  async wait(milliseconds: number | undefined): Promise<void> {
    if (this.#isAsked) return;
    await new Promise<void>((resolve) => {
      // Something must keep the process going.
      const timer =
        milliseconds === undefined
          ? setInterval(() => undefined, 1 << 30)
          : setTimeout(resolve, milliseconds);
      this.#onAsked = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Signals mean what they meant. */
  end(): void {
    for (const signal of signals) process.off(signal, this.#ask);
  }
}
