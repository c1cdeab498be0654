/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agenda
 *
 * Which clients' offers (core/ring/offers.c) a worker will look at, and when
 * the first of these looks is due. Idle timeouts are seconds, so there is
 * little to do: a plain list, the earliest time beside it, and a walk when
 * that one is taken out. A client comes here when its first offer rings, and
 * leaves when a look has found none.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  due_ns is the earliest time of those noted, 0 without any.
 */
#include "daemon/agenda.h"

void agenda_add(struct agenda *agenda, struct port *port)
{
	if (port->offers_due_ns == 0)
		return;
	port->previous_offers = NULL;
	port->next_offers = agenda->first;
	if (agenda->first)
		agenda->first->previous_offers = port;
	agenda->first = port;
	if (agenda->due_ns == 0 || port->offers_due_ns < agenda->due_ns)
		agenda->due_ns = port->offers_due_ns;
}

static uint64_t earliest_ns(const struct agenda *agenda)
{
	uint64_t due_ns = 0;

	for (const struct port *port = agenda->first; port;
	     port = port->next_offers) {
		if (due_ns == 0 || port->offers_due_ns < due_ns)
			due_ns = port->offers_due_ns;
	}
	return due_ns;
}

void agenda_remove(struct agenda *agenda, struct port *port)
{
	bool first_due = port->offers_due_ns == agenda->due_ns;

	if (port->offers_due_ns == 0)
		return;
	if (port->previous_offers)
		port->previous_offers->next_offers = port->next_offers;
	else
		agenda->first = port->next_offers;
	if (port->next_offers)
		port->next_offers->previous_offers = port->previous_offers;
	port->offers_due_ns = 0;
	if (first_due)
		agenda->due_ns = earliest_ns(agenda);
}

struct port *agenda_due(const struct agenda *agenda, uint64_t now_ns)
{
	if (agenda->due_ns == 0 || agenda->due_ns > now_ns)
		return NULL;
	for (struct port *port = agenda->first; port; port = port->next_offers)
		if (port->offers_due_ns <= now_ns)
			return port;
	return NULL;
}
