#!/usr/bin/env python3
"""Put a page together and make it part of the program: embed.py OUT.c NAME PAGE.html [STYLE.css SCRIPT.js...].

The style and the scripts, in their order, go into the page's one <style> and one <script>, where it does not have
its own. Their hashes go into the Content-Security-Policy: a browser runs these bytes and no others. See page.h.
"""

import base64
import hashlib
import re
import sys
from pathlib import Path


def fill(page, name, text):
    """The page with a text in an element that is empty."""
    if f'</{name}' in text.lower():
        sys.exit(f'embed.py: </{name}> would end the element early')
    found = re.findall(f'<{name}[^>]*></{name}>', page)
    if len(found) != 1:
        sys.exit(f'embed.py: the page must have one empty <{name}>, not {len(found)}')
    return page.replace(found[0], found[0].replace('></', f'>{text}</'))


def hash_of(page, name):
    """The source of a policy that allows what stands in that element."""
    found = re.findall(f'<{name}[^>]*>(.*?)</{name}>', page, re.S)
    if len(found) != 1:
        sys.exit(f'embed.py: the page must have one <{name}>, not {len(found)}')
    return "'sha256-" + base64.b64encode(hashlib.sha256(found[0].encode()).digest()).decode() + "'"


def policy(page):
    return '; '.join((
        "default-src 'none'", f'script-src {hash_of(page, "script")}', f'style-src {hash_of(page, "style")}',
        "connect-src 'self'", "img-src 'self' data:", "base-uri 'none'", "form-action 'none'",
        "frame-ancestors 'none'",
        # No text becomes markup or code, by whatever function: there is no way to make a trusted one.
        "require-trusted-types-for 'script'", "trusted-types 'none'"))


def main(out, name, page, style=None, *scripts):
    page = Path(page).read_text(encoding='utf-8')
    if style:
        page = fill(page, 'style', Path(style).read_text(encoding='utf-8'))
        page = fill(page, 'script', '\n'.join(Path(part).read_text(encoding='utf-8') for part in scripts))
    data = page.encode()
    rows = [', '.join(map(str, data[at:at + 24])) for at in range(0, len(data), 24)]
    Path(out).write_text(
        '/* Made by embed.py. */\n#include "page/page.h"\n\n'
        f'static const unsigned char {name}_bytes[] = {{\n\t' + ',\n\t'.join(rows) + f',\n}};\n\n'
        f'const struct page page_{name} = {{\n\t.bytes = {name}_bytes,\n\t.len = sizeof({name}_bytes),\n'
        f'\t.policy = "{policy(page)}",\n}};\n', encoding='ascii')


main(*sys.argv[1:])
