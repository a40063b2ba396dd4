"""Python packages that a test wants: installed by pip into a virtual environment below the user's cache, once for
all builds, and the test begins again in it."""

import fcntl
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path


def cache_of(package):
    root = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'convo-tests'
    return root / package.replace('==', '-').replace('[', '-').replace(']', '')


def lock_until(lock, end):
    """@return whether it was had by then; another test may be installing"""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.5)


def fill(cache, within, *commands):
    """By these commands, all within so many seconds, unless it was filled before. @return why it cannot be, or None"""
    end = time.monotonic() + within
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / '.lock', 'w', encoding='utf-8') as lock:
        if not lock_until(lock, end):
            return f'another test installs it for {within} s'
        if (cache / 'ready').exists():
            return None
        for command in commands:
            name = ' '.join([Path(command[0]).name, *command[1:4]])
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False,
                                      timeout=max(1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                return f'{name}: not within {within} s'
            if done.returncode:
                return f'{name}: {(done.stderr or done.stdout).strip().splitlines()[-1:]}'
        (cache / 'ready').touch()
    return None


def install(cache, package, within):
    """All of it within so many seconds. @return why the package cannot be had, or None"""
    return fill(cache, within, [sys.executable, '-m', 'venv', '--clear', str(cache / 'venv')],
                [str(cache / 'venv/bin/python'), '-m', 'pip', 'install', '-q', '--disable-pip-version-check', package])


def is_there(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of what is before a dot
        return False


def need(package, *modules, within=200):
    """Go on where the modules of NAME==VERSION are. @return why that is nowhere, or None"""
    if all(is_there(module) for module in modules):
        return None
    cache = cache_of(package)
    if str(cache) in sys.prefix:
        return 'it was installed and is not there'
    why = install(cache, package, within)
    if why:
        return why
    python = str(cache / 'venv/bin/python')
    os.execv(python, [python, *sys.argv])
