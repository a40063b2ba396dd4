"""
The public headers: each compiles alone and twice, as strict C and as C++, and the shared library
exports what they declare and nothing else.

    headers.py CC CXX INCLUDE LIBRARY        CXX may be empty
"""

import pathlib
import re
import subprocess
import sys
import tempfile

cc, cxx, include, library = sys.argv[1:5]
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I", include]
WAYS = [
    ([cc, "-std=c99", "-pedantic-errors", "-xc"] + STRICT, "C99"),
    ([cc, "-std=c11", "-pedantic-errors", "-xc"] + STRICT, "C11"),
]
if cxx:
    WAYS += [([cxx, "-std=c++11", "-xc++"] + STRICT, "C++11"),
             ([cxx, "-std=c++20", "-xc++"] + STRICT, "C++20")]

headers = sorted(p.name for p in pathlib.Path(include, "convo").glob("*.h"))
assert "store.h" in headers, "no headers in " + include
failed = 0
with tempfile.TemporaryDirectory() as tmp:
    source = pathlib.Path(tmp, "one.c")
    for header in headers:
        line = "#include <convo/%s>\n" % header
        source.write_text(line + line + "int nothing_else;\n")
        for command, name in WAYS:
            done = subprocess.run(command + [str(source)], capture_output=True, text=True)
            if done.returncode:
                failed += 1
                print("%s as %s:\n%s" % (header, name, done.stderr))

declared = set()
for header in headers:
    text = pathlib.Path(include, "convo", header).read_text()
    declared |= set(re.findall(r"CONVO_API[^;(]*?\b(convo_\w+)\(", text))
listing = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True,
                         check=True).stdout
exported = {line.split()[-1].split("@")[0] for line in listing.splitlines()
            if " A " not in line}  # the versions themselves
exported = {name for name in exported if not name.startswith("_")}  # a sanitizer's
for name in sorted(declared - exported):
    failed += 1
    print("declared, but not in the library: " + name)
for name in sorted(exported - declared):
    failed += 1
    print("exported, but in no header: " + name)
print("%d functions" % len(declared))
print("%d headers, %d ways, %d failed" % (len(headers), len(WAYS), failed))
sys.exit(1 if failed else 0)
