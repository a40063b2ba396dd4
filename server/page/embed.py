#!/usr/bin/env python3
"""Make a page part of the program: embed.py PAGE.html OUT.c NAME. Its script and style are allowed by their hashes."""

import base64
import hashlib
import re
import sys
from pathlib import Path


def hashes(page, tag):
    """The sources of a policy that allow what stands in these elements."""
    found = re.findall(rb'<' + tag + rb'>(.*?)</' + tag + rb'>', page, re.S)
    assert found, f'no <{tag.decode()}>'
    return ' '.join(f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in found)


def main():
    source, out, name = sys.argv[1:]
    page = Path(source).read_bytes()
    assert b'"http' not in page and b'//' not in re.sub(rb'http://www\.w3\.org/2000/svg', b'', page), \
        'a page has no address of elsewhere'
    policy = (f"default-src 'none'; script-src {hashes(page, b'script')}; style-src {hashes(page, b'style')}; "
              "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    rows = [', '.join(str(byte) for byte in page[at:at + 20]) for at in range(0, len(page), 20)]
    bytes_name = f'{name}_bytes'
    Path(out).write_text(
        f'/* Made of {Path(source).name} by embed.py. */\n#include "page/page.h"\n\n'
        f'static const unsigned char {bytes_name}[] = {{\n\t' + ',\n\t'.join(rows) + f',\n}};\n\n'
        f'const struct page page_{name} = {{\n\t.bytes = {bytes_name},\n\t.len = sizeof({bytes_name}),\n'
        f'\t.policy = "{policy}",\n}};\n', encoding='ascii')


main()
