/**
 * Helpers on sockets and control groups. There are none here: lookups find nothing, so
 * what needs a socket is never reached by a program that a kernel takes, and faults.
 * A packet without a socket is in no group. Source: net/core/filter.c.
 */
import { errno } from "../errno.ts";
import { fault } from "../fault.ts";
import type { HelperFunction } from "../host.ts";

const zero: HelperFunction = () => 0;
const needsSocket: HelperFunction = () => fault("there is no socket");

export const socketHelpers: Readonly<Record<string, HelperFunction>> = {
  // Nothing is found, and so nothing is ever released.
  sk_lookup_tcp: zero,
  sk_lookup_udp: zero,
  skc_lookup_tcp: zero,
  sk_release: zero,
  sk_fullsock: needsSocket,
  tcp_sock: needsSocket,
  get_listener_sock: needsSocket,
  tcp_check_syncookie: needsSocket,
  tcp_gen_syncookie: needsSocket,
  sk_assign: needsSocket,
  skc_to_tcp6_sock: needsSocket,
  skc_to_tcp_sock: needsSocket,
  skc_to_tcp_timewait_sock: needsSocket,
  skc_to_tcp_request_sock: needsSocket,
  skc_to_udp6_sock: needsSocket,
  sk_cgroup_id: needsSocket,
  sk_ancestor_cgroup_id: needsSocket,
  sk_storage_get: needsSocket,
  sk_storage_delete: needsSocket,
  get_socket_cookie: zero,
  get_socket_uid: () => 65534,
  get_netns_cookie: () => 1,
  get_cgroup_classid: zero,
  get_route_realm: zero,
  skb_cgroup_id: zero,
  skb_ancestor_cgroup_id: zero,
  skb_cgroup_classid: zero,
  // The array of groups is empty.
  skb_under_cgroup: () => -errno.EAGAIN,
};
