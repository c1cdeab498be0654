/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared library as a stranger meets it: loaded with dlopen(), it exports
 * what the headers declare and nothing else, and brings no other library.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/base.h"
#include "tenure/tenure.h"

static const char *path_in(const char *variable, const char *file)
{
	static char path[4096];

	assert_non_null(getenv(variable));
	snprintf(path, sizeof(path), "%s/%s", getenv(variable), file);
	return path;
}

/* Shared libraries that this process has mapped. */
static int count_libraries(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4096], last[4096] = "", *path;
	int n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		path = strchr(line, '/');
		if (!path || !strstr(path, ".so") || strcmp(path, last) == 0)
			continue;
		strcpy(last, path);
		n++;
	}
	fclose(maps);
	return n;
}

static void *load(void)
{
	void *library = dlopen(path_in("TENURE_LIB_DIR", "libtenure.so.0"),
			       RTLD_NOW | RTLD_LOCAL);

	if (!library)
		fail_msg("%s", dlerror());
	return library;
}

static void test_dlopen(void **state)
{
	int (*connect)(const char *, unsigned int, struct tenure **);
	void (*last_refusal)(struct tenure_refusal *);
	struct tenure_refusal refusal;
	struct tenure *connection;
	int before = count_libraries();
	void *library = load();

	(void)state;
	assert_int_equal(count_libraries(), before + 1);
	*(void **)&connect = dlsym(library, "tenure_connect");
	*(void **)&last_refusal = dlsym(library, "tenure_last_refusal");
	assert_int_equal(connect("/nonexistent/socket", 0, &connection),
			 -ENOENT);
	last_refusal(&refusal);
	assert_int_equal(refusal.reason, TENURE_REASON_NO_DAEMON);
	assert_int_equal(dlclose(library), 0);
}

/* Every "tenure_name(" at the start of a declaration in the header; how many
 * there are. */
static int exported(void *library, const char *path)
{
	FILE *header = fopen(path_in("TENURE_SOURCE_DIR", path), "re");
	char line[256], *name;
	int n = 0;

	assert_non_null(header);
	while (fgets(line, sizeof(line), header)) {
		name = strstr(line, "tenure_");
		if (line[0] == ' ' || line[0] == '\t' || line[0] == '/' ||
		    !name || !strchr(name, '('))
			continue;
		*strchr(name, '(') = '\0';
		if (!dlsym(library, name))
			fail_msg("%s is not exported", name);
		n++;
	}
	fclose(header);
	return n;
}

static void test_exports_the_headers(void **state)
{
	void *library = load();

	(void)state;
	assert_int_equal(exported(library, "client/include/tenure/tenure.h"),
			 53);
	assert_int_equal(exported(library, "client/include/tenure/dispenser.h"),
			 17);
	assert_int_equal(exported(library, "client/include/tenure/pool.h"), 7);
	assert_null(dlsym(library, "dispenser_alloc"));
	assert_null(dlsym(library, "connection_new"));
	assert_null(dlsym(library, "connection_request"));
	assert_null(dlsym(library, "reason_sentence"));
	dlclose(library);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dlopen),
		cmocka_unit_test(test_exports_the_headers),
	};

	return cmocka_run_group_tests_name("library", tests, NULL, NULL);
}
