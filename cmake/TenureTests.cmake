# SPDX-License-Identifier: Apache-2.0
#
# Two functions; both do nothing when BUILD_TESTING is OFF.
#
#	tenure_test(NAME COMMAND command... [LABELS label...] [TIMEOUT seconds]
#		    [ENVIRONMENT NAME=value...] [RUN_SERIAL])
#
# registers any command with ctest. Labels are unit, integration, threads
# (also run under ThreadSanitizer) and long (only run by ./run test --all).
# A test finds the programs in $TENURE_BIN_DIR and $TENURE_LIB_DIR, and the
# sources in $TENURE_SOURCE_DIR.
#
#	tenure_unit_test(NAME SOURCES file... [LIBS target...] [ARGS arg...]
#			 [LABELS ...] [TIMEOUT ...] [ENVIRONMENT ...]
#			 [RUN_SERIAL])
#
# builds bin/tests/NAME with cmocka and registers it, labelled unit unless
# LABELS says otherwise.

if(BUILD_TESTING)
	enable_testing()
	# All that the tests labelled threads need, for ThreadSanitizer.
	add_custom_target(thread_tests DEPENDS tenured tenured-testing)
endif()

# A sanitizer makes a test several times slower.
set(tenure_timeout_factor 1)
if(TENURE_SANITIZE OR TENURE_COVERAGE)
	set(tenure_timeout_factor 4)
endif()
if(CMAKE_CROSSCOMPILING)
	set(tenure_timeout_factor 20)
endif()

set(tenure_test_environment
	"TENURE_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
	"TENURE_LIB_DIR=${CMAKE_LIBRARY_OUTPUT_DIRECTORY}"
	"TENURE_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
	"ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1"
	"UBSAN_OPTIONS=print_stacktrace=1"
	"TSAN_OPTIONS=detect_deadlocks=0:halt_on_error=1")

function(tenure_test name)
	if(NOT BUILD_TESTING)
		return()
	endif()
	cmake_parse_arguments(PARSE_ARGV 1 arg "RUN_SERIAL" "TIMEOUT"
		"COMMAND;LABELS;ENVIRONMENT")
	if(arg_UNPARSED_ARGUMENTS OR NOT arg_COMMAND)
		message(FATAL_ERROR "tenure_test(${name}): wrong arguments")
	endif()
	if(NOT arg_LABELS)
		set(arg_LABELS unit)
	endif()
	if(NOT arg_TIMEOUT)
		set(arg_TIMEOUT 60)
	endif()
	math(EXPR timeout "${arg_TIMEOUT} * ${tenure_timeout_factor}")
	add_test(NAME ${name} COMMAND ${arg_COMMAND})
	list(GET arg_COMMAND 0 program)
	if("threads" IN_LIST arg_LABELS AND TARGET ${program})
		add_dependencies(thread_tests ${program})
	endif()
	# Those that may take long begin first, also in a build without history.
	set_tests_properties(${name} PROPERTIES
		LABELS "${arg_LABELS}"
		TIMEOUT ${timeout}
		COST ${timeout}
		RUN_SERIAL "${arg_RUN_SERIAL}"
		ENVIRONMENT "${tenure_test_environment};${arg_ENVIRONMENT}")
endfunction()

function(tenure_unit_test name)
	if(NOT BUILD_TESTING)
		return()
	endif()
	cmake_parse_arguments(PARSE_ARGV 1 arg "RUN_SERIAL" "TIMEOUT"
		"SOURCES;LIBS;ARGS;LABELS;ENVIRONMENT")
	if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
		message(FATAL_ERROR "tenure_unit_test(${name}): wrong arguments")
	endif()
	add_executable(${name} ${arg_SOURCES})
	target_link_libraries(${name} PRIVATE
		${arg_LIBS} tenure_dialect PkgConfig::CMOCKA)
	set_target_properties(${name} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY "${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/tests")
	set(serial "")
	if(arg_RUN_SERIAL)
		set(serial RUN_SERIAL)
	endif()
	tenure_test(${name} COMMAND ${name} ${arg_ARGS}
		LABELS ${arg_LABELS}
		TIMEOUT ${arg_TIMEOUT}
		ENVIRONMENT ${arg_ENVIRONMENT}
		${serial})
endfunction()
