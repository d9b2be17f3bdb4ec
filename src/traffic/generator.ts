/**
 * Generated traffic as a value and as words: `gen:zipf,packets=1m,flows=10k,seed=3`.
 * Two tables decide what there is: models and options. parse inverts print; the
 * same words give the same packets on every machine.
 *
 * Counts take k and m, shares are 0 … 1 or percent. Sizes are whole frames as a
 * program sees them (no frame check sequence): `64`, `64+512+1500` in equal parts,
 * or `imix` (7 × 64, 4 × 590, 1 × 1514). Frames are longer where their headers are:
 * TCP over IPv6 has 74 bytes, 78 behind a tag.
 */
import { InputError, nearest, printable } from "../base/index.ts";
import { attackKinds, type AttackKind } from "./attack-kinds.ts";

export type ModelName = keyof typeof models;

/** Every number of a model; those that a model has no option for are neutral. */
export interface GeneratorModel {
  readonly model: ModelName;
  readonly packets: number;
  readonly flows: number;
  readonly seed: number;
  /** Exponent s of P(rank r) ~ r^-s; 0 is uniform. */
  readonly skew: number;
  /** Frame sizes with their weights, and the words for them. */
  readonly size: SizeMix;
  /** Packets per second of the timestamps. */
  readonly rate: number;
  /** Share of the flows that are TCP; the others are UDP. */
  readonly tcp: number;
  /** Share of the flows that are IPv6; the others are IPv4. */
  readonly v6: number;
  /** Share of the flows behind a VLAN tag. */
  readonly vlan: number;
  /** Number of client addresses; 0: every flow has its own. */
  readonly hosts: number;
  /** Port of every packet, in models of one port. */
  readonly port: number;
  /** The two ports of a model of two. */
  readonly lan: number;
  readonly wan: number;
  /** Share of the packets of an open flow that come from the server. */
  readonly replies: number;
  /** Share of packets from the wan that belong to no flow opened from the lan. */
  readonly unsolicited: number;
  /** Mean packets per connection, in churn; per burst, in burst. */
  readonly length: number;
  /** Equal parts of the trace, in models that change. */
  readonly epochs: number;
  /** Share of packets of the crowd while it is there. */
  readonly share: number;
  readonly kind: AttackKind;
}

export interface SizeMix {
  readonly text: string;
  readonly sizes: readonly { readonly size: number; readonly weight: number }[];
}

type NumberOption = Exclude<keyof GeneratorModel, "model" | "size" | "kind">;
export type OptionName = NumberOption | "size" | "kind";

interface OptionRow {
  readonly text: string;
  readonly kind: "count" | "share" | "number" | "size" | "word";
  readonly least: number;
  readonly most: number;
}

// prettier-ignore
export const generatorOptions: Readonly<Record<OptionName, OptionRow>> = {
  packets:     { text: "number of packets",                          kind: "count",  least: 1,  most: 2 ** 40 },
  flows:       { text: "number of flows",                            kind: "count",  least: 1,  most: 2 ** 22 },
  seed:        { text: "seed of everything random",                  kind: "count",  least: 0,  most: 2 ** 32 - 1 },
  skew:        { text: "Zipf exponent",                              kind: "number", least: 0,  most: 8 },
  size:        { text: "frame size: N, N+N… or imix",                kind: "size",   least: 60, most: 9000 },
  rate:        { text: "packets per second of the timestamps",       kind: "count",  least: 1,  most: 1e9 },
  tcp:         { text: "share of TCP flows",                         kind: "share",  least: 0,  most: 1 },
  v6:          { text: "share of IPv6 flows",                        kind: "share",  least: 0,  most: 1 },
  vlan:        { text: "share of flows behind a VLAN tag",           kind: "share",  least: 0,  most: 1 },
  hosts:       { text: "number of client addresses (0: one a flow)", kind: "count",  least: 0,  most: 2 ** 24 },
  port:        { text: "port index of the packets",                  kind: "count",  least: 0,  most: 65535 },
  lan:         { text: "port index of the inside",                   kind: "count",  least: 0,  most: 65535 },
  wan:         { text: "port index of the outside",                  kind: "count",  least: 0,  most: 65535 },
  replies:     { text: "share of replies in an open flow",           kind: "share",  least: 0,  most: 1 },
  unsolicited: { text: "share of packets that reply to nothing",     kind: "share",  least: 0,  most: 1 },
  length:      { text: "mean packets per connection or burst",       kind: "count",  least: 2,  most: 1e6 },
  epochs:      { text: "equal parts of the trace that differ",       kind: "count",  least: 1,  most: 1e6 },
  share:       { text: "share of the crowd's packets",               kind: "share",  least: 0,  most: 1 },
  kind:        { text: Object.keys(attackKinds).join(", "),          kind: "word",   least: 0,  most: 0 },
};

