import { drop, nf, pass } from "divisi/nf";
import { limit } from "./limits.ts";
import { readFileSync } from "node:fs";

export default nf({
  name: "example",
  handle(pkt) {
    return pkt.length > limit ? drop : pass;
  },
});
