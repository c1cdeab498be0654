/* SPDX-License-Identifier: Apache-2.0 */
/* A broker after the death of the process that had its region. One thread. */
#ifndef CORE_BROKER_RECOVER_H
#define CORE_BROKER_RECOVER_H

#include "core/broker.h"
#include "core/inventory.h"

/*
 * Right after broker_adopt, when the process that had the region was killed,
 * at whatever instruction: puts the state in order (core/rebuild.c). No client
 * has heard the end of the request that was cut short; every release job that
 * was out will be handed out again. 0, or -ENOMEM: call it again. Memory for
 * the time of the call comes from scratch.
 *
 * Then, before any other call: broker_inventory, with which the backends learn
 * what there is; and broker_disconnect for each client that is not there.
 */
int broker_recover(struct broker *broker, const struct pages *scratch);

/* Tells each allocation, resource and opening that the state names. */
void broker_inventory(const struct broker *broker,
		      const struct inventory_visitor *visitor);

/*
 * The next client behind that one (0: the first) that is connected as far as
 * the state knows, or 0.
 */
uint32_t broker_next_client(const struct broker *broker, uint32_t client);

#endif