interface ModelRow {
  readonly text: string;
  /** Beyond the common ones. */
  readonly options: readonly OptionName[];
  readonly defaults: Partial<Readonly<Record<NumberOption, number>>>;
  /** Are the flows the model's own matter? */
  readonly ownFlows?: true;
  /** `program`: only together with a program (the pipeline makes it). */
  readonly made: "here" | "program";
}

const common = [
  "packets",
  "flows",
  "seed",
  "size",
  "rate",
  "tcp",
  "v6",
  "vlan",
  "hosts",
];

// prettier-ignore
const models = {
  "uniform":       { made: "here", options: ["port"], defaults: {}, text: "every flow equally likely" },
  "zipf":          { made: "here", options: ["port", "skew"], defaults: { skew: 1.26 }, text: "few large flows, many small ones" },
  "single-flow":   { made: "here", options: ["port"], defaults: { flows: 1, tcp: 1 }, text: "one flow" },
  "bidirectional": { made: "here", options: ["lan", "wan", "skew", "replies", "unsolicited"], defaults: { wan: 1, replies: 0.5, unsolicited: 0.01 }, text: "flows opened from the lan, answered from the wan" },
  "churn":         { made: "here", options: ["port", "length"], defaults: { tcp: 1, length: 10 }, text: "TCP connections that open (SYN), end (FIN) and make room for new ones" },
  "coverage":      { made: "program", options: ["port"], defaults: {}, text: "packets that reach the branches of the program" },
  "caida":         { made: "here", ownFlows: true, options: ["port"], defaults: {}, text: "flow sizes of a backbone: windows of 50,000 packets, 11,304 flows" },
  "kth":           { made: "here", ownFlows: true, options: ["port"], defaults: {}, text: "flow sizes of a campus: windows of 15,185 packets, 1,770 flows" },
  "attack":        { made: "here", ownFlows: true, options: ["port", "kind"], defaults: { tcp: 1 }, text: "a flood, a scan or odd packets" },
  "ramp":          { made: "here", options: ["port"], defaults: {}, text: "from one flow to all of them" },
  "flash-crowd":   { made: "here", options: ["port", "share"], defaults: { share: 0.8 }, text: "new clients of one server in the middle third" },
  "flip-flop":     { made: "here", options: ["port", "epochs"], defaults: {}, text: "two halves of the flows in turn" },
  "moving-zipf":   { made: "here", options: ["port", "skew", "epochs"], defaults: { skew: 1.26 }, text: "large flows that become small, and others large" },
  "burst":         { made: "here", options: ["port", "length"], defaults: { length: 32 }, text: "one flow at a time sends in a row" },
} as const satisfies Record<string, ModelRow>;

export const generatorModels: Readonly<Record<ModelName, ModelRow>> = models;

const neutral: Readonly<Record<NumberOption, number>> = {
  packets: 200_000,
  flows: 1000,
  seed: 1,
  skew: 0,
  rate: 1_000_000,
  tcp: 0.8,
  v6: 0,
  vlan: 0,
  hosts: 0,
  port: 0,
  lan: 0,
  wan: 0,
  replies: 0,
  unsolicited: 0,
  length: 2,
  epochs: 40,
  share: 0,
};

/** Is this a generator's name rather than a file's? */
export function isGenerator(text: string): boolean {
  return text.startsWith("gen:");
}

