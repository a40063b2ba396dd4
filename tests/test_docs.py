#!/usr/bin/env python3
"""Are the pages true? Usage: test_docs.py CONVO [SERVE], the programs whose -help is the measure.

Compares the flags of -help, and the library's table of backends, with the manual, the completions
and the pages, and the servers that the stores are run on with their page; and looks up what the Markdown
pages point at: files, headings, tests, and the code they quote from examples/ and include/.
"""

import fnmatch
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md')])


def read(path):
    return (ROOT / path).read_text(encoding='utf-8')


def convo(*args):
    return subprocess.run([sys.argv[1], *args], capture_output=True, text=True, check=True,
                          timeout=10).stdout


def help_text():
    return convo('-help')


def backends():
    """The library's table: name, scheme, title, variables of each backend."""
    for line in convo('-complete', 'backends').splitlines():
        name, scheme, title, variables = line.split('\t')
        yield name, scheme, title, variables.split()


def complete_in_bash(*words):
    """What the completion offers after these words; the program stands first in PATH."""
    script = (f'convo() {{ {shlex.quote(str(Path(sys.argv[1]).resolve()))} "$@"; }}; '
              f'. completions/convo.bash; COMP_WORDS=(convo {" ".join(map(shlex.quote, words))}); '
              'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _convo; printf "%s\\n" "${COMPREPLY[@]}"')
    return set(subprocess.run(['bash', '-c', script], capture_output=True, text=True, check=True,
                              cwd=ROOT, timeout=20).stdout.split())


def differences(what, wanted, got, measure='-help'):
    for name in sorted(wanted - got):
        yield f'{what} lacks {name}'
    for name in sorted(got - wanted):
        yield f'{what} has {name}, {measure} does not'


def flags_of_help(text):
    return set(re.findall(r'^  -([a-z-]+)', text, re.M))


def flags_of_manual(path):
    return set(re.findall(r'^\.It Fl ([a-z-]+)', read(path), re.M))


def flags_of_zsh(serve):
    """Those of the server stand in a block of their own, further in."""
    tabs = '\t\t' if serve else '\t'
    return set(re.findall(rf"""^{tabs}['"]-([a-z-]+)""", read('completions/_convo'), re.M))


def flags_of_fish(serve):
    other = ' -n $chat ' if serve else ' -n $serve '
    return {name for line in read('completions/convo.fish').splitlines() if other not in line
            for name in re.findall(r' -o ([a-z-]+)', line)}


def flags_are_those_of_help():
    wanted = flags_of_help(help_text())
    if len(wanted) < 15:
        yield 'no flags in -help'
    yield from differences('man/convo.1', wanted, flags_of_manual('man/convo.1'))
    yield from differences('completions/convo.bash', {f'-{name}' for name in wanted},
                           complete_in_bash('-'))
    yield from differences('completions/_convo', wanted, flags_of_zsh(False))
    yield from differences('completions/convo.fish', wanted, flags_of_fish(False))


def flags_of_serve_are_those_of_its_help():
    if len(sys.argv) < 3:
        return
    wanted = flags_of_help(convo('serve', '-help'))
    if len(wanted) < 15:
        yield 'no flags in serve -help'
    yield from differences('man/convo-serve.1', wanted, flags_of_manual('man/convo-serve.1'))
    page = set(re.findall(r'`-([a-z-]+)[` ]', read('docs/serve.md')))
    yield from differences('docs/serve.md', wanted, page & wanted, 'serve -help')
    yield from differences('completions/convo.bash', {f'-{name}' for name in wanted},
                           complete_in_bash('serve', '-'))
    yield from differences('completions/_convo', wanted, flags_of_zsh(True))
    yield from differences('completions/convo.fish', wanted, flags_of_fish(True))


def environment_is_that_of_help():
    names = r'\b(?:[A-Z]+_[A-Z_]+)\b'
    wanted = {name for name in re.findall(names, help_text()) if not name.startswith('XDG')}
    yield from differences(
        'man/convo.1', wanted,
        set(re.findall(names, ' '.join(re.findall(r'^\.It Ev (.*)', read('man/convo.1'), re.M)))))


def stores_are_those_of_the_table():
    """The program's table of backends, and every place that a person reads of them."""
    manual, readme, contract = read('man/convo.1'), read('README.md'), read('docs/contract.md')
    table = list(backends())
    built = set(convo('-complete', 'stores').split())
    for name, scheme, title, variables in table:
        page = f'backends/{scheme}.md'
        if not re.search(rf'^(\.Li|\.Cm) (.*\W)?{name}\b', manual, re.M):
            yield f'man/convo.1 lacks {name}'
        row = re.search(rf'^\| `{name}` \|.*\(docs/{page}\) \|$', readme, re.M)
        if not row:
            yield f'README.md lacks a row for {name} with its page'
        for variable in variables:
            if row and variable not in row[0]:
                yield f'README.md lacks {variable} in the row of {name}'
        if f'[{title}]({page})' not in contract:
            yield f'docs/contract.md does not point at {page} as {title}'
        if name in built and f' -session {name}' not in help_text() and variables:
            yield f'-help lacks {name}'
    pages = {file.stem for file in (ROOT / 'docs/backends').glob('*.md')}
    yield from differences('docs/backends', {scheme for _, scheme, _, _ in table}, pages)
    schemas = convo('-complete', 'schemas').split()
    if built == {name for name, _, _, _ in table}:
        if f'.Cm {" | ".join(schemas)}' not in manual:
            yield f'man/convo.1: schema takes {" | ".join(schemas)}'
    yield from differences('completions/convo.bash', built, complete_in_bash('-session', ''))
    yield from differences('completions/convo.bash', set(schemas), complete_in_bash('schema', ''))
    for shell in ('_convo', 'convo.fish'):
        for what in ('stores', 'schemas'):
            if f'(convo -complete {what}' not in read(f'completions/{shell}'):
                yield f'completions/{shell} does not ask convo for the {what}'


