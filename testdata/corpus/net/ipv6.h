/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What samples/bpf takes from the kernel's header of this name. */
#ifndef CORPUS_NET_IPV6_H
#define CORPUS_NET_IPV6_H

#include <stdbool.h>
#include <linux/ipv6.h>

#endif
