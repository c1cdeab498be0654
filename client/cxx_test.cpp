/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The headers as C++ sees them: they compile, link, and their types can
 * be used without a cast.
 */
#include <tenure/dispenser.h>
#include <tenure/tenure.h>

#include <cstdio>
#include <cstring>

namespace
{
int made = 0;

int make(void *, uint64_t, tenure_made *ret_made)
{
	ret_made->id = 5;
	made++;
	return 0;
}

int end(void *, uint64_t)
{
	made--;
	return 0;
}

bool dispenses()
{
	tenure_dispenser *dispenser = nullptr;
	tenure_driver driver{};
	tenure_holder holder{};
	uint64_t id = 0;

	driver.create_resource = make;
	driver.destroy_resource = end;
	return tenure_dispenser_create(&dispenser) == 0 &&
	       tenure_dispenser_register(dispenser, &driver, nullptr, nullptr,
					 &holder) == 0 &&
	       tenure_dispenser_alloc(dispenser, holder, 1, 0, &id) == 0 &&
	       id == 5 && made == 1 &&
	       tenure_dispenser_destroy(dispenser) == 0 && made == 0;
}
} // namespace

int main()
{
	tenure *connection = nullptr;
	tenure_memory memory{};
	tenure_refusal refusal{};
	char line[100];

	if (!dispenses())
		return 4;
	if (tenure_connect("/nonexistent/socket", 0, &connection) == 0)
		return 1;
	tenure_last_refusal(&refusal);
	if (refusal.reason != TENURE_REASON_NO_DAEMON ||
	    tenure_alloc(connection, 1, &memory) == 0)
		return 2;
	tenure_disconnect(connection);
	std::puts(tenure_explain(line, sizeof(line)));
	return std::strcmp(tenure_version(), "0.1.0") == 0 ? 0 : 3;
}
