import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { ByteWriter, InputError, Random } from "../base/index.ts";
import { buildFrame } from "../packet/index.ts";
import { readCapture, readCaptureBytes } from "./capture.ts";
import type { TracePacket } from "./packet.ts";
import type { CaptureInterface } from "./window.ts";
import { pcapBytes, pcapngBytes, writePcap, writePcapng } from "./write.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const frame = buildFrame({
  ipv4: { src: "10.0.0.1", dst: "10.0.0.2" },
  udp: { sport: 1, dport: 2 },
  size: 61,
});
const start = 1_600_000_000_123_456_789n;

function packets(count: number, ports = 1): TracePacket[] {
  return Array.from({ length: count }, (_, index) => ({
    data: frame.subarray(0, 50 + (index % 12)),
    wireLength: 62,
    time: start + BigInt(index) * 999_999_999n,
    port: index % ports,
  }));
}

/** Text form: `port time captured/wire`. */
function print({ data, wireLength, time, port }: TracePacket): string {
  return `${port} ${time} ${data.length}/${wireLength}`;
}

function read(bytes: Uint8Array): string[] {
  return [...readCaptureBytes(bytes, "x.pcap")].map(print);
}

async function readChunks(chunks: Iterable<Uint8Array>): Promise<string[]> {
  const all: string[] = [];
  for await (const packet of readCapture(chunks, "x.pcap"))
    all.push(print(packet));
  return all;
}

function* cut(
  bytes: Uint8Array,
  random: Random,
  most: number,
): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const size = 1 + random.below(most);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

function expectFault(run: () => unknown, code: string, offset: number): void {
  throws(run, (error: unknown) => {
    ok(error instanceof InputError, String(error));
    deepEqual(
      [error.code, error.offset, error.file, error.kind],
      [code, offset, "x.pcap", "input"],
    );
    return true;
  });
}

interface Ng {
  readonly littleEndian?: boolean;
}

/** A block of 32-bit words and raw bytes, padded. */
function block(
  type: number,
  body: readonly (number | Uint8Array)[],
  { littleEndian = true }: Ng = {},
): Uint8Array {
  const inner = new ByteWriter(littleEndian);
  for (const part of body)
    if (typeof part === "number") inner.u32(part);
    else inner.raw(part).align(4);
  const size = inner.length + 12;
  return new ByteWriter(littleEndian)
    .u32(type)
    .u32(size)
    .raw(inner.finish())
    .u32(size)
    .finish();
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new ByteWriter();
  for (const part of parts) all.raw(part);
  return all.finish();
}

const section = (order: Ng = {}): Uint8Array =>
  block(
    0x0a0d0d0a,
    [
      0x1a2b3c4d,
      order.littleEndian === false ? 0x10000 : 1,
      0xffffffff,
      0xffffffff,
    ],
    order,
  );
/** Interface words: link type in the first 16 bits, which differ by byte order. */
const ethernet = (
  order: Ng = {},
  options: readonly (number | Uint8Array)[] = [],
  snap = 0,
): Uint8Array =>
  block(
    1,
    [order.littleEndian === false ? 0x10000 : 1, snap, ...options],
    order,
  );
/** An option of one or eight bytes. */
const option = (
  code: number,
  value: Uint8Array,
  { littleEndian = true }: Ng = {},
): Uint8Array =>
  new ByteWriter(littleEndian)
    .u16(code)
    .u16(value.length)
    .raw(value)
    .align(4)
    .finish();

test("what is written is read, in both formats, whole and in chunks", async () => {
  const random = new Random(seed);
  for (const ports of [1, 3]) {
    const want = packets(3000, ports);
    const files =
      ports === 1
        ? [pcapBytes(want), pcapngBytes(want)]
        : [
            pcapngBytes(want, {
              interfaces: ["lan", "wan"],
              comment: (_, index) =>
                index % 2 === 0 ? `verdict ${index}` : undefined,
            }),
          ];
    for (const bytes of files) {
      deepEqual(read(bytes), want.map(print));
      for (const most of [1, 7, 40, 5000])
        deepEqual(
          await readChunks(
            cut(
              bytes.subarray(0, most < 10 ? 400 : bytes.length),
              random,
              most,
            ),
          ).catch((error: unknown) => (error as InputError).code),
          most < 10 ? "capture-truncated" : want.map(print),
          `seed ${seed}`,
        );
    }
  }
});

