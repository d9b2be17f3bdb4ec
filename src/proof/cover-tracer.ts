/**
 * Runs packets on a machine and notes what the search needs: branch edges, operands of
 * comparisons, touches of cells.
 *
 * A feature is a branch edge (its number), a touch with its result, or a branch edge
 * in the company of the touches before it, a few of those per edge. A run is worth
 * keeping if it has a feature that none before had.
 */
import type { Place } from "../base/index.ts";
import {
  BytecodeMachine,
  type CellTouch,
  type Environment,
  type Outcome,
  type PacketInput,
  type State,
} from "../interp/index.ts";
import type { ProgramSpec } from "../isa/index.ts";

export interface Comparison {
  /** Branch number, or -1 for a comparison inside a helper. */
  readonly site: number;
  readonly left: bigint;
  readonly right: bigint;
  readonly width: 32 | 64;
}

export interface Trace {
  readonly outcome: Outcome;
  /** Edges 2·site (falls through) and 2·site + 1 (goes to the target). */
  readonly edges: ReadonlySet<number>;
  readonly features: ReadonlySet<string>;
  readonly comparisons: readonly Comparison[];
  readonly touches: readonly CellTouch[];
}

/** What one run remembers at most. */
const mostComparisons = 512;
const mostTouches = 256;

export class Tracer {
  /** Places of all conditional branches; the index is the site's number. */
  readonly sites: readonly Place[];
  /** Maps that the program was seen to write. */
  readonly written = new Set<string>();
  readonly #machine: BytecodeMachine;
  readonly #numbers = new Map<string, number>();
  readonly #known = new Map<Place, number>();
  #edges = new Set<number>();
  #features = new Set<string>();
  #comparisons: Comparison[] = [];
  #touches: CellTouch[] = [];
  #company = 0;
  /** Runs so far. */
  runs = 0;

  constructor(
    program: ProgramSpec,
    state: State,
    options: {
      readonly seed: number;
      readonly programs?: readonly ProgramSpec[];
      readonly environment: Environment;
    },
  ) {
    const sites: Place[] = [];
    for (const fn of program.functions)
      for (const [index, instruction] of fn.instructions.entries())
        if (instruction.kind === "branch") {
          this.#numbers.set(`${fn.name}+${index}`, sites.length);
          sites.push({ function: fn.name, instruction: index });
        }
    this.sites = sites;
    this.#machine = new BytecodeMachine(program, state, {
      seed: options.seed,
      budget: 100_000,
      environment: options.environment,
      ...(options.programs === undefined ? {} : { programs: options.programs }),
      observer: {
        branch: (at, taken) => this.#branch(at, taken),
        compare: (at, left, right, width) => {
          if (this.#comparisons.length >= mostComparisons) return;
          const site = this.#siteOf(at);
          this.#comparisons.push({ site, left, right, width });
        },
        touch: (touch) => this.#touch(touch),
      },
    });
  }

  run(state: State, input: PacketInput): Trace {
    this.runs++;
    this.#edges = new Set();
    this.#features = new Set();
    this.#comparisons = [];
    this.#touches = [];
    this.#company = 0;
    this.#machine.use(state);
    const outcome = this.#machine.run(input);
    this.#features.add(`verdict ${outcome.verdict}`);
    return {
      outcome,
      edges: this.#edges,
      features: this.#features,
      comparisons: this.#comparisons,
      touches: this.#touches,
    };
  }

  #siteOf(at: Place): number {
    let site = this.#known.get(at);
    if (site === undefined) {
      site = this.#numbers.get(`${at.function}+${at.instruction}`) ?? -1;
      this.#known.set(at, site);
    }
    return site;
  }

  #branch(at: Place, taken: boolean): void {
    const site = this.#siteOf(at);
    if (site < 0) return;
    const edge = 2 * site + (taken ? 1 : 0);
    this.#edges.add(edge);
    this.#features.add(`${edge}`);
    if (this.#company !== 0) this.#features.add(`${edge}&${this.#company}`);
  }

  #touch(touch: CellTouch): void {
    const { at, op, result, map } = touch;
    const name = `${at.function}+${at.instruction} ${op} ${result}`;
    this.#features.add(name);
    if (touch.writes) this.written.add(map);
    if (op !== "load" && op !== "store" && op !== "atomic") {
      let mixed = this.#company;
      for (let index = 0; index < name.length; index++)
        mixed = (Math.imul(mixed, 31) + name.charCodeAt(index)) | 0;
      this.#company = mixed;
    }
    if (this.#touches.length < mostTouches) this.#touches.push(touch);
  }
}
