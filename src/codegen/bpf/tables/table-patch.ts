/**
 * A hash map becomes a table of each core's own: the map is replaced by the map of
 * tables, and the helper calls with it by calls of generated functions.
 *
 *   r1 = map flows ll             stays, and nobody reads it
 *   call map_lookup_elem     →    the look-up itself (table-lookup.ts)
 *   call map_update_elem     →    r1 = *(u64 *)(r10 + own core)
 *                                 call function flows_table_update
 *
 * Registers fare as with the helper: r0 is the answer, r1 to r5 are gone. A pointer
 * to a value points into the table, and is compared with 0 as before.
 *
 * Refused: maps of other kinds and with locks or timers in their values, and every use
 * of the map but the three calls (src/codegen/bpf/patch/map-calls.ts).
 */
import { Bug, UnsupportedError } from "../../../base/index.ts";
import {
  editFunction,
  type Edit,
  type FunctionSpec,
  type MapSpec,
  type Register,
} from "../../../isa/index.ts";
import { assembled } from "../patch/assembled.ts";
import { functionOf, withFunctions, type Code } from "../patch/code.ts";
import { callsWith, type MapCall } from "../patch/map-calls.ts";
import type { OwnCore } from "../patch/own-core.ts";
import { freeSlot } from "../patch/frame.ts";
import { registerContents, type Content } from "../patch/register-contents.ts";
import {
  tableFunction,
  tableFunctionName,
  type TableFunction,
  type TableOperation,
} from "./table-functions.ts";
import { largestTable, tableLayout, tableMap } from "./table-layout.ts";
import { lookupScratch, tableLookupText } from "./table-lookup.ts";
import type { Alignment, Given } from "./table-words.ts";

export interface TablePart {
  readonly object: string;
  readonly layout: "table";
  /** Of each core's table; their sum is the map's. */
  readonly capacities: readonly number[];
}

const operations: ReadonlyMap<string, TableOperation> = new Map([
  ["map_update_elem", "update"],
  ["map_delete_elem", "delete"],
]);
const helpers: ReadonlySet<string> = new Set([
  "map_lookup_elem",
  ...operations.keys(),
]);

/** BPF_F_NO_PREALLOC, BPF_F_NUMA_NODE, BPF_F_ZERO_SEED: nothing that shows. */
const harmless = (1 << 0) | (1 << 2) | (1 << 6);

/** Functions that want the own core's number. Throws what stands against the layout. */
export function tableUsers(code: Code, part: TablePart): string[] {
  checkMap(mapOf(code, part.object), part);
  return [...callsWith(code, part.object, helpers).keys()];
}

/** With one core its number is not asked for. */
export function withTables<T extends Code>(
  code: T,
  part: TablePart,
  { own }: { readonly own: ReadonlyMap<string, OwnCore> },
): T {
  const { object, capacities } = part;
  const map = mapOf(code, object);
  checkMap(map, part);
  const layout = tableLayout(map, capacities);
  const made = new Map<string, FunctionSpec>();
  const patched = [...callsWith(code, object, helpers)].map(([name, calls]) => {
    const fn = functionOf(code, name);
    const core = capacities.length === 1 ? undefined : own.get(name);
    // Nobody calls it: the number is not handed to it, and it is no part of the program.
    if (core === undefined && capacities.length > 1) return fn;
    const givenAt = givenPlaces(code, fn);
    const scratch = lookupSlot(fn, calls);
    const edits = calls.map((call): Edit => {
      const key = givenAt(call, 2);
      const operation = operations.get(call.helper);
      if (operation === undefined)
        return {
          kind: "replace",
          at: call.at,
          instructions: assembled(
            tableLookupText({
              map: object,
              layout,
              key,
              scratch,
              ...(core === undefined ? {} : { core: core.slot }),
            }),
          ),
        };
      const request: TableFunction = {
        map: object,
        layout,
        operation,
        key: key.alignment,
        ...(operation === "update"
          ? { value: givenAt(call, 3).alignment }
          : {}),
      };
      const target = tableFunctionName(request);
      if (!made.has(target)) made.set(target, tableFunction(request));
      const number =
        core === undefined ? "" : `r1 = *(u64 *)(r10 + ${core.slot})`;
      return {
        kind: "replace",
        at: call.at,
        instructions: assembled(`${number}\n call function ${target}`),
      };
    });
    return editFunction(fn, edits);
  });
  const whole = withFunctions(code, [...patched, ...made.values()]);
  const table = tableMap(map, layout);
  return {
    ...whole,
    maps: whole.maps.map((other) => (other === map ? table : other)),
  };
}

