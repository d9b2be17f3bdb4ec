/**
 * Packets per second of the capture readers, 64-byte frames, from memory in
 * chunks of 1 MiB: what reading costs without the disk. One thread; 7 runs, the
 * median and the range. Includes parsing records and making packet values, not
 * looking into frames.
 */
import { cpus } from "node:os";
import { gzipSync } from "node:zlib";
import {
  generate,
  parseGenerator,
  pcapBytes,
  pcapngBytes,
  readCaptureBatches,
} from "#traffic";

const packets = 1_000_000;
const trace = [
  ...generate(parseGenerator(`gen:uniform,packets=${packets},size=64`)),
];

function* chunks(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1 << 20)
    yield bytes.subarray(at, at + (1 << 20));
}

async function read(bytes: Uint8Array): Promise<number> {
  const started = performance.now();
  let seen = 0;
  for await (const batch of readCaptureBatches(chunks(bytes), "memory"))
    seen += batch.length;
  if (seen !== packets) throw new Error(`${seen} packets read`);
  return (1e3 * seen) / (performance.now() - started);
}

const plain = pcapBytes(trace);
const points = [];
for (const [format, bytes] of [
  ["pcap", plain],
  ["pcapng", pcapngBytes(trace)],
  ["pcap.gz", new Uint8Array(gzipSync(plain, { level: 6 }))],
] as const) {
  const rates: number[] = [];
  for (let run = 0; run < 8; run++) {
    const rate = await read(bytes);
    if (run > 0) rates.push(Math.round(rate));
  }
  rates.sort((left, right) => left - right);
  const row = {
    format,
    packetsPerSecond: rates[3],
    range: [rates[0], rates[6]],
    runs: rates.length,
    cores: 1,
    real: true,
  };
  console.error(
    `  ${format.padEnd(8)} ${(row.packetsPerSecond ?? 0).toLocaleString("en")} packets/s`,
  );
  points.push(row);
}
console.log(
  JSON.stringify({
    schema: "divisi.bench-trace/1",
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cpus: cpus().length,
      node: process.version,
    },
    includes: "decoding of the file format; no disk, no look into frames",
    packets,
    points,
  }),
);
