#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""shared_memory.py CPU [ROUNDS [PASSES]]

Question: what does it cost a Python program to create 4 KiB of shared memory
and to attach to it by name? Both happen in this process, so no process switch
is in the figure; each is mapped once, and nothing is touched. Closing and
unlinking are not timed. One JSON object is printed, in nanoseconds, with the
medians over the passes.

Python's resource tracker, a process of its own, is told of each of them. It is
started on all CPUs before this one is pinned, so that it does not compete.
"""

import json
import os
import statistics
import sys
import time
from multiprocessing import resource_tracker, shared_memory

SIZE_BYTES = 4096


def clock_cost():
    pairs = []
    for _ in range(2000):
        start = time.perf_counter_ns()
        pairs.append(time.perf_counter_ns() - start)
    return statistics.median(pairs)


def one(cost):
    start = time.perf_counter_ns()
    made = shared_memory.SharedMemory(create=True, size=SIZE_BYTES)
    attached = shared_memory.SharedMemory(name=made.name)
    elapsed = time.perf_counter_ns() - start - cost
    attached.close()
    made.close()
    made.unlink()
    return max(elapsed, 0)


def quantile(ordered, share):
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def one_pass(rounds, cost):
    samples = sorted(one(cost) for _ in range(rounds))
    return {
        "p50": quantile(samples, 0.5),
        "p99": quantile(samples, 0.99),
        "p999": quantile(samples, 0.999),
        "throughput": rounds * 1e9 / max(sum(samples), 1),
    }


def main(arguments):
    if not 1 <= len(arguments) <= 3:
        print(__doc__, file=sys.stderr)
        return 64
    cpu, rounds, passes = [int(word) for word in arguments] + \
        [2000, 5][len(arguments) - 1:]
    os.sched_setaffinity(0, range(os.cpu_count()))
    resource_tracker.ensure_running()
    os.sched_setaffinity(0, {cpu})
    cost = clock_cost()
    one_pass(rounds, cost)
    each = [one_pass(rounds, cost) for _ in range(passes)]
    print(json.dumps({key: statistics.median(p[key] for p in each)
                      for key in each[0]}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
