/**
 * Guarded cores in one thread: the same code and memory as on real threads, but each
 * step is chosen by the caller. A step is what nobody can come between: an attempt, or
 * an exclusive run. Between an attempt that never was and what follows it, any other
 * core may have its turn; so the choices are all interleavings at the grain of locks.
 */
import { InputError } from "../../base/index.ts";
import type { Outcome, PacketInput } from "../../interp/index.ts";
import type { ProgramSpec } from "../../isa/index.ts";
import type { GuardCounts } from "./guard-counts.ts";
import type { LoadOptions } from "./prepare.ts";
import type { PortableProgram } from "./program.ts";
import { loadTeam } from "./team.ts";

export interface VirtualOptions extends Pick<
  LoadOptions,
  "contents" | "capacities" | "seed" | "budget" | "cpus"
> {
  readonly program: ProgramSpec;
  readonly cores: number;
  readonly guard: NonNullable<LoadOptions["guard"]>;
}

export interface VirtualPacket extends PacketInput {
  /** Position in the trace; any number that tells packets apart. */
  readonly number: number;
}

export interface VirtualResult {
  readonly number: number;
  readonly outcome: Outcome;
  readonly ticket: number;
}

/** Attempts of a transaction before it runs alone; a lock has one. */
const attempts = { lock: 1, transaction: 2 } as const;

export class VirtualCores {
  readonly cores: number;
  readonly #kind: "lock" | "transaction";
  readonly #members: readonly PortableProgram[];
  /** The packet that each core has in hand, and how often it was tried. */
  readonly #hands: ({ packet: VirtualPacket; tried: number } | undefined)[];

  constructor(options: VirtualOptions) {
    const { program, cores, guard } = options;
    this.cores = cores;
    this.#kind = guard.kind;
    this.#members = loadTeam({ ...options, program, memory: "shared" });
    this.#hands = this.#members.map(() => undefined);
  }

  /** Whether the core is between two steps of one packet. */
  isBusy(core: number): boolean {
    return this.#hands[core] !== undefined;
  }

  /**
   * One step of a core: it goes on with its packet, or takes `packet` if it has none.
   * Undefined: the attempt never was.
   */
  step(core: number, packet?: VirtualPacket): VirtualResult | undefined {
    const member = this.#members[core];
    if (member === undefined)
      throw new InputError(`core ${core} of ${this.cores}`, {
        code: "steer-out-of-range",
        kind: "usage",
      });
    const hand = this.#hands[core] ?? this.#take(core, packet);
    if (hand === undefined) return undefined;
    if (hand.tried === attempts[this.#kind]) member.runExclusive(0);
    else {
      hand.tried++;
      if (!member.attempt(0)) return undefined;
    }
    this.#hands[core] = undefined;
    return {
      number: hand.packet.number,
      outcome: member.outcome(0),
      ticket: member.ticket(0),
    };
  }

  /** Elements of all maps, as the sequential program has them. */
  contents(): ReturnType<PortableProgram["contents"]> {
    this.#first.guard.settle();
    return this.#first.contents();
  }

  digest(): string {
    this.#first.guard.settle();
    return this.#first.digest();
  }

  counts(): readonly (GuardCounts | undefined)[] {
    return this.#members.map(({ guard }) => guard.counts);
  }

  get #first(): PortableProgram {
    const [first] = this.#members;
    if (first === undefined) throw new RangeError("no cores");
    return first;
  }

  #take(
    core: number,
    packet: VirtualPacket | undefined,
  ): { packet: VirtualPacket; tried: number } | undefined {
    if (packet === undefined) return undefined;
    const hand = { packet, tried: 0 };
    this.#hands[core] = hand;
    this.#members[core]?.put({ ...packet, cpu: core, rxQueue: core });
    return hand;
  }
}
