export {
  readCapture,
  readCaptureBatches,
  readCaptureBytes,
  type CaptureOptions,
} from "./capture.ts";
export {
  FlowCounter,
  fitZipf,
  flowStatistics,
  queueLoad,
  type QueueLoad,
  type TraceStatistics,
  type ZipfFit,
} from "./flows.ts";
export {
  damagedCapture,
  fuzzCaptures,
  type CaptureFuzzOptions,
  type CaptureFuzzReport,
} from "./fuzz.ts";
export { generate } from "./generate.ts";
export {
  generatorModels,
  generatorOptions,
  isGenerator,
  optionsOf,
  parseGenerator,
  printGenerator,
  type GeneratorModel,
  type ModelName,
  type OptionName,
  type SizeMix,
} from "./generator.ts";
export type { Trace, TracePacket } from "./packet.ts";
export { probesOf } from "./probes.ts";
export { mergeByPort, portsByPrefix } from "./ports.ts";
export type { CaptureInterface } from "./window.ts";
export {
  pcapBytes,
  pcapngBytes,
  writePcap,
  writePcapng,
  type PcapngOptions,
} from "./write.ts";
