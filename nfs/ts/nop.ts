/**
 * nop: every frame of one port leaves by the other, unchanged. No state.
 */
import { nf, out } from "divisi/nf";
import { lan, wan } from "./shared/ports.ts";

export default nf({
  name: "nop",
  ports: ["lan", "wan"],
  handle(_pkt, ctx) {
    return out(ctx.port === lan ? wan : lan);
  },
});
