import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "../base/index.ts";
import { rssCheck, rssQueue, rssRequirement, rssSolve } from "./command.ts";
import { dpdkJson } from "./dpdk.ts";
import { nicProfile, parseNicProfile } from "./find-profile.ts";
import { nicSetup } from "./nic-setup.ts";
import { nicProfiles } from "./nic-profile-table.ts";
import { packetClasses } from "./packet-class.ts";

const microsoft =
  "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa";
const generic = nicProfile("generic");

test("rss queue: the published vectors, per class", () => {
  const { flows } = rssQueue(
    microsoft,
    [
      "66.9.149.187:2794>161.142.100.80:1766",
      "66.9.149.187:2794->161.142.100.80:1766/udp",
      "66.9.149.187>161.142.100.80",
      "[3ffe:2501:200:1fff::7]:2794>[3ffe:2501:200:3::1]:1766",
      "3ffe:2501:200:1fff::7>3ffe:2501:200:3::1",
    ],
    { profile: generic, cores: 4 },
  );
  deepEqual(
    flows.map((flow) => [flow.class, flow.hash, flow.entry, flow.queue]),
    [
      ["tcp4", "51ccc178", 0x78, 0],
      ["udp4", "51ccc178", 0x78, 0],
      ["other4", "323e8fc2", 0x42, 2],
      ["tcp6", "40207d3d", 0x3d, 1],
      ["other6", "2cc18cd5", 0x55, 1],
    ],
  );
});

test("rss check: the published key spreads, and is not symmetric", () => {
  const { rank, entries, symmetric, satisfies, good } = rssCheck(microsoft, {
    profile: generic,
  });
  deepEqual(
    { rank, entries, symmetric, satisfies, good },
    { rank: 7, entries: 128, symmetric: false, satisfies: null, good: true },
  );
  const repeated = rssCheck("6d5a".repeat(20), { profile: generic });
  equal(repeated.symmetric, true);
  const asked = { profile: generic, fields: ["ipv4.src"] } as const;
  equal(rssCheck(microsoft, asked).satisfies, false);
});

test("rss check: a solved key satisfies what it was solved for", () => {
  const fields = ["ipv4.src,ipv4.dst"];
  const { json } = rssSolve({ fields, swap: true }, { profile: generic });
  equal(json.refusal, undefined);
  const [key = ""] = json.keys;
  const verdict = rssCheck(key, { profile: generic, fields, swap: true });
  equal(verdict.satisfies, true);
});

test("rss solve: the fixed members", () => {
  const { json } = rssSolve({ fields: ["ipv4.dst"] }, { profile: generic });
  equal(json.schema, "divisi.rss-solve/1");
  equal(json.mode, "index");
  equal(json.entries, 128);
  match(json.keys[0] ?? "", /^[0-9a-f]{80}$/);
  ok(json.imbalance !== null && json.imbalance.one8 <= 1.3);
  deepEqual(json.table, ["weight", ...Array<string>(16).fill("8")]);
  equal(JSON.stringify(JSON.parse(JSON.stringify(json))), JSON.stringify(json));
  const refused = rssSolve({ fields: ["eth.src"] }, { profile: generic });
  equal(refused.json.refusal?.code, "R4-unhashable");
  match(refused.json.refusal?.fix ?? "", /dispatch in software/);
});

test("rss solve: the same seed gives the same key, another one another", () => {
  const key = (seed: number): string | undefined =>
    rssSolve({ fields: ["ipv4.src"] }, { profile: generic, seed }).json.keys[0];
  equal(key(7), key(7));
  ok(key(7) !== key(8));
});

test("words that are no fields or flows are usage errors", () => {
  const usage = (error: unknown): boolean =>
    error instanceof InputError && error.kind === "usage";
  for (const fields of [
    "ipv4.sorc",
    "",
    "ipv4.src=ipv6.src",
    "a:ipv4.src=b:ipv4.dst=c",
    "ipv4.src/40",
    "a:ipv4.src=b:ipv4.dst,l4.sport",
  ])
    throws(() => rssRequirement([fields], false), usage, fields);
  for (const flow of [
    "",
    "1.2.3.4",
    "1.2.3.4:5>6.7.8.9",
    "1.2.3.4:99999>5.6.7.8:1",
    "$(id)>x",
    "1.2.3.400>1.2.3.4",
  ])
    throws(
      () => rssQueue(microsoft, [flow], { profile: generic }),
      usage,
      flow,
    );
  for (const key of ["xyz", "12", "6d5a"])
    throws(() => rssCheck(key, { profile: generic }), usage, key);
  throws(() => nicProfile("e801"), /did you mean e810/);
  throws(() => nicProfile("__proto__"), usage);
});

