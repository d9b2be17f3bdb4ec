export { kernelBtf } from "./kernel-btf.ts";
export { kernelConfigValue, parseConfig } from "./kernel-config.ts";
export { highestCpu, possibleCpus } from "./possible-cpus.ts";
