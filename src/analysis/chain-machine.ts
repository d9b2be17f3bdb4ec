/**
 * Functions of a program, called one at a time in the interpreter on a state of their
 * own. A driver takes number and arguments from the frame and leaves the answer there:
 *
 *   bytes 0-7 first argument, 8-15 second argument, 16-23 answer
 */
import { fromHex } from "../base/index.ts";
import {
  BytecodeMachine,
  createState,
  type CellTouch,
  type State,
} from "../interp/index.ts";
import {
  parseFunction,
  type FunctionSpec,
  type MapSpec,
  type ProgramSpec,
} from "../isa/index.ts";

export interface Called {
  readonly answer: bigint;
  /** Why the run ended early. */
  readonly fault?: string;
  readonly touches: readonly CellTouch[];
}

/** How an edge of a branch is called in `edges`. */
export const edgeName = (fn: string, instruction: number, taken: boolean) =>
  `${fn}+${instruction}${taken ? "" : "!"}`;

const FRAME = 64;

export class ChainMachine {
  readonly edges = new Set<string>();
  readonly #machines = new Map<string, BytecodeMachine>();
  readonly #first: State;
  #touches: CellTouch[] = [];
  #state: State;

  constructor(
    program: ProgramSpec,
    functions: readonly string[],
    maps: readonly MapSpec[],
  ) {
    this.#first = createState(maps, { cpus: 1 });
    this.#state = this.#first.clone();
    for (const name of functions)
      this.#machines.set(name, this.#machine(program, name, maps));
  }

  get state(): State {
    return this.#state;
  }

  /** From now on with empty maps. */
  restart(): void {
    this.#state = this.#first.clone();
    for (const machine of this.#machines.values()) machine.use(this.#state);
  }

  call(name: string, first: bigint, second = 0n): Called {
    const machine = this.#machines.get(name);
    if (machine === undefined) throw new RangeError(`no function ${name}`);
    const data = new Uint8Array(FRAME);
    const view = new DataView(data.buffer);
    view.setBigUint64(0, first, true);
    view.setBigUint64(8, second, true);
    this.#touches = [];
    // Time is an argument of these functions: one that asks for it gets this.
    const input = { data, ifindex: 1, rxQueue: 0, cpu: 0, time: 7n };
    const out = machine.run(input);
    const { byteOffset } = out.data;
    const answer = new DataView(out.data.buffer, byteOffset).getBigUint64(
      16,
      true,
    );
    return {
      answer,
      ...(out.fault === undefined ? {} : { fault: out.fault.text }),
      touches: this.#touches,
    };
  }

  #machine(
    program: ProgramSpec,
    name: string,
    maps: readonly MapSpec[],
  ): BytecodeMachine {
    const driver = driverOf(name);
    const functions = [driver, ...program.functions.slice(1)];
    return new BytecodeMachine(
      { ...program, type: "xdp", functions, maps },
      this.#state,
      {
        budget: 10_000,
        observer: {
          touch: (touch) => void this.#touches.push(touch),
          branch: (at, taken) =>
            void this.edges.add(edgeName(at.function, at.instruction, taken)),
        },
      },
    );
  }
}

const driverOf = (name: string): FunctionSpec =>
  parseFunction(`
function divisi_driver section "xdp" global
  r6 = *(u32 *)(r1 + 0)
  r1 = *(u64 *)(r6 + 0)
  r2 = *(u64 *)(r6 + 8)
  r0 = 0
  call function ${JSON.stringify(name)}
  *(u64 *)(r6 + 16) = r0
  r0 = 2
  exit
`);

/** The cell's number, for a touch of an array. */
export function cellNumber({ cell }: CellTouch): number {
  const bytes = fromHex(cell);
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}
