import { array, be32, drop, hashMap, nf, u32, u8, vector } from "divisi/nf";

export default nf({
  name: "example",
  config: { size: u32(0) },
  state: (config) => ({
    flows: hashMap({ key: be32, value: u32, capacity: config.size }),
    cells: array({ value: vector(u8, 0), capacity: 5 }),
  }),
  handle() {
    return drop;
  },
});
