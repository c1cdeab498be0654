/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broker: a beginning from what somebody else has left.
 *
 *	adopt --> recover --> inventory --> disconnect who is not there --> go on
 *
 * The state is put in order first, since nothing else can be said of it
 * before. A backend has lost its tables with its process and makes them new
 * from the inventory; memory that it finds and that is not in there was being
 * made or given back in the moment of the death, and goes. Whether a client is
 * still there only its caller knows.
 */
#include "core/broker_recover.h"

#include "core/rebuild.h"
#include "core/state.h"

int broker_recover(struct broker *broker, const struct pages *scratch)
{
	return rebuild(&broker->env, scratch);
}

void broker_inventory(const struct broker *broker,
		      const struct inventory_visitor *visitor)
{
	inventory(&broker->env, visitor);
}

uint32_t broker_next_client(const struct broker *broker, uint32_t client)
{
	const struct region *region = &broker->env.region;
	uint32_t used = region_area(region, AREA_SESSIONS)->used;

	for (uint32_t i = client + 1; i < used; i++) {
		const struct session *s = session_at(region, i);

		if (s->record.in_use && s->phase <= SESSION_ACTIVE)
			return i;
	}
	return 0;
}
