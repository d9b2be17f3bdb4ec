/**
 * What the workers of a parallel run are loaded with, by core.
 *
 *   private   a memory each; compiled once per set of capacities
 *   shared    one memory with an area per core and the maps behind them; compiled
 *             once per core, since the addresses of its area are in the code
 *
 * What cannot be loaded is refused here, before a worker starts, where errors keep
 * their class.
 */
import { InputError } from "../../base/index.ts";
import type { CoreStart } from "./core-messages.ts";
import type { ParallelOptions } from "./parallel-options.ts";
import {
  anotherMemory,
  preparePortable,
  type LoadOptions,
  type PreparedProgram,
} from "./prepare.ts";
import { PortableProgram } from "./program.ts";

export type TeamOptions = Pick<
  ParallelOptions,
  "program" | "cores" | "memory" | "perCore" | "tamper" | keyof Common
>;

type Common = Pick<
  LoadOptions,
  "cpus" | "seed" | "budget" | "control" | "contents" | "capacities" | "guard"
>;

export interface Team {
  readonly members: readonly {
    readonly prepared: PreparedProgram;
    readonly load: CoreStart["options"];
  }[];
  /** The program that sees the maps which all members share, if they do. */
  readonly common?: PortableProgram;
}

export function teamOf(options: TeamOptions): Team {
  return options.memory === "shared" ? sharing(options) : apart(options);
}

/** The members of a team that shares its maps, all in this thread. */
export function loadTeam(options: TeamOptions): readonly PortableProgram[] {
  const { members, common } = sharing(options);
  return members.map(({ prepared, load }, core) =>
    core === 0 && common !== undefined
      ? common
      : new PortableProgram(options.program, prepared, load as LoadOptions),
  );
}

function apart(options: TeamOptions): Team {
  if (options.guard !== undefined)
    throw new InputError("only cores that share their maps need a guard", {
      code: "guard-impossible",
      kind: "usage",
      fix: 'give memory: "shared" with it',
    });
  const { program, tamper } = options;
  const known = new Map<string, PreparedProgram>();
  const members = Array.from({ length: options.cores }, (_, core) => {
    const mine = options.perCore?.[core];
    const load: LoadOptions = {
      ...commonOptions(options),
      ...(mine?.contents === undefined ? {} : { contents: mine.contents }),
      ...(mine?.capacities === undefined
        ? {}
        : { capacities: mine.capacities }),
      memory: "watched",
    };
    // Contents can name inner maps, which belong to the layout.
    const key = JSON.stringify([
      load.capacities,
      mine?.contents === undefined ? -1 : core,
    ]);
    const first = known.get(key);
    const prepared =
      first === undefined
        ? preparePortable(program, withTamper(load, tamper))
        : anotherMemory(first);
    known.set(key, prepared);
    if (first === undefined && load.contents !== undefined)
      void new PortableProgram(program, anotherMemory(prepared), load);
    return { prepared, load };
  });
  return { members };
}

function sharing(options: TeamOptions): Team {
  const { program, cores, tamper } = options;
  if (options.perCore?.some((own) => own !== undefined) === true)
    throw new InputError(
      "cores that share their maps cannot have contents or capacities of their own",
      { code: "cores-impossible", kind: "usage" },
    );
  const load = commonOptions(options);
  const seat = { core: 0, cores };
  const first = preparePortable(
    program,
    withTamper({ ...load, memory: seat }, tamper),
  );
  const common = new PortableProgram(program, first, { ...load, memory: seat });
  const { memory } = first;
  const members = Array.from({ length: cores }, (_, core) => {
    const joined = { ...load, memory: { core, cores, memory } };
    return {
      prepared:
        core === 0
          ? first
          : preparePortable(program, withTamper(joined, tamper)),
      load: joined,
    };
  });
  return { members, common };
}

function commonOptions(options: TeamOptions): LoadOptions {
  const { cores, seed, budget, control, contents, capacities, guard } = options;
  return {
    cpus: options.cpus ?? cores,
    ...(contents === undefined ? {} : { contents }),
    ...(capacities === undefined ? {} : { capacities }),
    ...(seed === undefined ? {} : { seed }),
    ...(budget === undefined ? {} : { budget }),
    ...(control === undefined ? {} : { control }),
    ...(guard === undefined ? {} : { guard }),
  };
}

function withTamper(
  load: LoadOptions,
  tamper: LoadOptions["tamper"],
): LoadOptions {
  return tamper === undefined ? load : { ...load, tamper };
}
