# SPDX-License-Identifier: Apache-2.0
#
# Toolchain for 64-bit ARM on another machine: tools/cross.sh uses it, and has
# put the libraries that the tests need into TENURE_SYSROOT. Programs run under
# qemu, so ctest works as ever.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)

set(TENURE_SYSROOT "$ENV{TENURE_SYSROOT}" CACHE PATH "libraries for aarch64")
set(libraries "${TENURE_SYSROOT}/usr/lib/aarch64-linux-gnu")
set(CMAKE_C_FLAGS_INIT "-isystem ${TENURE_SYSROOT}/usr/include")
set(CMAKE_EXE_LINKER_FLAGS_INIT
	"-L${libraries} -Wl,-rpath-link,${libraries}")
set(CMAKE_CROSSCOMPILING_EMULATOR
	"qemu-aarch64-static;-L;/usr/aarch64-linux-gnu;-E;LD_LIBRARY_PATH=${libraries}")
set(ENV{PKG_CONFIG_LIBDIR} "${libraries}/pkgconfig")
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${TENURE_SYSROOT}")
