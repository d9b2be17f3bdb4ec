/**
 * A race that happens: two packets on two cores, one of them held in the middle of
 * its run while the other runs whole.
 *
 * The first packet stops behind one of its touches of the racing object, the second
 * runs from its beginning to its end on the same state, the first goes on. If verdicts,
 * bytes or the state then differ from those of *both* orders in which the packets could
 * have run one after the other, no order explains what happened: the program is not
 * safe on two cores. The interpreter does it, so that the schedule is exact and the
 * same every time.
 *
 * A packet that holds a lock is not held: the second one would wait for it.
 *
 * Law: what is returned is a race (one-way sound: a race that needs more than two
 * packets, or a packet held twice, is not found).
 */
import { toHex, type Place } from "../base/index.ts";
import {
  BytecodeMachine,
  createState,
  type CellTouch,
  type Outcome,
  type PacketInput,
  type State,
} from "../interp/index.ts";
import { helperByNumber, mapTypeRow, type ProgramSpec } from "../isa/index.ts";
import type { MapContents } from "./record.ts";
import { dumpState } from "./state-dump.ts";

export interface RaceSchedule {
  /** Packets that ran before, one after the other, as indices of those given. */
  readonly before: readonly number[];
  /** Behind which touch the first packet was held. */
  readonly held: { readonly op: CellTouch["op"]; readonly at: Place };
  readonly differs: {
    /** `sources[0a000001]`, or `verdict of the first packet`. */
    readonly what: string;
    /** The map, if it is a cell: the texts are then its value's bytes as hex. */
    readonly map?: string;
    /** First then second, and the other way round; absent: no such cell. */
    readonly inOrder: readonly [string | undefined, string | undefined];
    readonly raced: string | undefined;
  };
}

export interface RaceTrial {
  readonly object: string;
  /** Indices of the two packets; one packet may race with its own copy. */
  readonly pair: readonly [number, number];
  /** Sequences of packets to run before, each tried on the first contents. */
  readonly before: readonly (readonly number[])[];
  /** Touches behind which the first packet may be held. */
  readonly holdsAt: (touch: CellTouch) => boolean;
}

/** Touches of one run behind which it is held in turn. */
const mostHolds = 24;

/** Runs pairs of packets of one program; made once, since it compiles the program. */
export class RaceLab {
  readonly #packets: readonly PacketInput[];
  readonly #first: State;
  readonly #held: BytecodeMachine;
  readonly #whole: BytecodeMachine;
  #touch: ((touch: CellTouch) => void) | undefined;
  /** That the packet which may be held has taken. */
  #locks = 0;

  constructor(
    program: ProgramSpec,
    packets: readonly PacketInput[],
    contents: MapContents,
  ) {
    this.#packets = packets;
    this.#first = createState(program.maps, { contents });
    const steps = lockSteps(program);
    this.#held = new BytecodeMachine(program, this.#first, {
      observer: {
        touch: (touch) => this.#touch?.(touch),
        instruction: (at) => {
          this.#locks += steps.get(`${at.function}+${at.instruction}`) ?? 0;
        },
      },
    });
    this.#whole = new BytecodeMachine(program, this.#first);
  }

  /** The first schedule of the trial that no order explains. */
  find(trial: RaceTrial): RaceSchedule | undefined {
    for (const before of trial.before) {
      const found = this.#search(trial, before);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** What maps that a program can write hold once those packets have run, zeros left out. */
  contentsAfter(before: readonly number[]): MapContents {
    const state = this.#start(before);
    return Object.fromEntries(
      state.stores.flatMap(({ kind, spec }) =>
        kind === "cells" && !spec.readOnly
          ? [
              [
                spec.name,
                state
                  .entries(spec.name)
                  .filter(
                    ({ value }) =>
                      mapTypeRow(spec.type).indexed !== true ||
                      value.some((byte) => byte !== 0),
                  ),
              ],
            ]
          : [],
      ),
    );
  }

  #search(
    { object, pair, holdsAt }: RaceTrial,
    before: readonly number[],
  ): RaceSchedule | undefined {
    const [first, second] = pair;
    const forward = this.#inOrder(before, [first, second]);
    const backward = swapped(this.#inOrder(before, [second, first]));
    for (let hold = 0; hold < mostHolds; hold++) {
      const raced = this.#race(before, pair, {
        hold,
        at: (touch) => touch.map === object && holdsAt(touch),
      });
      if (raced === undefined) return undefined;
      if (raced.end === forward.end || raced.end === backward.end) continue;
      const differs = difference(raced, forward, backward);
      if (differs !== undefined) return { before, held: raced.held, differs };
    }
    return undefined;
  }

  #inOrder(before: readonly number[], order: readonly number[]): Ended {
    const state = this.#start(before);
    return ended(
      state,
      order.map((packet, cpu) => this.#run(this.#whole, packet, cpu)),
    );
  }

  /** Undefined: the first packet has no such touch. */
  #race(
    before: readonly number[],
    [first, second]: readonly [number, number],
    stop: { readonly hold: number; readonly at: (touch: CellTouch) => boolean },
  ): (Ended & Pick<RaceSchedule, "held">) | undefined {
    const state = this.#start(before);
    this.#locks = 0;
    let seen = 0;
    let held: RaceSchedule["held"] | undefined;
    let other: Outcome | undefined;
    this.#touch = (touch) => {
      if (held !== undefined || this.#locks > 0 || !stop.at(touch)) return;
      if (seen++ < stop.hold) return;
      held = { op: touch.op, at: touch.at };
      other = this.#run(this.#whole, second, 1);
    };
    const one = this.#run(this.#held, first, 0);
    this.#touch = undefined;
    if (held === undefined || other === undefined) return undefined;
    return { ...ended(state, [one, other]), held };
  }

  #start(before: readonly number[]): State {
    const state = this.#first.clone();
    this.#held.use(state);
    this.#whole.use(state);
    for (const packet of before) this.#run(this.#whole, packet, 0);
    return state;
  }

  #run(machine: BytecodeMachine, packet: number, cpu: number): Outcome {
    const input = this.#packets[packet];
    if (input === undefined) throw new RangeError(`no packet ${packet}`);
    return machine.run({ ...input, cpu, rxQueue: cpu });
  }
}

