#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidy.py [--archive FILE]... [ROOT]: what a compiler cannot check.

Reads every source file of the tree and prints one line for each breach of a
house rule, "file:line: rule: what"; exit status 1 if there is any. Each rule
is a function below whose docstring is the rule; tools/tidy_test.py has a bad
sample for each, which must be found.

--archive names a static library of core/: what it needs from outside must be
a plain memory or string function, and it must have no writable data.
"""

import os
import re
import subprocess
import sys

FOLDERS = ("core", "daemon", "client", "tests", "bench", "fuzz", "models",
           "tools")
ALSO = (".", ".ci", "cmake", "docs", "packaging")
LINE_COLUMNS = 100
FUNCTION_LINES = 70
ESSAY_WORDS = 25

# What core/ may include beside itself, and what its objects may call.
CORE_HEADERS = {"assert.h", "errno.h", "inttypes.h", "limits.h",
                "stdalign.h", "stdatomic.h", "stdbool.h", "stddef.h",
                "stdint.h", "string.h"}
CORE_SYMBOLS = re.compile(
    r"(mem(cpy|set|move|cmp|chr)|str(len|nlen|cmp|ncmp|chr)|__assert_fail"
    r"|__(mem|str)\w+_chk|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_)$")
# What both shells and the library may include of core/.
WIRE_HEADERS = re.compile(
    r"core/(base\.h|limits\.h|dispenser\.h|wire/.*"
    r"|ring/(fence_page|offers|ring(_client|_sizes)?)\.h)$")

# The few modules that own a lock-free structure.
ATOMIC_MODULES = {"client/word.h", "core/atomic.h", "core/control.h",
                  "core/depot.h", "core/owned.h",
                  "core/region.c", "core/remote.h",
                  "core/ring/fence_page.h", "core/ring/offers.c",
                  "core/ring/offers.h", "core/ring/ring.h",
                  "core/ring/ring_shared.h", "core/state.h",
                  "core/table.c", "core/table.h"}
ATOMIC = re.compile(r"\b(_Atomic|atomic_\w+|__atomic_\w+|__sync_\w+"
                    r"|memory_order\w*|stdatomic\.h)")
FENCE = re.compile(r"\b(atomic_(thread|signal)_fence|__sync_synchronize"
                   r"|__atomic_(thread|signal)_fence|smp_\w*mb|[lsm]fence)\b")
TAG = re.compile(r"\border ([A-Z][A-Z0-9_-]*):")

# What is no module: a main, an example, a stand-in, a tool of the tests.
NO_MODULE = re.compile(
    r"(^|/)main(_\w+)?\.c$|_none\.c$|/fake_\w+\.c$"
    r"|/(examples|demo)/")

# Whose modules docs/ARCHITECTURE.md lists.
MAPPED = {"client", "core", "core/ring", "core/wire", "daemon", "tools/ctl"}

# Guarantees of an essay, and how they are cited: in a comment "G1", "G1, G3" or
# "G1 to G4", perhaps behind a module's name, and in the name of a function.
GUARANTEE = re.compile(r"^ \*  G(\d+) ")
CITED = re.compile(r"(?:([\w/]+)(?:\.[ch])? )?\b(G\d+(?:(?:, | and | to )G\d+)*)\b")
CITED_BY_NAME = re.compile(r"^static void (\w+)\(void \*\*state\)", re.M)

# A ring is looked into by these names of its fields, whatever the pointer.
RING_SHARED = "core/ring/ring_shared.h"
RING_ENDS = {"core/ring/ring_client.c", "core/ring/ring_server.c"}
RING_FIELD = re.compile(
    r"\bring(->|\.)(header|sq|cq|fq|words|arena)\b"
    r"|\bheader\.(sq_|fq_|cq_|client_need|daemon_need|wake_sequence)")
RING_FUTEX = re.compile(r"&(\w+->)+header\.wake_sequence\b")

MARKERS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
MACHINE = re.compile(
    r"(?<![\w.}])/(work|root|home/\w+|mnt/\w+)/|/tmp/(brief|build-)")

COMMENT_OR_STRING = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


class Source:
    """One file: its text, the text without comments and strings, and the
    comments alone, all with the same line numbers."""

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding="utf-8") as file:
            self.text = file.read()
        self.is_c = path.endswith((".c", ".h"))
        self.is_test = (path.endswith("_test.c") or
                        path.startswith("tests/"))
        self.lines = self.text.split("\n")
        if self.is_c:
            self.code = COMMENT_OR_STRING.sub(
                lambda m: blank(m.group()), self.text).split("\n")
            self.comments = self.only_comments().split("\n")

    def only_comments(self):
        kept, end = [], 0
        for match in COMMENT_OR_STRING.finditer(self.text):
            kept.append(blank(self.text[end:match.start()]))
            part = match.group()
            kept.append(part if part.startswith("/") else blank(part))
            end = match.end()
        return "".join(kept) + blank(self.text[end:])

    def includes(self):
        for number, line in enumerate(self.lines, 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if match:
                yield number, match.group(1), match.group(2)


def rule_spdx(source, tree):
    """The licence is named at the top of every source file."""
    if source.is_c:
        if source.lines[0] != "/* SPDX-License-Identifier: Apache-2.0 */":
            yield 1, "the first line is not the SPDX line"
    elif source.path.endswith((".py", ".sh", ".cmake", "CMakeLists.txt")):
        if "# SPDX-License-Identifier: Apache-2.0" not in source.lines[:2]:
            yield 1, "no SPDX line at the top"


def rule_essay(source, tree):
    """Every file opens with a comment that says what it is; that of a module
    is an essay. A test beside its module is what its name says."""
    if not source.is_c or source.path.endswith("_test.c"):
        return
    body = source.text.partition("\n")[2]
    match = re.match(r"\s*/\*(.*?)\*/", body, re.S)
    words = len(re.findall(r"\w+", match.group(1))) if match else 0
    module = (source.path.endswith(".c") and
              not NO_MODULE.search(source.path) and
              source.path.startswith(("core/", "daemon/", "client/")))
    wanted = ESSAY_WORDS if module else 5
    if words < wanted:
        yield 2, "opens with %d words, not with %d" % (words, wanted)


def allowed_include(source, quote, name):
    folder = source.path.split("/")[0]
    if source.path.startswith("client/include/"):
        return quote == "<" and name in ("stddef.h", "stdint.h",
                                         "tenure/tenure.h", "tenure/types.h")
    if (folder in ("tests", "bench", "fuzz", "models", "tools") or
            "/" not in name and re.search("/(examples|demo)/", source.path)):
        return True
    if source.is_test and (quote == "<" or name.startswith("tests/")):
        return True
    if name == "tenure/types.h":
        return True
    if source.path == "core/atomic.h" and name == "models/checker.h":
        return True
    # The stand-in for a daemon has the daemon's end of a ring.
    if "/fake_" in source.path and name == "core/ring/ring_server.h":
        return True
    if source.path.startswith("core/wire/include/"):
        return name == "stdint.h"
    if source.path.startswith("core/wire/") and quote == '"':
        return bool(WIRE_HEADERS.match(name))
    if folder == "core":
        return (name.startswith("core/") if quote == '"'
                else name in CORE_HEADERS)
    if folder == "daemon":
        if name.startswith("tenure/"):
            return False
        return quote == "<" or name.startswith(("core/", "daemon/"))
    if quote == "<":
        return True
    return bool(WIRE_HEADERS.match(name) or
                name.startswith(("client/", "tenure/")))


def rule_include(source, tree):
    """Includes go one way: the library and the daemon stand on core/, the
    library on its wire only, and neither on the other; core/ is pure."""
    if not source.is_c:
        return
    for number, quote, name in source.includes():
        if (quote == '"' and "/" not in name and
                not re.search("/(examples|demo)/", source.path)):
            yield number, "%s is not named from the root" % name
        elif not allowed_include(source, quote, name):
            yield number, "%s may not include %s" % (source.path, name)


def rule_length(source, tree):
    """A function has at most 70 lines."""
    if not source.path.endswith(".c"):
        return
    start = 0
    for number, line in enumerate(source.lines, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            if number - start + 1 > FUNCTION_LINES:
                yield start, "function of %d lines" % (number - start + 1)
            start = 0


def rule_columns(source, tree):
    """A line has at most 100 columns, with tabs of 8."""
    if source.path.endswith((".md", ".json", ".list")):
        return
    for number, line in enumerate(source.lines, 1):
        columns = len(line.expandtabs(8))
        if columns > LINE_COLUMNS and "http" not in line:
            yield number, "%d columns" % columns


def rule_space(source, tree):
    """No white space at the end of a line; one newline at the end of file."""
    for number, line in enumerate(source.lines, 1):
        if line != line.rstrip():
            yield number, "white space at the end"
    if not source.text.endswith("\n") or source.text.endswith("\n\n"):
        yield len(source.lines), "ends without exactly one newline"


def rule_markers(source, tree):
    """What is not done is not in the tree."""
    for number, line in enumerate(source.lines, 1):
        match = MARKERS.search(line)
        if match:
            yield number, match.group()


def rule_machine(source, tree):
    """No path of the machine on which it was written."""
    for number, line in enumerate(source.lines, 1):
        match = MACHINE.search(line)
        if match:
            yield number, match.group()


def rule_typedef(source, tree):
    """A struct, union or enum is called by its full name."""
    if not source.is_c:
        return
    for number, line in enumerate(source.code, 1):
        if re.search(r"\btypedef\s+(struct|union|enum)\b", line):
            yield number, "typedef of a struct, union or enum"


def rule_atomic(source, tree):
    """Only the modules that own a lock-free structure contain atomics (what
    tests and measures them may, and an example is an application), and nobody
    contains a stand-alone fence."""
    if not source.is_c:
        return
    for number, line in enumerate(source.code, 1):
        match = FENCE.search(line)
        if match:
            yield number, "stand-alone fence " + match.group()
        if (source.path in ATOMIC_MODULES or source.is_test or
                source.path.startswith(("bench/", "client/examples/",
                                        "fuzz/", "models/"))):
            continue
        match = ATOMIC.search(line) or (
            tree.wrappers and tree.wrappers.search(line))
        if match:
            yield number, match.group() + " outside the atomic modules"


def rule_shared(source, tree):
    """Only core/ring/ring_shared.h looks into a ring, and only the two ends
    include it; an address may be taken (of the word that a futex sleeps on).
    Tests, models and fuzzers play the other side."""
    if (not source.is_c or source.is_test or source.path == RING_SHARED or
            source.path.startswith(("fuzz/", "models/"))):
        return
    for number, quote, name in source.includes():
        if name == RING_SHARED and source.path not in RING_ENDS:
            yield number, "%s is for the ends of a ring" % name
    for number, line in enumerate(source.code, 1):
        match = RING_FIELD.search(RING_FUTEX.sub("", line))
        if match:
            yield number, "looks into a ring: " + match.group().strip()


def rule_order(source, tree):
    """An operation with an order says in a comment "order TAG:" within the
    six lines before it what it publishes and with whom it pairs."""
    if (not source.is_c or source.path == "core/atomic.h" or
            source.is_test or source.path.startswith("fuzz/") or
            not tree.ordered):
        return
    for number, line in enumerate(source.code, 1):
        match = tree.ordered.search(line)
        if match and not TAG.search(" ".join(source.comments[
                max(0, number - 7):number])):
            yield number, match.group() + " without its order tag"


def rule_beside(source, tree):
    """Every module has its test beside it; one that is split into a.c and
    a_b.c has one."""
    path = source.path
    if (not path.endswith(".c") or path.endswith("_test.c") or
            not path.startswith(("core/", "daemon/", "client/")) or
            NO_MODULE.search(path)):
        return
    folder, name = os.path.split(path[:-2])
    words = name.split("_")
    tests = ["%s/%s_test.c" % (folder, "_".join(words[:n]))
             for n in range(1, len(words) + 1)]
    if not tree.paths.intersection(tests):
        yield 1, "no %s beside it" % os.path.basename(tests[-1])


RULES = [rule_spdx, rule_essay, rule_include, rule_length, rule_columns,
         rule_space, rule_markers, rule_machine, rule_typedef, rule_atomic,
         rule_shared, rule_order, rule_beside]


def tree_tags(tree):
    """The tags of the code and those of docs/MEMORY_MODEL.md, where each is
    the first cell of a row or a heading, are the same."""
    used = {}
    for source in tree.sources:
        if (not source.is_c or source.is_test or
                source.path == "core/atomic.h"):
            continue
        for number, line in enumerate(source.comments, 1):
            for tag in TAG.findall(line):
                used.setdefault(tag, (source.path, number))
    document = "docs/MEMORY_MODEL.md"
    text = next((s.text for s in tree.sources if s.path == document), "")
    listed = set(re.findall(
        r"^(?:#+ +|\| *)[`*]*([A-Z][A-Z0-9_-]+)[`*]* *(?:$|\|)", text, re.M))
    for tag, (path, number) in sorted(used.items()):
        if tag not in listed:
            yield path, number, "tag", "%s is not in %s" % (tag, document)
    for tag in sorted(listed - set(used)):
        yield document, 1, "tag", "%s is used nowhere" % tag


def tree_map(tree):
    """docs/ARCHITECTURE.md names every module, and only what there is: the
    words in the first cells of its tables that have no folder are modules."""
    document = "docs/ARCHITECTURE.md"
    text = next((s.text for s in tree.sources if s.path == document), "")
    if not text:
        return
    modules = {}
    for path in sorted(tree.paths):
        folder, name = os.path.split(path)
        if (folder in MAPPED and path.endswith((".c", ".h")) and
                not name.endswith("_test.c")):
            modules.setdefault(name[:-2], []).append(path)
    named = set(re.findall(r"`(\w+)`", text))
    for name, paths in sorted(modules.items()):
        if name not in named and any(p.endswith(".c") for p in paths):
            yield paths[0], 1, "map", "%s is not in %s" % (name, document)
    for number, line in enumerate(text.split("\n"), 1):
        cell = re.match(r"\| ((`\w+`(, )?)+) \|", line)
        for name in re.findall(r"\w+", cell.group(1)) if cell else ():
            if name not in modules:
                yield document, number, "map", "%s is no module" % name


def cited_in_comments(text):
    """Pairs (word before it, number) of all guarantees in a comment."""
    text = re.sub(r"\s+(\*\s+)?", " ", text)
    for match in CITED.finditer(text):
        numbers = [int(n) for n in re.findall(r"G(\d+)", match.group(2))]
        if " to " in match.group(2):
            numbers = range(numbers[0], numbers[-1] + 1)
        for number in numbers:
            yield match.group(1), number


def citations(tree):
    """Pairs of a module and a number: its path without the end where the test
    beside it speaks, and its name alone where any other does."""
    for source in tree.sources:
        if not (source.is_test or
                source.path.startswith(("models/", "fuzz/"))):
            continue
        comments = source.comments if source.is_c else source.lines
        yield from cited_in_comments("\n".join(comments))
        if not source.path.endswith("_test.c"):
            continue
        own = source.path[:-len("_test.c")]
        top = re.match(r"[^\n]*\n\s*(/\*.*?\*/)?", source.text, re.S)
        below = comments[source.text.count("\n", 0, top.end()) + 1:]
        for _, number in cited_in_comments("\n".join(below)):
            yield own, number
        for name in CITED_BY_NAME.findall(source.text):
            for number in re.findall(r"(?:^|_)g(\d+)(?=_|$)", name):
                yield own, int(number)


def tree_guarantee(tree):
    """Each lettered guarantee of an essay is cited by a test: the module's own
    one names it in a test's name (g3_..., ..._g3) or in a comment (G3), but for
    the comment at its top, which says it of all; any other, a model or a
    fuzzer says whose it is (table G3)."""
    cited = set(citations(tree))
    for source in tree.sources:
        if not source.is_c or source.is_test:
            continue
        module = os.path.splitext(source.path)[0]
        for line, text in enumerate(source.comments, 1):
            match = GUARANTEE.match(text)
            if match and not cited.intersection(
                    (name, int(match.group(1)))
                    for name in (module, os.path.basename(module))):
                yield (source.path, line, "guarantee",
                       "no test names G" + match.group(1))


def symbols(path):
    """What a static library defines (name, member, section), and needs (name,
    member)."""
    table = subprocess.run(["nm", "--format=sysv", path], check=True,
                           capture_output=True, text=True).stdout
    defined, needed = [], []
    member = "?"
    for line in table.split("\n"):
        match = re.search(r"\[(.*)\]:$", line)
        if match:
            member = match.group(1)
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 7:
            continue
        name, kind, section = cells[0], cells[2], cells[6]
        if kind in "Uw":
            needed.append((name, member))
        else:
            defined.append((name, member, section))
    return defined, needed


def archive_problems(paths):
    """The objects of core/ call nothing but each other, memory and string
    functions, and have no writable data."""
    tables = [(path, *symbols(path)) for path in paths]
    known = {name for _, defined, _ in tables for name, _, _ in defined}
    for path, defined, needed in tables:
        for name, member, section in defined:
            if re.match(r"\.(t?bss|t?data(?!\.rel\.ro))|\*COM\*", section):
                yield path, 0, "pure", "%s: %s is writable" % (member, name)
        for name, member in sorted(set(needed)):
            if name not in known and not CORE_SYMBOLS.match(name):
                yield path, 0, "pure", "%s: calls %s" % (member, name)


class Tree:
    """All files that are ours, and what the rules want to know of others."""

    def __init__(self, root):
        self.root = root
        self.sources = [Source(root, path) for path in sorted(find(root))]
        self.paths = {source.path for source in self.sources}
        text = next((s.text for s in self.sources
                     if s.path == "core/atomic.h"), "")
        names = re.findall(r"^static inline[^;{}(]*?\b(\w+)\(", text, re.M)
        self.wrappers = self.any_of(names)
        self.ordered = self.any_of(
            [n for n in names if re.search("acquire|release|acq_rel|seq_cst",
                                           n)])

    @staticmethod
    def any_of(names):
        return re.compile(r"\b(%s)(?=\()" % "|".join(names)) if names else None


def find(root):
    """Paths of the files to read; not the build, nor what is generated."""
    ends = (".c", ".h", ".cpp", ".pml", ".py", ".sh", ".cmake", ".txt", ".md", ".json",
            ".list", ".map", ".mutant", ".ini", ".conf", ".in")
    for folder in ALSO:
        top = os.path.join(root, folder)
        for name in os.listdir(top) if os.path.isdir(top) else ():
            path = os.path.normpath(os.path.join(folder, name))
            if os.path.isfile(os.path.join(root, path)) and (
                    name.endswith(ends) or name == "run"):
                yield path
    for folder in FOLDERS:
        for top, folders, names in os.walk(os.path.join(root, folder)):
            folders[:] = [f for f in folders
                          if f not in ("__pycache__", "corpus")]
            for name in names:
                if name.endswith(ends):
                    yield os.path.relpath(os.path.join(top, name), root)


def problems(root, archives=()):
    tree = Tree(root)
    for source in tree.sources:
        for rule in RULES:
            name = rule.__name__[len("rule_"):]
            for number, what in rule(source, tree):
                yield source.path, number, name, what
    yield from tree_tags(tree)
    yield from tree_map(tree)
    yield from tree_guarantee(tree)
    yield from archive_problems(archives)


def main(arguments):
    archives, root = [], os.path.join(os.path.dirname(__file__), "..")
    while arguments:
        word = arguments.pop(0)
        if word == "--archive" and arguments:
            archives.append(arguments.pop(0))
        elif not word.startswith("-"):
            root = word
        else:
            print(__doc__, file=sys.stderr)
            return 64
    found = list(problems(root, archives))
    for path, number, name, what in found:
        print("%s:%d: %s: %s" % (path, number, name, what))
    print("tidy: %d problems" % len(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
