#!/usr/bin/env python3
"""What the tests run of src/ and cli/, from the build directory of a coverage build.

Usage: coverage.py BUILD. Prints each file with its share of lines and those that never ran, then
every function that never ran. Fails below 97 % of all lines, or when there is such a function.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WANTED = 97.0

# It runs within fork(), behind which gcov sets the child's counters to nothing.
UNSEEN = {('src/base/uuid.c', 'uuid_forked')}


def read(data):
    """What gcov knows of one object: (file, {line: count}, {function: (line, count)})."""
    out = subprocess.run(['gcov', '--json-format', '--stdout', str(data)], capture_output=True,
                         text=True, check=True, cwd=data.parent).stdout
    for text in out.splitlines():
        found = json.loads(text)
        base = Path(found['current_working_directory'])
        for file in found['files']:
            path = os.path.normpath(base / file['file'])
            yield (path, [(line['line_number'], line['count']) for line in file['lines']],
                   [(f['demangled_name'], f['start_line'], f['execution_count'])
                    for f in file['functions']])


def ranges(numbers):
    """1 2 3 7 as "1-3, 7"."""
    parts = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ', '.join(str(a) if a == b else f'{a}-{b}' for a, b in parts)


def main():
    build = Path(sys.argv[1]).resolve()
    root = Path(__file__).resolve().parent.parent
    lines, functions = {}, {}
    objects = [p for p in build.rglob('*.gcda') if 'tests' not in p.relative_to(build).parts]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(lambda data: list(read(data)), objects):
            for path, ran, called in found:
                name = os.path.relpath(path, root)
                if not name.startswith(('src/', 'cli/')) or name.startswith('build'):
                    continue
                for number, count in ran:
                    key = lines.setdefault(name, {})
                    key[number] = key.get(number, 0) + count
                for function, number, count in called:
                    key = (name, function)
                    functions[key] = (number, functions.get(key, (0, 0))[1] + count)
    total = covered = 0
    for name in sorted(lines):
        missed = [number for number, count in lines[name].items() if not count]
        total += len(lines[name])
        covered += len(lines[name]) - len(missed)
        print(f'{100 * (1 - len(missed) / len(lines[name])):6.1f} %  {name}'
              f'{"  " + ranges(missed) if missed else ""}')
    never = sorted(f'{name}:{number}: {function}() never ran'
                   for (name, function), (number, count) in functions.items()
                   if not count and (name, function) not in UNSEEN)
    for line in never:
        print(line)
    share = 100 * covered / total if total else 0
    print(f'{share:.1f} % of {total} lines, {len(functions) - len(never)} of {len(functions)} functions')
    return 1 if share < WANTED or never else 0


sys.exit(main())
