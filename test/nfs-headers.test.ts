/**
 * The headers of nfs/c in a program that only calls them, compiled here: index allocator
 * and expiring map against lists kept in JavaScript, count-min sketch, token bucket and
 * checksums against their definitions. Every random test takes DIVISI_SEED.
 */
import {
  AssertionError,
  deepEqual,
  equal,
  ok,
  throws,
} from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Random } from "#base";
import { foldChecksum, sumWords } from "#packet";
import { temporaryFolder } from "./support/cli.ts";
import {
  folder,
  loadFile,
  words,
  type Running,
} from "./support/network-function.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const compiler = "clang-14";
const noClang =
  spawnSync(compiler, ["--version"]).error === undefined
    ? false
    : "clang-14 is not installed";

/** A frame is a request: operation, two arguments, and the answer. */
const source = `
#include "nf_bucket.h"
#include "nf_chain.h"
#include "nf_csum.h"
#include "nf_sketch.h"

volatile const __u32 capacity = 5;
volatile const __u64 expiry = 100;

NF_INDEX_ALLOCATOR(ids, 8, capacity, expiry);

struct value { __u32 number; __u32 index; };
NF_EXPIRING_MAP(entries, __u32, struct value, 8, capacity, expiry);

NF_COUNT_MIN(counts, 3, 64, 50u);

struct request { __u32 op; __u32 first; __u32 second; __u32 answer; __u64 long_one; __u64 long_two; };

SEC("xdp")
int headers(struct xdp_md *ctx)
{
	struct request *r = (void *)(long)ctx->data;
	__u64 now = bpf_ktime_get_ns(), tokens, last;
	struct value *value, fresh = {};
	__u32 key, *there;

	if ((void *)(r + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	key = r->first;
	switch (r->op) {
	case 0: r->answer = ids_chain_allocate(now); break;
	case 1: ids_chain_refresh(r->first, now); break;
	case 2: ids_chain_free(r->first); break;
	case 3: r->answer = ids_chain_is_alive(r->first, now); break;
	case 4: r->answer = ids_chain_oldest_expired(now); break;
	case 5:
		value = entries_get(&key, now);
		r->answer = value ? value->number : 0;
		break;
	case 6:
		fresh.number = r->second;
		r->answer = entries_insert(&key, &fresh, now);
		break;
	case 7: r->answer = entries_delete(&key); break;
	case 8:
		value = entries_get(&key, now);
		if (value)
			entries_refresh(value, now);
		break;
	case 9:
		there = entries_key_at(r->first, now);
		r->answer = there ? *there + 1 : 0;
		break;
	case 10: NF_ADD(counts, 3, key, r->second); break;
	case 11: r->answer = NF_LEAST(counts, 3, key); break;
	case 12:
		tokens = r->long_one;
		last = r->long_two;
		r->answer = nf_take(&tokens, &last, r->first, now, 1000000, r->second);
		r->long_one = tokens;
		r->long_two = last;
		break;
	case 13: r->answer = csum_replace16(r->first, r->second, r->long_one); break;
	case 14: r->answer = csum_replace32(r->first, r->second, r->long_one); break;
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
`;

/** The program above, with headers in which a text was exchanged. */
function built(
  header?: string,
  change: readonly [string, string] = ["", ""],
): Running {
  const scratch = temporaryFolder("nfs-headers");
  const file = join(scratch, "headers.c");
  const object = join(scratch, "headers.o");
  writeFileSync(file, source);
  if (header !== undefined) {
    const text = readFileSync(join(folder, header), "utf8");
    equal(text.split(change[0]).length, 2, change[0]);
    writeFileSync(join(scratch, header), text.replace(...change));
  }
  const asm = ["x86_64", "aarch64"]
    .map((machine) => `/usr/include/${machine}-linux-gnu`)
    .filter((path) => existsSync(path));
  // prettier-ignore
  const words_ = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Werror", `-I${scratch}`, `-I${folder}`, ...asm.map((path) => `-I${path}`), "-c", file, "-o", object];
  const { status, stderr } = spawnSync(compiler, words_, {
    encoding: "utf8",
  });
  equal(status, 0, stderr);
  return loadFile(object);
}

interface Request {
  readonly first?: number;
  readonly second?: number;
  readonly one?: bigint;
  readonly two?: bigint;
  readonly now?: number | bigint;
}

/** The answer, and the frame that has the rest. */
function ask(
  { run }: Running,
  op: number,
  { first = 0, second = 0, one = 0n, two = 0n, now = 0 }: Request = {},
): { readonly answer: number; readonly view: DataView } {
  const view = new DataView(new ArrayBuffer(32));
  for (const [at, word] of [op, first, second].entries())
    view.setUint32(4 * at, word, true);
  view.setBigUint64(16, one, true);
  view.setBigUint64(24, two, true);
  const { data, verdict } = run(new Uint8Array(view.buffer), {
    time: BigInt(now),
  });
  equal(verdict, 2);
  const after = new DataView(data.slice().buffer);
  return { answer: after.getUint32(12, true), view: after };
}

