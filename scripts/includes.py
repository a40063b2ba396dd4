#!/usr/bin/env python3
"""Who may include whom: rooms, circles, drivers. Run from the project's root; prints what breaks a
rule and fails.

A unit is a .c with its .h. Inside src/ an include names its room, <store/shared/pool.h>; in cli/ it
is "term/line.h", or "chat.h" for what stands at the top. server/ does as cli/, and includes some of
that, too.
"""

import re
import sys
from pathlib import Path

BACKENDS = sorted(p.name for p in Path('src/store').iterdir()
                  if p.is_dir() and p.name not in ('front', 'shared', 'trace'))

# What each room may include besides itself and the public headers; a folder stands for all in it.
RULES = {
    'src/base': [],
    'src/store/backend.h': ['src/base'],
    'src/store/shared': ['src/base', 'src/store/backend.h'],
    'src/store/front': ['src/base', 'src/store/backend.h', 'src/store/trace'],
    'src/store/trace': ['src/base', 'src/store/backend.h'],
    'src/model': ['src/base'],
    'src/runner': ['src/base', 'src/model'],
    'cli/term': [],
    'cli/app/reserved.h': [],
    'cli/app': ['cli/app/reserved.h', 'cli/term'],
    'cli/command': ['cli/app', 'cli/term'],
    'cli': ['cli/app', 'cli/command', 'cli/term'],
    'server/core': ['cli/term'],
    'server/http': ['cli/term', 'server/core'],
    'server/auth': ['cli/app/reserved.h', 'cli/term', 'server/core', 'server/http'],
    'server/metrics': ['cli/app/reserved.h', 'cli/term', 'server/core', 'server/http'],
    'server/page': [],
    'server/api': ['cli/term', 'server/auth', 'server/core', 'server/http', 'server/metrics',
                   'server/page'],
    'server': ['cli/app', 'cli/app/reserved.h', 'cli/term', 'server/api', 'server/auth', 'server/core', 'server/http',
               'server/metrics', 'server/page'],
    'examples': [],
}
RULES.update({f'src/store/{name}': ['src/base', 'src/store/backend.h', 'src/store/shared']
              for name in BACKENDS})

# A library's header is included by one file of the library's, and by one of each program's; everybody
# else there goes through that.
DRIVERS = ('jansson', 'curl/curl', 'sqlite3', 'hiredis/hiredis', 'libpq-fe', 'mysql',
           'mariadb/mysql', 'utf8proc', 'microhttpd',
           'gnutls/abstract', 'gnutls/gnutls', 'gnutls/crypto')

# Where the includes of a folder of the root are looked for.
BASES = {'cli': ['cli'], 'server': ['server', 'cli']}
TOPS = ('src', 'cli', 'server', 'examples', 'include')


def room_of(path):
    """The innermost room that holds the file."""
    for room in sorted(RULES, key=len, reverse=True):
        if str(path) == room or str(path).startswith(room + '/'):
            return room
    return None


def target_of(path, name):
    """The file that an include of ours stands for, or None."""
    for base in BASES.get(path.parts[0], []) + ['src', str(path.parent)]:
        file = Path(base, name)
        if file.exists():
            return file
    return None


def includes(path):
    for name in re.findall(r'^#include [<"]([^>"]+)[>"]', path.read_text(encoding='utf-8'), re.M):
        yield name, target_of(path, name)


def allowed(path, target):
    room, other = room_of(path), room_of(target)
    return room == other or other in RULES[room]


def circles(edges):
    """The strongly connected sets of more than one node (Tarjan, SIAM J. Comput. 1, 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(edges.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def main():
    bad = []
    units, rooms, drivers = {}, {}, {}
    for path in sorted(p for top in TOPS for p in Path(top).rglob('*.[ch]')):
        for name, target in includes(path):
            if name.removesuffix('.h') in DRIVERS:
                drivers.setdefault((path.parts[0], name), set()).add(path)
            if target is None:
                if path.parts[0] in ('cli', 'server', 'examples') and '/' in name and \
                        re.match(r'(base|store|model|runner)/', name):
                    bad.append(f'{path}: a program includes public headers only, not <{name}>')
                continue
            if room_of(path) and room_of(target) and not allowed(path, target):
                bad.append(f'{path}: {room_of(path)} may not include {target}')
            one, other = str(path.with_suffix('')), str(target.with_suffix(''))
            if one != other:
                units.setdefault(one, set()).add(other)
            if path.parent != target.parent:
                rooms.setdefault(str(path.parent), set()).add(str(target.parent))
    bad += [f'a circle of files: {" ".join(group)}' for group in circles(units)]
    bad += [f'a circle of folders: {" ".join(group)}' for group in circles(rooms)]
    bad += [f'<{name}> is included by more than one file: {" ".join(map(str, sorted(files)))}'
            for (_, name), files in drivers.items() if len(files) > 1]
    for line in bad:
        print(line)
    return 1 if bad else 0


sys.exit(main())
