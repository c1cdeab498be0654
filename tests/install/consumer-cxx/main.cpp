/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A C++ program that uses an installed libtenure. Prints the daemon's socket.
 */
#include <algorithm>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <tenure/tenure.h>

namespace
{

struct disconnect {
	void operator()(struct tenure *t) const
	{
		tenure_disconnect(t);
	}
};

void must(int status)
{
	char why[256];

	if (status < 0)
		throw std::runtime_error(tenure_explain(why, sizeof(why)));
}

} // namespace

int main()
try {
	struct tenure *raw = nullptr;
	tenure_memory memory = {};

	must(tenure_connect(nullptr, TENURE_CONNECT_SPAWN, &raw));
	std::unique_ptr<struct tenure, disconnect> t(raw);
	must(tenure_alloc(t.get(), 5000, &memory));
	char *bytes = static_cast<char *>(memory.pointer);
	std::fill(bytes, bytes + memory.size, 'x');
	must(tenure_free(t.get(), &memory));
	std::cout << tenure_socket_path(t.get()) << std::endl;
	return 0;
} catch (const std::exception &e) {
	std::cerr << "consumer: " << e.what() << std::endl;
	return 1;
}
