#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""prove.py [SECONDS] [[TARGET:]FILE...]: shows that each fuzz target can fail.

Each file of fuzz/planted is one bug, in the format of tools/mutants.py; its
"tests" is the target that must find it. The bug goes into a copy of the tree in
build/fuzz-prove; the target is built and runs from its committed corpus. In the
tree as it is, the same run finds nothing in CONTROL seconds. A bug that is not
found within SECONDS (120) is a failure of this program. Other files of that
format (tests/mutants) can be named: TARGET:FILE says which target is to find
it.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(ROOT, "tools"), os.path.join(ROOT, "fuzz")]

import campaign
import mutants

SECONDS = "120"
CONTROL = "20"


class Copy:
    """The copied tree, its build and the corpora that grow in it."""

    def __init__(self):
        folder = os.path.join(ROOT, "build", "fuzz-prove")
        self.tree = os.path.join(folder, "tree")
        self.build = os.path.join(folder, "build")
        self.scratch = os.path.join(folder, "scratch")
        os.makedirs(folder, exist_ok=True)
        # Held to the end: two of us would change the same copy.
        self.lock = open(os.path.join(folder, "lock"), "w", encoding="utf-8")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        for name in mutants.COPIED:
            mutants.copy_tree(os.path.join(ROOT, name),
                              os.path.join(self.tree, name))
        mutants.must("configure", "cmake", "-S", self.tree, "-B", self.build,
                     "-G", "Ninja", "-DCMAKE_C_COMPILER=clang-19",
                     "-DCMAKE_CXX_COMPILER=clang++-19",
                     "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                     "-DTENURE_SANITIZE=fuzzer", "-DBUILD_TESTING=ON")

    def fuzz(self, target, *options):
        """Builds and runs a target; its exit status and what it says."""
        mutants.must("build fuzz_%s" % target, "cmake", "--build", self.build,
                     "-j2", "--target", "fuzz_" + target)
        shutil.rmtree(self.scratch, ignore_errors=True)
        os.makedirs(os.path.join(self.scratch, "corpus"))
        done = subprocess.run(
            campaign.command(
                self.tree, self.build, target,
                [os.path.join(self.scratch, "corpus"),
                 os.path.join(self.tree, "fuzz", "corpus", target)],
                ["-artifact_prefix=%s/" % self.scratch, "-seed=1", *options]),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False,
            env=campaign.environment())
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def plant(self, mutant):
        """Changes the tree; {path: text} as it was."""
        before = {}
        for path, text in mutant.applied(self.tree).items():
            with open(os.path.join(self.tree, path), encoding="utf-8") as file:
                before[path] = file.read()
            self.write(path, text)
        return before

    def write(self, path, text):
        with open(os.path.join(self.tree, path), "w",
                  encoding="utf-8") as file:
            file.write(text)


def prove(copy, seconds, target, mutant):
    """True when the target finds the planted bug."""
    seeds = len(os.listdir(os.path.join(ROOT, "fuzz", "corpus", target)))
    before = copy.plant(mutant)
    start = time.monotonic()
    try:
        status, output = copy.fuzz(target, "-max_total_time=" + seconds)
    finally:
        for path, text in before.items():
            copy.write(path, text)
    inputs = campaign.numbers(output)["inputs"]
    by = ("the corpus" if inputs != "?" and int(inputs) <= seeds + 1
          else "fuzzing")
    print("%-9s %-24s fuzz_%-8s %5.1f s, %8s inputs, by %s\n          %s" % (
        "found" if status else "MISSED", mutant.name, target,
        time.monotonic() - start, inputs, by if status else "nothing",
        campaign.reason(output) if status else ""), flush=True)
    return status != 0


def jobs(names):
    """Pairs of a target and a planted bug."""
    if not names:
        folder = os.path.join(ROOT, "fuzz", "planted")
        names = sorted(os.path.join(folder, name)
                       for name in os.listdir(folder))
    for name in names:
        target, colon, path = name.rpartition(":")
        mutant = mutants.Mutant(path)
        yield (target if colon else
               re.sub("^fuzz_", "", mutant.tests[0])), mutant


def main(arguments):
    if any(word.startswith("-") for word in arguments):
        print(__doc__, file=sys.stderr)
        return 64
    seconds = (arguments.pop(0) if arguments and arguments[0].isdigit()
               else SECONDS)
    try:
        work = list(jobs(arguments))
        copy = Copy()
        for target in sorted({target for target, _ in work}):
            # The same seed: what a bug is found by must be the bug.
            status, output = copy.fuzz(target, "-max_total_time=" + CONTROL)
            if status != 0:
                raise mutants.Failure("fuzz_%s finds something without any "
                                      "bug: %s" % (target,
                                                   campaign.reason(output)))
            print("control   fuzz_%s: nothing in %s inputs" % (
                target, campaign.numbers(output)["inputs"]), flush=True)
        found = [prove(copy, seconds, *job) for job in work]
    except (mutants.Failure, OSError) as failure:
        print("prove: %s" % failure, file=sys.stderr)
        return 1
    print("prove: %d of %d planted bugs found" % (sum(found), len(found)))
    return 0 if all(found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
