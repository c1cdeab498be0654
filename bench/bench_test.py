#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""bench_test.py: every entry of the harness runs with tiny sizes and gives
JSON of the documented form; nothing here looks at a time."""

import json
import math
import os
import subprocess
import sys
import tempfile
import unittest

BENCH = os.path.join(os.environ["TENURE_BIN_DIR"], "bench", "tenure-bench")
FLOOR = os.path.join(os.environ["TENURE_BIN_DIR"], "bench", "tenure-floor")
KEYS = ["id", "name", "unit", "p50", "p99", "p999", "throughput", "floor",
        "ratio", "commit", "machine"]


def bench(*arguments, **environment):
    return subprocess.run([BENCH, *arguments], capture_output=True, text=True,
                          env={**os.environ, **environment})


def entries():
    lines = bench("--list").stdout.splitlines()
    return [line.split()[0] for line in lines]


class Harness(unittest.TestCase):
    def smoke(self, *arguments):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "out.json")
            run = bench("--smoke", "--json", path, *arguments)
            self.assertEqual(run.returncode, 0, run.stderr)
            with open(path, encoding="utf-8") as file:
                return run, json.load(file)

    def check(self, result):
        self.assertEqual(list(result), KEYS)
        for key in ("id", "name", "unit", "commit", "machine"):
            self.assertTrue(result[key], key)
        for key in ("p50", "p99", "p999"):
            self.assertGreaterEqual(result[key], 0)
        for key in ("throughput", "floor", "ratio"):
            self.assertTrue(result[key] is None or result[key] > 0, key)
        if result["unit"] == "ns":
            self.assertLessEqual(result["p50"], result["p999"])
        if result["floor"]:
            self.assertTrue(math.isclose(
                result["ratio"], result["p50"] / result["floor"],
                rel_tol=1e-3))

    def test_every_entry(self):
        self.assertGreater(len(entries()), 5)
        for entry in entries():
            with self.subTest(entry):
                run, results = self.smoke(entry)
                self.assertTrue(results)
                for result in results:
                    self.check(result)
                    self.assertIn(result["id"], run.stdout)

    def test_verdicts(self):
        run, _ = self.smoke("S0", "S12")
        for words in ("target", "verdict", "no target", "met"):
            self.assertIn(words, run.stdout)
        self.assertNotIn("\033", run.stdout)

    def test_usage(self):
        for wrong in (["S99"], ["--nonsense"], ["S0", "S99"],
                      ["--instructions", "S0"]):
            run = bench(*wrong)
            self.assertEqual(run.returncode, 64, wrong)
            self.assertEqual(run.stdout, "")

    def test_unwritable(self):
        run = bench("--smoke", "--json", "/nonexistent/out.json", "S11")
        self.assertEqual(run.returncode, 1)

    def test_paths(self):
        self.assertEqual(bench("--path", "destroy").returncode, 0)
        self.assertEqual(bench("--path", "nonsense").returncode, 64)

    def test_floor(self):
        for pages in ("thp", "4k", "shm"):
            run = subprocess.run([FLOOR, "--lines", "1e4", "--visits", "8192",
                                  "--pages", pages], capture_output=True,
                                 text=True, check=True)
            answer = json.loads(run.stdout)
            self.assertEqual((answer["lines"], answer["pages"],
                              answer["distance"]), (10000, pages, 24))
            self.assertGreater(answer["visit_ns"], 0)
        subprocess.run([FLOOR, "--lines", "1e4", "--visits", "8192",
                        "--elsewhere", "1e6"], capture_output=True, check=True)
        for wrong in (["--lines", "0"], ["--pages", "2m"], ["more"],
                      ["--lines", "ten"]):
            run = subprocess.run([FLOOR, *wrong], capture_output=True)
            self.assertEqual(run.returncode, 64, wrong)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
