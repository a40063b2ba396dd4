#!/usr/bin/env python3
"""What a request to `convo serve` costs, on the echo model: bench_serve.py CONVO [REQUESTS].

Few callers on connections that are kept. Requests a second count the callers' own work as well, which is
slow here; the CPU time of the server's process for each request does not. Then how soon it serves; what a
server in between adds to the first byte of an endpoint, which is another `convo serve`; and the same turns
asked of the API server of Google's ADK, with an agent that echoes, where the package can be had; and what it is to
be scraped meanwhile. Idle streams are measured by tests/server/test_streams.c (CONVO_TEST_STREAMS=10000).
"""

import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'tests/server'))
import pypi  # noqa: E402

NO_PEER = pypi.need('google-adk==2.13.0', 'google.adk', within=600)
PEER = '''
from google.adk.agents import BaseAgent
from google.adk.events import Event
from google.genai import types


class Echo(BaseAgent):
    async def _run_async_impl(self, ctx):
        yield Event(author=self.name, invocation_id=ctx.invocation_id,
                    content=types.Content(role='model', parts=[types.Part(text=ctx.user_content.parts[0].text)]))


root_agent = Echo(name='convo')
'''
CALLERS = 2
PAIRS = 11
SCRAPES = 10  # a second; Prometheus asks every 15 s or so
TICKS = os.sysconf('SC_CLK_TCK')


def request(path, body=None, **headers):
    data = b'' if body is None else json.dumps(body).encode()
    head = f'{"POST" if data else "GET"} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n'
    head += 'Content-Type: application/json\r\n' if data else ''
    head += ''.join(f'{name.replace("_", "-")}: {value}\r\n' for name, value in headers.items())
    return head.encode() + b'\r\n' + data


def chat(stream=False, model='echo', **headers):
    return request('/v1/chat/completions', {'model': model, 'stream': stream, 'messages': [
        {'role': 'user', 'content': 'What does this cost?'}]}, **headers)


def ask(sock, bytes_out):
    """One request. @return seconds to the first byte of its reply's body"""
    begin = time.perf_counter()
    sock.sendall(bytes_out)
    data = b''
    first = None
    while True:
        data += sock.recv(65536)
        if not data:
            raise ConnectionError
        head, _, body = data.partition(b'\r\n\r\n')
        assert not data[9:12] or data[9:12] == b'200', data
        if body and first is None:
            first = time.perf_counter() - begin
        length = re.search(rb'(?i)content-length: (\d+)', head)
        if length and len(body) == int(length[1]) or not length and body.endswith(b'\r\n0\r\n\r\n'):
            return first


