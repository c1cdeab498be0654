#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""mutants.py [--check] [NAME...]: switches each check off and runs the tests.

A mutant is a file tests/mutants/NAME.mutant: which rows of docs/DESTROY.md it
breaks, which tests must then fail, why, and one or more replacements of whole
lines, each of which must occur exactly once in its file, however the white
space in it lies, so that a mutant cannot rot unseen and survives a formatter:

	rows: A14
	tests: rows_inproc
	The length of a list is no longer checked.

	--- core/rules.c
		if (count > LIST_ENTRIES_MAX)
	--- becomes
		if (count > LIST_ENTRIES_MAX + 1)
	--- end

"tests" are names of tests, which are also the targets that are built; a line
"targets: ..." names other targets. Each mutant is applied to a copy of the
tree in build/mutants, built, tested and taken back; two at a time. It is
killed when its tests fail and, for each of its rows, a test that proved the
row before no longer does (the tests say so in $TENURE_ROWS_FILE). One whose
tests pass has survived; one that only tests of other rows notice was noticed
elsewhere. Both are a failure of this program, as is a mutant that does not
compile. Names choose among them; a run without names leaves its results in
build/mutants/results for rows.py.

--check only looks whether every mutant applies and is still C, and whether
every row of tests/mutants/rows.list has one and is a rule of docs/DESTROY.md.
"""

import fcntl
import filecmp
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

LANES = 2
COPIED = ("CMakeLists.txt", "CMakePresets.json", "cmake", "core", "daemon",
          "client", "tests", "bench", "fuzz", "models", "tools", "packaging",
          "docs")
INCLUDED = (".", "core/wire/include", "client/include")
FOLDER = "tests/mutants"
RULES = "docs/DESTROY.md"


class Failure(Exception):
    """Something that is not the verdict on a mutant."""


def pattern(lines):
    """Matches these whole lines, with any white space between tokens."""
    tokens = re.findall(r"\w+|\S", lines)
    parts = [re.escape(tokens[0])]
    for before, token in zip(tokens, tokens[1:]):
        both_words = re.match(r"\w", before) and re.match(r"\w", token)
        parts.append((r"\s+" if both_words else r"\s*") + re.escape(token))
    return re.compile(r"^[ \t]*" + "".join(parts) + r"[ \t]*\n", re.M)


class Mutant:
    def __init__(self, path):
        self.name = os.path.basename(path)[:-len(".mutant")]
        self.rows, self.tests, self.targets = [], [], []
        self.edits = []
        with open(path, encoding="utf-8") as file:
            self.parse(file.read())
        self.targets = self.targets or self.tests
        if not (self.rows and self.tests and self.edits):
            raise Failure("%s: needs rows, tests and an edit" % self.name)

    def parse(self, text):
        head, *parts = re.split(r"^--- (?!becomes$|end$)", text, flags=re.M)
        for line in head.splitlines():
            key, colon, words = line.partition(":")
            if colon and key in ("rows", "tests", "targets"):
                setattr(self, key, words.split())
        for part in parts:
            match = re.match(r"(\S+)\n(.*?)^--- becomes\n(.*?)^--- end$",
                             part, re.M | re.S)
            if not match or not match.group(2).strip():
                raise Failure("%s: bad edit" % self.name)
            self.edits.append(match.groups())

    def applied(self, root):
        """The files of the tree that it changes: {path: new text}."""
        changed = {}
        for path, old, new in self.edits:
            text = changed.get(path)
            if text is None:
                try:
                    with open(os.path.join(root, path),
                              encoding="utf-8") as file:
                        text = file.read()
                except OSError as error:
                    raise Failure("%s: %s" % (self.name, error)) from error
            found = list(pattern(old).finditer(text))
            if len(found) != 1:
                raise Failure("%s: its text occurs %d times in %s:\n%s" %
                              (self.name, len(found), path, old))
            start, end = found[0].span()
            changed[path] = text[:start] + new + text[end:]
        return changed


def load(root):
    folder = os.path.join(root, FOLDER)
    return [Mutant(os.path.join(folder, name))
            for name in sorted(os.listdir(folder))
            if name.endswith(".mutant")]


def required_rows(root):
    with open(os.path.join(root, FOLDER, "rows.list"),
              encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(None, 1) for line in file
                    if line.strip() and not line.startswith("#"))


def complaints(root, changed):
    """What a compiler says of the files that a mutant changes."""
    with tempfile.TemporaryDirectory() as folder:
        for path, text in changed.items():
            path = os.path.join(folder, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        include = ["-I" + os.path.join(tree, path)
                   for tree in (folder, root) for path in INCLUDED]
        return run(os.environ.get("CC", "cc"), "-fsyntax-only", "-w",
                   "-std=gnu11", "-D_GNU_SOURCE", '-DTENURE_VERSION=""',
                   "-DTENURE_PREFETCH_AHEAD=1", *include, "-x", "c",
                   *(os.path.join(folder, path) for path in changed)).stdout


def check(root, mutants):
    """What is wrong with the mutants as they stand."""
    rows = required_rows(root)
    with open(os.path.join(root, RULES), encoding="utf-8") as file:
        documented = set(re.findall(r"^\| (\w+)\W*\|", file.read(), re.M))
    for row in rows:
        if row not in documented:
            yield "row %s is not in %s" % (row, RULES)
    for mutant in mutants:
        try:
            said = complaints(root, mutant.applied(root))
            if said:
                yield "%s: does not compile:\n%s" % (mutant.name, said)
        except Failure as failure:
            yield str(failure)
        for row in mutant.rows:
            if row not in rows:
                yield "%s: no row %s in rows.list" % (mutant.name, row)
    covered = {row for mutant in mutants for row in mutant.rows}
    for row in rows:
        if row not in covered:
            yield "row %s has no mutant" % row


def run(*command, rows=None):
    """Runs a command; rows is the file where its tests note what they prove."""
    environment = {k: v for k, v in os.environ.items()
                   if k != "TENURE_ROWS_FILE"}
    if rows:
        environment["TENURE_ROWS_FILE"] = rows
    return subprocess.run(command, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=environment, check=False)


def must(what, *command):
    done = run(*command)
    if done.returncode != 0:
        raise Failure("%s:\n%s" % (what, done.stdout))
    return done.stdout


def copy_tree(source, target):
    """Makes target like source; files that are the same keep their time."""
    if os.path.isfile(source):
        if not (os.path.exists(target) and
                filecmp.cmp(source, target, shallow=False)):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(source, target)
            shutil.copymode(source, target)
        return
    names = os.listdir(source) if os.path.isdir(source) else []
    for name in names:
        copy_tree(os.path.join(source, name), os.path.join(target, name))
    for name in os.listdir(target) if os.path.isdir(target) else []:
        path = os.path.join(target, name)
        if name not in names:
            (shutil.rmtree if os.path.isdir(path) else os.unlink)(path)


class Lane:
    """A copy of the tree in which one mutant at a time lives."""

    def __init__(self, root, number):
        folder = os.path.join(root, "build", "mutants", str(number))
        self.tree = os.path.join(folder, "tree")
        self.build = os.path.join(folder, "build")
        self.rows = os.path.join(folder, "rows")
        self.proofs = {} # of tests without any mutant
        for name in COPIED:
            copy_tree(os.path.join(root, name), os.path.join(self.tree, name))

    def prepare(self, mutants):
        """The tests of all mutants must pass while there is none."""
        must("configure", "cmake", "-S", self.tree, "-B", self.build,
             "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS=-O1",
             "-DBUILD_TESTING=ON")
        tests = sorted({t for m in mutants for t in m.tests})
        listing = json.loads(must("ctest", "ctest", "--test-dir", self.build,
                                  "--show-only=json-v1"))
        known = {test["name"] for test in listing["tests"]}
        if set(tests) - known:
            raise Failure("no such tests: %s" % (set(tests) - known))
        must("build without mutant", "cmake", "--build", self.build, "-j2",
             "--target", *sorted({t for m in mutants for t in m.targets}))
        for test in tests:
            output, failed, self.proofs[test] = self.test([test])
            if failed:
                raise Failure("fails without any mutant:\n" + output)
        for mutant in mutants:
            for row in mutant.rows:
                if not self.proofs_of(mutant.tests, row):
                    raise Failure("%s: its tests do not prove %s" %
                                  (mutant.name, row))

    def test(self, tests):
        """Output, whether a test failed, and {(row, name and mode)}."""
        if os.path.exists(self.rows):
            os.unlink(self.rows)
        done = run("ctest", "--test-dir", self.build, "--output-on-failure",
                   "--no-tests=error",
                   "-R", "^(%s)$" % "|".join(map(re.escape, tests)),
                   rows=self.rows)
        proofs = set()
        if os.path.exists(self.rows):
            with open(self.rows, encoding="utf-8") as file:
                for line in file:
                    mode, row, name = line.split(None, 2)
                    name = name.strip()
                    proofs.add((row, "%s (%s)" % (name, mode)))
        return done.stdout, done.returncode != 0, proofs

    def proofs_of(self, tests, row):
        return {proof for test in tests for proof in self.proofs[test]
                if proof[0] == row}

    def write(self, path, text):
        with open(os.path.join(self.tree, path), "w",
                  encoding="utf-8") as file:
            file.write(text)

    def verdict(self, mutant):
        """What the tests say to the mutant, and one that noticed it."""
        changed = mutant.applied(self.tree)
        before = {}
        for path in changed:
            with open(os.path.join(self.tree, path), encoding="utf-8") as file:
                before[path] = file.read()
        try:
            for path, text in changed.items():
                self.write(path, text)
            must("%s does not compile" % mutant.name, "cmake", "--build",
                 self.build, "-j1", "--target", *mutant.targets)
            _, failed, proofs = self.test(mutant.tests)
        finally:
            for path, text in before.items():
                self.write(path, text)
        if not failed:
            return "SURVIVED", ""
        lost = [self.proofs_of(mutant.tests, row) - proofs
                for row in mutant.rows]
        if not all(lost):
            return "ELSEWHERE", ""
        return "killed", min(set.union(*lost))[1]


class Hunt:
    """All mutants, shared by the lanes."""

    def __init__(self, root, mutants):
        self.todo = queue.Queue()
        for mutant in mutants:
            self.todo.put(mutant)
        self.lock = threading.Lock()
        self.verdicts = {}
        self.failures = []
        # The first lane builds with both processors before the others start.
        lanes = [Lane(root, n) for n in range(min(LANES, len(mutants)))]
        for lane in lanes:
            lane.prepare(mutants)
        threads = [threading.Thread(target=self.work, args=(lane,))
                   for lane in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def work(self, lane):
        while True:
            try:
                mutant = self.todo.get_nowait()
            except queue.Empty:
                return
            start, by = time.monotonic(), ""
            try:
                verdict, by = lane.verdict(mutant)
            except (Failure, OSError) as failure:
                verdict = "ERROR"
                with self.lock:
                    self.failures.append(str(failure))
            with self.lock:
                self.verdicts[mutant.name] = verdict
                print("%-9s  %-24s %5.1f s  %s" % (
                    verdict, mutant.name, time.monotonic() - start, by),
                    flush=True)


def hunt(root, names):
    mutants = load(root)
    unknown = set(names) - {m.name for m in mutants}
    if unknown:
        raise Failure("no such mutants: %s" % ", ".join(sorted(unknown)))
    chosen = [m for m in mutants if not names or m.name in names]
    results = os.path.join(root, "build", "mutants", "results")
    os.makedirs(os.path.dirname(results), exist_ok=True)
    with open(results + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not names and os.path.exists(results):
            os.unlink(results)
        done = Hunt(root, chosen)
        if not names:
            with open(results, "w", encoding="utf-8") as file:
                for mutant in mutants:
                    print(done.verdicts[mutant.name], mutant.name,
                          *mutant.rows, file=file)
    for failure in done.failures:
        print(failure, file=sys.stderr)
    killed = list(done.verdicts.values()).count("killed")
    print("mutants: %d of %d killed" % (killed, len(chosen)))
    return 0 if killed == len(chosen) else 1


def main(arguments):
    root = os.path.abspath(
        os.environ.get("TENURE_SOURCE_DIR") or
        os.path.join(os.path.dirname(__file__), ".."))
    try:
        if arguments == ["--check"]:
            mutants = load(root)
            found = list(check(root, mutants))
            for problem in found:
                print(problem)
            print("mutants: %d apply, %d problems" %
                  (len(mutants), len(found)))
            return 1 if found else 0
        if any(word.startswith("-") for word in arguments):
            print(__doc__, file=sys.stderr)
            return 64
        return hunt(root, arguments)
    except Failure as failure:
        print("mutants: %s" % failure, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
