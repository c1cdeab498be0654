/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenured-testing: the same program, except that it obeys the requests by
 * which tests stop an adapter or put a device in error. It is not installed.
 */
#include "daemon/daemon.h"

int main(int argc, char **argv)
{
	return daemon_main(argc, argv, true);
}
