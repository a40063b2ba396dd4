#!/usr/bin/env python3
"""What a request to `convo serve` costs, on the echo model: bench_serve.py CONVO [REQUESTS].

Few callers on connections that are kept. Requests a second count the callers' own work as well, which is
slow here; the CPU time of the server's process for each request does not. Idle streams are measured by
tests/server/test_streams.c (CONVO_TEST_STREAMS=10000).
"""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

CALLERS = 2
TICKS = os.sysconf('SC_CLK_TCK')


def request(path, body=None, **headers):
    data = b'' if body is None else json.dumps(body).encode()
    head = f'{"POST" if data else "GET"} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n'
    head += ''.join(f'{name.replace("_", "-")}: {value}\r\n' for name, value in headers.items())
    return head.encode() + b'\r\n' + data


def chat(stream=False, **headers):
    return request('/v1/chat/completions', {'model': 'echo', 'stream': stream, 'messages': [
        {'role': 'user', 'content': 'What does this cost?'}]}, **headers)


def ask(sock, bytes_out):
    """One request. @return seconds to the first byte of its reply's body"""
    begin = time.perf_counter()
    sock.sendall(bytes_out)
    data = b''
    first = None
    while True:
        data += sock.recv(65536)
        head, _, body = data.partition(b'\r\n\r\n')
        assert not data[9:12] or data[9:12] == b'200', data
        if body and first is None:
            first = time.perf_counter() - begin
        length = re.search(rb'Content-Length: (\d+)', head)
        if length and len(body) == int(length[1]) or not length and body.endswith(b'\r\n0\r\n\r\n'):
            return first


def cpu_seconds(pid):
    with open(f'/proc/{pid}/stat', encoding='ascii') as file:
        fields = file.read().rsplit(') ', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


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
    times.sort()
    return (len(times) / took, cpu / len(times) * 1e6, times[len(times) // 2] * 1000,
            times[len(times) * 99 // 100] * 1000)


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    cases = {
        'alive': lambda _, i: request('/healthz'),
        'models': lambda _, i: request('/v1/models'),
        'whole': lambda _, i: chat(),
        'stream': lambda _, i: chat(stream=True),
        'whole, in a session': lambda n, i: chat(X_Convo_Session=f's{n}-{i // 20}'),
        'stream, in a session': lambda n, i: chat(stream=True, X_Convo_Session=f't{n}-{i // 20}'),
    }
    server = subprocess.Popen([sys.argv[1], 'serve', '-listen', '127.0.0.1:0', '-model', 'echo'],
                              stderr=subprocess.PIPE, text=True)
    try:
        port = int(re.search(r':(\d+)$', server.stderr.readline())[1])
        print('| request | requests/s | CPU of the server | first byte | 99 % of them |\n| --- | --- | --- | --- | --- |')
        for name, make in cases.items():
            measure(port, server.pid, make, count // 10)
            rate, cpu, median, late = measure(port, server.pid, make, count)
            print(f'| {name} | {rate:.0f} | {cpu:.0f} us | {median:.2f} ms | {late:.2f} ms |', flush=True)
    finally:
        server.terminate()
        server.wait()


main()