/** Wrong words are an InputError. */
export function parseGenerator(text: string): GeneratorModel {
  const words = text.replace(/^gen:/, "").split(",");
  const name = words.shift()?.trim() ?? "";
  if (!isModel(name)) throw unknown("generator", name, Object.keys(models));
  const row = generatorModels[name];
  const allowed: readonly string[] = optionsOf(name);
  const numbers: Record<NumberOption, number> = { ...neutral, ...row.defaults };
  let size = parseSize("64");
  let kind: AttackKind = "syn-flood";
  const seen = new Set<string>();
  for (const word of words) {
    const [key = "", value, ...more] = word.trim().split("=");
    if (!isOption(key) || !allowed.includes(key))
      throw unknown(`option of generator ${name}`, key, allowed);
    if (value === undefined || more.length > 0)
      throw usage(`${key} needs one value: ${key}=…`);
    if (seen.has(key)) throw usage(`${key} is given twice`);
    seen.add(key);
    if (key === "size") size = parseSize(value);
    else if (key === "kind") kind = parseKind(value);
    else numbers[key] = parseNumber(key, value);
  }
  const model: GeneratorModel = { model: name, ...numbers, size, kind };
  checkTogether(model);
  return model;
}

/** Canonical words: every option that the model has, in the table's order. */
export function printGenerator(model: GeneratorModel): string {
  const words = optionsOf(model.model).map((key) =>
    key === "size" ? `size=${model.size.text}` : `${key}=${model[key]}`,
  );
  return [`gen:${model.model}`, ...words].join(",");
}

export function optionsOf(name: ModelName): readonly OptionName[] {
  const more: readonly OptionName[] = generatorModels[name].options;
  const all = Object.keys(generatorOptions) as OptionName[];
  const own = generatorModels[name].ownFlows === true;
  return all.filter(
    (key) =>
      (common.includes(key) && !(own && key === "flows")) || more.includes(key),
  );
}

function isModel(name: string): name is ModelName {
  return Object.hasOwn(models, name);
}

function isOption(key: string): key is OptionName {
  return Object.hasOwn(generatorOptions, key);
}

function checkTogether(model: GeneratorModel): void {
  if (model.model === "single-flow" && model.flows !== 1)
    throw usage("single-flow has one flow; use uniform for more");
  if (model.model === "bidirectional" && model.lan === model.wan)
    throw usage("lan and wan must be different ports");
}

function parseNumber(key: NumberOption, text: string): number {
  const { kind, least, most } = generatorOptions[key];
  const match = /^(\d+(?:\.\d+)?)([kKmM%]?)$/.exec(text.trim());
  const unit = match?.[2]?.toLowerCase() ?? "";
  // prettier-ignore
  const factor = unit === "k" ? 1e3 : unit === "m" ? 1e6 : unit === "%" ? 0.01 : 1;
  const value = Number(match?.[1] ?? Number.NaN) * factor;
  const fits =
    value >= least &&
    value <= most &&
    (kind === "count"
      ? Number.isInteger(value)
      : unit !== "k" && unit !== "m") &&
    (unit !== "%" || kind === "share");
  if (fits) return value;
  const wanted =
    kind === "count"
      ? "a whole number"
      : kind === "share"
        ? "a share"
        : "a number";
  throw usage(
    `${key}=${printable(text)}: ${wanted} from ${least} to ${most} was expected`,
  );
}

function parseKind(text: string): AttackKind {
  const kinds = Object.keys(attackKinds) as AttackKind[];
  const kind = kinds.find((name) => name === text);
  if (kind === undefined) throw unknown("kind of attack", text, kinds);
  return kind;
}

// prettier-ignore
const imix: SizeMix["sizes"] = [{ size: 64, weight: 7 }, { size: 590, weight: 4 }, { size: 1514, weight: 1 }];

function parseSize(text: string): SizeMix {
  if (text === "imix") return { text, sizes: imix };
  const { least, most } = generatorOptions.size;
  const sizes = text.split("+").map((part) => {
    const size = Number(/^\d+$/.test(part) ? part : Number.NaN);
    if (!(size >= least && size <= most))
      throw usage(
        `size=${printable(text)}: imix or frame sizes from ${least} to ${most}, joined by +`,
      );
    return { size, weight: 1 };
  });
  return { text: sizes.map(({ size }) => size).join("+"), sizes };
}

function unknown(
  what: string,
  word: string,
  candidates: readonly string[],
): InputError {
  const near = nearest(word, candidates);
  return usage(
    `unknown ${what} ${printable(word)}; ${near === undefined ? `one of ${candidates.join(", ")}` : `did you mean ${near}?`}`,
  );
}

function usage(text: string): InputError {
  return new InputError(text, { code: "generator", kind: "usage" });
}
