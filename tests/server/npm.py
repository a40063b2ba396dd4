"""npm packages that a test wants: installed below the user's cache, once for all builds."""

import fcntl
import shutil
import subprocess

from pypi import cache_of


def need(package, within=200):
    """@return the folder of NAME@VERSION's node_modules, and why there is none or None"""
    if not shutil.which('node') or not shutil.which('npm'):
        return None, 'node and npm are not installed'
    cache = cache_of('npm-' + package.replace('@', '-'))
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / '.lock', 'w', encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cache / 'ready').exists():
            command = ['npm', 'install', '--prefix', str(cache), '--no-audit', '--no-fund', '--ignore-scripts', package]
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=within)
            except subprocess.TimeoutExpired:
                return None, f'npm install {package}: not within {within} s'
            if done.returncode:
                return None, f'npm install {package}: {(done.stderr or done.stdout).strip().splitlines()[-1:]}'
            (cache / 'ready').touch()
    return cache / 'node_modules', None
