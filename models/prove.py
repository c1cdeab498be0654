#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""prove.py COMPILER [PATTERN...]: shows that each model can fail.
prove.py --apply: only shows that the text of each mutant is there.

A mutant is a file models/mutants/NAME.mutant in the format of tools/mutants.py,
with one line "model: NAME" in place of rows and tests: an order that is weaker,
or a check that is missing, in the text that ships. It goes into a copy of its
file, the model is built with that in place of the file and runs; the model must
say that something does not hold. One that says that all holds has survived,
which is a failure of this program, as is a mutant that does not apply or
compile. With patterns, only those whose names fit one.

Lines "test: SOURCE..." instead name a test with threads of its own, or none,
and what it needs; they are compiled together, and it must fail, called with what
a line "arguments: ..." says. With lines of
both, both must notice.

Every line of docs/MEMORY_MODEL.md that names a mutant in `models/mutants` must
name one that is there, and each mutant must be named there. Each row of a tag
must name every function in which an operation has that tag, and no function
that there is not.

And each operation of the lock-free files whose order is not relaxed, and each
condition in them, must be in lines that some mutant changes,
or in the table of those without one.
"""

import concurrent.futures
import difflib
import fnmatch
import os
import re
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tools"))

import mutants

FOLDER = os.path.join(ROOT, "models", "mutants")
SHIPPED = ("core", "daemon", "client")
FUNCTION = re.compile(r"^(?![#\s]|static_assert)[\w\s*]*?\b(\w+)\([^;{}]*\)\n"
                      r"\{\n(.*?)^\}", re.M | re.S)
TAG = re.compile(r"\border ([A-Z][A-Z-]*[A-Z])\b")
LOCK_FREE = ("core/control.h", "core/depot.h", "core/owned.h", "core/remote.h",
             "core/ring/fence_page.h", "core/ring/offers.c",
             "core/ring/ring_shared.h", "client/word.h")
ORDERED = re.compile(r"\b\w+_(?:acquire|release|seq_cst)_u(?:32|64)\(")
CONDITION = re.compile(r"\b(?:if|while) "
                       r"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
                       r"|\breturn [^;]*(?:&&|\|\|)[^;]*;"
                       r"|^[^\n;]*\? [^;]*;", re.M)
COMMENT = re.compile(r"/\*.*?\*/", re.S)
DOCUMENT = os.path.join(ROOT, "docs", "MEMORY_MODEL.md")
EXECUTIONS = "2000000"
TEST_SECONDS = "120"
passing = {}  # whether a test without a mutant passes, by its sources
passing_lock = threading.Lock()


class Mutant(mutants.Mutant):
    """One that names a model, or the sources of a test, instead of rows and
    tests."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        model = re.match(r"model: (\w+)\n", text)
        tests = re.findall(r"^test: (.+)\n", text, re.M)
        self.model = model.group(1) if model else ""
        self.sources = " ".join(tests).split()
        self.arguments = " ".join(
            re.findall(r"^arguments: (.+)\n", text, re.M)).split()
        self.rows = self.tests = ["-"]
        self.ways = [in_model] * bool(model) + [in_test] * bool(tests)
        super().__init__(path)

    def parse(self, text):
        super().parse(text)
        self.rows = self.tests = ["-"]
        if not self.ways:
            raise mutants.Failure("%s: names no model, nor a test" % self.name)


def run(*command):
    return subprocess.run(command, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)


def precompiled(compiler, folder):
    """The command that compiles a model. What no mutant changes, the checker,
    is compiled once, and found by both gcc and clang beside its header; clang
    can also make code of what it defines."""
    command = [compiler, "-std=gnu++11", "-O0", "-w", "-DMODEL_MUTANT"]
    header = os.path.join(folder, "checker.h")
    with open(header, "w", encoding="utf-8") as file:
        file.write("#include <relacy/relacy.hpp>\n")
    parts = []
    if "clang" in os.path.basename(compiler):
        parts = ["-fpch-codegen", "-fpch-instantiate-templates"]
    built = run(*command, *parts, "-x", "c++-header", header, "-o",
                header + ".gch")
    if built.returncode == 0 and parts:
        parts = [os.path.join(folder, "checker.o")]
        built = run(*command, "-c", header + ".gch", "-o", *parts)
    if built.returncode != 0:
        raise mutants.Failure(built.stdout)
    return command + ["-include", header] + parts


