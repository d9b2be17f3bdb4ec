/**
 * What software dispatch costs: share of a core's packet rate, as [least, most].
 * Written by scripts/engine-costs.mjs, where bench/results/dispatch.json is; do not edit.
 */
export const dispatchCost: readonly [number, number] = [0.4, 0.55];

export const dispatchCostSource = "docs/concepts/software-dispatch.md";
