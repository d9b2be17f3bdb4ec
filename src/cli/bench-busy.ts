/**
 * When a machine is too busy for its figures to be trusted: `bench` says so while it
 * measures, and `compare` is then harder to convince. The load average of the last
 * minute counts whoever ran or waited; above half the CPUs others were in the way.
 */
export function isBusy(machine: Readonly<Record<string, unknown>>): boolean {
  const { loadAverage, cpus } = machine;
  return (
    typeof loadAverage === "number" &&
    typeof cpus === "number" &&
    loadAverage > cpus / 2
  );
}
