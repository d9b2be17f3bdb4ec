import { array, be32, hashMap, nf, pass, u32 } from "divisi/nf";

export default nf({
  name: "example",
  ports: ["lan", "wan"],
  state: {
    ports: array({ value: u32, capacity: 2 }),
    flows: hashMap({ key: be32, value: u32, capacity: 16, expireAfter: 10n }),
    flows_chain: array({ value: u32, capacity: 2 }),
  },
  handle() {
    return pass;
  },
});