const locking: Readonly<Record<string, 1 | -1>> = {
  spin_lock: 1,
  spin_unlock: -1,
  bpf_res_spin_lock: 1,
  bpf_res_spin_unlock: -1,
};

/** Calls that take or give back a lock. */
function lockSteps({ functions }: ProgramSpec): ReadonlyMap<string, 1 | -1> {
  const steps = new Map<string, 1 | -1>();
  for (const { name, instructions } of functions)
    for (const [at, instruction] of instructions.entries()) {
      if (instruction.kind !== "call") continue;
      const { callee } = instruction;
      const called =
        callee.kind === "helper"
          ? helperByNumber(callee.helper)?.name
          : callee.kind === "kfunc"
            ? callee.name
            : undefined;
      const step = called === undefined ? undefined : locking[called];
      if (step !== undefined) steps.set(`${name}+${at}`, step);
    }
  return steps;
}

interface Ended {
  readonly outcomes: readonly Outcome[];
  readonly state: State;
  /** Equal for equal ends. */
  readonly end: string;
}

function ended(state: State, outcomes: readonly Outcome[]): Ended {
  return {
    outcomes,
    state,
    end: [...outcomes.map(outcomeText), state.digest()].join(" "),
  };
}

function swapped({ outcomes, state }: Ended): Ended {
  return ended(state, outcomes.toReversed());
}

const outcomeText = ({ verdict, data, fault }: Outcome): string =>
  `${verdict} ${toHex(data)} ${fault?.text ?? ""}`;

/** What of the end no order gives; undefined where each part is some order's. */
function difference(
  raced: Ended,
  forward: Ended,
  backward: Ended,
): RaceSchedule["differs"] | undefined {
  const dumps = [raced, forward, backward].map(({ state }) => dumpState(state));
  const [have, one, other] = dumps;
  for (const [map, cells] of have ?? []) {
    const keys = new Set(
      [cells, one?.get(map), other?.get(map)].flatMap((side) => [
        ...(side?.keys() ?? []),
      ]),
    );
    for (const key of keys) {
      const [now, ahead, back] = dumps.map((dump) =>
        dump.get(map)?.get(key)?.join(),
      );
      if (now !== ahead && now !== back)
        return {
          what: `${map}[${key}]`,
          map,
          inOrder: [ahead, back],
          raced: now,
        };
    }
  }
  for (const [index, name] of ["first", "second"].entries())
    for (const [part, textOf] of outcomeParts) {
      const [now, ahead, back] = [raced, forward, backward].map(
        ({ outcomes }) => outcomes[index] && textOf(outcomes[index]),
      );
      if (now !== ahead && now !== back)
        return {
          what: `${part} of the ${name} packet`,
          inOrder: [ahead, back],
          raced: now,
        };
    }
  // Each part agrees with some order, all of them with none: say the verdicts.
  return {
    what: "verdicts and state together",
    inOrder: [verdictsOf(forward), verdictsOf(backward)],
    raced: verdictsOf(raced),
  };
}

const outcomeParts: readonly (readonly [
  string,
  (outcome: Outcome) => string,
])[] = [
  ["verdict", ({ verdict }) => String(verdict)],
  ["frame", ({ data }) => toHex(data)],
  ["fault", ({ fault }) => fault?.text ?? "none"],
];

const verdictsOf = ({ outcomes }: Ended): string =>
  outcomes.map(({ verdict }) => verdict).join(", ");
