/**
 * Reading captures: pcap and pcapng, plain or gzip, from chunks of bytes in constant
 * memory. Packets share the memory of the chunk they came in; nothing is reused, so
 * they may be kept. A damaged file gives the packets before the damage, then an
 * InputError; offsets count uncompressed bytes.
 */
import { InputError } from "../base/index.ts";
import { openPcap, pcapHeaderSize, pcapKind } from "./pcap.ts";
import { openPcapng, sectionMagic } from "./pcapng.ts";
import type { TracePacket } from "./packet.ts";
import {
  extend,
  fault,
  openWindow,
  type CaptureInterface,
  type Decoder,
  type Window,
} from "./window.ts";

export interface CaptureOptions {
  /** Called when the capture declares an interface, before its first packet. */
  readonly onInterface?: (found: CaptureInterface) => void;
}

type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

const batchSize = 1024;

/** The packets of a capture. For speed with small packets see readCaptureBatches. */
export async function* readCapture(
  chunks: Chunks,
  file: string,
  options: CaptureOptions = {},
): AsyncGenerator<TracePacket, void, undefined> {
  // Not yield*: over an array it would wait twice for each packet.
  for await (const batch of readCaptureBatches(chunks, file, options))
    for (const packet of batch) yield packet;
}

/** The same, about a thousand packets at a time. */
export async function* readCaptureBatches(
  chunks: Chunks,
  file: string,
  options: CaptureOptions = {},
): AsyncGenerator<readonly TracePacket[], void, undefined> {
  const reader = new CaptureReader(file, options);
  for await (const chunk of plain(chunks, file)) {
    reader.push(chunk);
    yield* reader.batches();
  }
  reader.finish();
}

/** A capture that is in memory, uncompressed. */
export function* readCaptureBytes(
  bytes: Uint8Array,
  file: string,
  options: CaptureOptions = {},
): Generator<TracePacket, void, undefined> {
  if (isGzip(bytes))
    throw new InputError("compressed; read it with readCapture", {
      code: "capture-compressed",
      file,
      offset: 0,
    });
  const reader = new CaptureReader(file, options);
  reader.push(bytes);
  for (const batch of reader.batches()) yield* batch;
  reader.finish();
}

class CaptureReader {
  readonly #window: Window;
  readonly #options: CaptureOptions;
  #decoder: Decoder | undefined;
  #waiting: Uint8Array[] = [];
  #waitingSize = 0;

  constructor(file: string, options: CaptureOptions) {
    this.#window = openWindow(file);
    this.#options = options;
  }

  /** Chunks wait until the next record is whole, so that each byte is copied once. */
  push(chunk: Uint8Array): void {
    const rest = this.#dropSkipped(chunk);
    if (rest.length === 0) return;
    this.#waiting.push(rest);
    this.#waitingSize += rest.length;
    const window = this.#window;
    if (window.bytes.length - window.at + this.#waitingSize < window.need)
      return;
    this.#flush();
  }

  *batches(): Generator<readonly TracePacket[], void, undefined> {
    const window = this.#window;
    for (;;) {
      this.#decoder ??= open(window, this.#options);
      if (this.#decoder === undefined) return;
      const out: TracePacket[] = [];
      let failure: unknown;
      try {
        this.#decoder.decode(window, out, batchSize);
      } catch (error) {
        failure = error;
      }
      if (out.length > 0) yield out;
      if (failure !== undefined) throw failure;
      this.#skipInWindow();
      if (out.length < batchSize) return;
    }
  }

  /** The file has ended: is it whole? */
  finish(): void {
    const window = this.#window;
    this.#flush();
    if (this.#decoder === undefined && window.bytes.length === 0)
      throw fault(
        window,
        "capture-empty",
        "an empty file instead of a capture",
      );
    const left = window.bytes.length - window.at;
    if (left === 0 && window.skip === 0 && this.#decoder !== undefined) return;
    throw fault(
      window,
      "capture-truncated",
      `the file ends inside a record: ${Math.max(window.need, window.skip)} bytes expected, ${left} there`,
    );
  }

  #flush(): void {
    if (this.#waiting.length > 0) extend(this.#window, this.#waiting);
    this.#waiting = [];
    this.#waitingSize = 0;
  }

  #skipInWindow(): void {
    const window = this.#window;
    if (window.skip === 0) return;
    const here = Math.min(window.skip, window.bytes.length - window.at);
    window.at += here;
    window.skip -= here;
  }

  #dropSkipped(chunk: Uint8Array): Uint8Array {
    const window = this.#window;
    if (window.skip === 0) return chunk;
    const here = Math.min(window.skip, chunk.length);
    // The window is used up: everything left in it was skipped before.
    window.origin += window.at + here;
    window.bytes = new Uint8Array();
    window.at = 0;
    window.skip -= here;
    return chunk.subarray(here);
  }
}

/** Takes the file header once it is there. */
function open(window: Window, options: CaptureOptions): Decoder | undefined {
  const left = window.bytes.length - window.at;
  window.need = 4;
  if (left < 4) return undefined;
  const magic = window.view.getUint32(window.at, false);
  if (magic === sectionMagic) return openPcapng(options.onInterface);
  const kind = pcapKind(magic);
  if (kind === undefined)
    throw fault(
      window,
      "capture-magic",
      `no capture: it starts with ${magic.toString(16).padStart(8, "0")}, which is neither pcap nor pcapng`,
    );
  window.need = pcapHeaderSize;
  if (left < pcapHeaderSize) return undefined;
  return openPcap(window, kind, options.onInterface);
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** Chunks of the uncompressed file, each cut so that no allocation is large. */
async function* plain(
  chunks: Chunks,
  file: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const source = chain(chunks);
  let first = new Uint8Array();
  while (first.length < 2) {
    const next = await source.next();
    if (next.done === true) break;
    const joined = new Uint8Array(first.length + next.value.length);
    joined.set(first);
    joined.set(next.value, first.length);
    first = joined;
  }
  if (isGzip(first)) yield* gunzip(first, source, file);
  else {
    if (first.length > 0) yield first;
    yield* source;
  }
}

async function* chain(
  chunks: Chunks,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks;
}

async function* gunzip(
  first: Uint8Array,
  source: AsyncIterable<Uint8Array>,
  file: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const stream = new DecompressionStream("gzip");
  const writer = stream.writable.getWriter();
  const reader = stream.readable.getReader();
  let produced = 0;
  let sourceFailure: unknown;
  const feed = async (): Promise<void> => {
    try {
      await writer.write(first);
      for await (const chunk of source) await writer.write(chunk);
      await writer.close();
    } catch (error) {
      sourceFailure = error;
      await writer.abort(error).catch(() => undefined);
    }
  };
  const feeding = feed();
  try {
    for (;;) {
      const next = await reader.read();
      if (next.done) break;
      const chunk = next.value as Uint8Array;
      produced += chunk.length;
      yield chunk;
    }
  } catch (error) {
    // A failing source (disk, network) is not a damaged file.
    if (sourceFailure !== undefined && !isZlib(sourceFailure))
      throw sourceFailure;
    throw new InputError(
      `damaged gzip data after ${produced} uncompressed bytes`,
      { code: "capture-gzip", file, offset: produced, cause: error },
    );
  } finally {
    // Not awaited when the reader left early: the source may never answer again.
    await reader.cancel().catch(() => undefined);
  }
  await feeding;
}

/** Node's DecompressionStream rejects with a zlib error (or a TypeError, as browsers do). */
function isZlib(error: unknown): boolean {
  if (error instanceof TypeError) return true;
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" && /^(Z_|ERR_)/.test(code);
}