test("profiles are whole", () => {
  for (const [name, profile] of Object.entries(nicProfiles)) {
    equal(profile.name, name);
    ok(profile.sources.length > 0, name);
    if (!profile.rss) continue;
    ok(Number.isInteger(Math.log2(profile.tableEntries)));
    for (const each of packetClasses)
      if (each !== "non-ip")
        ok(profile.inputs[each] !== undefined, `${name} ${each}`);
    for (const each of profile.settable)
      ok((profile.inputs[each]?.length ?? 0) > 0, `${name} ${each}`);
  }
});

test("a profile from a file is checked member by member", () => {
  const profile = parseNicProfile(
    `{"like":"ixgbe","name":"x550","tableEntries":512}`,
    "x550.json",
  );
  equal(profile.tableEntries, 512);
  equal(profile.keyBytes, 40);
  // prettier-ignore
  const wrong: readonly (readonly [string, RegExp])[] = [
    ["{", /no JSON/], ["[]", /no JSON object/], ["null", /no JSON object/],
    [`{"like":"__proto__"}`, /names no profile/], [`{"like":7}`, /names no profile/],
    [`{"tableEntrie":512}`, /did you mean tableEntries/], [`{"tableEntries":500}`, /power of two/],
    [`{"keyBytes":1e9}`, /16 to 256/], [`{"inputs":{"tcp5":["sd"]}}`, /packet classes/],
    [`{"inputs":{"other4":["sdfn"]}}`, /packet classes/], [`{"inputs":{"tcp4":[]}}`, /packet classes/],
    [`{"irqNames":["\\u001b"]}`, /control characters/], [`{"__proto__":{"rss":true},"x":1}`, /unknown member/],
    [`{"transform":"x; rm"}`, /symmetric-or-xor/], [`{"name":7}`, /a text/],
  ];
  for (const [text, why] of wrong)
    throws(
      () => parseNicProfile(text, "nic.json"),
      (error) =>
        error instanceof InputError &&
        error.file === "nic.json" &&
        why.test(error.message),
      text,
    );
});

test("dpdk.json: names and arrays", () => {
  const { answer } = rssSolve(
    { fields: ["ipv4.src"] },
    { profile: generic, cores: 4 },
  );
  ok(answer.kind === "solution");
  const json = dpdkJson(nicSetup(answer, generic));
  equal(json.rxQueues, 4);
  equal(json.ports[0]?.reta.length, 128);
  ok(json.ports[0]?.rssHf.includes("ipv4-tcp"));
  match(json.ports[0]?.rssKey ?? "", /^[0-9a-f]{80}$/);
});

test("fields of both versions are a demand each, of one key", () => {
  const conjuncts = (fields: string, swap = false): readonly string[] =>
    rssRequirement([fields], swap).conjuncts.map(({ equations, classes }) =>
      [
        ...new Set(
          equations.flatMap(({ left, right }) =>
            [...left.bits, ...right.bits].map(({ field }) => field),
          ),
        ),
        ...(classes?.[0] ?? []),
      ].join(" "),
    );
  // prettier-ignore
  const cases: readonly (readonly [string, boolean, readonly string[]])[] = [
    ["ipv4.dst,ipv6.dst", false, ["ipv4.dst", "ipv6.dst"]],
    ["ipv4.src/24,ipv6.src/48", false, ["ipv4.src", "ipv6.src"]],
    ["ipv6.src,l4.sport,ipv4.src", false, ["l4.sport ipv4.src tcp4 udp4", "ipv6.src l4.sport tcp6 udp6"]],
    ["ipv4.src,ipv4.dst,ipv6.src,ipv6.dst", true, [
      "ipv4.src ipv4.dst", "ipv4.src ipv4.dst", "ipv6.src ipv6.dst", "ipv6.src ipv6.dst"]],
    // A pair that links the versions is one demand.
    ["ipv4.src=ipv6.src[96:128]", false, ["ipv4.src ipv6.src"]],
    ["l4.sport", false, ["l4.sport tcp4 udp4"]],
  ];
  for (const [fields, swap, want] of cases)
    deepEqual(conjuncts(fields, swap), want, fields);
});
