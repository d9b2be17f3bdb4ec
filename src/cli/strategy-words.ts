/** Names of strategies on the command line. */
import { nearest, UnsupportedError } from "../base/index.ts";
import { strategyNames, type StrategyName } from "../strategy/index.ts";
import { usage } from "./words.ts";

/** In the vocabulary, and not built yet. */
const later = ["replicate", "offload"];

export function strategyNamed(word: string): StrategyName {
  const found = strategyNames.find((name) => name === word);
  if (found !== undefined) return found;
  if (later.includes(word))
    throw new UnsupportedError(`the strategy ${word} is not built yet`, {
      feature: `strategy ${word}`,
      fix: `there are ${strategyNames.join(", ")}`,
    });
  const near = nearest(word, strategyNames);
  throw usage(
    `--strategy takes ${strategyNames.join(", ")}; not ${word}`,
    near === undefined ? undefined : `did you mean ${near}?`,
  );
}
