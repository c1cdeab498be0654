# SPDX-License-Identifier: Apache-2.0
#
# Everything that `cmake --install` puts somewhere. What names the place it
# lies at (units, tenure.pc, the CMake package) either finds its way from its
# own place or is written at install time, so that DESTDIR, --prefix and moving
# the installed tree all work.

include(CMakePackageConfigHelpers)

install(TARGETS tenured RUNTIME DESTINATION "${CMAKE_INSTALL_SBINDIR}")
if(TARGET tenurectl)
	install(TARGETS tenurectl RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
	install(FILES "${PROJECT_SOURCE_DIR}/packaging/completions/tenurectl"
		DESTINATION
		"${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
endif()

# The library, and the two ways to find it.
install(TARGETS tenure EXPORT TenureTargets
	LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(FILES
	"${PROJECT_SOURCE_DIR}/client/include/tenure/dispenser.h"
	"${PROJECT_SOURCE_DIR}/client/include/tenure/pool.h"
	"${PROJECT_SOURCE_DIR}/client/include/tenure/tenure.h"
	"${PROJECT_SOURCE_DIR}/core/wire/include/tenure/types.h"
	DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/tenure")

set(package "${CMAKE_INSTALL_LIBDIR}/cmake/Tenure")
configure_package_config_file(
	"${PROJECT_SOURCE_DIR}/cmake/TenureConfig.cmake.in"
	"${PROJECT_BINARY_DIR}/install/TenureConfig.cmake"
	INSTALL_DESTINATION "${package}"
	NO_SET_AND_CHECK_MACRO)
# Before 1.0 a new minor version may change the interface.
write_basic_package_version_file(
	"${PROJECT_BINARY_DIR}/install/TenureConfigVersion.cmake"
	COMPATIBILITY SameMinorVersion)
install(EXPORT TenureTargets NAMESPACE Tenure:: DESTINATION "${package}")
install(FILES
	"${PROJECT_BINARY_DIR}/install/TenureConfig.cmake"
	"${PROJECT_BINARY_DIR}/install/TenureConfigVersion.cmake"
	DESTINATION "${package}")

# A distribution may ask for directories outside of the prefix.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
	set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
	file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
	string(REGEX REPLACE "/$" "" up "${up}")
	set(pc_prefix "\${pcfiledir}/${up}")
endif()
foreach(dir LIBDIR INCLUDEDIR)
	if(IS_ABSOLUTE "${CMAKE_INSTALL_${dir}}")
		set(pc_${dir} "${CMAKE_INSTALL_${dir}}")
	else()
		set(pc_${dir} "\${prefix}/${CMAKE_INSTALL_${dir}}")
	endif()
endforeach()
configure_file("${PROJECT_SOURCE_DIR}/packaging/tenure.pc.in"
	"${PROJECT_BINARY_DIR}/install/tenure.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/install/tenure.pc"
	DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# What there is to read.
install(FILES
	"${PROJECT_SOURCE_DIR}/README.md"
	"${PROJECT_SOURCE_DIR}/NEWS.md"
	"${PROJECT_SOURCE_DIR}/LICENSE"
	DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/docs"
	DESTINATION "${CMAKE_INSTALL_DOCDIR}"
	FILES_MATCHING PATTERN "*.md")

# Manual pages. A page that names several functions in its first section is
# found by each of them.
find_program(SCDOC scdoc)
if(SCDOC)
	set(with_man ON)
else()
	set(with_man OFF)
endif()
option(WITH_MAN "Manual pages, which need scdoc" ${with_man})
if(WITH_MAN AND NOT SCDOC)
	message(FATAL_ERROR "WITH_MAN=ON, but scdoc was not found")
endif()

# tenure_man_page(SOURCE RET_PAGES): all files that come of one source
function(tenure_man_page source ret_pages)
	get_filename_component(page "${source}" NAME_WLE)
	string(REGEX MATCH "[0-9]$" section "${page}")
	set(folder "${PROJECT_BINARY_DIR}/man")
	set(pages "${folder}/${page}")
	file(MAKE_DIRECTORY "${folder}")
	set_property(DIRECTORY APPEND PROPERTY
		CMAKE_CONFIGURE_DEPENDS "${source}")
	add_custom_command(OUTPUT "${folder}/${page}"
		COMMAND sh -c [=["$0" <"$1" >"$2"]=]
			"${SCDOC}" "${source}" "${folder}/${page}"
		DEPENDS "${source}"
		COMMENT "Manual page ${page}"
		VERBATIM)
	file(STRINGS "${source}" names REGEX "^[a-z_, ]+ - " LIMIT_COUNT 1)
	string(REGEX REPLACE " - .*" "" names "${names}")
	string(REPLACE ", " ";" names "${names}")
	foreach(name IN LISTS names)
		set(alias "${name}.${section}")
		if(NOT alias STREQUAL page)
			file(WRITE "${folder}/${alias}"
				".so man${section}/${page}\n")
			list(APPEND pages "${folder}/${alias}")
		endif()
	endforeach()
	set(${ret_pages} "${pages}" PARENT_SCOPE)
endfunction()

if(WITH_MAN)
	file(GLOB sources CONFIGURE_DEPENDS
		"${PROJECT_SOURCE_DIR}/packaging/man/*.scd")
	foreach(source IN LISTS sources)
		tenure_man_page("${source}" pages)
		list(APPEND all_pages ${pages})
	endforeach()
	add_custom_target(man ALL DEPENDS ${all_pages})
	foreach(page IN LISTS all_pages)
		string(REGEX MATCH "[0-9]$" section "${page}")
		install(FILES "${page}"
			DESTINATION "${CMAKE_INSTALL_MANDIR}/man${section}")
	endforeach()
endif()

if(WITH_SYSTEMD)
	install(CODE "
		set(source \"${PROJECT_SOURCE_DIR}/packaging\")
		set(scratch \"${PROJECT_BINARY_DIR}/install\")
		set(sbindir \"${CMAKE_INSTALL_SBINDIR}\")
		set(pkg_config \"${PKG_CONFIG_EXECUTABLE}\")
		include(\"${PROJECT_SOURCE_DIR}/cmake/InstallUnits.cmake\")")
endif()