test("chunked writers give the same bytes", async () => {
  const want = packets(3000);
  const gather = async (
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<Uint8Array> => {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    ok(parts.length > 1);
    return join(...parts);
  };
  deepEqual(await gather(writePcap(want)), pcapBytes(want));
  deepEqual(await gather(writePcapng(want)), pcapngBytes(want));
});

test("gzip is undone; damage inside it is a fault of the file", async () => {
  const want = packets(500);
  const zipped = gzipSync(pcapBytes(want));
  deepEqual(
    await readChunks(cut(zipped, new Random(seed), 100)),
    want.map(print),
  );
  const broken = async (bytes: Uint8Array): Promise<void> =>
    rejects(
      readChunks([bytes]),
      (error: unknown) =>
        error instanceof InputError &&
        error.file === "x.pcap" &&
        error.offset !== undefined,
    );
  await broken(zipped.subarray(0, zipped.length - 9));
  const flipped = Uint8Array.from(zipped);
  flipped.fill(0xff, 100, 120);
  await broken(flipped);
  await broken(Uint8Array.of(0x1f, 0x8b));
  await rejects(
    readChunks(
      (function* (): Generator<Uint8Array> {
        yield zipped.subarray(0, 20);
        throw new Error("disk gone");
      })(),
    ),
    /disk gone/,
  );
  // A reader that leaves early ends, though the source has more.
  for await (const packet of readCapture([zipped], "x.pcap")) {
    equal(packet.port, 0);
    break;
  }
});

test("pcap: byte orders, units, frame check sequences", () => {
  const file = (littleEndian: boolean, magic: number, link = 1): Uint8Array =>
    new ByteWriter(littleEndian)
      .u32(magic)
      .u16(2)
      .u16(4)
      .u32(0)
      .u32(0)
      .u32(65535)
      .u32(link)
      .u32(7)
      .u32(5)
      .u32(frame.length)
      .u32(70)
      .raw(frame)
      .finish();
  for (const order of [true, false]) {
    deepEqual(read(file(order, 0xa1b2c3d4)), ["0 7000005000 61/70"]);
    deepEqual(read(file(order, 0xa1b23c4d)), ["0 7000000005 61/70"]);
    // Two 16-bit units of check sequence: the frame on the wire is 66 bytes.
    deepEqual(read(file(order, 0xa1b2c3d4, 0x2400_0001)), [
      "0 7000005000 61/66",
    ]);
  }
});

test("pcapng: byte orders, resolutions, interfaces, sections, old and simple packets", () => {
  const words = (data: Uint8Array): readonly (number | Uint8Array)[] => [
    data.length,
    70,
    data,
  ];
  for (const littleEndian of [true, false]) {
    const order = { littleEndian };
    const one = (value: number): Uint8Array => Uint8Array.of(value);
    const offset = new ByteWriter(littleEndian).u64(100n).finish();
    const bytes = join(
      section(order),
      ethernet(order),
      ethernet(order, [option(9, one(9), order)]),
      ethernet(order, [
        option(9, one(0x80 | 10), order),
        option(14, offset, order),
      ]),
      ethernet(
        order,
        [
          option(13, one(4), order),
          option(2, new TextEncoder().encode("wan"), order),
        ],
        20,
      ),
      block(0x0bad, [1, 2, 3], order),
      block(6, [0, 0, 5, ...words(frame)], order),
      block(6, [1, 1, 5, ...words(frame)], order),
      block(6, [2, 0, 512, ...words(frame)], order),
      block(2, [littleEndian ? 3 : 3 << 16, 0, 6, ...words(frame)], order),
      block(3, [70, frame.subarray(0, 40)], order),
      section(order),
      ethernet(order, [], 20),
      block(3, [70, frame.subarray(0, 20)], order),
      block(6, [0, 0, 9, ...words(frame)], order),
    );
    deepEqual(read(bytes), [
      "0 5000 61/70",
      `1 ${2 ** 32 + 5} 61/70`,
      "2 100500000000 61/70",
      "3 6000 61/66",
      "0 6000 40/70",
      "0 0 20/70",
      "0 9000 61/70",
    ]);
  }
  const seen: CaptureInterface[] = [];
  const bytes = pcapngBytes(packets(4, 3), { interfaces: ["lan", "wan"] });
  for (const packet of readCaptureBytes(bytes, "x", {
    onInterface: (found) => seen.push(found),
  }))
    ok(packet);
  deepEqual(seen, [
    { port: 0, name: "lan", snapLength: 0 },
    { port: 1, name: "wan", snapLength: 0 },
    { port: 2, snapLength: 0 },
  ]);
});

test("unknown blocks longer than memory are skipped unread", async () => {
  const size = 64 << 20;
  const head = new ByteWriter().u32(0x0bad).u32(size).finish();
  function* file(): Generator<Uint8Array> {
    yield join(section(), ethernet(), head);
    const chunk = new Uint8Array(1 << 20);
    for (let left = size - 8; left > 0; left -= chunk.length)
      yield chunk.subarray(0, Math.min(left, chunk.length));
    yield block(6, [0, 0, 5, 61, 61, frame]);
  }
  deepEqual(await readChunks(file()), ["0 5000 61/61"]);
});

test("faults name the place", () => {
  const good = pcapBytes(packets(2));
  const change = (bytes: Uint8Array, at: number, value: number): Uint8Array => {
    const copy = bytes.slice();
    new DataView(copy.buffer).setUint32(at, value, true);
    return copy;
  };
  const simple = join(section(), ethernet());
  // prettier-ignore
  const cases: readonly (readonly [Uint8Array, string, number])[] = [
    [new Uint8Array(), "capture-empty", 0],
    [Uint8Array.of(0xd4, 0xc3), "capture-truncated", 0],
    [Uint8Array.of(1, 2, 3, 4), "capture-magic", 0],
    [good.subarray(0, 20), "capture-truncated", 0],
    [change(good, 4, 5), "capture-version", 4],
    [change(good, 20, 101), "capture-link-type", 0],
    [change(good, 32, 0x40001), "capture-record-size", 32],
    [good.subarray(0, 60), "capture-truncated", 24],
    [good.subarray(0, good.length - 1), "capture-truncated", 90],
    [change(simple, 8, 1), "capture-byte-order", 8],
    [change(simple, 12, 2), "capture-version", 12],
    [change(simple, 24, 32), "capture-block-size", 24],
    [change(simple, 32, 10), "capture-block-size", 32],
    [change(simple, 32, 0), "capture-block-size", 32],
    [join(section(), block(6, [0, 0, 0, 4, 4, 0])), "capture-interface", 36],
    [join(simple, block(6, [0, 0, 0, 40, 40, 0])), "capture-record-size", 68],
    [join(simple, block(6, [1, 0, 0, 4, 4, 0])), "capture-interface", 56],
    [join(section(), block(1, [101, 0]), block(6, [0, 0, 0, 4, 4, 0])), "capture-link-type", 48],
    [join(section(), ethernet({}, [0x00ff_0009])), "capture-option-size", 44],
    [join(simple, block(6, [0])), "capture-block-size", 52],
    [join(simple, block(6, [0, 0xffffffff, 0xffffffff, 4, 4, 0])), "capture-time", 60],
  ];
  for (const [bytes, code, offset] of cases)
    expectFault(() => read(bytes), code, offset);
  throws(() => read(gzipSync(good)), /compressed/);
  throws(() => pcapBytes(packets(2, 2)), /write pcapng|one port/);
});

test("packets before the damage come out first", () => {
  const bytes = pcapBytes(packets(1500));
  const seen: string[] = [];
  throws(() => {
    for (const packet of readCaptureBytes(
      bytes.subarray(0, bytes.length - 1),
      "x",
    ))
      seen.push(print(packet));
  }, InputError);
  deepEqual(seen, packets(1499).map(print));
});
