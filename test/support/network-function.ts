/**
 * A network function of nfs/c in the interpreter, packet by packet: ports lan and wan
 * are interfaces 1 and 2, as the objects have it.
 */
import { equal } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "#base";
import {
  BytecodeMachine,
  createState,
  type Outcome,
  type State,
} from "#interp";
import { programSpec, readObject, setVariable } from "#object";
import { buildFrame, type FrameSpec } from "#packet";
import { root } from "./cli.ts";

export const folder = join(root, "nfs/c");

/** Interfaces; 9 is none of the program's. */
export const lan = 1;
export const wan = 2;
export const stranger = 9;

type Bytes = readonly number[];
export type Entries = readonly (readonly [Bytes, Bytes])[];

export interface Running {
  readonly state: State;
  readonly run: (
    frame: FrameSpec | Uint8Array,
    from?: { readonly ifindex?: number; readonly time?: bigint },
  ) => Outcome;
}

export interface LoadOptions {
  /** Read-only variables. */
  readonly set?: Readonly<Record<string, string>>;
  readonly contents?: Readonly<Record<string, Entries>>;
  /** Entries of maps. */
  readonly capacity?: Readonly<Record<string, number>>;
}

export function load(
  name: string,
  { set = {}, contents = {}, capacity = {} }: LoadOptions = {},
): Running {
  return loadFile(join(folder, `${name}.o`), { set, contents, capacity });
}

export function loadFile(
  path: string,
  { set = {}, contents = {}, capacity = {} }: LoadOptions = {},
): Running {
  let object = readObject(new Uint8Array(readFileSync(path)), path);
  for (const [variable, value] of Object.entries(set))
    object = setVariable(object, variable, value);
  const program = programSpec(object);
  const hasPorts = program.maps.some((map) => map.name === "ports");
  const all = { ...(hasPorts ? { ports } : {}), ...contents };
  const state = createState(program.maps, {
    capacity,
    contents: Object.fromEntries(
      Object.entries(all).map(([map, entries]) => [
        map,
        entries.map(([key, value]) => ({
          key: new Uint8Array(key),
          value: new Uint8Array(value),
        })),
      ]),
    ),
  });
  const machine = new BytecodeMachine(program, state);
  return {
    state,
    run: (frame, { ifindex = lan, time = 0n } = {}) => {
      const outcome = machine.run({
        data: frame instanceof Uint8Array ? frame : buildFrame(frame),
        ifindex,
        rxQueue: 0,
        cpu: 0,
        time,
      });
      equal(outcome.fault, undefined);
      return outcome;
    },
  };
}

const ports: Entries = [
  [
    [0, 0, 0, 0],
    [lan, 0, 0, 0],
  ],
  [
    [1, 0, 0, 0],
    [wan, 0, 0, 0],
  ],
];

const redirect = 4;

/** `out 1`, `flood`, `drop`, …: the verdict, and where a redirect leads. */
export function verdict({ verdict: value, redirect: target }: Outcome): string {
  if (value !== redirect)
    return ["aborted", "drop", "pass", "tx"][value] ?? `${value}`;
  const flood = ((target?.flags ?? 0n) & 8n) !== 0n;
  return flood
    ? "flood"
    : `out ${target?.map === undefined ? target?.ifindex : target.key}`;
}

/** Entries of a map as `key value` in hexadecimal. */
export const words = (state: State, map: string): readonly string[] =>
  state.entries(map).map(({ key, value }) => `${toHex(key)} ${toHex(value)}`);
