/**
 * The two ports of the network functions of this folder, as `ports: ["lan",
 * "wan"]` numbers them.
 */
export const lan = 0;
export const wan = 1;
