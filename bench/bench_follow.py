#!/usr/bin/env python3
"""What those cost who follow sessions of `convo serve` and hear nothing, and how soon all of them hear one event:
bench_follow.py CONVO [FOLLOWERS] [SESSIONS].

1,000 followers of one session unless told. The time includes that of this program, which reads all of the streams in one
thread, on the same machine.
"""

import json
import re
import resource
import selectors
import socket
import subprocess
import sys
import time

ROUNDS = 5
PATIENCE = 120


def send(sock, method, path, body=None):
    data = b'' if body is None else json.dumps(body).encode()
    sock.sendall(f'{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n'.encode() + data)


def ask(port, method, path, body=None):
    with socket.create_connection(('127.0.0.1', port)) as sock:
        send(sock, method, path, body)
        reply = sock.recv(65536)
    assert re.match(rb'HTTP/1.1 20[01]', reply), reply


def memory(pid):
    """@return bytes of the server's memory that are nobody else's"""
    with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
        return sum(int(line.split()[1]) for line in file if line.startswith('Private_')) * 1024


def hear(streams, word, seconds=PATIENCE):
    """Read until each stream has brought the word. @return when the first and the last one did, on the clock"""
    times, tails = [], dict.fromkeys(streams, b'')
    with selectors.DefaultSelector() as selector:
        for sock in streams:
            selector.register(sock, selectors.EVENT_READ)
        end = time.monotonic() + seconds
        while tails:
            ready = selector.select(end - time.monotonic())
            assert ready, f'{len(tails)} have not heard {word}'
            for key, _ in ready:
                data = key.fileobj.recv(65536)
                assert data, 'a stream has ended'
                tails[key.fileobj] = (tails[key.fileobj] + data)[-4096:]
                if word in tails[key.fileobj]:
                    times.append(time.perf_counter())
                    del tails[key.fileobj]
                    selector.unregister(key.fileobj)
    return times[0], times[-1]


def follow(port, sessions, count):
    """Followers that have been told what their session is."""
    streams = []
    for i in range(count):
        sock = socket.create_connection(('127.0.0.1', port))
        send(sock, 'GET', f'/convo/v1/sessions/s{i % sessions}/follow')
        streams.append(sock)
        if len(streams) % 100 == 0 or len(streams) == count:
            hear(streams[-(len(streams) % 100 or 100):], b'event: session')
    return streams


def measure(port, pid, sessions, count):
    for i in range(sessions):
        ask(port, 'POST', '/convo/v1/sessions', {'id': f's{i}'})
    alone = memory(pid)
    streams = follow(port, sessions, count)
    idle = memory(pid)
    print(f'{count} followers of {sessions} sessions: {(idle - alone) / count / 1000:.1f} kB each, '
          f'{idle / 1e6:.1f} MB in all')
    for number in range(ROUNDS):
        begin = time.perf_counter()
        for i in range(sessions):
            ask(port, 'POST', f'/convo/v1/sessions/s{i}/events',
                [{'message': {'role': 'user', 'content': f'round-{number}'}}])
        first, last = hear(streams, f'round-{number}'.encode())
        print(f'one event to all: the first after {(first - begin) * 1000:.0f} ms, the last after '
              f'{(last - begin) * 1000:.0f} ms', flush=True)


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    sessions = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = subprocess.Popen([sys.argv[1], 'serve', '-listen', '127.0.0.1:0', '-model', 'echo'],
                              stderr=subprocess.PIPE, text=True)
    try:
        measure(int(re.search(r':(\d+)$', server.stderr.readline())[1]), server.pid, sessions, count)
    finally:
        server.terminate()
        server.wait()


main()
