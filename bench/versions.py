#!/usr/bin/env python3
"""Two builds of convo side by side: what an operation costs with each, and how soon the first token is there.

    bench/versions.py OLD NEW [-engine memory,sqlite,...] [-op append,load,list] [-callers 1,8,64] [-rounds 7]
                      [-ms 300] [-dir DIR]

OLD and NEW are build directories that were made with -Dbench=true. Each round runs bench/bench_store and bench/bench_ttft
of both, one directly after the other and in turn the first, each with a server of its own, so that what else the machine
does meets both. What is compared is CPU time of program and server together for one operation, in microseconds, which other
programs disturb less than they do the rate; of the first token the time beyond what bare libcurl takes in the same run.
The ratio is the median of those of the rounds, new to old; one that is above 1.05 is marked.
"""

import argparse
import statistics
import subprocess
from pathlib import Path

# Columns of a line of bench_store.
NAME, OP, CALLERS, RATE, PROGRAM, SERVER = 0, 1, 4, 5, 8, 10


def store_run(build, args, engine):
    """{(op, callers): (operations a second, microseconds of CPU)}"""
    out = subprocess.run(
        [build / 'bench' / 'bench_store', '-engine', engine, '-op', args.op, '-callers', args.callers, '-events', '100',
         '-bytes', '400', '-turns', '1', '-ms', str(args.ms), '-side', 'store', '-dir', args.dir],
        check=True, capture_output=True, text=True).stdout
    found = {}
    for line in out.splitlines():
        column = line.split()
        if len(column) > SERVER and column[NAME] == engine and column[OP] in args.op.split(','):
            found[engine, column[OP], int(column[CALLERS])] = (float(column[RATE]),
                                                              float(column[PROGRAM]) + float(column[SERVER]))
    return found


def ttft_run(build):
    """{way: (0, microseconds more than bare libcurl takes)}"""
    out = subprocess.run([build / 'bench' / 'bench_ttft', '300'], check=True, capture_output=True, text=True).stdout
    return {('ttft', line[:16].strip().split('_')[-1].split()[-1], 1): (0, float(line[16:].split()[2]) * 1000)
            for line in out.splitlines() if line.startswith(('convo_', 'whole'))}


def measure(args):
    """For each of OLD and NEW what its rounds gave: {what: [(rate, cost)]}"""
    builds = (args.old, args.new)
    rounds = ({}, {})
    for number in range(args.rounds):
        for engine in args.engine.split(','):
            for which in (0, 1) if number % 2 else (1, 0):
                for what, figures in store_run(builds[which], args, engine).items():
                    rounds[which].setdefault(what, []).append(figures)
        for which in (0, 1) if number % 2 else (1, 0):
            for what, figures in ttft_run(builds[which]).items():
                rounds[which].setdefault(what, []).append(figures)
    return rounds


def report(old, new):
    print(f'{"":12} {"":8} {"callers":>7} {"old/s":>9} {"new/s":>9} {"old us":>9} {"new us":>9} {"ratio":>6}')
    for what, before in old.items():
        after = new.get(what, [])
        if not after:
            continue
        ratio = statistics.median(b[1] / a[1] for a, b in zip(before, after) if a[1] > 0)
        rates = [statistics.median(figures[0] for figures in side) for side in (before, after)]
        costs = [statistics.median(figures[1] for figures in side) for side in (before, after)]
        print(f'{what[0]:12} {what[1]:8} {what[2]:7} {rates[0]:9.0f} {rates[1]:9.0f} {costs[0]:9.1f} {costs[1]:9.1f} '
              f'{ratio:6.2f}{"  dearer" if ratio > 1.05 else ""}')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('old', type=Path)
    parser.add_argument('new', type=Path)
    parser.add_argument('-engine', default='memory,sqlite,redis,postgres,mysql')
    parser.add_argument('-op', default='append,load,list')
    parser.add_argument('-callers', default='1,8,64')
    parser.add_argument('-rounds', type=int, default=7)
    parser.add_argument('-ms', type=int, default=300)
    parser.add_argument('-dir', default='.')
    args = parser.parse_args()
    report(*measure(args))


main()
