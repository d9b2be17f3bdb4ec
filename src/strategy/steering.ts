/**
 * What the NIC sees of packets, interned, and where emitted settings send it.
 *
 * Packets that no NIC of our model can tell apart (same port, same class, same
 * addresses and ports) are one steering input, so that a key or a table is judged
 * on a recording of the run. Uses the emitted settings only, never a plan.
 *
 * Steering mutants: wrong settings that the check must catch. Those that the
 * algebra shows to be harmless are left out: they break nothing.
 */
import { Bug } from "../base/index.ts";
import {
  NicModel,
  classOf,
  inputsOf,
  keyGroups,
  portConfig,
  violated,
  type ClassFields,
  type HashFields,
  type NicSetup,
  type PacketClass,
  type PortConfig,
  type Requirement,
} from "../rss/index.ts";
import {
  fieldBits,
  fieldPosition,
  parseFrame,
  type FieldName,
} from "../packet/index.ts";
import type { Steering, SteeringMutant } from "../proof/index.ts";

export interface Interned {
  readonly port: number;
  readonly frame: Uint8Array;
}

/** What the settings must serve, and which key bits (per port) that constrains. */
export interface SteeringDemand {
  readonly requirement: Requirement;
  readonly mode: "index" | "full";
  readonly constrained: readonly (readonly number[])[];
}

/** Hands out steering inputs and remembers one frame of each. */
export class SteeringInputs {
  readonly #numbers = new Map<string, number>();
  readonly #frames: Interned[] = [];

  get size(): number {
    return this.#frames.length;
  }

  /** `port`: index of the ingress port. */
  intern(frame: Uint8Array, port: number): number {
    const parsed = parseFrame(frame);
    const name = classOf(parsed);
    // How many tags the NIC looks behind is its settings' matter.
    let text = `${port} ${name} ${parsed.vlans.length} `;
    for (const field of hashedFields(name)) {
      const first = fieldPosition(parsed, field);
      if (first === undefined) break;
      const at = first >>> 3;
      const { length } = fieldBits(field);
      for (let byte = 0; byte < length >>> 3; byte++)
        text += String.fromCharCode(frame[at + byte] ?? 0);
    }
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.#frames.length;
      this.#numbers.set(text, number);
      this.#frames.push({ port, frame });
    }
    return number;
  }

  /** The first frame with that number, and the index of its port. */
  seen(input: number): Interned {
    const found = this.#frames[input];
    if (found === undefined) throw new Bug(`steering input ${input}`);
    return found;
  }

  /** Core of every steering input seen so far. */
  cores(configs: readonly PortConfig[]): Steering {
    return this.#steering(configs, ({ queue }) => queue);
  }

  /** Table entry, which must agree too: a table may be rebalanced later. */
  entries(configs: readonly PortConfig[]): Steering {
    return this.#steering(configs, ({ entry }) => entry);
  }

  #steering(
    configs: readonly PortConfig[],
    choose: (choice: { queue: number; entry: number }) => number,
  ): Steering {
    const models = configs.map((config) => ({
      model: new NicModel(config),
      config,
    }));
    const answer = ({ port, frame }: Interned): number => {
      const found = models[port] ?? models[0];
      if (found === undefined) return 0;
      const { model, config } = found;
      // A class that the profile is silent on: such packets touch no sharded state.
      const name = classOf(parseFrame(frame), config.vlanTags);
      if (config.fields[name] === null) return 0;
      return choose(model.queueOf(frame));
    };
    const answers: (number | undefined)[] = [];
    return (input) => {
      const seen = this.#frames[input];
      return (answers[input] ??= seen === undefined ? 0 : answer(seen));
    };
  }
}

/** All that any of our NICs hashes of a class. */
function hashedFields(name: PacketClass): readonly FieldName[] {
  if (name === "non-ip") return [];
  const version = name.endsWith("6") ? "ipv6" : "ipv4";
  const addresses = [`${version}.src`, `${version}.dst`] as const;
  return /^(tcp|udp|sctp)/.test(name)
    ? [...addresses, "l4.sport", "l4.dport"]
    : addresses;
}

