import { array, drop, nf, pass, u8 } from "divisi/nf";

export default nf({
  name: "example",
  state: { cells: array({ value: u8, capacity: 1 }) },
  handle(pkt, ctx) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    let sum = 0;
    for (let i = 0; i < 100; i++)
      for (let j = 0; j < 100; j++)
        for (let k = 0; k < 100; k++) {
          if (pkt.u8(i + j + k) === 0) sum = sum + 1;
        }
    const { cells } = ctx.state;
    cells.at(0).value = sum;
    return pass;
  },
});
