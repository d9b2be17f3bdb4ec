export { coverProgram, type CoverOptions } from "./cover.ts";
export type { Cover, LineWrite } from "./cover-line.ts";
