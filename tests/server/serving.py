"""What the tests of `convo serve` share: a running server, and raw HTTP to it.

Beside the program's harness (tests/cli/harness.py), whose cases, homes and model server are used here, too.
"""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'cli'))
from harness import CONVO, KEY  # noqa: E402


class Server:
    """`convo serve` on a free port, until the end of the block. What it says is in `lines`."""

    def __init__(self, home, *args, listen='127.0.0.1:0', model='echo', prefix=(), env=None, read=True, **popen):
        self.lines = []
        more = {'OPENAI_BASE_URL': home.url, 'OPENAI_API_KEY': KEY, **(env or {})}
        self.process = subprocess.Popen(
            [*prefix, CONVO, 'serve', '-listen', listen, *(('-model', model) if model else ()), *args], cwd=home.path,
            env={**home.env, **more}, stderr=subprocess.PIPE, text=True, **popen)
        self.where = None
        while self.where is None:
            line = self.process.stderr.readline()
            assert line, f'convo serve ended: {self.process.wait()} {self.lines}'
            self.lines.append(line)
            found = re.match(r'convo serves on (?:https://)?(\S+)', line)
            self.where = found and found[1]
        self.reader = threading.Thread(target=self.read, daemon=True)
        if read:
            self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    @property
    def port(self):
        return int(self.where.rsplit(':', 1)[1])

    def connect(self, buffer=None):
        """A connection as a socket."""
        if self.where.startswith('unix:'):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(30)
            sock.connect(self.where[5:])
            return sock
        sock = socket.socket()
        sock.settimeout(30)
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.connect(('127.0.0.1', self.port))
        return sock

    def talk(self, *parts, pause=0.0):
        """Send bytes as they are, and read all until the server closes."""
        with self.connect() as sock:
            for part in parts:
                sock.sendall(part)
                time.sleep(pause)
            return read_all(sock)

    def ask(self, method, path, body=None, close=True, **headers):
        """One request of its own connection. @return its reply"""
        return self.replies(request(method, path, body, close=close, **headers))[0]

    def replies(self, *parts, **more):
        return parse_replies(self.talk(*parts, **more))

    def chat(self, text, session=None, model=None, **more):
        body = {'model': model or 'echo', 'messages': [{'role': 'user', 'content': text}], **more}
        named = {'X_Convo_Session': session} if session else {}
        return self.ask('POST', '/v1/chat/completions', body, **named)

    def stop(self, *signals, within=20):
        """End it by signals. @return the exit code"""
        for number in signals or [signal.SIGTERM]:
            self.process.send_signal(number)
        code = self.process.wait(within)
        if self.reader.ident:
            self.reader.join(5)
        said = ''.join(self.lines)
        assert 'Sanitizer' not in said, said
        assert KEY not in said, 'the key was shown'
        return code

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            if kind:
                self.process.kill()
                self.process.wait()
                print(''.join(self.lines[-20:]))
            else:
                code = self.stop()
                assert code == 0, f'convo serve ended with {code}: {"".join(self.lines)}'
        self.process.stderr.close()

    def log(self, count, within=10):
        """The access log, once it has so many lines."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            lines = [json.loads(line) for line in self.lines if line.startswith('{')]
            if len(lines) >= count:
                return lines
            time.sleep(0.02)
        raise AssertionError(f'{len(lines)} lines of {count} in the log: {self.lines}')


def request(method, path, body=None, close=False, version='HTTP/1.1', **headers):
    """The bytes of a request. A body that is no bytes becomes JSON."""
    data = body if isinstance(body, bytes) else b'' if body is None else json.dumps(body).encode()
    named = {'Host': 'localhost', **{name.replace('_', '-'): value for name, value in headers.items()}}
    if data or method in ('POST', 'PUT', 'PATCH'):
        named.setdefault('Content-Length', str(len(data)))
    if close:
        named['Connection'] = 'close'
    lines = [f'{method} {path} {version}', *(f'{k}: {v}' for k, v in named.items() if v is not None)]
    return '\r\n'.join(lines).encode() + b'\r\n\r\n' + data


def read_all(sock):
    data = b''
    try:
        while True:
            part = sock.recv(65536)
            if not part:
                return data
            data += part
    except ConnectionResetError:
        return data


class Reply:
    """A reply that was read."""

    def __init__(self, head, body):
        first, *rest = head.decode('latin-1').split('\r\n')
        self.status = int(first.split(' ')[1])
        self.headers = {name.lower(): value for name, value in (line.split(': ', 1) for line in rest)}
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json['error']['code']

    @property
    def events(self):
        """The data of each event of a stream."""
        return [event[6:] for event in self.body.decode().split('\n\n') if event.startswith('data: ')]

    @property
    def text(self):
        """What the model says, of a whole reply or of a stream."""
        if 'event-stream' not in self.headers['content-type']:
            return self.json['choices'][0]['message']['content']
        chunks = [json.loads(event) for event in self.events if event != '[DONE]']
        return ''.join(chunk['choices'][0]['delta'].get('content') or ''
                       for chunk in chunks if chunk.get('choices'))


def unchunk(data):
    """@return the body, and what follows it"""
    body = b''
    while True:
        size, data = data.split(b'\r\n', 1)
        length = int(size, 16)
        body, data = body + data[:length], data[length + 2:]
        if not length:
            return body, data


def parse_replies(data, heads_only=False):
    """All replies in what a connection sent; an interim one is left out."""
    replies = []
    while data:
        head, data = data.split(b'\r\n\r\n', 1)
        reply = Reply(head, b'')
        if reply.status < 200:
            continue
        if heads_only or reply.status == 204:
            pass
        elif reply.headers.get('transfer-encoding') == 'chunked':
            reply.body, data = unchunk(data)
        elif 'content-length' in reply.headers:
            length = int(reply.headers['content-length'])
            reply.body, data = data[:length], data[length:]
            assert len(reply.body) == length, f'{len(reply.body)} bytes of {length}'
        else:
            reply.body, data = data, b''
        replies.append(reply)
        if reply.headers.get('connection') == 'close':
            break
    assert replies, 'there was no reply'
    return replies