/** Wrong settings, each with what is wrong about it. */
export function steeringMutants(
  inputs: SteeringInputs,
  setup: NicSetup,
  demand: SteeringDemand,
): SteeringMutant[] {
  const configs = setup.ports.map(({ name }) => portConfig(setup, name));
  const mutants: SteeringMutant[] = [];
  const add = (name: string, changed: readonly PortConfig[]): void => {
    mutants.push({
      name,
      steerings: () => [inputs.entries(changed), inputs.cores(changed)],
    });
  };
  for (const [index, { name }] of setup.ports.entries())
    for (const bit of demand.constrained[index] ?? [])
      add(
        `key bit ${bit} of port ${name} flipped`,
        replaced(configs, index, (config) => ({
          ...config,
          key: flipped(config.key, bit),
        })),
      );
  for (const group of keyGroups(demand.requirement)) {
    if (group.length < 2) continue;
    const [name = ""] = group;
    const index = setup.ports.findIndex((port) => port.name === name);
    add(
      `a table of its own for port ${name}`,
      replaced(configs, index, (config) => ({
        ...config,
        table: config.table.map((queue) => (queue + 1) % setup.cores),
      })),
    );
    for (const [letter, fields] of dropped(configs[index]?.fields))
      add(
        `hash field ${letter} dropped on port ${name}`,
        replaced(configs, index, (config) => ({ ...config, fields })),
      );
  }
  for (const [text, fields] of added(configs, demand))
    add(
      text,
      configs.map((config) => ({ ...config, fields })),
    );
  return mutants;
}

function replaced(
  configs: readonly PortConfig[],
  index: number,
  change: (config: PortConfig) => PortConfig,
): PortConfig[] {
  return configs.map((config, at) => (at === index ? change(config) : config));
}

function flipped(key: string, bit: number): string {
  const at = 2 * (bit >>> 3);
  const byte =
    Number.parseInt(key.slice(at, at + 2), 16) ^ (0x80 >>> (bit & 7));
  return (
    key.slice(0, at) + byte.toString(16).padStart(2, "0") + key.slice(at + 2)
  );
}

const transports = ["tcp4", "udp4"] as const;

/** The last letter gone from the TCP and UDP fields of one port. */
function dropped(
  fields: ClassFields | undefined,
): (readonly [string, ClassFields])[] {
  if (fields === undefined) return [];
  const { tcp4 } = fields;
  if (tcp4 === null || tcp4.length < 2) return [];
  const shorter = tcp4.slice(0, -1) as HashFields;
  return [[tcp4.slice(-1), withTransports(fields, shorter)]];
}

/** More fields than chosen, on every port, unless the algebra calls it harmless. */
function added(
  configs: readonly PortConfig[],
  demand: SteeringDemand,
): (readonly [string, ClassFields])[] {
  const fields = configs[0]?.fields;
  if (fields === undefined) return [];
  const longer: Readonly<Partial<Record<string, HashFields>>> = {
    s: "sd",
    sd: "sdfn",
    sdf: "sdfn",
  };
  const next = longer[fields.tcp4 ?? ""];
  if (next === undefined) return [];
  const changed = withTransports(fields, next);
  const isHarmless =
    violated(
      demand.requirement,
      configs.map(({ key }) => key),
      {
        inputs: inputsOf(changed),
        tableBits: Math.log2(configs[0]?.table.length ?? 1),
        mode: demand.mode,
      },
    ) === undefined;
  return isHarmless
    ? []
    : [[`hash fields ${next} instead of ${fields.tcp4}`, changed]];
}

function withTransports(fields: ClassFields, value: HashFields): ClassFields {
  const changed = { ...fields };
  for (const name of transports) changed[name] = value;
  return changed;
}
