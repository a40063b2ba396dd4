#!/usr/bin/env python3
"""Count the test cases of the last `meson test` of a build directory.

Usage: summary.py BUILD [strict]. Reads its log, names what failed and what
was skipped, and prints `N passed, N failed, N skipped` last. Cases are those that cmocka programs
and scripts report; a program that reports none is one case. The exit code is 1 if a case failed,
if none ran at all, or, with `strict`, if one was skipped.
"""

import json
import re
import sys
from pathlib import Path

CASE = re.compile(r'^\[\s+(OK|FAILED|SKIPPED)\s+\] (.*)$')
CLOSING = re.compile(r'^(\d+) passed, (\d+) failed, (\d+) skipped$')
KINDS = {'OK': 'passed', 'FAILED': 'failed', 'SKIPPED': 'skipped'}


def read_cases(output):
    """Yield (kind, name) of each case a program reported."""
    in_group = False
    for line in output.splitlines():
        if line.startswith('[==========]'):
            # cmocka lists failed and skipped cases again after the closing line.
            in_group = 'Running' in line
        elif in_group and (match := CASE.match(line)):
            yield KINDS[match[1]], match[2]
        elif match := CLOSING.match(line):
            for kind, number in zip(KINDS.values(), match.groups()):
                yield from ((kind, '') for _ in range(int(number)))


def judge(test):
    """The cases of one program, made to agree with how it ended."""
    cases = list(read_cases(test.get('stdout', '') + '\n' + test.get('stderr', '')))
    result = test['result']
    if result == 'SKIP' and not cases:
        return [('skipped', '')]
    if result in ('OK', 'SKIP', 'EXPECTEDFAIL'):
        return cases or [('passed', '')]
    if not any(kind == 'failed' for kind, _ in cases):
        cases.append(('failed', f'(the program: {result.lower()})'))
    return cases


def main():
    # A wrapper such as valgrind is part of the log's name.
    logs = Path(sys.argv[1], 'meson-logs').glob('testlog*.json')
    strict = sys.argv[2:] == ['strict']
    counts = dict.fromkeys(KINDS.values(), 0)
    for line in (line for log in logs for line in log.open(encoding='utf-8', errors='replace')):
        test = json.loads(line)
        for kind, name in judge(test):
            counts[kind] += 1
            if kind != 'passed':
                print(f'{kind}: {test["name"]} {name}'.rstrip())
    print(f'{counts["passed"]} passed, {counts["failed"]} failed, {counts["skipped"]} skipped')
    bad = counts['failed'] or not any(counts.values()) or (strict and counts['skipped'])
    return 1 if bad else 0


sys.exit(main())