def sources(folder, *paths):
    """What a compiler needs to find the tree with the changed files of folder
    in front of it: every include names a path from the top."""
    both = [folder, ROOT]
    changed = [os.path.join(folder, path) for path in paths]
    return (["-I" + os.path.join(top, "") for top in both] +
            ["-I" + os.path.join(top, "core/wire/include") for top in both] +
            [there if os.path.exists(there) else os.path.join(ROOT, path)
             for there, path in zip(changed, paths)])


def in_model(command, folder, mutant):
    """the model, built in a tree: status and output."""
    program = os.path.join(folder, "model")
    built = run(*command,
                *sources(folder, "models/%s.cpp" % mutant.model), "-o", program)
    if built.returncode != 0:
        raise mutants.Failure(built.stdout)
    return run(program, "--executions", EXECUTIONS)


def in_test(_, folder, mutant):
    """the test, by the compiler of C: status and output."""
    program = os.path.join(folder, "test")
    built = run("cc", "-std=gnu11", "-O1", "-w",
                *sources(folder, *mutant.sources),
                "-lcmocka", "-lpthread", "-o", program)
    if built.returncode != 0:
        raise mutants.Failure(built.stdout)
    return run("timeout", TEST_SECONDS, program, *mutant.arguments)


def passes(command, folder, mutant):
    """Whether the test passes without the mutant; each is run once."""
    key = tuple(mutant.sources)
    with passing_lock:
        if key not in passing:
            passing[key] = in_test(command, folder, mutant).returncode == 0
        return passing[key]


def noticed(done):
    """What a run that failed has said of itself; None if it has not."""
    found = re.search(r"(\d+) executions, (?!all hold)(.*)|(Assertion .*)|"
                      r"\[  FAILED  \] (?!\d)(.*)", done.stdout)
    return found and (found.group(3) or found.group(4) or "execution %s: %s" %
                      (found.group(1), found.group(2)))


def verdict(command, mutant):
    """killed, SURVIVED or ERROR, and the execution that showed it."""
    how = []
    with tempfile.TemporaryDirectory(prefix="tenure-model-") as folder:
        try:
            if mutant.sources and not passes(command, folder, mutant):
                return "ERROR", "the test fails without the mutant"
            for path, text in mutant.applied(ROOT).items():
                changed = os.path.join(folder, path)
                os.makedirs(os.path.dirname(changed), exist_ok=True)
                with open(changed, "w", encoding="utf-8") as file:
                    file.write(text)
            for way in mutant.ways:
                done = way(command, folder, mutant)
                if done.returncode == 0:
                    return "SURVIVED", way.__name__
                if not noticed(done):
                    return "ERROR", done.stdout
                how.append(noticed(done))
        except mutants.Failure as failure:
            return "ERROR", str(failure)
    return "killed", ", ".join(how)


def undocumented(all_mutants):
    with open(DOCUMENT, encoding="utf-8") as file:
        named = set(re.findall(r"`models/mutants/([\w-]+)`", file.read()))
    there = {mutant.name for mutant in all_mutants}
    for name in sorted(named - there):
        yield "MEMORY_MODEL.md names a mutant that is not there: " + name
    for name in sorted(there - named):
        yield "MEMORY_MODEL.md does not name this mutant: " + name


def functions():
    """{name: the tags in it} of all functions of the sources."""
    found = {}
    for top in SHIPPED:
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                if not name.endswith((".c", ".h")) or "_test." in name:
                    continue
                with open(os.path.join(folder, name),
                          encoding="utf-8") as file:
                    for match in FUNCTION.finditer(file.read()):
                        found.setdefault(match.group(1), set()).update(
                            TAG.findall(match.group(2)))
    return found


