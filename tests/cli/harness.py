"""What the tests of the program share: running it, a model server, counting cases.

A test program registers functions with @case and ends with main(), which prints
`N passed, N failed, N skipped` last. Its first argument is the program to test.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

CONVO = str(Path(sys.argv[1]).resolve())
HERE = Path(__file__).resolve().parent
KEY = 'sk-test-secret'
cases = []

# The program leaves alone what it was started to ignore, as by nohup.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


class Skip(Exception):
    """This case cannot run here; the text says why."""


def case(function):
    """A function that takes a Home and asserts."""
    cases.append(function)
    return function


class Home:
    """A user's home and environment of their own, in a temporary directory."""

    def __init__(self, path, url):
        self.path = Path(path)
        self.url = url
        kept = {k: v for k, v in os.environ.items()
                if k == 'PATH' or k.endswith('SAN_OPTIONS')}
        self.env = {**kept, 'HOME': str(path), 'LANG': 'C.UTF-8', 'TERM': 'xterm-256color'}

    def run(self, *args, text='', stdin=None, **env):
        """Run the program; input is a pipe with `text` unless `stdin` says otherwise."""
        given = {'stdin': stdin} if stdin is not None else {'input': text.encode()}
        done = subprocess.run([CONVO, *args], capture_output=True, timeout=60, check=False,
                              env={**self.env, **env}, cwd=self.path, **given)
        done.out = done.stdout.decode()
        done.err = done.stderr.decode()
        assert 'Sanitizer' not in done.err, done.err
        assert KEY not in done.out + done.err, 'the key was shown'
        return done

    def echo(self, *args, **more):
        """The same with the built-in model."""
        return self.run('-model', 'echo', *args, **more)

    def model(self, name, *args, **more):
        """The same with a model of the server."""
        return self.run('-model', name, *args, OPENAI_BASE_URL=self.url, OPENAI_API_KEY=KEY,
                        **more)


def number_ids(text):
    """Session ids made at run time become S1, S2 ... in order of appearance."""
    seen = {}
    return re.sub(r'chat-session-\d+(-\d+)?',
                  lambda m: seen.setdefault(m[0], f'S{len(seen) + 1}'), text)


def equal(wanted, got):
    assert wanted == got, f'wanted:\n{wanted}\ngot:\n{got}'


def contains(part, text):
    assert part in text, f'wanted {part!r} in:\n{text}'


def serve(*tls):
    """Start the model server, with TLS if given files of certificate and key. @return it, its URL."""
    server = subprocess.Popen([sys.executable, str(HERE / 'fake_llm.py'), *tls], text=True,
                              stdout=subprocess.PIPE)
    scheme = 'https' if tls else 'http'
    return server, f'{scheme}://127.0.0.1:{server.stdout.readline().strip()}/v1'


def run_case(function, url):
    with tempfile.TemporaryDirectory(prefix='convo-cli-', ignore_cleanup_errors=True) as path:
        try:
            function(Home(path, url))
        except Skip as why:
            print(f'skipped: {function.__name__} ({why})')
            return 'skipped'
        except Exception:  # a case fails by any exception; the others still run
            print(f'FAILED: {function.__name__}\n{traceback.format_exc()}')
            return 'failed'
    print(f'ok: {function.__name__}')
    return 'passed'


def main():
    wanted = sys.argv[2:]
    server, url = serve()
    try:
        ends = [run_case(f, url) for f in cases if not wanted or f.__name__ in wanted]
    finally:
        server.terminate()
        server.wait()
    counts = {end: ends.count(end) for end in ('passed', 'failed', 'skipped')}
    print(', '.join(f'{number} {end}' for end, number in counts.items()), flush=True)
    sys.exit(1 if counts['failed'] or not ends else 0)
