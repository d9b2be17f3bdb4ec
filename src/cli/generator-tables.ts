/** The generators and their options, for help and reference, from their own table. */
import {
  generatorModels,
  generatorOptions,
  optionsOf,
  type ModelName,
  type OptionName,
} from "../traffic/index.ts";
import type { WordTable } from "./command.ts";

const models = Object.keys(generatorModels) as ModelName[];
const options = Object.keys(generatorOptions) as OptionName[];
const isCommon = (option: OptionName): boolean =>
  models.every(
    (name) =>
      generatorModels[name].ownFlows === true ||
      optionsOf(name).includes(option),
  );

export const generatorTables: readonly WordTable[] = [
  {
    title: "Models",
    rows: models.map((name) => {
      const own = optionsOf(name).filter((option) => !isCommon(option));
      const { text, made } = generatorModels[name];
      const where = made === "program" ? " (not here: for split, run)" : "";
      return [
        `gen:${name}`,
        `${text}${where}${own.length === 0 ? "" : `; ${own.join(", ")}`}`,
      ];
    }),
  },
  {
    title: "Options of models, as NAME=VALUE",
    rows: options.map((option) => [
      option,
      `${generatorOptions[option].text}${isCommon(option) ? "" : " (where a model names it)"}`,
    ]),
  },
];
