/**
 * Map types: a row a line, by the names bpftool prints. Number: kernel
 * `enum bpf_map_type` (include/uapi/linux/bpf.h).
 */
interface MapTypeRow {
  readonly number: number;
  /** A private copy per CPU: user space sees an array of values. */
  readonly perCpu?: true;
  /** Values are maps; `inner` of the specification is their template. */
  readonly ofMaps?: true;
  /** Key is a u32 index below max_entries, every cell exists from the start. */
  readonly indexed?: true;
  /** Has no capacity: what its values belong to decides how many there are. */
  readonly sizeless?: true;
}

// prettier-ignore
export const mapTypes = {
  unspec:                { number: 0 },
  hash:                  { number: 1 },
  array:                 { number: 2, indexed: true },
  prog_array:            { number: 3, indexed: true },
  perf_event_array:      { number: 4, indexed: true },
  percpu_hash:           { number: 5, perCpu: true },
  percpu_array:          { number: 6, perCpu: true, indexed: true },
  stack_trace:           { number: 7 },
  cgroup_array:          { number: 8, indexed: true },
  lru_hash:              { number: 9 },
  lru_percpu_hash:       { number: 10, perCpu: true },
  lpm_trie:              { number: 11 },
  array_of_maps:         { number: 12, ofMaps: true, indexed: true },
  hash_of_maps:          { number: 13, ofMaps: true },
  devmap:                { number: 14, indexed: true },
  sockmap:               { number: 15, indexed: true },
  cpumap:                { number: 16, indexed: true },
  xskmap:                { number: 17, indexed: true },
  sockhash:              { number: 18 },
  cgroup_storage:        { number: 19, sizeless: true },
  reuseport_sockarray:   { number: 20, indexed: true },
  percpu_cgroup_storage: { number: 21, perCpu: true, sizeless: true },
  queue:                 { number: 22 },
  stack:                 { number: 23 },
  sk_storage:            { number: 24, sizeless: true },
  devmap_hash:           { number: 25 },
  struct_ops:            { number: 26, sizeless: true },
  ringbuf:               { number: 27 },
  inode_storage:         { number: 28, sizeless: true },
  task_storage:          { number: 29, sizeless: true },
  bloom_filter:          { number: 30 },
  user_ringbuf:          { number: 31 },
  cgrp_storage:          { number: 32, sizeless: true },
  arena:                 { number: 33 },
} as const satisfies Record<string, MapTypeRow>;

export type MapTypeName = keyof typeof mapTypes;

const byNumber = new Map<number, MapTypeName>(
  Object.entries(mapTypes).map(([name, row]) => [
    row.number,
    name as MapTypeName,
  ]),
);

export function mapTypeByNumber(number: number): MapTypeName | undefined {
  return byNumber.get(number);
}

export function mapTypeRow(name: MapTypeName): MapTypeRow {
  return mapTypes[name];
}