def misplaced():
    """What the rows of the tags say of functions that is not so."""
    tags = functions()
    with open(DOCUMENT, encoding="utf-8") as file:
        rows = re.findall(r"^\| `([A-Z-]+)` \|(.*)", file.read(), re.M)
    for tag, row in rows:
        named = set(re.findall(r"`(\w+)\(\)`", row))
        for name in sorted(named - set(tags)):
            yield "MEMORY_MODEL.md, %s: there is no %s()" % (tag, name)
        for name in sorted(tags):
            if tag in tags[name] and name not in named:
                yield "MEMORY_MODEL.md, %s: does not name %s()" % (tag, name)
    if not rows:
        yield "MEMORY_MODEL.md has no rows"


def touched(every, path, text):
    """The numbers of the lines of a file that some mutant changes: what of its
    old text is not in the new one."""
    lines = set()
    for mutant in every:
        for edited, old, new in mutant.edits:
            if edited != path:
                continue
            start = mutants.pattern(old).search(text)
            if not start:
                continue
            first = text.count("\n", 0, start.start())
            before = [" ".join(line.split())
                      for line in start.group().splitlines()]
            after = [" ".join(line.split()) for line in new.splitlines()]
            for tag, low, high, _, _ in difflib.SequenceMatcher(
                    None, before, after, autojunk=False).get_opcodes():
                if tag != "equal":
                    lines.update(range(first + low, first + max(high, low + 1)))
    return lines


def without_mutant():
    """{(file, words of the line)} of the table of those."""
    with open(DOCUMENT, encoding="utf-8") as file:
        return set(re.findall(r"^\| `([\w/.]+)` \| `([^`]+)` \|", file.read(),
                              re.M))


def unbroken(every):
    """Operations and conditions that no mutant changes."""
    excused = without_mutant()
    used = set()
    for path in LOCK_FREE:
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            text = file.read()
        code = COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
        lines = touched(every, path, text)
        for wanted, beyond in ((ORDERED, 1), (CONDITION, 2)):
            for match in wanted.finditer(code):
                first = code.count("\n", 0, match.start())
                last = code.count("\n", 0, match.end())
                words = " ".join(code.splitlines()[first].split())
                if lines.intersection(range(first, last + beyond)):
                    continue
                if (path, words) in excused:
                    used.add((path, words))
                    continue
                yield "%s:%d: no mutant changes: %s" % (path, first + 1, words)
    for path, words in sorted(excused - used):
        yield "MEMORY_MODEL.md excuses what is not there: %s %s" % (path, words)


def apply(every):
    problems = list(undocumented(every)) + list(misplaced())
    problems += unbroken(every)
    for mutant in every:
        try:
            mutant.applied(ROOT)
        except mutants.Failure as failure:
            problems.append(str(failure))
    for problem in problems:
        print(problem)
    print("models: %d mutants, %d problems" % (len(every), len(problems)))
    return 1 if problems or not every else 0


def main(arguments):
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 64
    compiler, patterns = arguments[0], arguments[1:]
    every = [Mutant(os.path.join(FOLDER, name))
             for name in sorted(os.listdir(FOLDER))
             if name.endswith(".mutant")]
    if compiler == "--apply":
        return apply(every)
    chosen = [m for m in every if not patterns or
              any(fnmatch.fnmatchcase(m.name, pattern)
                  for pattern in patterns)]
    problems = list(undocumented(every))
    killed = 0
    with tempfile.TemporaryDirectory(prefix="tenure-model-") as folder, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        command = precompiled(compiler, folder)
        for mutant, (word, how) in zip(chosen, pool.map(
                lambda m: verdict(command, m), chosen)):
            print("%-9s %-7s %-22s %s" %
                  (word, mutant.model or "-", mutant.name, how), flush=True)
            killed += word == "killed"
    for problem in problems:
        print(problem)
    print("models: %d of %d mutants killed" % (killed, len(chosen)))
    return 0 if killed == len(chosen) and not problems and chosen else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except mutants.Failure as failure:
        print("models: %s" % failure, file=sys.stderr)
        sys.exit(1)