/** What nf_chain.h promises of a chain, with a list from oldest to newest. */
class Chain {
  list: { index: number; last: number; key?: number }[] = [];
  readonly free: number[] = [];
  fresh = 0;
  readonly reclaimed: (key: number | undefined) => void;

  constructor(reclaimed: (key: number | undefined) => void = () => undefined) {
    this.reclaimed = reclaimed;
  }
  isExpired(last: number, now: number): boolean {
    return last + 100 < now;
  }
  allocate(now: number, key?: number): number {
    let index = this.free.pop();
    if (index === undefined && this.fresh < 5) index = this.fresh++;
    if (index === undefined) {
      const [oldest] = this.list;
      if (oldest === undefined || !this.isExpired(oldest.last, now)) return 0;
      this.list.shift();
      this.reclaimed(oldest.key);
      ({ index } = oldest);
    }
    this.list.push({ index, last: now, ...(key === undefined ? {} : { key }) });
    return index + 1;
  }
  refresh(index: number, now: number): void {
    const cell = this.list.find((other) => other.index === index);
    if (cell === undefined) return;
    this.list = this.list.filter((other) => other !== cell);
    this.list.push({ ...cell, last: now });
  }
  release(index: number): void {
    if (this.at(index) === undefined) return;
    this.list = this.list.filter((cell) => cell.index !== index);
    this.free.push(index);
  }
  at(index: number) {
    return this.list.find((cell) => cell.index === index);
  }
  isAlive(index: number, now: number): boolean {
    const cell = this.at(index);
    return cell !== undefined && !this.isExpired(cell.last, now);
  }
}

function allocatorAgrees(running: Running): void {
  const random = new Random(seed);
  const chain = new Chain();
  const seen = new Set<string>();
  for (let step = 0, now = 0; step < 4000; step++) {
    now += random.below(4) === 0 ? random.below(120) : random.below(4);
    const first = random.chance(0.05) ? 0xffffffff : random.below(9);
    const op = random.pick([0, 0, 1, 1, 2, 3, 4]);
    const { answer } = ask(running, op, { first, now });
    const [oldest] = chain.list;
    switch (op) {
      case 0:
        equal(answer, chain.allocate(now), `${step}`);
        break;
      case 1:
        chain.refresh(first, now);
        break;
      case 2:
        chain.release(first);
        break;
      case 3:
        equal(answer, Number(chain.isAlive(first, now)), `${step}`);
        break;
      default:
        equal(
          answer,
          oldest !== undefined && chain.isExpired(oldest.last, now)
            ? oldest.index + 1
            : 0,
          `${step}`,
        );
    }
    seen.add(`${op} ${Math.min(answer, 1)} ${chain.list.length}`);
  }
  ok(
    seen.has("0 0 5") && seen.has("0 1 5") && seen.has("4 1 5"),
    [...seen].join(),
  );
}

function mapAgrees(running: Running): void {
  const random = new Random(seed);
  const entries = new Map<number, { number: number; index: number }>();
  const chain = new Chain((key) => entries.delete(key ?? -1));
  const alive = (key: number, now: number) => {
    const entry = entries.get(key);
    return entry !== undefined && chain.isAlive(entry.index, now)
      ? entry
      : undefined;
  };
  const insert = (key: number, number: number, now: number): number => {
    const entry = entries.get(key);
    if (alive(key, now) !== undefined) return 0;
    if (entry !== undefined) {
      entries.set(key, { ...entry, number });
      chain.refresh(entry.index, now);
      return 1;
    }
    const cell = chain.allocate(now, key);
    if (cell === 0) return 0;
    entries.set(key, { number, index: cell - 1 });
    return 1;
  };
  const remove = (key: number): number => {
    const entry = entries.get(key);
    if (entry === undefined) return 0;
    chain.release(entry.index);
    entries.delete(key);
    return 1;
  };
  const counts = [0, 0];
  for (let step = 0, now = 0; step < 4000; step++) {
    now += random.below(4) === 0 ? random.below(120) : random.below(4);
    const first = random.below(9);
    const second = 1 + random.below(1000);
    const op = random.pick([5, 5, 6, 6, 6, 7, 8, 8, 9]);
    const { answer } = ask(running, op, { first, second, now });
    const cell = chain.at(first);
    const at = `${step}: ${op} ${first} at ${now}`;
    if (op === 5) equal(answer, alive(first, now)?.number ?? 0, at);
    if (op === 6) {
      equal(answer, insert(first, second, now), at);
      counts[answer] = (counts[answer] ?? 0) + 1;
    }
    if (op === 7) equal(answer, remove(first), at);
    if (op === 8) {
      const entry = alive(first, now);
      if (entry !== undefined) chain.refresh(entry.index, now);
    }
    if (op === 9)
      equal(answer, chain.isAlive(first, now) ? (cell?.key ?? -1) + 1 : 0, at);
    equal(running.state.entries("entries").length, entries.size, at);
  }
  ok(
    counts.every((count) => count > 100),
    counts.join(),
  );
}

