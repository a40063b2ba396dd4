"""npm packages that a test wants: installed below the user's cache, once for all builds."""

import shutil

from pypi import cache_of, fill


def need(package, within=200):
    """@return the folder of NAME@VERSION's node_modules, and why there is none or None"""
    if not shutil.which('node') or not shutil.which('npm'):
        return None, 'node and npm are not installed'
    cache = cache_of('npm-' + package.replace('@', '-'))
    why = fill(cache, within, ['npm', 'install', '--prefix', str(cache), '--no-audit', '--no-fund', '--ignore-scripts',
                               package])
    return (None, why) if why else (cache / 'node_modules', None)
