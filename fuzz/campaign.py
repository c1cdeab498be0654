#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""campaign.py [SECONDS] [TARGET]: runs the fuzzers of build/fuzz.

Each target, or the one, runs for SECONDS (60) with its dictionary, from its
corpus in fuzz/corpus and from what earlier runs found, which stays in
build/fuzz/corpus. What is found goes to build/fuzz/findings; the exit status
is 1 if anything was.
"""

import os
import re
import subprocess
import sys

# The longest input of each target: a longer one says nothing new.
TARGETS = {"client": 600, "decode": 1500, "dispenser": 900, "ring": 600,
           "rules": 400, "tape": 1600}


def command(root, build, target, corpora, options):
    """The command that runs a fuzzer."""
    words = [os.path.join(build, "bin", "fuzz", "fuzz_" + target),
             "-max_len=%d" % TARGETS[target], "-print_final_stats=1",
             "-timeout=10", "-rss_limit_mb=2048"]
    words.append("-dict=" + os.path.join(root, "fuzz", "dict",
                                         target + ".dict"))
    return words + options + corpora


def environment():
    """A corpus is many small blocks: remembering them all takes the time."""
    return dict(os.environ, ASAN_OPTIONS="quarantine_size_mb=32:"
                "detect_stack_use_after_return=0:malloc_context_size=8",
                ASAN_SYMBOLIZER_PATH="/usr/bin/llvm-symbolizer-19",
                UBSAN_OPTIONS="print_stacktrace=1")


def numbers(output):
    """What a fuzzer says in the end, by name; "?" for what it did not say."""
    def last(pattern):
        found = re.findall(pattern, output, re.M)
        return found[-1] if found else "?"
    return {
        "inputs": last(r"^stat::number_of_executed_units: +(\d+)"),
        "rate": last(r"^stat::average_exec_per_sec: +(\d+)"),
        "requests": last(r"^(\d+) requests judged"),
        "edges": last(r"cov: (\d+)"),
        "corpus": last(r"corp: (\S+)"),
    }


def reason(output):
    """The line that says what was found."""
    for line in output.splitlines():
        if re.match(r"FOUND|DIVERGENCE|backend contract|in-process|ERROR|"
                    r".*(Assertion|runtime error:|ERROR: )", line):
            return line
    return "no sentence; see the log"


def run(root, target, seconds):
    """True when the target found nothing."""
    build = os.path.join(root, "build", "fuzz")
    findings = os.path.join(build, "findings")
    corpus = os.path.join(build, "corpus", target)
    os.makedirs(findings, exist_ok=True)
    os.makedirs(corpus, exist_ok=True)
    done = subprocess.run(
        command(root, build, target,
                [corpus, os.path.join(root, "fuzz", "corpus", target)],
                ["-max_total_time=%d" % seconds,
                 "-artifact_prefix=%s/%s-" % (findings, target)]),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False, env=environment())
    output = done.stdout.decode("utf-8", "replace")
    with open(os.path.join(build, target + ".log"), "w",
              encoding="utf-8") as log:
        log.write(output)
    print("%-8s %10s %8s %10s %6s %14s  %s" % (
        target, *numbers(output).values(),
        "nothing" if done.returncode == 0 else "FOUND"), flush=True)
    if done.returncode != 0:
        print("  %s\n  %s\n  log: %s" % (
            reason(output),
            " ".join(re.findall(r"Test unit written to (\S+)", output)),
            os.path.join(build, target + ".log")))
    return done.returncode == 0


def main(arguments):
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
    seconds, targets = 60, list(TARGETS)
    for word in arguments:
        if word.isdigit() and int(word) > 0:
            seconds = int(word)
        elif word in TARGETS:
            targets = [word]
        else:
            print(__doc__, file=sys.stderr)
            return 64
    print("%-8s %10s %8s %10s %6s %14s  %s" % (
        "target", "inputs", "a second", "requests", "edges", "corpus",
        "found"))
    clean = [run(root, target, seconds) for target in targets]
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
