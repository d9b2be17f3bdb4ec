/**
 * The values of one map: cells of equal size at fixed addresses.
 *
 * Cell c of copy p (per-CPU maps have a copy per CPU) starts at byte
 * (c · copies + p) · stride of the region; stride is the value size rounded up to 8
 * and the bytes up to the next multiple belong to nobody. Cells lie in chunks of a
 * power of two of them; a clone shares chunks and copies one when it writes to it.
 */
import { Chunk, type Memory, type Region } from "./memory.ts";
import { fault } from "./fault.ts";

const chunkBytes = 1 << 14;

export class Cells implements Region {
  readonly name: string;
  readonly valueSize: number;
  readonly stride: number;
  readonly copies: number;
  readonly readOnly: boolean;
  readonly #shift: number;
  readonly #limit: number;
  #chunks: (Chunk | undefined)[] = [];
  /** Replaced at every clone, so that neither side owns what both see. */
  #token: object = {};

  constructor(options: {
    readonly name: string;
    readonly valueSize: number;
    readonly copies: number;
    readonly capacity: number;
    readonly readOnly: boolean;
  }) {
    this.name = options.name;
    this.valueSize = options.valueSize;
    this.copies = options.copies;
    this.readOnly = options.readOnly;
    this.stride = Math.max(8, Math.ceil(options.valueSize / 8) * 8);
    this.#limit = options.capacity * options.copies;
    let shift = 0;
    while (this.stride << (shift + 1) <= chunkBytes && 1 << shift < this.#limit)
      shift++;
    this.#shift = shift;
  }

  /** Bytes of address space that all cells need. */
  get space(): number {
    return this.#limit * this.stride;
  }

  offsetOf(cell: number, copy: number): number {
    return (cell * this.copies + copy) * this.stride;
  }
  cellAt(offset: number): number {
    return Math.floor(offset / (this.stride * this.copies));
  }

  locate(memory: Memory, offset: number, size: number, write: boolean): void {
    const index = Math.floor(offset / this.stride);
    const within = offset - index * this.stride;
    if (index >= this.#limit || within + size > this.valueSize)
      fault(
        `${size} bytes at ${within} of a value of ${this.name} leave its ${this.valueSize} bytes`,
      );
    if (write && this.readOnly) fault(`write to read-only map ${this.name}`);
    memory.chunk = this.#chunk(index >> this.#shift, write);
    memory.at = (index & ((1 << this.#shift) - 1)) * this.stride + within;
  }

  /** The bytes of one copy; a view. Writing asks for `write`. */
  bytes(cell: number, copy: number, write: boolean): Uint8Array {
    const index = cell * this.copies + copy;
    const chunk = this.#chunk(index >> this.#shift, write);
    const at = (index & ((1 << this.#shift) - 1)) * this.stride;
    return chunk.bytes.subarray(at, at + this.valueSize);
  }

  clone(): Cells {
    const twin = new Cells({
      name: this.name,
      valueSize: this.valueSize,
      copies: this.copies,
      capacity: this.#limit / this.copies,
      readOnly: this.readOnly,
    });
    twin.#chunks = [...this.#chunks];
    this.#token = {};
    return twin;
  }

  /** Whether any byte of these cells was ever touched; untouched ones are zero. */
  untouched(cell: number): boolean {
    return this.#chunks[(cell * this.copies) >> this.#shift] === undefined;
  }

  #chunk(number: number, write: boolean): Chunk {
    let chunk = this.#chunks[number];
    if (chunk === undefined) {
      chunk = new Chunk(
        new Uint8Array(this.stride << this.#shift),
        this.#token,
      );
      this.#chunks[number] = chunk;
    } else if (write && chunk.owner !== this.#token) {
      chunk = new Chunk(chunk.bytes.slice(), this.#token);
      this.#chunks[number] = chunk;
    }
    return chunk;
  }
}
