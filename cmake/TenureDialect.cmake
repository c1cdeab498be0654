# SPDX-License-Identifier: Apache-2.0
#
# How this tree is compiled. The interface target tenure_dialect carries the
# include directories and the warnings; every target of ours links it. What
# changes the whole build (sanitizers, coverage, hardening) is set here for
# all directories, so that no object can escape it.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_CXX_STANDARD 11)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_COMPILE_WARNING_AS_ERROR ${TENURE_WERROR})
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

if(NOT CMAKE_BUILD_TYPE)
	set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Kind of build" FORCE)
endif()

# The C++ compiler only compiles tests: the public header is for C++ as well.
if(BUILD_TESTING AND NOT TENURE_TESTS_IN_C)
	enable_language(CXX)
endif()

# Asserts state our own promises and stay on in every build.
foreach(language C CXX)
	foreach(type RELEASE RELWITHDEBINFO MINSIZEREL)
		string(REPLACE "-DNDEBUG" "" CMAKE_${language}_FLAGS_${type}
			"${CMAKE_${language}_FLAGS_${type}}")
	endforeach()
endforeach()

include(CheckPIESupported)
check_pie_supported()

if(TENURE_SANITIZE STREQUAL "address")
	set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(TENURE_SANITIZE STREQUAL "thread")
	set(sanitize -fsanitize=thread)
elseif(TENURE_SANITIZE STREQUAL "fuzzer")
	# Tracing every comparison takes half of the time and tells little: the
	# targets have mutators that know what is compared.
	set(sanitize -fsanitize=fuzzer-no-link,address,undefined
		-fno-sanitize-coverage=trace-cmp -fno-sanitize-recover=all)
elseif(TENURE_SANITIZE)
	message(FATAL_ERROR "TENURE_SANITIZE: unknown ${TENURE_SANITIZE}")
endif()

if(TENURE_SANITIZE)
	# A fuzzer runs for hours; the tests take longer to build than to run.
	if(NOT TENURE_SANITIZE STREQUAL "fuzzer")
		add_compile_options(-O1)
	endif()
	add_compile_options(${sanitize} -fno-omit-frame-pointer)
	add_link_options(${sanitize})
else()
	add_compile_options(-fstack-protector-strong
		"$<$<CONFIG:RelWithDebInfo,Release>:-U_FORTIFY_SOURCE>"
		"$<$<CONFIG:RelWithDebInfo,Release>:-D_FORTIFY_SOURCE=2>")
	add_link_options(-Wl,-z,relro,-z,now)
endif()

if(TENURE_COVERAGE)
	add_compile_options(-fprofile-instr-generate -fcoverage-mapping)
	add_link_options(-fprofile-instr-generate -fcoverage-mapping)
endif()

# What ships, and what measures it, is optimized as one program: a request goes
# through many small functions of many files, and calls were a quarter of what it
# cost. The archives hold ordinary code as well, for the tests: they put functions
# of their own in the place of others, which needs calls.
set(whole_program OFF)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT TENURE_SANITIZE
		AND NOT TENURE_COVERAGE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
	set(whole_program ON)
endif()
option(TENURE_WHOLE_PROGRAM "Optimize across files (gcc)" ${whole_program})
if(TENURE_WHOLE_PROGRAM)
	add_link_options(-fno-lto)
endif()

# tenure_whole_objects(LIBRARY...): their code may be part of a whole program.
function(tenure_whole_objects)
	if(NOT TENURE_WHOLE_PROGRAM)
		return()
	endif()
	foreach(library ${ARGN})
		target_compile_options(${library} PRIVATE
			-flto=auto -ffat-lto-objects)
	endforeach()
endfunction()

# tenure_whole_program(TARGET...): programs, and libraries that are shared.
function(tenure_whole_program)
	if(NOT TENURE_WHOLE_PROGRAM)
		return()
	endif()
	tenure_whole_objects(${ARGN})
	foreach(program ${ARGN})
		target_link_options(${program} PRIVATE -flto=auto)
	endforeach()
endfunction()

add_library(tenure_dialect INTERFACE)
target_include_directories(tenure_dialect INTERFACE
	"${PROJECT_SOURCE_DIR}"
	"${PROJECT_SOURCE_DIR}/core/wire/include"
	"${PROJECT_SOURCE_DIR}/client/include")
target_compile_definitions(tenure_dialect INTERFACE
	_GNU_SOURCE
	TENURE_VERSION="${PROJECT_VERSION}")
# In C++ a function hides a constructor of its name: no mistake, but -Wshadow.
target_compile_options(tenure_dialect INTERFACE
	-Wall -Wextra -Wpointer-arith -Wcast-qual -Wvla -Wwrite-strings
	$<$<COMPILE_LANGUAGE:C>:-Wshadow>
	$<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>
	$<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
	$<$<COMPILE_LANGUAGE:C>:-Wconversion>
	$<$<COMPILE_LANGUAGE:C>:-Wno-sign-conversion>)
