import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    return verdict(pkt.length);
  },
});

async function wait(length: number) {
  return length > 60;
}

function verdict(length: number) {
  const later = wait(length);
  if (later === undefined) return drop;
  return pass;
}
