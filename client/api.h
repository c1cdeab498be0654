/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public headers as the library's own sources see them. They are compiled
 * with everything hidden; only what the headers declare is exported,
 * and client/tenure.map names it once more.
 */
#ifndef CLIENT_API_H
#define CLIENT_API_H

#pragma GCC visibility push(default)
#include "tenure/dispenser.h"
#include "tenure/pool.h"
#include "tenure/tenure.h"
#pragma GCC visibility pop

#endif
