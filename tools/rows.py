#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""rows.py [ROOT]: one line for each rule that tests/mutants/rows.list asks for.

Says whether a test has proved the row in process and through the daemon
(build/rows, written by the tests) and whether a test fails when the check is
switched off in the source (build/mutants/results, written by mutants.py).
Exit status 1 if any of the three is missing for any row.
"""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mutants  # noqa: E402


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [line.split() for line in file]


def table(root):
    """[row, proved in process, through the daemon, killed, mutants, what]"""
    proved = {(words[0], words[1])
              for words in lines(os.path.join(root, "build", "rows"))}
    results = lines(os.path.join(root, "build", "mutants", "results"))
    for row, sentence in mutants.required_rows(root).items():
        verdicts = [words[0] for words in results if row in words[2:]]
        yield (row, ("inproc", row) in proved, ("daemon", row) in proved,
               verdicts.count("killed"), len(verdicts), sentence)


def main(arguments):
    root = arguments[0] if arguments else os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..")
    lacking = rows = 0
    print("%-4s  %-10s  %-6s  %-7s  %s" %
          ("row", "in process", "daemon", "mutants", "rule"))
    for row, inproc, daemon, killed, total, sentence in table(root):
        good = inproc and daemon and 0 < killed == total
        rows += 1
        lacking += not good
        print("%-4s  %-10s  %-6s  %-7s  %s" % (
            row, "yes" if inproc else "NO", "yes" if daemon else "NO",
            "%d/%d" % (killed, total) if total else "NONE", sentence))
    print("rows: %d, of which %d lack something" % (rows, lacking))
    return 1 if lacking or not rows else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
