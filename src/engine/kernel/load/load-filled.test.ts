/** Where a dispatcher would drop what some CPU receives, nothing is loaded. */
import { equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { UnsupportedError } from "../../../base/index.ts";
import { highestCpu, possibleCpus } from "../../../host/index.ts";
import type { Kernel } from "../kernel.ts";
import { loadFilled } from "./load-filled.ts";

/** Tells that the loader was reached. */
class Reached extends Error {}

const kernel = {
  load: () => {
    throw new Reached();
  },
} as unknown as Kernel;

function loading(sources: number | undefined): () => unknown {
  const program = {} as never;
  const dispatcher = {
    program,
    cpumap: "cpus",
    cpus: 1,
    queueSize: 1,
    contents: {},
  };
  return () =>
    loadFilled(kernel, {
      program,
      contents: {},
      dispatcher:
        sources === undefined ? dispatcher : { ...dispatcher, sources },
    });
}

void test("a CPU that the dispatcher does not take packets from is refused", () => {
  const highest = highestCpu();
  ok(highest >= 0 && highest + 1 <= 2 ** 16 && possibleCpus() >= 1);
  throws(loading(highest), (error: unknown) => {
    ok(error instanceof UnsupportedError);
    equal(error.feature, `receiving on CPU ${highest} and above`);
    return true;
  });
  throws(loading(highest + 1), Reached);
  throws(loading(undefined), Reached);
});