def cpu_seconds(pid):
    with open(f'/proc/{pid}/stat', encoding='ascii') as file:
        fields = file.read().rsplit(') ', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Server:
    """`convo serve`, until the end of the block."""

    def __init__(self, convo, *args):
        self.begin = time.perf_counter()
        self.process = subprocess.Popen([convo, 'serve', '-listen', '127.0.0.1:0', *(args or ('-model', 'echo'))],
                                        stderr=subprocess.PIPE, text=True)
        self.port = int(re.search(r':(\d+)$', self.process.stderr.readline())[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Peer:
    """The API server of ADK, with an agent that echoes, its sessions in memory."""

    def __init__(self, home):
        with socket.create_server(('127.0.0.1', 0)) as sock:
            self.port = sock.getsockname()[1]
        agent = Path(home, 'convo')
        agent.mkdir()
        (agent / '__init__.py').write_text('from . import agent\n', encoding='ascii')
        (agent / 'agent.py').write_text(PEER, encoding='ascii')
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name('adk'), 'api_server', '--port', str(self.port), '--log_level', 'error',
             '--session_service_uri', 'memory://', home], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                with socket.create_connection(('127.0.0.1', self.port)):
                    return
            except OSError:
                if self.process.poll() is not None:
                    raise
                time.sleep(0.1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def usual(times):
    """@return the median and the 99th percentile in ms"""
    times = sorted(times)
    return times[len(times) // 2] * 1000, times[len(times) * 99 // 100] * 1000


def measure(port, pid, make, count):
    """@return requests a second, CPU microseconds of the server for each, median and 99th percentile in ms"""
    times = []

    def call(number):
        with socket.create_connection(('127.0.0.1', port)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            mine = [ask(sock, make(number, i)) for i in range(count // CALLERS)]
        times.extend(mine)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
    cpu, begin = cpu_seconds(pid), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, cpu = time.monotonic() - begin, cpu_seconds(pid) - cpu
    return len(times) / took, cpu / len(times) * 1e6, *usual(times)


def costs(convo, count):
    cases = {
        '`/healthz`': lambda _, i: request('/healthz'),
        '`/v1/models`': lambda _, i: request('/v1/models'),
        'chat, whole': lambda _, i: chat(),
        'chat, stream': lambda _, i: chat(stream=True),
        'chat in a session, whole': lambda n, i: chat(X_Convo_Session=f's{n}-{i // 20}'),
        'chat in a session, stream': lambda n, i: chat(stream=True, X_Convo_Session=f't{n}-{i // 20}'),
        '`/metrics`': lambda _, i: request('/metrics'),
    }
    print('| request | requests/s | CPU of the server | first byte | 99 % of them |\n| --- | --- | --- | --- | --- |')
    with Server(convo) as server:
        for name, make in cases.items():
            measure(server.port, server.process.pid, make, count // 10)
            rate, cpu, median, late = measure(server.port, server.process.pid, make, count)
            print(f'| {name} | {rate:,.0f} | {cpu:.0f} us | {median:.2f} ms | {late:.2f} ms |', flush=True)


def run_and_wait(pid):
    """Seconds that all its threads have run, and have waited for a processor that others had."""
    sums = [0, 0]
    for task in Path(f'/proc/{pid}/task').iterdir():
        ran, waited, _ = (task / 'schedstat').read_text(encoding='ascii').split()
        sums = [sums[0] + int(ran) / 1e9, sums[1] + int(waited) / 1e9]
    return sums


def starts(convo):
    """From the start of the process to its first reply."""
    times = []
    for _ in range(50):
        with Server(convo) as server, socket.create_connection(('127.0.0.1', server.port)) as sock:
            ask(sock, request('/healthz'))
            times.append((time.perf_counter() - server.begin, *run_and_wait(server.process.pid)))
    took, ran, waited = zip(*times)
    print('\nserves its first reply after {:.1f} ms, 99 % within {:.1f} ms'.format(*usual(took))
          + f'; in that it runs {usual(ran)[0]:.1f} ms and waits for a processor {usual(waited)[0]:.1f} ms', flush=True)


@contextlib.contextmanager
def scraped(port):
    """Ask for the metrics until the end of the block."""
    done = threading.Event()

    def scrape():
        with socket.create_connection(('127.0.0.1', port)) as sock:
            while not done.wait(1 / SCRAPES):
                ask(sock, request('/metrics'))

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def in_turns(one, two):
    """@return pairs of what they measure, of which every other begins with the second"""
    pairs = []
    for i in range(PAIRS):
        results = {call: call() for call in ((one, two) if i % 2 else (two, one))}
        pairs.append((results[one], results[two]))
    return pairs


def scraping(convo, count):
    """Chats of a server that is scraped meanwhile, beside those of the same one that is not; what comes of comparing
    it with itself tells how much of that is chance."""
    with Server(convo) as server:
        def alone():
            return measure(server.port, server.process.pid, lambda _, i: chat(), count)

        def again():
            return alone()

        def meanwhile():
            with scraped(server.port):
                return alone()

        for name, other in (('not scraped either', again), (f'scraped {SCRAPES} times a second', meanwhile)):
            pairs = in_turns(alone, other)
            for what, place in (('requests/s', 0), ('CPU', 1)):
                ratios = [two[place] / one[place] for one, two in pairs]
                print(f'\n{name}, {what}: {statistics.median(ratios):.3f} times as much '
                      f'({min(ratios):.3f} to {max(ratios):.3f})', flush=True)


def models(home, **model):
    """@return the arguments for a server with that model"""
    path = Path(home, f'{len(os.listdir(home))}.json')
    path.write_text(json.dumps({'models': [model]}), encoding='ascii')
    return '-config', path


def between(convo, count):
    """The same streams of an endpoint, directly and through a server, by turns."""
    direct, through = [], []
    with tempfile.TemporaryDirectory() as home, Server(convo, *models(home, name='far', asked='echo')) as endpoint:
        url = f'http://127.0.0.1:{endpoint.port}/v1'
        with Server(convo, *models(home, name='far', url=url)) as server, socket.create_connection(('127.0.0.1', endpoint.port)) as one, \
                socket.create_connection(('127.0.0.1', server.port)) as two:
            for sock in (one, two):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(count):
                for sock, times in ((one, direct), (two, through)):
                    took = ask(sock, chat(stream=True, model='far'))
                    if i >= count // 10:
                        times.append(took)
    (median, late), (median2, late2) = usual(direct), usual(through)
    print(f'\nfirst byte of an endpoint: {median:.2f} ms, 99 % within {late:.2f} ms; with a server in between '
          f'{median2:.2f} and {late2:.2f}: {median2 - median:.2f} and {late2 - late:.2f} more', flush=True)


def run(session, words='What does this cost?'):
    return request('/run', {'appName': 'convo', 'userId': 'user', 'sessionId': session,
                            'newMessage': {'role': 'user', 'parts': [{'text': words}]}})


def turns(server, count):
    """Turns by ADK's API, 20 in a session."""
    with socket.create_connection(('127.0.0.1', server.port)) as sock:
        for i in range(count // 20 + 1):
            for number in range(CALLERS):
                ask(sock, request('/apps/convo/users/user/sessions', {'sessionId': f's{count}-{number}-{i}'}))
    return measure(server.port, server.process.pid, lambda n, i: run(f's{count}-{n}-{i // 20}'), count)


def beside(convo, count):
    if NO_PEER:
        print(f'\nno peer: {NO_PEER}')
        return
    print('\n| a turn by ADK\'s API | turns/s | CPU of the server | first byte | 99 % of them |')
    print('| --- | --- | --- | --- | --- |')
    with tempfile.TemporaryDirectory() as home, Server(convo) as server, Peer(home) as peer:
        for name, one, most in (('convo', server, count), ('ADK\'s api_server', peer, max(200, count // 20))):
            turns(one, most // 10)
            rate, cpu, median, late = turns(one, most)
            print(f'| {name} | {rate:,.0f} | {cpu:,.0f} us | {median:.2f} ms | {late:.2f} ms |', flush=True)


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    costs(sys.argv[1], count)
    starts(sys.argv[1])
    between(sys.argv[1], count // 5)
    beside(sys.argv[1], count)
    scraping(sys.argv[1], count)


main()
