# SPDX-License-Identifier: Apache-2.0
#
# Every library that is not ours, found by pkg-config and used as an imported
# target: PkgConfig::UV, ::INIH, ::JANSSON, ::SYSTEMD, ::CMOCKA. The heap of
# the daemon is the target tenure_heap.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(INIH REQUIRED IMPORTED_TARGET inih)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)

# The sanitizers bring a heap of their own, so they must not meet jemalloc.
add_library(tenure_heap INTERFACE)
if(NOT TENURE_SANITIZE)
	pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc>=5.3)
	target_link_libraries(tenure_heap INTERFACE PkgConfig::JEMALLOC)
endif()

# Without an answer from the packager, libsystemd is used when it is there.
pkg_check_modules(SYSTEMD QUIET IMPORTED_TARGET libsystemd)
option(WITH_SYSTEMD "sd_notify and socket activation" ${SYSTEMD_FOUND})
if(WITH_SYSTEMD AND NOT SYSTEMD_FOUND)
	message(FATAL_ERROR "WITH_SYSTEMD=ON, but libsystemd was not found")
endif()

if(BUILD_TESTING)
	pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka>=1.1.5)
endif()
