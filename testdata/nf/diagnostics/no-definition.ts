import { drop, pass } from "divisi/nf";

export const handle = (length: number) => (length > 100 ? drop : pass);
