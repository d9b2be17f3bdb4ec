import { be32, drop, hashMap, nf, pass, u32 } from "divisi/nf";
const flows = hashMap({ key: be32, value: u32, capacity: 1024 });

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const seen = hashMap({ key: be32, value: u32, capacity: 64 });
    flows.set(ip.src, 1);
    return pass;
  },
});
