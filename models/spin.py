#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""spin.py FILE.pml...: checks models with Spin, and that each can fail.

Every state of a model is looked at; nothing may be wrong in any. Then, for each
line "mutant: NAME why" of the file, the same with NAME defined, where something
must be. Exit status 1 otherwise.

A model with lines "endless: NAME why" is also searched for a run that has no
end, of which there may be none, and with NAME defined there must be one. No
fairness is assumed and nothing counts as progress: whoever goes round for ever
is found, whatever the others could do meanwhile. A line "smaller: NAME=VALUE"
is defined for that search alone.
"""

import os
import re
import subprocess
import sys
import tempfile


def must(folder, *command):
    done = subprocess.run(command, cwd=folder, text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.exit("spin: %s:\n%s" % (" ".join(command), done.stdout))
    return done.stdout


def errors(path, names, endless, thorough=False):
    """The number of errors of a model with names defined, and of states.
    thorough: so many states that a better compiled search is faster."""
    search, flags = ("-DNP", ["-l"]) if endless else ("-DSAFETY", [])
    level = "-O1" if thorough else "-O0"
    with tempfile.TemporaryDirectory(prefix="tenure-spin-") as folder:
        must(folder, "spin", "-a", *["-D" + name for name in names], path)
        must(folder, "cc", level, "-w", search, "-o", "pan", "pan.c")
        output = must(folder, "./pan", "-m1000000", *flags)
    found = re.search(r"errors: (\d+)", output)
    states = re.search(r"(\d+) states, stored", output)
    if not found or not states or "search depth too small" in output:
        sys.exit("spin: no result:\n" + output)
    if endless and "errors: 0" not in output and \
            "non-progress cycle (at" not in output:
        sys.exit("spin: another error than a run without end:\n" + output)
    return int(found.group(1)), int(states.group(1))


def search(path, world, mutants, endless):
    """How much is wrong with a model, or with mutants that survive."""
    count, states = errors(path, world, endless, thorough=True)
    print("%s: %d states, %d %s" %
          (os.path.basename(path), states, count,
           "runs without end" if endless else "errors"))
    bad = (count != 0) + (not mutants)
    for name, why in mutants:
        count, states = errors(path, world + [name], endless)
        print("%-9s %-14s %s" % ("killed" if count else "SURVIVED", name,
                                 why))
        bad += count == 0
    return bad


def main(arguments):
    bad = 0
    for path in map(os.path.abspath, arguments):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        bad += search(path, [], re.findall(r"mutant: (\w+) (.*)", text), False)
        endless = re.findall(r"endless: (\w+) (.*)", text)
        if endless:
            bad += search(path, re.findall(r"smaller: (\w+=\w+)", text),
                          endless, True)
    return 1 if bad or not arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