function sketchAgrees(running: Running): void {
  const random = new Random(seed);
  const sums = new Map<number, number>();
  for (let step = 0; step < 400; step++) {
    const first = random.below(40);
    const second = random.below(100);
    ask(running, 10, { first, second });
    sums.set(first, (sums.get(first) ?? 0) + second);
  }
  let exact = 0;
  for (const [first, sum] of sums) {
    const { answer } = ask(running, 11, { first });
    ok(answer >= sum, `${first}`);
    exact += Number(answer === sum);
  }
  ok(exact > 0);
  const total = [...sums.values()].reduce((left, right) => left + right, 0);
  const cells = words(running.state, "counts").map((word) =>
    Number.parseInt(word.slice(9).match(/../g)?.reverse().join("") ?? "", 16),
  );
  equal(cells.length, 3 * 64);
  deepEqual(
    [0, 1, 2].map((row) =>
      cells
        .slice(50 * row, 50 * (row + 1))
        .reduce((left, right) => left + right, 0),
    ),
    [total, total, total],
  );
}

function bucketAgrees(running: Running): void {
  const random = new Random(seed);
  const rate = 1_000_000n;
  const min = (left: bigint, right: bigint): bigint =>
    left < right ? left : right;
  for (let step = 0; step < 500; step++) {
    const burst = BigInt(random.below(100_000));
    const tokens = min(burst, BigInt(random.below(100_000)));
    const last = BigInt(random.below(1000));
    const elapsed = BigInt(random.below(200_000_000));
    const full = (burst * 1_000_000_000n) / rate;
    const have =
      elapsed < full
        ? min(burst, tokens + (elapsed * rate) / 1_000_000_000n)
        : burst;
    // Just as much as there is, too.
    const size = random.chance(0.3) ? Number(have) : random.below(2000);
    const takes = have > BigInt(size);
    const { answer, view } = ask(running, 12, {
      first: size,
      second: Number(burst),
      one: tokens,
      two: last,
      now: last + elapsed,
    });
    equal(answer, Number(takes), `${step}`);
    equal(view.getBigUint64(16, true), takes ? have - BigInt(size) : have);
    equal(view.getBigUint64(24, true), last + elapsed);
  }
}

function checksumsAgree(running: Running): void {
  const random = new Random(seed);
  const special = [0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff];
  const word = (): number =>
    random.chance(0.4) ? random.pick(special) : random.below(0x10000);
  const checksum = (list: readonly number[]): number => {
    const bytes = new Uint8Array(list.flatMap((w) => [w >> 8, w & 255]));
    return foldChecksum(sumWords(bytes, 0, bytes.length));
  };
  for (let step = 0; step < 2000; step++) {
    // A word that is not 0 in each, so that no sum is that of zeros alone.
    const rest = 1 + random.below(0xfffe);
    const [oldHigh, oldLow, high, low] = [word(), word(), word(), word()];
    const have16 = ask(running, 13, {
      first: checksum([rest, oldLow]),
      second: oldLow,
      one: BigInt(low),
    }).answer;
    equal(have16 % 0xffff, checksum([rest, low]) % 0xffff);
    const have32 = ask(running, 14, {
      first: checksum([rest, oldHigh, oldLow]),
      second: oldHigh * 65536 + oldLow,
      one: BigInt(high * 65536 + low),
    }).answer;
    equal(have32 % 0xffff, checksum([rest, high, low]) % 0xffff);
  }
}

const laws: Readonly<Record<string, (running: Running) => void>> = {
  "index allocator: as a list does it": allocatorAgrees,
  "expiring map: as a list and a Map do it": mapAgrees,
  "count-min: never too small, exact where nothing collides": sketchAgrees,
  "token bucket: the formula, and no overflow below its limits": bucketAgrees,
  "checksums: replacing words is summing anew": checksumsAgree,
};

for (const [name, law] of Object.entries(laws))
  test(`${name} (seed ${seed})`, { skip: noClang }, () => {
    law(built());
  });

// prettier-ignore
const mutants: readonly (readonly [string, string, string, (running: Running) => void])[] = [
  ["nf_chain.h",  "cell->last + expiry < now", "cell->last + expiry <= now", allocatorAgrees],
  ["nf_chain.h",  "fresh < capacity", "fresh <= capacity", allocatorAgrees],
  ["nf_chain.h",  "after->previous = cell->previous;", "", allocatorAgrees],
  ["nf_chain.h",  "newest->next = number;", "", allocatorAgrees],
  ["nf_chain.h",  "cell->previous = NF_FREE_CELL;", "cell->previous = 0;", allocatorAgrees],
  ["nf_chain.h",  "bpf_map_delete_elem(map, cell + 1);", ";", mapAgrees],
  ["nf_chain.h",  "value->index = there->index;", "value->index = 0;", mapAgrees],
  ["nf_sketch.h", "row * columns + hash % columns", "hash % columns", sketchAgrees],
  ["nf_bucket.h", "have <= size", "have < size", bucketAgrees],
  ["nf_csum.h",   "(__u16)~(old >> 16)", "(__u16)(old >> 16)", checksumsAgree],
];

test("a wrong header is found", { skip: noClang }, () => {
  for (const [header, from, to, law] of mutants)
    throws(
      () => law(built(header, [from, to])),
      AssertionError,
      `${from} → ${to}`,
    );
});
