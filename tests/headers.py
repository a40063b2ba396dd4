"""
The public headers: each compiles alone and twice, as strict C and as C++; a program that uses all
that one of them declares links, as C and as C++; the shared library exports what they declare and
nothing else; NULLTEST gives NULL to every function; and the examples compile as C++.

    headers.py CC CXX INCLUDE LIBRARY NULLTEST       CXX may be empty
"""

import pathlib
import re
import subprocess
import sys
import tempfile

cc, cxx, include, library, null = sys.argv[1:6]
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

# A program on each header alone, in C and in C++: it names every enumerator and has the address of
# every function, from the shared library.
ENUM = re.compile(r"\benum (convo_\w+) \{(.*?)\}", re.S)
FUNCTION = re.compile(r"CONVO_API[^;(]*?\b(convo_\w+)\(")


def program(header, text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    lines = ["#include <convo/%s>" % header, "#include <stdio.h>", "int main(void)", "{",
             "\tint n = 0;"]
    for name, body in ENUM.findall(text):
        for value in re.findall(r"\b(CONVO_\w+)\s*(?:=[^,]*)?(?:,|$)", body.strip()):
            lines += ["\t{", "\t\tenum %s one = %s;" % (name, value),
                      "\t\tn += (int)one == (int)%s;" % value, "\t}"]
    functions = FUNCTION.findall(text)
    for name in functions:
        lines += ["\tn += (void (*)(void))%s != 0;" % name]
    lines += ['\treturn printf("%d\\n", n) < 0;', "}"]
    return "\n".join(lines) + "\n", len(functions), len(lines)


LINK = [([cc, "-std=c99", "-xc"], "C99")] + ([([cxx, "-std=c++11", "-xc++"], "C++11")] if cxx else [])
LINK_FLAGS = ["-Wall", "-Wextra", "-Werror", "-Wno-address", "-Wno-cast-function-type", "-I", include]
with tempfile.TemporaryDirectory() as tmp:
    source = pathlib.Path(tmp, "one.c")
    for header in headers:
        text, _, lines = program(header, pathlib.Path(include, "convo", header).read_text())
        if lines == 7:
            continue
        source.write_text(text)
        for command, name in LINK:
            done = subprocess.run(
                command + LINK_FLAGS + [str(source), "-xnone", library,
                                        "-Wl,--unresolved-symbols=ignore-in-shared-libs",
                                        "-o", str(pathlib.Path(tmp, "one"))],
                capture_output=True, text=True)
            if done.returncode:
                failed += 1
                print("a program on %s as %s:\n%s" % (header, name, done.stderr))

# The examples are C++ as they stand.
for example in sorted(pathlib.Path(include, "..", "examples").glob("*.c")) if cxx else []:
    done = subprocess.run([cxx, "-xc++", "-Wall", "-Wextra", "-Wno-missing-field-initializers",
                           "-Werror", "-fsyntax-only", "-I", include, str(example)],
                          capture_output=True, text=True)
    if done.returncode:
        failed += 1
        print("%s as C++:\n%s" % (example.name, done.stderr))

declared = set()
for header in headers:
    text = pathlib.Path(include, "convo", header).read_text()
    declared |= set(re.findall(r"CONVO_API[^;(]*?\b(convo_\w+)\(", text))
listing = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True,
                         check=True).stdout
exported = {line.split()[-1].split("@")[0] for line in listing.splitlines()
            if " A " not in line}  # the versions themselves
exported = {name for name in exported if not name.startswith("_")}  # a sanitizer's
# NULL is tried on every function, here or where the test needs more than a header.
tried = set(re.findall(r"\bconvo_\w+", pathlib.Path(null).read_text()))
for name in sorted(declared - tried):
    failed += 1
    print("not given NULL by %s: %s" % (null, name))
for name in sorted(declared - exported):
    failed += 1
    print("declared, but not in the library: " + name)
for name in sorted(exported - declared):
    failed += 1
    print("exported, but in no header: " + name)
print("%d functions" % len(declared))
print("%d headers, %d ways, %d failed" % (len(headers), len(WAYS), failed))
sys.exit(1 if failed else 0)