def headings(page):
    text = re.sub(r'^```.*?^```', '', page.read_text(encoding='utf-8'), flags=re.M | re.S)
    for title in re.findall(r'^#+ (.*)', text, re.M):
        slug = re.sub(r'[^\w\- ]', '', title.lower())
        yield slug.replace(' ', '-')


def links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r'\]\(([^)\s]+)\)', page.read_text(encoding='utf-8')):
            if re.match(r'[a-z]+:', target):
                continue
            path, _, anchor = target.partition('#')
            file = page.parent / path if path else page
            if not file.exists():
                yield f'{page.relative_to(ROOT)} links to {target}, which is not there'
            elif anchor and anchor not in headings(file):
                yield f'{page.relative_to(ROOT)} links to {target}, which has no such heading'


def named_files_exist():
    roots = '|'.join(path.name for path in ROOT.iterdir() if path.is_dir())
    for page in PAGES:
        text = page.read_text(encoding='utf-8')
        for path in set(re.findall(rf'`((?:{roots})/[\w./-]*\w)`', text)):
            if 'NAME' not in path and not path.startswith('build') and not (ROOT / path).exists():
                yield f'{page.relative_to(ROOT)} names {path}, which is not there'


def named_tests_exist():
    """A test is named as it is, by its file, or with others as `N1_*`."""
    tests = {word for file in (ROOT / 'tests').rglob('*.c')
             for word in re.findall(r'\b(?:test|[NSATLP]\d)_\w+', file.read_text(encoding='utf-8'))}
    tests.update(file.stem for file in (ROOT / 'tests').rglob('*.*'))
    for page in PAGES:
        for name in set(re.findall(r'`((?:test|[NSATLP]\d)_[\w*]+)`',
                                   page.read_text(encoding='utf-8'))):
            if not fnmatch.filter(tests, name):
                yield f'{page.relative_to(ROOT)} names {name}, which is not there'


def servers_are_those_of_the_matrix():
    """docs/servers.md has the lines that scripts/servers -md prints; what a server says it is comes from a run."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(ROOT / 'scripts'))
    from matrix.rows import server_lines, setting_lines
    tables = read('docs/servers.md').split('\n## ')
    servers, settings = ([line for line in table.splitlines() if line.startswith('| ')][2:]
                         for table in tables[1:])

    def version_cut(line):
        return re.sub(r'^(\| [^|]+ \|)[^|]*\|', r'\1', line)
    yield from differences('docs/servers.md', {*map(version_cut, server_lines({})), *setting_lines()},
                           {*map(version_cut, servers), *settings}, 'scripts/matrix/rows.py')
    for line in servers:
        if re.match(r'\| \S+ \|  ?\|', line):
            yield f'docs/servers.md does not say which version this is: {line}'


def squeeze(code):
    return re.sub(r'\s+', ' ', code).strip()


def quoted_code_is_in_the_tree():
    tree = ' '.join(squeeze(file.read_text(encoding='utf-8'))
                    for folder in ('examples', 'include', 'src') for file in
                    sorted((ROOT / folder).rglob('*.[ch]')))
    for page in PAGES:
        for code in re.findall(r'^```c\n(.*?)^```', page.read_text(encoding='utf-8'), re.M | re.S):
            for part in code.split('/* ... */'):
                if squeeze(part) not in tree:
                    yield f'{page.relative_to(ROOT)} quotes what is nowhere: {part.strip()[:70]}'


def with_numbered_ids(text):
    """Generated session ids, which tell the time, numbered in the order they come."""
    ids = list(dict.fromkeys(re.findall(r'chat-session-[\d-]+', text)))
    for number, name in enumerate(ids):
        text = text.replace(name, f'session {number}')
    return text.strip()


def transcript_is_what_convo_prints():
    command, wanted = re.search(r'^```console\n\$ (.*?)\n(.*?)^```', read('README.md'),
                                re.M | re.S).groups()
    command = re.sub(r'\bconvo\b', shlex.quote(sys.argv[1]), command, count=1)
    got = subprocess.run(['sh', '-c', command], capture_output=True, text=True, timeout=20,
                         check=False).stdout
    if with_numbered_ids(got) != with_numbered_ids(wanted):
        yield 'README.md has another transcript than:'
        yield got


def main():
    failed = 0
    checks = [flags_are_those_of_help, flags_of_serve_are_those_of_its_help, environment_is_that_of_help,
              stores_are_those_of_the_table, links_lead_somewhere,
              named_files_exist, named_tests_exist, quoted_code_is_in_the_tree,
              transcript_is_what_convo_prints, servers_are_those_of_the_matrix]
    for check in checks:
        problems = list(check())
        failed += bool(problems)
        print(f'{"FAILED" if problems else "ok"}: {check.__name__}')
        for problem in problems:
            print(f'    {problem}')
    print(f'{len(checks) - failed} passed, {failed} failed, 0 skipped')
    return 1 if failed else 0


sys.exit(main())
