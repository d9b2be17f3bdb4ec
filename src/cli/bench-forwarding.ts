/**
 * The maximum loss-free forwarding rate over veth as a series of `bench`: what a packet
 * pays from a generator through veth, NAPI and the program to the next ring. Generator
 * and program share a CPU, so the figure is of both; a NIC's is another.
 */
import { measureForwarding, openKernel } from "../engine/index.ts";
import type { Contestant } from "./bench-contestant.ts";
import {
  divide,
  samplesFor,
  type Series,
  type SeriesOptions,
  type SeriesSample,
} from "./bench-series.ts";
import { indexToMake, subjectAt } from "./iface-subject.ts";
import { usage } from "./words.ts";

export async function forwardingSeries(
  contestants: readonly Contestant[],
  options: SeriesOptions,
): Promise<readonly Series[]> {
  if (options.state === "private")
    throw usage(
      "--path veth runs one program with its own maps: its state is shared",
      "leave out --state",
    );
  const jobs = await Promise.all(
    contestants.flatMap((contestant) =>
      options.cores.map(async (cores) => ({
        contestant,
        cores,
        subject: await subjectAt(contestant.from, options.words, 1),
        shares: divide(contestant, cores).shares,
        samples: [] as SeriesSample[],
        notes: new Set(["generator and program share a CPU"]),
      })),
    ),
  );
  const trialSeconds = Math.min(0.2, options.seconds / 25);
  const kernel = await openKernel();
  try {
    let rounds = 3;
    for (let round = 0; round < rounds; round++) {
      options.onRound(round, rounds);
      const started = performance.now();
      for (const { contestant, cores, subject, shares, ...job } of jobs) {
        const steer = contestant.steer(cores);
        const found = await measureForwarding(kernel, {
          bind: (ports) =>
            subject.bind(
              ports.map(({ ifindex }) => ifindex),
              cores,
            ),
          frames: contestant.packets.map(({ data, ifindex }, at) => ({
            data,
            port: Math.max(
              0,
              contestant.ports.findIndex((port) => port.ifindex === ifindex),
            ),
            queue: steer[at] ?? 0,
          })),
          ports: subject.ports.map((_, port) => ({
            ifindex: indexToMake(subject, port),
          })),
          queues: cores,
          trialSeconds,
        });
        if (!found.realTime)
          job.notes.add("without real-time priority: others take part");
        if (found.mpps === 0) {
          job.notes.add("frames were lost at every rate");
          continue;
        }
        // By core so that its share of the packets gives the whole rate.
        const busy = shares.filter((share) => share > 0);
        job.samples.push({
          ns: busy.map((share) => 1e3 / (found.mpps * share)),
          placement: cores === 1 ? "single" : "untagged",
        });
      }
      if (round === 0)
        rounds = samplesFor(options.seconds, 1, performance.now() - started);
    }
  } finally {
    kernel.close();
  }
  return jobs.map(({ contestant, cores, shares, samples, notes }) => ({
    contestant,
    engine: "kernel",
    cores,
    state: "shared",
    shares,
    samples,
    base: [],
    how: "veth",
    includes: "path",
    disturbed: {},
    notes: [...notes],
  }));
}
