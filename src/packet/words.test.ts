/** Words of people: addresses, prefixes, field specifications; and frame sizes. */
import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { InputError, Random } from "../base/index.ts";
import {
  inPrefix,
  parseIpv4,
  parseIpv6,
  parseMac,
  parsePrefix,
  printIpv4,
  printIpv6,
  printMac,
} from "./address.ts";
import { buildFrame } from "./build.ts";
import {
  parseFieldList,
  parseFieldSpec,
  printFieldSpec,
  specBits,
} from "./field-spec.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

function expectUsage(run: () => unknown, text: RegExp): void {
  throws(
    run,
    (error: unknown) =>
      error instanceof InputError &&
      error.kind === "usage" &&
      text.test(error.message),
  );
}

test("field specifications", () => {
  // prettier-ignore
  const cases: readonly (readonly [string, string, number, number])[] = [
    ["ipv4.src", "ipv4.src", 0, 32],
    ["ipv4.src/24", "ipv4.src", 0, 24],
    ["ipv4.src[0:8]", "ipv4.src", 0, 8],
    ["ipv4.src[8:16]", "ipv4.src", 8, 8],
    ["ipv4.src[31]", "ipv4.src", 31, 1],
    ["ipv6.dst/64", "ipv6.dst", 0, 64],
    ["l4.sport", "l4.sport", 0, 16],
  ];
  for (const [text, field, first, count] of cases) {
    const spec = parseFieldSpec(text);
    deepEqual(spec, { field, first, count });
    deepEqual(parseFieldSpec(printFieldSpec(spec)), spec);
    deepEqual(
      specBits(spec).map(({ bit }) => bit),
      Array.from({ length: count }, (_, i) => first + i),
    );
  }
  equal(parseFieldList("ipv4.src,ipv4.dst/16").length, 2);
  expectUsage(() => parseFieldSpec("ipv4.scr"), /did you mean ipv4\.src/);
  expectUsage(() => parseFieldSpec("ipv4.src/33"), /bits 0 to 31/);
  expectUsage(() => parseFieldSpec("ipv4.src/0"), /bits 0 to 31/);
  expectUsage(() => parseFieldSpec("ipv4.src[8:8]"), /bits 0 to 31/);
  expectUsage(() => parseFieldSpec("constructor"), /unknown header field/);
  expectUsage(() => parseFieldSpec(""), /unknown header field/);
});

test("addresses: print inverts parse", () => {
  const random = new Random(seed);
  for (let round = 0; round < 500; round++) {
    const four = BigInt(random.u32());
    equal(parseIpv4(printIpv4(four)), four);
    const sparse = random.u64() & random.u64() & 0xffff_0000_ffff_0000n;
    const six = (sparse << 64n) | (random.chance(0.5) ? 0n : random.u64());
    equal(parseIpv6(printIpv6(six)), six, `seed ${seed}: ${printIpv6(six)}`);
    const mac = random.u64() & 0xffff_ffff_ffffn;
    equal(parseMac(printMac(mac)), mac);
  }
  // RFC 5952: shortest, longest run of zeros, the first of equal runs, no single group.
  // prettier-ignore
  const cases = [
    ["::", "::"], ["::1", "::1"], ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"], ["::ffff:10.0.0.1", "::ffff:a00:1"], ["1::", "1::"],
  ] as const;
  for (const [text, want] of cases) equal(printIpv6(parseIpv6(text)), want);
  for (const bad of [
    "",
    "1",
    "1:2",
    "::1::2",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8",
    "g::",
    "12345::",
  ])
    expectUsage(() => parseIpv6(bad), /IPv6 address/);
  for (const bad of ["", "1.2.3", "256.0.0.1", "1.2.3.4.5", "a.b.c.d"])
    expectUsage(() => parseIpv4(bad), /IPv4 address/);
  expectUsage(() => parseMac("02:00:00:00:00"), /MAC/);
});

test("prefixes", () => {
  const ten = parsePrefix("10.0.0.0/8");
  equal(inPrefix(ten, 4, parseIpv4("10.255.0.1")), true);
  equal(inPrefix(ten, 4, parseIpv4("11.0.0.1")), false);
  equal(inPrefix(ten, 6, parseIpv4("10.0.0.1")), false);
  equal(inPrefix(parsePrefix("0.0.0.0/0"), 4, 7n), true);
  equal(inPrefix(parsePrefix("::1"), 6, 1n), true);
  equal(inPrefix(parsePrefix("::1"), 6, 3n), false);
  for (const bad of ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "::/129"])
    expectUsage(() => parsePrefix(bad), /prefix/);
});

test("a frame has the size asked for, or says why not", () => {
  const ipv4 = { src: "10.0.0.1", dst: "10.0.0.2" };
  const udp = { sport: 1, dport: 2 };
  equal(buildFrame({ ipv4, udp, size: 64 }).length, 64);
  equal(buildFrame({ ipv4, udp }).length, 42);
  equal(
    buildFrame({ ipv4, gre: { inner: { ipv4, udp } }, size: 200 }).length,
    200,
  );
  expectUsage(() => buildFrame({ ipv4, udp, size: 41 }), /cannot hold 42/);
  expectUsage(
    () => buildFrame({ ipv4: { ...ipv4, options: new Uint8Array(3) } }),
    /options/,
  );
});
