#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""For each rule of tidy.py: a good tree with one bad sample in it, which the
rule, and no other, must find. The good tree alone must pass."""

import os
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tidy  # noqa: E402

SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
ESSAY = "/*\n" + " * What it is and why, at some length.\n" * 8 + " */\n"
TEST = SPDX + "/* Proves the guarantees of the module. */\n"
ATOMIC_H = SPDX + """/* The atomic operations with the order in the name. */
static inline int load_relaxed(const int *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}
static inline int load_acquire(const int *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}
"""
TABLE_C = SPDX + ESSAY + """#include "core/atomic.h"

int peek(const int *word)
{
	/* order PUBLISH: pairs with the release elsewhere */
	return load_acquire(word);
}
"""
LOOP_C = SPDX + ESSAY[:-4] + """ *
 *  G1  It is so.
 *  G2  And so.
 *  G3  It stays so.
 */
"""
LOOP_TEST_C = SPDX + """/* Loop: G1 to G3. */
#include <cmocka.h>

static void g1_it_is_so(void **state)
{
}

/* G2: and so. */
"""
MODEL_MD = "# Memory model\n\n| tag | sides |\n|---|---|\n| `PUBLISH` | x |\n"

GOOD = {
    "core/atomic.h": ATOMIC_H,
    "core/table.c": TABLE_C,
    "core/table_test.c": TEST,
    "docs/MEMORY_MODEL.md": MODEL_MD,
    "daemon/loop.c": LOOP_C + '#include "core/base.h"\n'
                              '#include <stdio.h>\n',
    "daemon/loop_test.c": LOOP_TEST_C,
    "models/loop.cpp": SPDX + "/* Model: what stays so (loop G3). */\n",
    "client/batch.c": SPDX + ESSAY + '#include "core/wire/msg.h"\n'
                                     '#include <tenure/tenure.h>\n',
    "client/batch_test.c": TEST,
    "CMakeLists.txt": "# SPDX-License-Identifier: Apache-2.0\n",
}


def long_function(lines):
    return ("int f(void)\n{\n" + "\tg();\n" * (lines - 2) + "}\n")


def module(text):
    return SPDX + ESSAY + text


# rule, file, content: one bad thing each.
BAD = [
    ("spdx", "core/base.h", "/* Some five words of what this is. */\n" * 2),
    ("spdx", "cmake/Test.cmake", "set(A 1)\n"),
    ("essay", "core/table.c", SPDX + "/* A table. */\n" +
     TABLE_C[len(SPDX + ESSAY):]),
    ("essay", "daemon/loop.c", SPDX + "#include <stdio.h>\n"),
    ("essay", "core/base.h", SPDX),
    ("include", "core/table.c", TABLE_C + '#include <stdio.h>\n'),
    ("include", "core/table.c", TABLE_C + '#include <unistd.h>\n'),
    ("include", "core/table.c", TABLE_C + '#include "daemon/log.h"\n'),
    ("include", "core/table.c", TABLE_C + '#include "client/api.h"\n'),
    ("include", "core/table.c", TABLE_C + '#include "tests/model.h"\n'),
    ("include", "core/table.c", TABLE_C + '#include "table.h"\n'),
    ("include", "core/wire/msg.h",
     SPDX + '/* Every message and its whole layout. */\n#include "core/table.h"\n'),
    ("include", "core/wire/include/tenure/types.h",
     SPDX + '/* Words that all of us share. */\n#include <stdio.h>\n'),
    ("include", "daemon/loop.c", module('#include "client/api.h"\n')),
    ("include", "daemon/loop.c", module('#include "tenure/tenure.h"\n')),
    ("include", "daemon/loop.c", module('#include <tenure/tenure.h>\n')),
    ("include", "client/batch.c", module('#include "core/table.h"\n')),
    ("include", "client/batch.c", module('#include "daemon/log.h"\n')),
    ("include", "client/include/tenure/tenure.h",
     SPDX + '/* The whole library in one file. */\n#include <stdio.h>\n'),
    ("length", "daemon/loop.c", module(long_function(71))),
    ("columns", "daemon/loop.c", module("\t" * 12 + "abcde;\n")),
    ("space", "daemon/loop.c", module("int a; \n")),
    ("space", "daemon/loop.c", module("int a;\n\n")),
    ("space", "daemon/loop.c", module("int a;")),
    ("markers", "daemon/loop.c", module("/* TO" "DO: later */\n")),
    ("markers", "docs/X.md", "FIX" "ME\n"),
    ("machine", "docs/X.md", "See /ro" "ot/notes.\n"),
    ("machine", "daemon/loop.c", module('char *a = "/ho' 'me/me/a";\n')),
    ("typedef", "daemon/loop.c", module("typedef struct a a_t;\n")),
    ("atomic", "daemon/loop.c", module("_Atomic int a;\n")),
    ("atomic", "daemon/loop.c", module("int a = load_relaxed(&b);\n")),
    ("atomic", "core/table.c", TABLE_C +
     "atomic_thread_fence(memory_order_seq_cst);\n"),
    ("shared", "daemon/loop.c",
     module("int a(struct ring *r)\n{\n\treturn r->header.sq_tail;\n}\n")),
    ("shared", "daemon/loop.c", module("int a = b.ring->sq[0];\n")),
    ("shared", "daemon/loop.c",
     module('#include "core/ring/ring_shared.h"\n')),
    ("order", "core/table.c", TABLE_C + "int g(int *a)\n{\n" + "\n" * 6 +
     "\treturn load_acquire(a);\n}\n"),
    ("tag", "core/table.c", TABLE_C + "/* order OTHER: unheard of */\n"),
    ("tag", "docs/MEMORY_MODEL.md", MODEL_MD + "| `GONE` | x |\n"),
    ("map", "docs/ARCHITECTURE.md", "| `table`, `loop` | x |\n"),
    ("map", "docs/ARCHITECTURE.md",
     "| `table`, `loop` | x |\n| `batch`, `gone` | x |\n"),
    ("guarantee", "daemon/loop.c", LOOP_C.replace("G3", "G4")),
    ("guarantee", "daemon/loop_test.c", LOOP_TEST_C.replace("g1_", "")),
    ("guarantee", "daemon/loop_test.c", LOOP_TEST_C.replace("g1_", "big1_")),
    ("guarantee", "daemon/loop_test.c", LOOP_TEST_C.replace("G2:", "")),
    ("guarantee", "models/loop.cpp", SPDX + "/* Model: table G3. */\n"),
    ("guarantee", "core/depot.h", LOOP_C),
    ("beside", "daemon/log.c", module("")),
    ("beside", "daemon/my_loop.c", module("")),
]

# What looks bad and is not.
ALLOWED = [
    ("daemon/loop_test.c", LOOP_TEST_C.replace("g1_it", "it_g1")),
    ("daemon/loop_test.c", LOOP_TEST_C.replace("g1_", "").replace(
        "G2:", "G1 and\n * G2:")),
    ("models/loop.cpp", SPDX + "/* Model: daemon/loop.c G1 to G4. */\n"),
    ("daemon/loop.c", module(long_function(70))),
    ("daemon/loop.c", module("\t" * 12 + "abc;\n")),
    ("daemon/loop.c", module('/* typedef struct, _Atomic, mfence */\n'
                             'char *a = "_Atomic";\n')),
    ("daemon/loop.c", module("account_release(a);\n")),
    ("daemon/main.c", module("")),
    ("docs/ARCHITECTURE.md", "| `table`, `loop` | x |\n| `batch` | x |\n"),
    ("bench/floor.c", module("_Atomic int a;\n")),
    ("daemon/loop_part.c", module("")),
    ("client/examples/a.c", SPDX + "/* What it shows, in short. */\n"
                                   '#include "frame.h"\n'),
    ("client/batch_test.c", SPDX + "#include <cmocka.h>\n"),
    ("client/batch.c", module('char a[] = "tenure-XXXXXX";\n')),
]


def found(files, archives=()):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.join(root, os.path.dirname(path)),
                        exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        return list(tidy.problems(root, archives))


def archive(code):
    """What the archive check says about a library of this one object."""
    with tempfile.TemporaryDirectory() as root:
        path = os.path.join(root, "a.c")
        with open(path, "w", encoding="utf-8") as file:
            file.write(code)
        subprocess.run([os.environ.get("CC", "cc"), "-c", "-fPIC", path,
                        "-o", root + "/a.o"], check=True)
        subprocess.run(["ar", "rc", root + "/a.a", root + "/a.o"], check=True)
        return [what for _, _, _, what in
                tidy.archive_problems([root + "/a.a"])]


class Tidy(unittest.TestCase):
    def test_good(self):
        self.assertEqual(found(GOOD), [])

    def test_bad(self):
        for rule, path, text in BAD:
            with self.subTest(rule=rule, path=path, text=text[-60:]):
                names = [name for _, _, name, _ in found({**GOOD, path: text})]
                self.assertEqual(set(names), {rule})

    def test_allowed(self):
        for path, text in ALLOWED:
            with self.subTest(path=path, text=text[-60:]):
                self.assertEqual(found({**GOOD, path: text}), [])

    def test_every_rule_has_a_sample(self):
        rules = {rule.__name__[len("rule_"):] for rule in tidy.RULES}
        self.assertEqual(rules | {"guarantee", "map", "tag"}, {rule for rule, _, _ in BAD})

    def test_archive(self):
        self.assertEqual(archive(
            "#include <string.h>\n"
            "static const char *const names[] = { \"a\", \"b\" };\n"
            "const char *f(char *a, int n) { memset(a, 0, 9);"
            " return names[n]; }\n"), [])
        self.assertEqual(archive("void *malloc(unsigned long);\n"
                                 "void *f(void) { return malloc(1); }\n"),
                         ["a.o: calls malloc"])
        self.assertEqual(archive("int a = 1;\n"), ["a.o: a is writable"])
        self.assertEqual(archive("int f(void) { static int n; return n++; }"),
                         ["a.o: n.0 is writable"])


if __name__ == "__main__":
    unittest.main()
