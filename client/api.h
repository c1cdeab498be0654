/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public header as the library's own sources see it. They are compiled
 * with everything hidden; only what <tenure/tenure.h> declares is exported,
 * and client/tenure.map names it once more.
 */
#ifndef CLIENT_API_H
#define CLIENT_API_H

#pragma GCC visibility push(default)
#include "tenure/tenure.h"
#pragma GCC visibility pop

#endif
