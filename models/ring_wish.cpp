/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: the free queue, longer than all that is freed, so that nobody sleeps
 * for room, and what a wish to be rung says of the head.
 *
 * The checker takes sequentially consistent operations in the order of its
 * steps, so a look at the head that comes after the glance never finds an older
 * one. A processor may make that look before the glance unless the glance
 * acquires. So here the look is an acquire, and what it finds of heads from
 * before the wish is RING-WISH's doing alone.
 *
 *  M16 Who rings for a wish rings for what had not been taken (else that wish
 *      is used up, and M7 does not hold).
 */
#define MODEL_FQ_ENTRIES 8
#define MODEL_HEAD_LATE
#include "models/ring_frees.cpp"
