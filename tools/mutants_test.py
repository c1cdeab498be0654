#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Proves mutants.py and rows.py on a tiny tree: a mutant that a test notices
is killed, one that no test notices has survived, and one that does not apply,
or does not compile, or whose tests fail anyway, is an error."""

import contextlib
import io
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mutants  # noqa: E402
import rows  # noqa: E402

TREE = {
    "CMakeLists.txt": """cmake_minimum_required(VERSION 3.25)
project(tiny LANGUAGES C)
enable_testing()
add_executable(tiny core/tiny.c)
add_test(NAME tiny COMMAND tiny)
""",
    "core/tiny.c": """#include <stdio.h>
#include <stdlib.h>

static int prove(const char *row, int good)
{
	FILE *rows = getenv("TENURE_ROWS_FILE") ?
			     fopen(getenv("TENURE_ROWS_FILE"), "a") : NULL;

	if (rows && good)
		fprintf(rows, "inproc %s t\\n", row);
	if (rows)
		fclose(rows);
	return good;
}

int main(void)
{
	int a = 1;
	int b = 2;

	return prove("A1", a + a == 2) + prove("A2", b < 9) == 2 ? 0 : 1;
}
""",
    "docs/DESTROY.md": "| A1 | one |\n| A2 † | two |\n",
    "tests/mutants/rows.list": "# row\tsentence\nA1\tone\nA2\ttwo\n",
}


def mutant(row, old, new, path="core/tiny.c"):
    return ("rows: %s\ntests: tiny\nWhy not.\n\n--- %s\n%s--- becomes\n%s"
            "--- end\n" % (row, path, old, new))


KILLED = mutant("A1", "\tint a = 1;\n", "\tint a = 3, c = 9;\n") + (
    "--- core/tiny.c\n\tint b = 2;\n--- becomes\n\tint b = c - 7;\n"
    "--- end\n")
SURVIVES = mutant("A2", "\tint b = 2;\n", "\tint b = 3;\n")


class Mutants(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = os.path.join(folder.name, "a tree")
        for path, text in TREE.items():
            self.put(path, text)

    def put(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def put_mutant(self, name, text):
        self.put("tests/mutants/%s.mutant" % name, text)

    def hunt(self, *names):
        with contextlib.redirect_stdout(io.StringIO()) as out, \
                contextlib.redirect_stderr(io.StringIO()) as err:
            status = mutants.hunt(self.root, list(names))
        return status, out.getvalue() + err.getvalue()

    def table(self):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            status = rows.main([self.root])
        return status, out.getvalue()

    def check(self):
        return list(mutants.check(self.root, mutants.load(self.root)))

    def test_verdicts_and_table(self):
        self.put_mutant("one", KILLED)
        self.put_mutant("two", SURVIVES)
        self.assertEqual(self.check(), [])
        status, said = self.hunt()
        self.assertEqual(status, 1)
        self.assertRegex(said, "killed +one")
        self.assertRegex(said, "SURVIVED +two")
        self.put("build/rows", "inproc A1 t\ndaemon A1 t\ninproc A2 t\n")
        status, said = self.table()
        self.assertEqual(status, 1)
        self.assertRegex(said, "A1 +yes +yes +1/1 +one")
        self.assertRegex(said, "A2 +yes +NO +0/1 +two")
        self.assertIn("2, of which 1 lack", said)

        # The lanes are as they were: the same again, and one alone.
        self.assertEqual(self.hunt("one")[0], 0)
        self.put_mutant("two", SURVIVES.replace("3", "9"))
        self.put("build/rows", "inproc A1 t\ndaemon A1 t\n"
                               "inproc A2 t\ndaemon A2 t\n")
        self.assertEqual(self.hunt()[0], 0)
        self.assertEqual(self.table()[0], 0)

    def test_rotten(self):
        self.put_mutant("one", KILLED)
        self.put_mutant("gone", mutant("A2", "\tint c = 1;\n", ""))
        self.put("core/twice.c", "\tint a;\n\tint a;\n\tint a; // not it\n")
        self.put_mutant("twice", mutant("A2", "\tint a;\n", "",
                                        "core/twice.c"))
        self.put_mutant("file", mutant("A2", "\tint b = 2;\n", "", "no.c"))
        self.put_mutant("row", SURVIVES.replace("A2", "A9"))
        found = "\n".join(self.check())
        self.assertIn("gone: its text occurs 0 times", found)
        self.assertIn("twice: its text occurs 2 times", found)
        self.assertIn("file: ", found)
        self.assertIn("row: no row A9", found)

    def test_white_space_does_not_matter(self):
        text = TREE["core/tiny.c"].replace("b = 2;", "b =\n\t\t2 ;")
        self.put("core/tiny.c", text)
        self.put_mutant("one", KILLED.replace("A1", "A1 A2"))
        self.assertEqual(self.check(), [])
        mutant = mutants.load(self.root)[0]
        self.assertIn("\tint b = c - 7;\n\n", mutant.applied(self.root)[
            "core/tiny.c"])

    def test_row_without_mutant(self):
        self.put_mutant("one", KILLED)
        self.assertEqual(self.check(), ["row A2 has no mutant"])

    def test_row_that_is_no_rule(self):
        self.put("docs/DESTROY.md", "| A1 | one, unlike A2 |\n")
        self.put_mutant("one", KILLED.replace("A1", "A1 A2"))
        self.assertEqual(self.check(), ["row A2 is not in docs/DESTROY.md"])

    def test_not_compiling(self):
        self.put_mutant("one", mutant("A1", "\tint b = 2;\n", "\tint b\n"))
        self.assertIn("one: does not compile", "\n".join(self.check()))
        status, said = self.hunt()
        self.assertEqual(status, 1)
        self.assertIn("one does not compile", said)

    def test_elsewhere(self):
        self.put_mutant("one", KILLED.replace("A1", "A2"))
        status, said = self.hunt()
        self.assertEqual(status, 1)
        self.assertRegex(said, "ELSEWHERE +one")

    def test_row_that_no_test_proves(self):
        self.put_mutant("one", KILLED.replace("A1", "A1 A3"))
        with self.assertRaisesRegex(mutants.Failure, "do not prove A3"):
            self.hunt()

    def test_failing_anyway(self):
        self.put("core/tiny.c", TREE["core/tiny.c"].replace("a = 1", "a = 2"))
        self.put_mutant("one", SURVIVES)
        with self.assertRaisesRegex(mutants.Failure, "without any mutant"):
            self.hunt()


if __name__ == "__main__":
    unittest.main()
