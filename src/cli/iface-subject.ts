/**
 * What `divisi run … --iface` runs: a program or what `split` wrote, with its ports
 * bound to interfaces when these are known. Ports that the program tests through a
 * variable (`lan_ifindex`) take any interface; one that it tests by number wants just
 * that one.
 */
import { existsSync, statSync } from "node:fs";
import { InputError, UnsupportedError } from "../base/index.ts";
import { boundDispatcher } from "../dispatched.ts";
import type { BoundProgram } from "../engine/index.ts";
import { hasVariable, type ObjectSpec } from "../object/index.ts";
import { load, type Analysed } from "../analysed.ts";
import { reread } from "../pipeline.ts";
import { deviceContents, widened, type MapContents } from "../proof/index.ts";
import type { NicSetup } from "../rss/index.ts";
import type { Port } from "../strategy/index.ts";
import { certifiedDirectory } from "./bound-directory.ts";
import type { Words } from "./command.ts";
import { contentsOf, loadAnalysed, runningKernel } from "./input.ts";
import { mustRunInKernel } from "./plan-file.ts";
import { objectFile } from "./object-file.ts";
import { isSet, usage } from "./words.ts";

export interface IfaceSubject {
  readonly path: string;
  readonly name: string;
  readonly ports: readonly Port[];
  /** Index that each port's interface must have, where it must. */
  readonly fixed: readonly (number | undefined)[];
  readonly cores: number;
  readonly setup: NicSetup | undefined;
  /** A program of its own brings packets to their cores. */
  readonly isDispatched: boolean;
  /** `ifindexes`: of the ports' interfaces; `cpus`: copies of per-CPU values. */
  readonly bind: (ifindexes: readonly number[], cpus: number) => BoundProgram;
}

export async function ifaceSubject(
  words: Words,
  count: number,
): Promise<IfaceSubject> {
  const [path = ""] = words.args;
  const subject = await subjectAt(path, words, count);
  if (subject.ports.length === count) return subject;
  const names = subject.ports.map(({ name }) => name).join(", ");
  throw usage(
    `--iface names ${count} ${count === 1 ? "interface" : "interfaces"}, and there ${subject.ports.length === 1 ? "is one port" : `are ${subject.ports.length} ports`}`,
    `ports, in this order: ${names}`,
  );
}

/** The same with as many ports as it has; `count` where it does not care. */
export async function subjectAt(
  path: string,
  words: Words,
  count: number,
): Promise<IfaceSubject> {
  return existsSync(path) && statSync(path).isDirectory()
    ? directorySubject(path, words)
    : programSubject(path, words, count);
}

function directorySubject(path: string, words: Words): IfaceSubject {
  for (const flag of ["entry", "type", "set", "port"])
    if (isSet(words, flag))
      throw usage(
        `--${flag} is for a program: ${path} has what split was given`,
      );
  const { plan, analysed, core, contents } = certifiedDirectory(path);
  mustRunInKernel(plan);
  const given = contentsOf(words, analysed.program)?.contents ?? contents;
  return {
    ...common(path, analysed, plan.ports),
    cores: plan.cores,
    setup: plan.setup,
    isDispatched: plan.dispatch === "software",
    bind: (ifindexes, cpus) => {
      const options = {
        file: "core.o",
        entry: plan.program.name,
        type: plan.program.type,
        set: [],
        ports: plan.ports.map(({ name }, port) => ({
          name,
          ifindex: ifindexes[port] ?? 0,
        })),
        userWrites: [],
        ...runningKernel,
      };
      const { object, program } = load(core, options);
      const source = load(analysed.source, options).program;
      // CO-RE records stay in core.o for the loader: as reread does.
      const isSame = reread(core, analysed.program).functions;
      const dispatcher = boundDispatcher(object, plan);
      return {
        ...bound(
          isSame === analysed.program.functions
            ? { ...program, functions: source.functions }
            : program,
          object,
          { ifindexes, cpus, given },
        ),
        ...(dispatcher === undefined ? {} : { dispatcher }),
      };
    },
  };
}

/** Ports without `--port` are those of the program's variables, or as many as there are interfaces. */
async function programSubject(
  path: string,
  words: Words,
  count: number,
): Promise<IfaceSubject> {
  const file = await objectFile(path, words);
  const analysed = loadAnalysed(file, words);
  const given = contentsOf(words, analysed.program, file.contents)?.contents;
  const { ports, report } = analysed;
  const isAny =
    report.testsPort !== true && ports.length === 1 && !isSet(words, "port");
  const named = isAny
    ? Array.from({ length: count }, (_, port) => ({
        name: `port${port}`,
        ifindex: 0,
      }))
    : ports;
  return {
    ...common(path, analysed, named),
    cores: 1,
    setup: undefined,
    isDispatched: false,
    bind: (ifindexes, cpus) => {
      const again = new Map(words.flags);
      again.set(
        "port",
        named.map(({ name }, port) => `${name}=${ifindexes[port] ?? 0}`),
      );
      const { object, program } = loadAnalysed(file, {
        ...words,
        flags: again,
      });
      return bound(program, object, { ifindexes, cpus, given });
    },
  };
}

function common(
  path: string,
  { program, report, object }: Analysed,
  ports: readonly Port[],
): Pick<IfaceSubject, "path" | "name" | "ports" | "fixed"> {
  if (program.type !== "xdp")
    throw new UnsupportedError(
      `${program.name} is a ${program.type} program; only XDP programs run at interfaces`,
      { feature: `running ${program.type} at an interface` },
    );
  const tested = report.testedPorts ?? [];
  return {
    path,
    name: program.name,
    ports,
    fixed: ports.map(({ name, ifindex }) =>
      tested.includes(ifindex) && !hasVariable(object, `${name}_ifindex`)
        ? ifindex
        : undefined,
    ),
  };
}

function bound(
  program: BoundProgram["program"],
  object: ObjectSpec,
  {
    ifindexes,
    cpus,
    given,
  }: {
    readonly ifindexes: readonly number[];
    readonly cpus: number;
    readonly given: MapContents | undefined;
  },
): BoundProgram {
  const contents = { ...deviceContents(program, ifindexes), ...given };
  return {
    program,
    ...(object.btf === undefined ? {} : { btf: object.btf }),
    contents: widened(contents, program, cpus),
  };
}

/** Index to make port `at` with; 1 is lo in every namespace. */
export function indexToMake(
  { fixed, ports }: IfaceSubject,
  at: number,
): number {
  const index = fixed[at] ?? firstIndex + at;
  if (index > 1) return index;
  const name = ports[at]?.name ?? "";
  throw new InputError(
    `the program tests for interface index 1, which is lo in every namespace`,
    {
      code: "port-index",
      kind: "usage",
      fix: `divide it again with --port ${name}=${firstIndex + at}`,
    },
  );
}

const firstIndex = 3;