function mapOf(code: Code, name: string): MapSpec {
  const found = code.maps.find((map) => map.name === name);
  if (found === undefined) throw new Bug(`there is no map ${name}`);
  return found;
}

function checkMap(map: MapSpec, { capacities }: TablePart): void {
  const { name, type, flags, valueFields = [] } = map;
  const kept = valueFields.find(
    ({ kind }) => kind === "spin-lock" || kind === "timer",
  );
  const reason =
    type !== "hash"
      ? `it is a ${type}`
      : (flags & ~harmless) !== 0
        ? `it has flags 0x${flags.toString(16)}`
        : kept !== undefined
          ? `its values have a ${kept.kind}`
          : tableLayout(map, capacities).size > largestTable
            ? `a table would have more than ${largestTable} bytes`
            : undefined;
  if (reason !== undefined)
    throw new UnsupportedError(
      `${name} cannot be a table of each core's own: ${reason}`,
      {
        feature: "a private table for such a map",
        fix: `leave ${name} shared`,
      },
    );
}

/** Room for look-ups, if there are any. */
function lookupSlot(fn: FunctionSpec, calls: readonly MapCall[]): number {
  return calls.some(({ helper }) => !operations.has(helper))
    ? freeSlot(fn, lookupScratch)
    : 0;
}

/**
 * Where an argument register leads, and what divides that address. An address in the
 * frame is known or may be anything; cells and packets may be read at any place.
 */
function givenPlaces(
  code: Code,
  fn: FunctionSpec,
): (call: MapCall, register: Register) => Given {
  const contents = registerContents(fn);
  const foreign = takesFrameAddress(code, fn.name) ? 1 : 8;
  return ({ at }, register) => {
    const content = contents[at]?.registers.get(register);
    const here = { base: `r${register}`, offset: 0 };
    if (content === undefined) return { ...here, alignment: foreign };
    if (content.kind === "frame")
      return {
        base: "r10",
        offset: content.offset,
        alignment: alignmentOf(content.offset),
      };
    return { ...here, alignment: content.kind === "map" ? 8 : 1 };
  };
}

function alignmentOf(offset: number): Alignment {
  return offset % 8 === 0 ? 8 : offset % 4 === 0 ? 4 : offset % 2 === 0 ? 2 : 1;
}

/** May a caller hand it an address in a frame? */
function takesFrameAddress(code: Code, name: string): boolean {
  const isFrame = (content: Content | undefined): boolean =>
    content !== undefined && content.kind !== "map";
  return code.functions.some((caller) => {
    const { instructions } = caller;
    const calls = instructions.flatMap((instruction, at) =>
      instruction.kind === "call" &&
      instruction.callee.kind === "function" &&
      instruction.callee.name === name
        ? [at]
        : [],
    );
    const isCalledBack = instructions.some(
      (instruction) =>
        instruction.kind === "load-wide" &&
        instruction.value.kind === "function" &&
        instruction.value.name === name,
    );
    if (isCalledBack) return true;
    if (calls.length === 0) return false;
    if (caller.name !== name && takesFrameAddress(code, caller.name))
      return true;
    const contents = registerContents(caller);
    return calls.some((at) =>
      ([1, 2, 3, 4, 5] as const).some((register) =>
        isFrame(contents[at]?.registers.get(register)),
      ),
    );
  });
}
