/** `divisi rss solve|check|queue`: values from the room, words from here. */
import {
  isHashFields,
  rssCheck as checkKey,
  rssQueue as queuesOf,
  rssSolve as solve,
  type RssSolveJson,
} from "../rss/index.ts";
import type { Words } from "./command.ts";
import { profileOf } from "./input.ts";
import type { Answer, Rendering } from "./render.ts";
import {
  choiceOf,
  countOf,
  isSet,
  seedOf,
  usage,
  valueOf,
  valuesOf,
} from "./words.ts";
import { wrapped } from "./wrap.ts";

export async function rssSolve(
  words: Words,
  _rendering: Rendering,
): Promise<Answer> {
  const fields = valuesOf(words, "fields");
  if (fields.length === 0)
    throw usage("--fields F[,F…] is missing", "e.g. --fields ipv4.src");
  const mode = choiceOf(words, "mode", ["full", "index"] as const);
  const hash = valueOf(words, "hash");
  if (hash !== undefined && (hash === "" || !isHashFields(hash)))
    throw usage(
      `--hash takes letters of sdfn in that order; not ${hash}`,
      "s source, d destination, f source port, n destination port",
    );
  const { answer, json } = solve(
    { fields, swap: isSet(words, "swap") },
    {
      profile: profileOf(words),
      cores: coresOf(words),
      seed: seedOf(words),
      ...(mode === undefined ? {} : { mode }),
      ...(hash === undefined ? {} : { fieldSets: [hash] }),
    },
  );
  return {
    exit: answer.kind === "solution" ? 0 : 1,
    json,
    text: solveText(json),
  };
}

function solveText(json: RssSolveJson): string {
  const { refusal } = json;
  // What is not good enough is in the JSON, for who looks into it; nobody is to set it.
  if (refusal !== undefined)
    return `no: ${refusal.text} [${refusal.code}]\n  ${refusal.fix}`;
  const lines: string[] = [];
  if (json.imbalance === null) return "";
  const { uniform, one8, one16 } = json.imbalance;
  for (const [index, port] of json.ports.entries()) {
    const fields = Object.entries(port.fields)
      .map(([name, letters]) => `${name} ${letters}`)
      .join(", ");
    lines.push(
      ...(json.ports.length > 1 ? [`port ${port.name}`] : []),
      ...keyLines(json.keys[index] ?? ""),
      `  fields   ${fields === "" ? "as the driver has them" : fields}`,
    );
  }
  lines.push(
    `table      ethtool -X IFACE ${json.table.join(" ")}`,
    `${json.nic}: ${json.mode} mode, ${json.freeBits} free key bits, ${json.entries} table entries reached`,
    `busiest of ${json.cores} cores over the mean: uniform ${uniform.toFixed(2)}, one /8 ${one8.toFixed(2)}, one /16 ${one16.toFixed(2)}`,
    `solved in ${json.ms} ms, seed ${json.seed}`,
    ...json.doubts.flatMap((doubt) => wrapped(`doubt: ${doubt}`, 2)),
  );
  return lines.join("\n");
}

/** As ethtool writes keys, 20 bytes to a line. */
function keyLines(key: string): string[] {
  const parts = key.match(/.{1,40}/g) ?? [""];
  const lines = parts.map((part) => part.match(/../g)?.join(":") ?? "");
  return lines.map(
    (line, at) =>
      `  ${at === 0 ? "key" : "   "}      ${line}${at < lines.length - 1 ? ":" : ""}`,
  );
}

export async function rssCheck(
  words: Words,
  _rendering: Rendering,
): Promise<Answer> {
  const fields = valuesOf(words, "fields");
  const json = checkKey(keyOf(words), {
    profile: profileOf(words),
    cores: coresOf(words),
    ...(fields.length === 0 ? {} : { fields }),
    swap: isSet(words, "swap"),
  });
  const { uniform, one8, one16 } = json.imbalance;
  return {
    exit: json.good ? 0 : 1,
    json,
    text: [
      json.good ? "good" : "no",
      `  ${json.bytes} bytes on ${json.nic}: rank ${json.rank}, ${json.entries} table entries reached`,
      `  busiest core over the mean: uniform ${uniform.toFixed(2)}, one /8 ${one8.toFixed(2)}, one /16 ${one16.toFixed(2)}`,
      `  both directions of a flow ${json.symmetric ? "meet" : "part"}`,
      ...(json.satisfies === null
        ? []
        : [
            `  packets that agree on ${fields.join(" or ")} ${json.satisfies ? "meet" : "part"}`,
          ]),
    ].join("\n"),
  };
}

export async function rssQueue(
  words: Words,
  _rendering: Rendering,
): Promise<Answer> {
  const json = queuesOf(keyOf(words), words.args, {
    profile: profileOf(words),
    cores: coresOf(words),
  });
  return {
    exit: 0,
    json,
    text: json.flows
      .map(
        ({ flow, hash, entry, queue }) =>
          `${flow}  hash ${hash === null ? "none" : `0x${hash}`}, entry ${entry}, queue ${queue}`,
      )
      .join("\n"),
  };
}

function coresOf(words: Words): number {
  return countOf(words, "cores", [1, 1024]) ?? 16;
}

function keyOf(words: Words): string {
  const key = valueOf(words, "key");
  if (key === undefined) throw usage("--key HEX is missing");
  return key;
}
