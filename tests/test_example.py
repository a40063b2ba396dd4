#!/usr/bin/env python3
"""Run an example as its first comment says, and compare what it prints with what stands there.

Usage: test_example.py PROGRAM SOURCE. In the comment, a line `$ name ARGUMENT...` is a command, and
the lines after it are its output.
"""

import re
import shlex
import subprocess
import sys


def read_commands(source):
    """(arguments, wanted output) of each command in the first comment."""
    with open(source, encoding='utf-8') as file:
        comment = file.read().split('*/', 1)[0]
    commands = []
    for line in re.findall(r'^ \*     (.*)$', comment, re.M):
        if line.startswith('$ '):
            commands.append((shlex.split(line[2:])[1:], []))
        elif commands:
            commands[-1][1].append(line)
    return commands


def main():
    program, source = sys.argv[1:]
    commands = read_commands(source)
    failed = 0 if commands else 1
    for arguments, wanted in commands:
        run = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60,
                             stdin=subprocess.DEVNULL, check=False)
        if run.returncode or run.stderr or run.stdout.splitlines() != wanted:
            failed += 1
            print(f'{source} {arguments}: exit code {run.returncode}')
            print('wanted:', *wanted, 'got:', run.stdout, run.stderr, sep='\n')
    print(f'{len(commands) - failed if commands else 0} passed, {failed} failed, 0 skipped')
    return 1 if failed else 0


sys.exit(main())
