/** Names of strategies on the command line. */
import { nearest, UnsupportedError } from "../base/index.ts";
import { strategyNames, type StrategyName } from "../strategy/index.ts";
import { usage } from "./words.ts";

/** In the vocabulary, and not built yet. */
const later: readonly string[] = [
  "replicate",
  "lock",
  "transaction",
  "offload",
];
const built = strategyNames.filter((name) => !later.includes(name));

export function strategyNamed(word: string): StrategyName {
  const found = built.find((name) => name === word);
  if (found !== undefined) return found;
  if (later.includes(word))
    throw new UnsupportedError(`the strategy ${word} is not built yet`, {
      feature: `strategy ${word}`,
      fix: `there are ${built.join(", ")}`,
    });
  const near = nearest(word, built);
  throw usage(
    `--strategy takes ${built.join(", ")}; not ${word}`,
    near === undefined ? undefined : `did you mean ${near}?`,
  );
}
