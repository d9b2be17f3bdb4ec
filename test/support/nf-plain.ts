/**
 * The TypeScript function as it stands, run as plain JavaScript on the library's own
 * runtime, in the words of an engine. Bytes of first contents are decoded here, from the
 * types that the state declares.
 */
import { Bug, Random } from "#base";
import type { Outcome, RedirectTarget } from "#interp";
import type { MapSpec } from "#isa";
import { dumpState, type MapContents } from "#proof";
import {
  bytesOf,
  open,
  partsOf,
  type AnyNf,
  type Outcome as Answer,
  type Part,
  type Type,
} from "divisi/nf";
import { recorded, type Machine } from "./nf-machines.ts";
import type { Variant } from "./nf-mixes.ts";
import { interfaces } from "./nf-traffic.ts";

/** `maps`: what an object declares, for per-CPU copies and arrays. */
export function plain(
  nf: AnyNf,
  { set = {}, sizes = {}, contents = {} }: Variant,
  maps: readonly MapSpec[],
): Machine {
  return {
    name: "JavaScript",
    run: (packets, watch = new Set()) => {
      const instance = open(nf, { set: typed(nf.config, set) });
      const parts = partsOf(instance.state);
      for (const part of parts) resize(part, sizes[part.name]);
      for (const [map, entries] of Object.entries(contents))
        fill(parts, map, entries);
      const rings = new Map(
        parts.flatMap(({ name, declaration }) =>
          declaration.kind === "ring" ? [[name, declaration.value]] : [],
        ),
      );
      return recorded(packets, watch, {
        run: (input) => {
          const port = interfaces.indexOf(input.ifindex as 1 | 2);
          // The object finds no port there and drops; handle is never asked.
          if (port < 0 && nf.ports.length > 0)
            return { verdict: verdicts.drop, data: input.data, events: [] };
          const random = new Random(input.random ?? 0);
          const answer = instance.packet(input.data, {
            port: Math.max(port, 0),
            now: input.time,
            random: () => random.u32(),
          });
          return outcomeOf(answer, rings);
        },
        dump: () => {
          const all = instance.contents();
          const known = new Set(maps.map(({ name }) => name));
          const extra = Object.keys(all).filter((name) => !known.has(name));
          if (extra.length > 0)
            throw new Bug(`only in JavaScript: ${extra.join(", ")}`);
          return dumpState({ maps, entries: (map) => all[map] ?? [] });
        },
      });
    },
  };
}

/** Values as the configuration has them, from the command line's. */
export function typed(
  config: AnyNf["config"],
  set: Readonly<Record<string, string>>,
): Record<string, number | bigint | boolean> {
  return Object.fromEntries(
    Object.entries(set).map(([name, value]) => {
      const old = config[name];
      const is =
        typeof old === "boolean"
          ? value === "true"
          : typeof old === "bigint"
            ? BigInt(value)
            : Number(value);
      return [name, is];
    }),
  );
}

/** As an object's map is resized: from outside, before it is used. */
function resize({ declaration }: Part, entries: number | undefined): void {
  if (entries === undefined || declaration.kind === "composite") return;
  Object.assign(declaration, { capacity: entries });
}

function fill(
  parts: readonly Part[],
  map: string,
  entries: MapContents[string],
): void {
  const part = parts.find(
    ({ name, declaration }) => name === map && declaration.kind !== "composite",
  );
  const declaration = part?.declaration;
  if (declaration === undefined || declaration.kind === "composite")
    throw new Bug(`JavaScript has no map ${map}`);
  for (const { key, value } of entries) {
    const [at, is] = [
      declaration.key === undefined ? 0 : decode(declaration.key, key, 0),
      decode(declaration.value, value, 0),
    ];
    if ("set" in declaration)
      (
        declaration as unknown as { set(key: unknown, value: unknown): boolean }
      ).set(at, is);
    else if ("at" in declaration) {
      const cell = (
        declaration as unknown as { at(index: unknown): object }
      ).at(at);
      Object.assign(cell, typeof is === "object" ? is : { value: is });
    } else throw new Bug(`${map} cannot be filled`);
  }
}

function decode(type: Type, bytes: Uint8Array, at: number): unknown {
  if (type.kind === "struct")
    return Object.fromEntries(
      type.fields.map(({ name, type: inner, offset }) => [
        name,
        decode(inner, bytes, at + offset),
      ]),
    );
  if (type.kind === "vector")
    return Array.from({ length: type.count }, (_, index) =>
      decode(type.element, bytes, at + index * type.element.size),
    );
  const { size, order, signed, js } = type;
  let value = 0n;
  for (let index = 0; index < size; index++) {
    const place = order === "network" ? index : size - 1 - index;
    value = value * 256n + BigInt(bytes[at + place] ?? 0);
  }
  if (signed) value = BigInt.asIntN(8 * size, value);
  return js === "bigint"
    ? value
    : js === "number"
      ? Number(value)
      : value !== 0n;
}

const verdicts = { aborted: 0, drop: 1, pass: 2, tx: 3 } as const;
/** BPF_F_BROADCAST and BPF_F_EXCLUDE_INGRESS. */
const everywhereElse = 24n;

/** The answer in the words of an engine. */
function outcomeOf(
  { verdict, frame, events }: Answer,
  rings: ReadonlyMap<string, Type>,
): Outcome {
  const rest = {
    data: frame,
    events: events.map(({ ring, value }) => {
      const type = rings.get(ring);
      if (type === undefined) throw new Bug(`no ring ${ring}`);
      return {
        kind: "ringbuf" as const,
        map: ring,
        data: bytesOf(type, value as never),
      };
    }),
  };
  const to = (redirect: RedirectTarget): Outcome => ({
    verdict: 4,
    redirect,
    ...rest,
  });
  switch (verdict.kind) {
    case "out":
      return to({ map: "ports", key: verdict.port, flags: 0n });
    case "flood":
      return to({ map: "ports", flags: everywhereElse });
    case "redirect":
      return to({ ifindex: verdict.ifindex, flags: 0n });
    case "pass":
    case "drop":
    case "tx":
    case "aborted":
      return { verdict: verdicts[verdict.kind], ...rest };
  }
}
