/**
 * plan.json: the plan as JSON (CLI.md, split), with what `check` and `run` need
 * to do it again: input hash, command, ports, NIC set-up.
 */
import { InputError, UnsupportedError } from "../base/index.ts";
import { dispatchEntries } from "../dispatched.ts";
import type { NicSetup } from "../rss/index.ts";
import type { Port, Runtime } from "../strategy/index.ts";

/** The part of plan.json that is read back. */
export interface PlanFile {
  readonly schema: "divisi.plan/1";
  readonly program: { readonly name: string; readonly type: string };
  readonly strategy: string;
  readonly grade: string;
  readonly cores: number;
  readonly nic: string;
  readonly ports: readonly Port[];
  readonly objects: readonly {
    readonly name: string;
    readonly strategy: string;
    readonly layoutChanged: boolean;
    readonly layout?: string;
    readonly capacities?: readonly number[];
  }[];
  /** Absent in old files: nothing stands around a packet's run. */
  readonly runtime?: Runtime;
  /** What the guard is in the kernel; absent in old files, too. */
  readonly kernel?: {
    readonly kind: string;
    readonly refusals?: readonly KernelRefusal[];
  };
  readonly setup?: NicSetup;
  /** How packets get to cores. */
  readonly dispatch?: string;
  /** CPU of each entry of a software dispatcher's table; absent: spread evenly. */
  readonly dispatchTable?: readonly number[];
  /** Maps that user space changes at run time. */
  readonly userWrites?: readonly string[];
  readonly seed: number;
  readonly traffic: readonly string[];
}

interface KernelRefusal {
  readonly object: string;
  readonly code: string;
  readonly text: string;
}

/** The kernel holds no lock around a packet: each guarded object has one, or none runs. */
export function mustRunInKernel({ runtime, kernel, program }: PlanFile): void {
  if (runtime === undefined || runtime.kind === "plain") return;
  if (kernel?.kind === "locked") return;
  const [first] = kernel?.refusals ?? [];
  throw new UnsupportedError(
    `${program.name} is divided with a ${runtime.kind} around ${runtime.objects.join(", ")}, which only the portable engine has${first === undefined ? "" : `: ${first.text} [${first.code}]`}`,
    {
      feature: `a ${runtime.kind} around packets in the kernel`,
      fix: "divisi run without --engine kernel, or divisi split --strategy sequential for one core",
    },
  );
}

/** Reads plan.json; an InputError names what is wrong with it. */
export function parsePlanFile(text: string, file: string): PlanFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw bad(file, error instanceof Error ? error.message : String(error));
  }
  const plan = value as Partial<PlanFile> | null;
  if (plan === null || typeof plan !== "object")
    throw bad(file, "an object is expected");
  if (plan.schema !== "divisi.plan/1")
    throw bad(
      file,
      `schema divisi.plan/1 is expected, not ${String(plan.schema)}`,
    );
  const whole = (number: unknown): boolean =>
    Number.isInteger(number) && Number(number) > 0;
  const checks: readonly (readonly [boolean, string])[] = [
    [typeof plan.program?.name === "string", "program.name"],
    [whole(plan.cores) && (plan.cores ?? 0) <= 1024, "cores"],
    [typeof plan.nic === "string", "nic"],
    [Array.isArray(plan.ports) && plan.ports.length > 0, "ports"],
    [Array.isArray(plan.objects), "objects"],
    [Number.isInteger(plan.seed), "seed"],
    [Array.isArray(plan.traffic), "traffic"],
    [
      plan.userWrites === undefined || Array.isArray(plan.userWrites),
      "userWrites",
    ],
    [plan.setup === undefined || isSetup(plan.setup), "setup"],
    [isTable(plan.dispatchTable, plan.cores ?? 0), "dispatchTable"],
  ];
  for (const [holds, member] of checks)
    if (!holds) throw bad(file, `${member} is missing or malformed`);
  return plan as PlanFile;
}

function isSetup(setup: Partial<NicSetup>): boolean {
  return (
    Array.isArray(setup.ports) &&
    setup.ports.every(
      (port) =>
        typeof port.name === "string" &&
        /^([0-9a-f]{2})+$/.test(port.key) &&
        typeof port.fields === "object" &&
        Array.isArray(port.table?.entries) &&
        port.table.entries.length > 0 &&
        (port.table.entries.length & (port.table.entries.length - 1)) === 0,
    )
  );
}

function bad(file: string, text: string): InputError {
  return new InputError(text, { code: "plan-file", file });
}

function isTable(table: unknown, cores: number): boolean {
  if (table === undefined) return true;
  return (
    Array.isArray(table) &&
    table.length === dispatchEntries &&
    table.every((cpu) => Number.isInteger(cpu) && cpu >= 0 && cpu < cores)
  );
}
