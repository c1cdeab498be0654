# SPDX-License-Identifier: Apache-2.0
#
# Run by `cmake --install`: the systemd units and what goes with them. Only now
# is the prefix known, and with it the path of the daemon in the units. In
# /usr they go where systemd says, elsewhere where systemd looks for them too
# when the prefix is /usr/local.

if(IS_ABSOLUTE "${sbindir}")
	set(TENURED "${sbindir}/tenured")
else()
	set(TENURED "${CMAKE_INSTALL_PREFIX}/${sbindir}/tenured")
endif()

# unit_directory(RET VARIABLE FALLBACK): VARIABLE is systemd.pc's
function(unit_directory ret variable fallback)
	set(directory "")
	if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
		execute_process(
			COMMAND "${pkg_config}" --variable=${variable} systemd
			OUTPUT_VARIABLE directory
			OUTPUT_STRIP_TRAILING_WHITESPACE
			ERROR_QUIET)
	endif()
	if(NOT directory)
		set(directory "${CMAKE_INSTALL_PREFIX}/lib/${fallback}")
	endif()
	set(${ret} "${directory}" PARENT_SCOPE)
endfunction()

foreach(manager system user)
	unit_directory(directory systemd${manager}unitdir systemd/${manager})
	configure_file("${source}/systemd/${manager}/tenured.service.in"
		"${scratch}/${manager}/tenured.service" @ONLY)
	file(INSTALL
		"${source}/systemd/${manager}/tenured.socket"
		"${scratch}/${manager}/tenured.service"
		DESTINATION "${directory}")
endforeach()
foreach(kind sysusers tmpfiles)
	unit_directory(directory ${kind}dir ${kind}.d)
	file(INSTALL "${source}/${kind}.d/tenured.conf"
		DESTINATION "${directory}")
endforeach()
