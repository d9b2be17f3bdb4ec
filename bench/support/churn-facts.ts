/** What the churned traffic does to a function's state, as `split --trace` would count it. */
import { measureTraffic, type TrafficFacts } from "divisi";
import { churnedTraffic, flows } from "./churned-traffic.ts";
import type { ChurnSubject } from "./churn-subject.ts";

const made = new Map<number, ReturnType<typeof churnedTraffic>>();

export function churnFacts(
  { program, report, contents }: ChurnSubject,
  churn: number,
): TrafficFacts {
  const traffic = made.get(churn) ?? churnedTraffic(churn, 1, 4 * flows);
  made.set(churn, traffic);
  // All flows, then the measured part: nothing of the warm-up between is needed.
  const measured = traffic.packets.slice(-traffic.measured);
  const packets = [
    ...traffic.packets.slice(0, 3 * flows),
    ...measured.slice(0, 3 * flows),
  ];
  return measureTraffic({
    program,
    report,
    ports: [
      { name: "lan", ifindex: 1 },
      { name: "wan", ifindex: 2 },
    ],
    packets,
    contents,
    seed: 1,
    most: packets.length,
  });
}
