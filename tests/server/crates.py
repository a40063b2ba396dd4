"""Rust programs that a test wants: built from crates.io below the user's cache, once for all builds, which takes
minutes."""

import os
import shutil
from pathlib import Path

from pypi import cache_of, fill


def need(package, within=3600):
    """@return the folder of NAME@VERSION's programs, and why there is none or None"""
    cargo = shutil.which('cargo', path=f'{os.environ["PATH"]}:{Path.home() / ".cargo/bin"}')
    if not cargo:
        return None, 'cargo is not installed'
    cache = cache_of('cargo-' + package.replace('@', '-'))
    # As for debugging, which takes a fraction of the time.
    why = fill(cache, within, [cargo, 'install', package, '--locked', '--debug', '--config', 'profile.dev.debug=0',
                               '--root', str(cache)])
    return (None, why) if why else (cache / 'bin', None)
