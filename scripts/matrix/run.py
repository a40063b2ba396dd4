"""Runs the rows of the table (rows.py), and prints what came of it; see scripts/servers."""

import argparse
import fnmatch
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if __package__ in (None, ''):  # called by its path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = 'matrix'  # pylint: disable=redefined-builtin

from . import packages, roles
from .engines import ENGINES, Broken
from .rows import CI, GROUPS, ROWS, server_lines, setting_lines

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / 'build/tests'


class Result:
    def __init__(self, row):
        self.row = row
        self.version = ''
        self.passed = self.failed = self.skipped = 0
        self.words = ''
        self.seconds = 0.0

    @property
    def verdict(self):
        return 'failed' if self.failed else 'skipped' if self.skipped and not self.passed else 'passed'


def contract(result, server):
    """The suite of the row's backend, on the server."""
    backend = {'mariadb': 'mysql'}.get(result.row.engine, result.row.engine)
    suite(result, f'test_{backend}_contract', {f'CONVO_TEST_{backend.upper()}_URL': server.url})


def group(result):
    """A suite that starts its servers itself."""
    program = packages.debian_program(result.row.source)
    said = subprocess.run([program, '--version'], stdout=subprocess.PIPE, text=True, check=True).stdout
    result.version = re.search(r'\d+\.\d+[^ ]*', said)[0]
    suite(result, GROUPS[result.row.server][0], {})


def suite(result, program, env):
    try:
        out = subprocess.run([TESTS / program], env={**os.environ, **env}, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                             errors='replace', timeout=900).stdout
    except subprocess.TimeoutExpired:
        result.failed, result.words = 1, 'the suite does not end'
        return
    keep = os.environ.get('CONVO_SERVERS_LOG')
    if keep:
        Path(keep, result.row.name).write_text(out, encoding='utf-8')
    names = {kind: set(re.findall(rf'^\[ *{kind} *\] (\w+)$', out, re.M))
             for kind in ('OK', '(?:FAILED|ERROR)', 'SKIPPED')}
    result.passed, result.failed, result.skipped = (len(cases) for cases in names.values())
    result.words = ' '.join(sorted(set().union(*list(names.values())[1:])))
    if not result.passed or not re.search(r'^\[==========\] .* run\.$', out, re.M):
        result.failed += 1
        result.words = 'the suite did not go through: ' + (out.strip().splitlines() or ['it said nothing'])[-1]


def says(url):
    return subprocess.run([TESTS / 'says', url], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=120).stdout.splitlines()


def refused(result, server):
    """The words of the store, against those of the row."""
    got = says(server.url)
    wanted = result.row.says
    if len(got) == len(wanted) and all(re.fullmatch(want, line) for want, line in zip(wanted, got)):
        result.passed = 1
        return
    result.failed = 1
    result.words = ' / '.join(line for want, line in zip((*wanted, *[''] * len(got)), got)
                              if not want or not re.fullmatch(want, line)) or 'too few lines'


def attempt(result):
    row = result.row
    if row.engine == 'group':
        group(result)
        return
    server = ENGINES[row.engine](row, packages.get(row.source))
    try:
        server.open(row.flags)
        result.version = server.version()
        if row.role in roles.BEFORE:
            roles.BEFORE[row.role](server)
        if row.late or row.role in roles.AFTER:
            first = says(server.url)
            if not first or not all(line.endswith(': ok') for line in first):
                raise Broken(' / '.join(first))
            for line in row.late:
                server.ask(line)
            if row.role in roles.AFTER:
                roles.AFTER[row.role](server)
        (refused if row.says else contract)(result, server)
    finally:
        server.stop()


def try_row(row, end=None):
    """`end`: when it is too late to begin, on the monotonic clock."""
    result = Result(row)
    began = time.monotonic()
    try:
        if end and began > end:
            raise packages.Away('no time is left')
        attempt(result)
    except packages.Away as why:
        result.skipped, result.words = 1, f'not to be had: {why}'
    except (Broken, OSError, subprocess.SubprocessError) as why:
        result.failed, result.words = 1, str(why)
    result.seconds = time.monotonic() - began
    return result


# ---- printing -----------------------------------------------------------------------------------

WIDTHS = '{:<30} {:<22} {:<26} {:>6} {:>6} {:>7} {:>4}  {}'


def plain(result):
    return WIDTHS.format(result.row.name, result.version[:22], result.row.got[:26], result.passed,
                         result.failed, result.skipped, f'{result.seconds:.0f}', result.words).rstrip()


def markdown(results):
    """The tables of docs/servers.md. tests/test_docs.py compares all of them but the versions."""
    print('\n'.join(server_lines({result.row.name: result.version for result in results})))
    print('\n'.join(['', *setting_lines()]))
    for result in results:
        if result.verdict != 'passed':
            print(f'\n{result.row.name}: {result.verdict}: {result.words}')


def arguments():
    parser = argparse.ArgumentParser(prog='scripts/servers')
    parser.add_argument('-md', action='store_true', help='print the tables of docs/servers.md')
    parser.add_argument('-list', action='store_true', help='print the names of the rows, run none')
    parser.add_argument('-ci', action='store_true', help='only what .ci/run has the time for')
    parser.add_argument('-within', type=int, metavar='SECONDS', help='begin no row after so long')
    parser.add_argument('-jobs', type=int, default=1, help='rows at a time')
    parser.add_argument('names', nargs='*', help='rows, or patterns of their names')
    return parser.parse_args()


def main():
    args = arguments()
    end = time.monotonic() + args.within if args.within else None
    rows = [row for row in ROWS if not args.ci or row.name in CI
            if not args.names or any(fnmatch.fnmatch(row.name, name) for name in args.names)]
    if args.list:
        print('\n'.join(row.name for row in rows))
        return 0
    if not rows:
        print('scripts/servers: no such row', file=sys.stderr)
        return 2
    table = sys.stderr if args.md else sys.stdout
    print(WIDTHS.format('row', 'the server says', 'got from', 'passed', 'failed', 'skipped', 's', ''),
          file=table)
    lock = threading.Lock()

    def one(row):
        result = try_row(row, end)
        with lock:
            print(plain(result), file=table, flush=True)
        return result
    with ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(one, rows))
    if args.md:
        markdown(results)
    total = Counter(result.verdict for result in results)
    print(f'{len(rows)} rows: {total["passed"]} as the table says, {total["failed"]} not, '
          f'{total["skipped"]} not to be had', file=table)
    counts = [sum(getattr(result, kind) for result in results) for kind in ('passed', 'failed', 'skipped')]
    print('{} passed, {} failed, {} skipped'.format(*counts), file=table)
    return 1 if counts[1] else 0


sys.exit(main())
