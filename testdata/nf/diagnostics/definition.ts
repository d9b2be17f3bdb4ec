import { drop, nf } from "divisi/nf";

export default nf({
  name: "my function",
  ports: "lan",
  config: { limit: drop },
  state: { limit: 5 },
  handle() {
    return drop;
  },
});
