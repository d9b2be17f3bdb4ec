/** What guarded code asks of the engine, and what is left to do behind a guarded run. */
import type { HelperImport, Layout } from "../../codegen/index.ts";
import { ChainOrder } from "./chain-order.ts";
import { guardCounts, type GuardCounts } from "./guard-counts.ts";
import type { MemoryView } from "./memory-view.ts";
import type { LinearMap } from "./value-maps.ts";

export class GuardHost {
  readonly #memory: MemoryView;
  readonly #layout: Layout;
  readonly #chains = new Map<number, ChainOrder>();

  constructor(
    memory: MemoryView,
    layout: Layout,
    maps: readonly (LinearMap | undefined)[],
  ) {
    this.#memory = memory;
    this.#layout = layout;
    for (const chain of layout.guard?.chains ?? []) {
      const map = maps[chain.map];
      if (map !== undefined)
        this.#chains.set(chain.map, new ChainOrder(memory, map.layout, chain));
    }
  }

  /** The function of an import; `restart` forgets what the packet in hand did so far. */
  make({ helper, map = -1 }: HelperImport, restart: () => void): () => void {
    const chain = this.#chains.get(map);
    switch (helper) {
      case "settle":
        return () => chain?.settle();
      case "settleHead":
        return () => chain?.settleHead();
      default:
        return restart;
    }
  }

  /** After all cores are done: chains as the sequential program has them. */
  settle(): void {
    for (const chain of this.#chains.values()) chain.settle();
  }

  get counts(): GuardCounts | undefined {
    const { guard, core } = this.#layout;
    return guard && guardCounts(this.#memory, guard, core);
  }
}
