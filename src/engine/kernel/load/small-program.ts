/**
 * Programs and maps of our own, a few lines each: loaded from text, maps given by
 * descriptor. That the kernel refuses one is a bug of ours, or a feature it lacks.
 */
import { VerifierError } from "../../../base/index.ts";
import { parseFunction, type MapTypeName } from "../../../isa/index.ts";
import { attributes, command } from "../attributes.ts";
import { createMap } from "./create-map.ts";
import { linkProgram, placeFunctions } from "./layout.ts";
import { memory, type Syscalls } from "../syscalls.ts";
import { summarizeLog } from "./verifier-log.ts";

/** BPF_F_XDP_HAS_FRAGS. */
const hasFragsFlag = 1 << 5;

export interface SmallProgramOptions {
  /** `enum bpf_prog_type`; default XDP. */
  readonly type?: number;
  readonly attachType?: number;
  readonly hasFrags?: boolean;
  readonly maps?: Readonly<Record<string, number>>;
}

/** Descriptor of the program that `text` is. */
export function loadSmallProgram(
  syscalls: Syscalls,
  text: string,
  options: SmallProgramOptions = {},
): number {
  const { type = 6, attachType = 0, hasFrags = false, maps = {} } = options;
  const fn = parseFunction(text);
  const code = linkProgram(
    placeFunctions({
      file: fn.name,
      name: fn.name,
      section: "",
      type: "xdp",
      license: "GPL",
      functions: [fn],
      maps: [],
    }),
    {
      mapFd: (name) => maps[name] ?? -1,
      kfunc: () => ({ pseudo: 2, value: 0 }),
      symbol: () => ({ pseudo: 3, low: 0, high: 0 }),
    },
  );
  const instructions = memory(code.length);
  instructions.set(code);
  const license = memory(4);
  license.write("GPL");
  const log = memory(1 << 18);
  const load = (logLevel: 0 | 1): number =>
    syscalls.bpf(
      command.programLoad,
      attributes(syscalls, "programLoad", {
        type,
        instructionCount: code.length / 8,
        instructions,
        license,
        ...(logLevel === 0 ? {} : { logLevel, logSize: log.length, log }),
        name: fn.name,
        attachType,
        flags: hasFrags ? hasFragsFlag : 0,
      }),
    );
  const fd = load(0);
  if (fd >= 0) return fd;
  const again = load(1);
  if (again >= 0) return again;
  const words = log.toString("utf8", 0, Math.max(0, log.indexOf(0)));
  throw new VerifierError(
    `${fn.name}: ${summarizeLog(words)?.text ?? syscalls.errorName(-fd)}`,
    words,
  );
}

export interface SmallMapShape {
  readonly valueSize: number;
  readonly entries: number;
  readonly flags?: number;
}

/** A map with keys of four bytes. */
export function createSmallMap(
  syscalls: Syscalls,
  name: string,
  type: MapTypeName,
  { valueSize, entries, flags = 0 }: SmallMapShape,
): number {
  const spec = {
    name,
    type,
    keySize: 4,
    valueSize,
    maxEntries: entries,
    flags,
    section: ".maps",
    readOnly: false,
  };
  return createMap(syscalls, spec, undefined);
}

/** Puts a number of four bytes under a key of four; a negative errno when the kernel refuses. */
export function setWord(
  syscalls: Syscalls,
  map: number,
  [key, value]: readonly [number, number],
): number {
  const held = memory(8);
  held.writeUInt32LE(key, 0);
  held.writeUInt32LE(value, 4);
  const attr = attributes(syscalls, "mapElement", {
    fd: map,
    key: syscalls.address(held),
    value: syscalls.address(held) + 4n,
  });
  return syscalls.bpf(command.mapUpdate, attr);
}
