/* SPDX-License-Identifier: Apache-2.0 */
/* The answers of a tape's driver: mostly good ones, with faults mixed in. */
#include "tests/dispenser/oracle.h"

static uint64_t draw(const struct oracle *oracle, unsigned int what,
		     uint64_t id)
{
	return idmap_hash_number(
		oracle->seed + idmap_hash_number(oracle->operation * 16 + what +
						 idmap_hash_number(id)));
}

static bool is_fault(const struct oracle *oracle, uint64_t drawn)
{
	return ((drawn >> 40) & 255) < oracle->faults;
}

struct dispenser_answer oracle_create(struct oracle *oracle, uint64_t type)
{
	static const uint64_t timeouts[] = { 0, 10, 100, DISPENSER_NEVER };
	static const int faults[] = { -ENOSPC, 4, 0, 0 };
	uint64_t drawn = draw(oracle, 8, type);
	struct dispenser_answer answer = {
		.number = oracle->last_id + 1,
		.type = drawn % 16 == 0 ? type + 1 : type,
		.idle_timeout_ns = timeouts[(drawn >> 8) % 4],
	};

	if (!is_fault(oracle, drawn))
		return answer;
	answer.status = faults[drawn % 4];
	if (drawn % 4 == 2)
		answer.number = 0;
	else if (drawn % 4 == 3 && oracle->repeats)
		answer.number = (drawn >> 16) % (oracle->last_id + 1);
	return answer;
}

int oracle_rate(const struct oracle *oracle, uint64_t id, uint64_t type,
		bool needs_enlist)
{
	static const int ratings[] = { 0, 0, 1, 50, 50, 70, 99, 100 };
	uint64_t drawn = draw(oracle, needs_enlist ? 9 : 10, id ^ (type << 32));

	if (is_fault(oracle, drawn))
		return drawn % 2 ? 101 : -1;
	return ratings[drawn % 8];
}

int oracle_say(const struct oracle *oracle, enum dispenser_verb verb,
	       uint64_t id)
{
	static const int faults[] = { -EIO, -ENOTSUP, 7, -EPERM };
	uint64_t drawn = draw(oracle, verb, id);

	if (verb == DISPENSER_ENLIST && drawn % 4 == 0)
		return 1;
	return is_fault(oracle, drawn) ? faults[drawn / 4 % 4] : 0;
}
