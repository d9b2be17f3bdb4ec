/**
 * The packet's time: read once on every path that asks, as late as somebody does.
 * Where paths that have read it meet paths that have not, the latter read it at
 * their end, should anybody ask behind the meeting.
 *
 * A function marked `@noinline` that asks takes the time as a hidden last parameter:
 * its caller has read it, or reads it then. So a packet has one time everywhere.
 */
import type { ValueId } from "../../ir/index.ts";
import type { Clock } from "./environment.ts";
import type { Lowering } from "./lowering.ts";
import { uint64Max } from "./operators.ts";
import type { Value } from "./value.ts";
import type { Writer } from "./writer.ts";

/** bpf_ktime_get_ns. */
const helper = 5;

export function readClock(lowering: Lowering): Value {
  const { cursor, writer } = lowering;
  const { env } = cursor.path;
  if (env.clock.kind === "unread") lowering.clockWanted = true;
  lowering.clockAsked = true;
  const word = read(writer, cursor.block, env.clock);
  env.clock = { kind: "read", word };
  return { kind: "scalar", js: "bigint", word, low: 0n, high: uint64Max };
}

/** A loop is about to begin: what it would ask late is asked now. */
export function settleClock(lowering: Lowering): void {
  const { cursor, writer } = lowering;
  const { env, block } = cursor.path;
  if (env.clock.kind === "partly")
    env.clock = { kind: "read", word: read(writer, block, env.clock) };
}

function read(writer: Writer, block: number, clock: Clock): ValueId {
  switch (clock.kind) {
    case "unread":
      return writer.helper(block, helper, []);
    case "read":
      return clock.word;
    case "partly": {
      if (clock.word !== undefined) return clock.word;
      const words = clock.from.map((from) =>
        read(writer, from.block, from.clock),
      );
      const param = writer.parameter(clock.block);
      for (const [at, { block: from }] of clock.from.entries()) {
        const word = words[at];
        if (word !== undefined) writer.addArgument(from, word);
      }
      clock.word = param;
      return param;
    }
  }
}
