#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""spin.py FILE.pml...: checks models with Spin, and that each can fail.

Every state of a model is looked at; nothing may be wrong in any. Then, for each
line "mutant: NAME why" of the file, the same with NAME defined, where something
must be. Exit status 1 otherwise.
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


def errors(path, name):
    """The number of errors of a model with name defined, and of states."""
    with tempfile.TemporaryDirectory(prefix="tenure-spin-") as folder:
        define = ["-D" + name] if name else []
        must(folder, "spin", "-a", *define, path)
        must(folder, "cc", "-O0", "-w", "-DSAFETY", "-o", "pan", "pan.c")
        output = must(folder, "./pan", "-m1000000")
    found = re.search(r"errors: (\d+)", output)
    states = re.search(r"(\d+) states, stored", output)
    if not found or not states or "search depth too small" in output:
        sys.exit("spin: no result:\n" + output)
    return int(found.group(1)), int(states.group(1))


def main(arguments):
    bad = 0
    for path in map(os.path.abspath, arguments):
        with open(path, encoding="utf-8") as file:
            mutants = re.findall(r"mutant: (\w+) (.*)", file.read())
        count, states = errors(path, "")
        print("%s: %d states, %d errors" % (os.path.basename(path), states,
                                            count))
        bad += count != 0
        for name, why in mutants:
            count, states = errors(path, name)
            print("%-9s %-14s %s" % ("killed" if count else "SURVIVED", name,
                                     why))
            bad += count == 0
        bad += not mutants
    return 1 if bad or not arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
