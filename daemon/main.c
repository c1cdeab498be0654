/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenured, the program that is installed.
 */
#include "daemon/daemon.h"

int main(int argc, char **argv)
{
	return daemon_main(argc, argv, false);
}
