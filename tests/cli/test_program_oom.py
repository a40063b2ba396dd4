#!/usr/bin/env python3
"""The program when memory is out: each of its allocations fails once. It says so, or does without;
it never dies of it, and never ends well without having answered."""

import subprocess
import sys

from harness import CONVO, case, main

COUNTED = sys.argv.pop() == 'true'  # coverage is: its library allocates, and dies of it at the end
LIBRARY = sys.argv.pop()
SAME = 25  # in a row: it has fewer allocations than that


def every_allocation(home, args, done):
    """Run it with the first allocation failing, the second ... until it has fewer than that."""
    env = dict(home.env, LD_PRELOAD=LIBRARY, MYSQL_HOST='127.0.0.1', MYSQL_PORT='1',
               PG_HOST='127.0.0.1', PG_PORT='1', REDIS_ADDR='127.0.0.1:1')

    def run(number):
        ran = subprocess.run([CONVO, '-model', 'echo', *args], env=dict(env, FAIL_MALLOC=str(number)),
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert ran.returncode >= 0 or (COUNTED and number and ran.stderr == usual[1]), (
            f'allocation {number}: signal {-ran.returncode}: {ran.stderr}')
        if ran.returncode == 0:
            assert done in ran.stdout, f'allocation {number}: ended well, but: {ran.stdout}'
        else:
            assert ran.stderr.strip(), f'allocation {number}: failed without a word'
        return (ran.returncode if ran.returncode >= 0 else usual[0]), ran.stderr

    usual = run(0)
    told = same = number = 0
    while same < SAME:
        number += 1
        ended = run(number)
        same = same + 1 if ended == usual else 0
        told += 'memory' in ended[1]
    assert told > 3, f'memory was told to be out {told} times'


@case
def asking_once(home):
    every_allocation(home, ['-p', 'hello there', '-session', 'sqlite'], 'hello there')


@case
def looking_for_a_server(home):
    for store in ('mysql', 'pgsql', 'redis'):
        every_allocation(home, ['-p', 'hello there', '-session', store], 'never')


main()
