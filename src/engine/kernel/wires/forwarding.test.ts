import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { InputError, UnsupportedError } from "../../../base/index.ts";
import { parseFunction, type ProgramSpec } from "../../../isa/index.ts";
import {
  measureForwarding,
  type Forwarding,
  type ForwardingOptions,
} from "./forwarding.ts";
import { openKernel } from "../kernel.ts";
import type { TraceFrame } from "./trace-run.ts";

/** What becomes of every frame: r0 of `text`. */
function program(text: string): ProgramSpec {
  return {
    file: "all.bpf",
    name: "all",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    maps: [],
    functions: [parseFunction(`function all\n ${text}\n exit`)],
  };
}

function frames(queues: number, ports: number): TraceFrame[] {
  return Array.from({ length: 64 }, (_, at) => ({
    data: Uint8Array.from({ length: 60 }, (_byte, index) => (at * index) & 255),
    port: at % ports,
    queue: at % queues,
  }));
}

function forwardingTest(
  name: string,
  text: string,
  options: Partial<ForwardingOptions> & { readonly queues: number },
  expect: (found: Forwarding) => void,
): void {
  void test(name, async (t: TestContext) => {
    try {
      const kernel = await openKernel();
      try {
        expect(
          await measureForwarding(kernel, {
            bind: () => ({ program: program(text), contents: {} }),
            frames: frames(options.queues, 1),
            ports: [{}],
            trialSeconds: 0.02,
            steps: 3,
            ...options,
          }),
        );
      } finally {
        kernel.close();
      }
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      t.skip(error.message);
    }
  });
}

// No rate is asserted: a time is no test.
for (const [verdict, text] of [
  ["dropped", "r0 = 1"],
  ["sent back", "r0 = 3"],
] as const)
  for (const queues of [1, 2])
    forwardingTest(
      `${queues} generators, a queue each, all ${verdict}: nothing is lost`,
      text,
      { queues },
      ({ mpps, trials, includes, placement, generators }) => {
        equal(trials.length, 1);
        const [trial] = trials;
        deepEqual([trial?.lostBefore, trial?.lostAfter], [0, 0]);
        ok((trial?.sent ?? 0) > 1000);
        ok(mpps > 0);
        equal(generators, queues);
        deepEqual(
          [includes, placement],
          ["path", "generator and program on one CPU"],
        );
      },
    );

forwardingTest(
  "frames that never arrive are lost, at every rate",
  "r0 = 1",
  // Every second one goes to a port that is not there.
  { queues: 1, frames: frames(1, 2) },
  ({ mpps, trials }) => {
    equal(trials.length, 4);
    for (const { sent, lostBefore } of trials)
      equal(lostBefore, Math.floor(sent / 2));
    equal(mpps, 0);
  },
);

forwardingTest(
  "as many as are allowed may be lost",
  "r0 = 1",
  { queues: 1, frames: frames(1, 2), lossPerMillion: 500_000 },
  ({ mpps, trials }) => {
    equal(trials.length, 1);
    ok(mpps > 0);
  },
);

forwardingTest(
  "two generators at one queue: what is found lost nothing",
  "r0 = 1",
  { queues: 1, generators: 2 },
  ({ mpps, trials }) => {
    const good = trials.filter(
      ({ lostBefore, lostAfter }) => lostBefore + lostAfter === 0,
    );
    const best = Math.max(0, ...good.map(({ offered }) => offered));
    equal(mpps, best / 1e6);
  },
);

void test("a trial in real time is short", async (t: TestContext) => {
  try {
    const kernel = await openKernel();
    // prettier-ignore
    const options = { bind: () => ({ program: program("r0 = 1"), contents: {} }), frames: frames(1, 1), ports: [{}], queues: 1, trialSeconds: 1 };
    await rejects(measureForwarding(kernel, options), InputError);
    kernel.close();
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    t.skip(error.message);
  }
});
