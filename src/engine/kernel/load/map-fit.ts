/**
 * A map as the kernel takes it: what objects leave to user space, or write as other
 * loaders take it, is filled in, and said.
 *
 *   no size              an entry per possible CPU (local storage has none)
 *   ring buffers         a power of two, in whole pages
 *   maps of descriptors  key and value of 4 bytes where the object has none
 *   LPM tries            BPF_F_NO_PREALLOC, which they must have
 *
 * Source: libbpf adjust_ringbuf_sz; kernel/bpf/lpm_trie.c, ringbuf.c, arraymap.c.
 */
import { readFileSync } from "node:fs";
import { endianness } from "node:os";
import { isUnsized, type MapSpec } from "../../../isa/index.ts";
import { possibleCpus } from "../../../host/index.ts";

const noPreallocation = 1;
/** AT_PAGESZ of the auxiliary vector. */
const pageSizeEntry = 6;

export interface FittedMap {
  readonly map: MapSpec;
  /** What was changed, as the end of a sentence about the map. */
  readonly changes: readonly { readonly code: string; readonly text: string }[];
}

// prettier-ignore
const ofDescriptors: ReadonlySet<string> = new Set(["prog_array", "perf_event_array", "cgroup_array", "devmap", "cpumap", "xskmap", "array_of_maps"]);

export function fittedMap(spec: MapSpec): FittedMap {
  const changes: { code: string; text: string }[] = [];
  let map = spec;
  if (spec.inner !== undefined)
    map = { ...map, inner: fittedMap(spec.inner).map };
  if (isUnsized(spec)) {
    changes.push({
      code: "map-size-assumed",
      text: "has no size; it gets one entry per possible CPU",
    });
    map = { ...map, maxEntries: possibleCpus() };
  }
  if (spec.type === "ringbuf" || spec.type === "user_ringbuf") {
    const size = ringSize(map.maxEntries);
    if (size !== map.maxEntries && !isUnsized(spec))
      changes.push({
        code: "map-size-rounded",
        text: `gets ${size} bytes, not ${map.maxEntries}: whole pages, a power of two`,
      });
    map = { ...map, maxEntries: size };
  }
  if (
    ofDescriptors.has(spec.type) &&
    (spec.keySize === 0 || spec.valueSize === 0)
  ) {
    changes.push({
      code: "map-definition-filled",
      text: "gets keys and values of 4 bytes",
    });
    map = {
      ...map,
      keySize: spec.keySize || 4,
      valueSize: spec.valueSize || 4,
    };
  }
  if (spec.type === "lpm_trie" && (spec.flags & noPreallocation) === 0) {
    changes.push({
      code: "map-definition-filled",
      text: "gets BPF_F_NO_PREALLOC, without which there are no tries",
    });
    map = { ...map, flags: spec.flags | noPreallocation };
  }
  return { map, changes };
}

/** The smallest power of two that is a multiple of the page size and not below `size`. */
function ringSize(size: number): number {
  let rounded = pageSize();
  while (rounded < size) rounded *= 2;
  return rounded;
}

function pageSize(): number {
  const vector = readFileSync("/proc/self/auxv");
  for (let at = 0; at + 16 <= vector.length; at += 16) {
    const [type, value] =
      endianness() === "LE"
        ? [vector.readBigUInt64LE(at), vector.readBigUInt64LE(at + 8)]
        : [vector.readBigUInt64BE(at), vector.readBigUInt64BE(at + 8)];
    if (type === BigInt(pageSizeEntry)) return Number(value);
  }
  return 4096;
}
