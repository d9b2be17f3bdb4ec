/**
 * Every network function of the suite three times: the C object, the TypeScript object
 * and the TypeScript function as plain JavaScript give the same verdicts, frames, events
 * and maps, over traffic that reaches what there is to reach. `scripts/agree-nfs.mjs`
 * does the same with a million packets each.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { after, test } from "node:test";
import type { PacketInput } from "#interp";
import { buildFrame } from "#packet";
import type { AnyNf } from "divisi/nf";
import { root } from "./support/cli.ts";
import { disagreements, shrunk } from "./support/nf-agreement.ts";
import { guardEdges } from "./support/nf-guards.ts";
import { portable, stateMaps } from "./support/nf-machines.ts";
import { caseOf, mixOf } from "./support/nf-mixes.ts";
import { plain } from "./support/nf-plain.ts";
import {
  nfNames,
  objectOfTs,
  programOf,
  variantsOf,
} from "./support/nf-suite.ts";
import { nfTraffic } from "./support/nf-traffic.ts";
import { tryNf } from "./support/nf-trial.ts";
import { quickFrame } from "./support/quick-frame.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
/** All that a run of this file may cost. */
const budget = {
  packets: 50_000,
  per: 5_000,
  search: 2_000,
  traced: 10_000,
  mutants: 20,
};

void test("the table names the programs of nfs/c and nfs/ts", () => {
  const names = (folder: string, ending: string): string[] =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith(ending))
      .map((name) => basename(name, ending))
      .sort();
  deepEqual(nfNames.toSorted(), names("nfs/c", ".c"));
  deepEqual(nfNames.toSorted(), names("nfs/ts", ".ts"));
});

for (const name of nfNames)
  void test(`${name}: three machines, one answer (seed ${seed})`, async () => {
    const found = tryNf(name, await variantsOf(name), { ...budget, seed });
    equal(found.mismatches, 0, found.texts.join("\n"));
    ok(found.packets >= budget.packets);
    const missing = found.coverage.flatMap((each) => each.missing);
    const why = [
      ...found.weaknesses,
      ...missing.slice(0, 12),
      ...found.mutants.survivors,
    ];
    equal(found.strength, "strong", why.join("\n"));
  });

// --- the check itself, broken on purpose ---

const written: string[] = [];
after(() => {
  for (const path of written) rmSync(path);
});

// A change of the source, as TypeScript and JavaScript both have it.
// prettier-ignore
const wrong: readonly (readonly [what: string, name: string, from: string, to: string])[] = [
  ["a comparison changed",          "firewall",       "ctx.port === lan",                                     "ctx.port !== lan"],
  ["a verdict changed",            "nop",            "ctx.port === lan ? wan : lan", "ctx.port === lan ? lan : lan"],
  ["a refresh left out",           "nat",            "flows.refresh(flow);", ""],
  ["a checksum fixed wrongly",     "nat",            "ip.src = config.external_ip;", "ip.src = config.external_ip; ip.checksum = ip.checksum ^ 1;"],
  ["a checksum not fixed",         "proxy",          "ip.dst = service.address;", "const kept = ip.checksum; ip.dst = service.address; ip.checksum = kept;"],
  ["an expiry a nanosecond later", "firewall",       "u64(flow.last + config.expiry) < now", "u64(flow.last + config.expiry) <= now"],
  ["a new source counts twice",    "source-counter", "packets: 1n", "packets: 2n"],
];

/** The function of a changed source. */
async function changed(name: string, from: string, to: string): Promise<AnyNf> {
  const folder = join(root, "dist-dev/nfs/ts");
  const before = readFileSync(join(folder, `${name}.js`), "utf8");
  ok(before.includes(from), `${name} has no ${from}`);
  const path = join(folder, `${name}-mutant-${written.length}.js`);
  writeFileSync(path, before.replaceAll(from, to));
  written.push(path);
  const found = (await import(path)) as { readonly default: AnyNf };
  return found.default;
}

for (const [what, name, from, to] of wrong)
  void test(`seen: ${what} (${name})`, async () => {
    const nf = await changed(name, from, to);
    const known = caseOf(name);
    const seen = new Set<string>();
    for (const variant of known.variants) {
      const program = programOf(name, variant);
      const maps = stateMaps(program);
      const mix = mixOf(known, variant);
      const packets = nfTraffic(mix, { seed, count: 4000 });
      const contents = variant.contents ?? {};
      const own = await objectOfTs(name, variant, (text) => {
        ok(text.includes(from), `${name}.ts has no ${from}`);
        return text.replaceAll(from, to);
      });
      const machines = [
        portable("C object", program, contents),
        plain(nf, variant, maps),
        portable("TypeScript object", own.program, contents),
      ];
      const { all } = disagreements({ name, packets }, machines, maps);
      for (const { right } of all) seen.add(right);
    }
    deepEqual([...seen].sort(), ["JavaScript", "TypeScript object"]);
  });

void test("a disagreement is shown by the fewest packets", () => {
  const packets = Array.from({ length: 500 }, (_, at) => at);
  const inputs = packets.map((at): PacketInput => ({
    data: Uint8Array.of(at & 255, at >> 8),
    ifindex: 1,
    rxQueue: 0,
    cpu: 0,
    time: 0n,
  }));
  const number = ({ data }: PacketInput): number =>
    (data[0] ?? 0) + 256 * (data[1] ?? 0);
  // Shown where 17 stands before 300.
  const short = shrunk(inputs, (some) => {
    const at = some.findIndex((input) => number(input) === 17);
    return at >= 0 && some.slice(at).some((input) => number(input) === 300);
  });
  deepEqual(short.map(number), [17, 300]);
});

void test("edges left out: null tests of array cells and of the packet", () => {
  const [variant] = caseOf("ddos-mitigator").variants;
  ok(variant !== undefined);
  const program = programOf("ddos-mitigator", variant);
  const left = [...guardEdges(program)];
  equal(left.length, 1, left.join(", "));
});

void test("quick frames are buildFrame's", () => {
  const addresses = { src: 0x0a000001n, dst: 0xc0a80002n };
  const words = {
    source: 0x0a000001,
    destination: 0xc0a80002,
    sport: 9,
    dport: 80,
  };
  const payload = Uint8Array.of(1, 2, 3);
  const options = Uint8Array.of(1, 1, 1, 0);
  const tcp = { sport: 9, dport: 80, flags: 2, seq: 7, ack: 0xffff_ffff };
  for (const size of [0, 80, 81, 1514]) {
    const sized = size === 0 ? {} : { size };
    deepEqual(
      quickFrame({
        ...words,
        protocol: 6,
        flags: 2,
        seq: 7,
        ack: 0xffff_ffff,
        payload,
        ...sized,
      }),
      buildFrame({ ipv4: addresses, tcp, payload, ...sized }),
    );
    deepEqual(
      quickFrame({
        ...words,
        protocol: 17,
        options,
        ttl: 3,
        tos: 5,
        id: 6,
        payload,
        vlans: [5],
        ...sized,
      }),
      buildFrame({
        vlans: [5],
        ipv4: { ...addresses, options, ttl: 3, tos: 5, id: 6 },
        udp: { sport: 9, dport: 80 },
        payload,
        ...sized,
      }),
    );
  }
});
