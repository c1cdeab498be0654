/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's end of a ring as it ships, but for what its loads return. */
#include "fuzz/fresh.h"

#include "core/ring/ring_server.c"
