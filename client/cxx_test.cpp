/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header as C++ sees it: it compiles on its own, links, and its types can
 * be used without a cast.
 */
#include <tenure/tenure.h>

#include <cstdio>
#include <cstring>

int main()
{
	tenure *connection = nullptr;
	tenure_memory memory{};
	tenure_refusal refusal{};
	char line[100];

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
