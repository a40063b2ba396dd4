"""Database servers of a test's own, on free ports, in its folder."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from harness import Skip, case


def free_port():
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


def program(name):
    """A program of PostgreSQL's, the newest there is."""
    found = sorted(Path('/usr/lib/postgresql').glob(f'*/bin/{name}')) or [shutil.which(name)]
    if not found[-1]:
        raise Skip(f'no {name}')
    return str(found[-1])


@contextlib.contextmanager
def postgres(home):
    """@return the URL of an empty database"""
    data, port = home.path / 'pg', free_port()
    data.mkdir()
    account = {}
    if os.getuid() == 0:  # it refuses to run as root
        home.path.chmod(0o755)
        shutil.chown(data, 'nobody')
        account = {'user': 'nobody', 'group': 'nogroup', 'extra_groups': []}
    subprocess.run([program('initdb'), '-D', data, '-U', 'convo', '-A', 'trust', '-E', 'UTF8', '--no-locale', '-N'],
                   check=True, stdout=subprocess.DEVNULL, cwd=data, **account)
    process = subprocess.Popen(
        [program('postgres'), '-D', data, '-p', str(port), '-k', '', '-c', 'fsync=off', '-c',
         'listen_addresses=127.0.0.1'], cwd=data, stderr=subprocess.DEVNULL, **account)
    try:
        wait_until_ready(port)
        yield f'postgres://convo@127.0.0.1:{port}/postgres'
    finally:
        process.terminate()
        process.wait()


def wait_until_ready(port, within=60):
    """It takes connections before it can serve them."""
    end = time.monotonic() + within
    while subprocess.run([program('pg_isready'), '-q', '-h', '127.0.0.1', '-p', str(port)], check=False).returncode:
        assert time.monotonic() < end, 'PostgreSQL does not start'
        time.sleep(0.05)


def wait_for(port, within=60):
    end = time.monotonic() + within
    while True:
        try:
            socket.create_connection(('127.0.0.1', port), 5).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < end, 'the server does not start'
            time.sleep(0.05)


@contextlib.contextmanager
def memory(_):
    yield 'inmemory'


@contextlib.contextmanager
def sqlite(_):
    yield 'sqlite:i.db'


@contextlib.contextmanager
def redis(home):
    """@return the URL of an empty one"""
    port = free_port()
    with subprocess.Popen(['redis-server', '--port', str(port), '--bind', '127.0.0.1', '--save', '', '--dir',
                           str(home.path)], stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(port)
            yield f'redis://127.0.0.1:{port}/0'
        finally:
            process.terminate()


def redis_start(home, port):
    """One that keeps what it has when it is killed, and is there. @return its process"""
    process = subprocess.Popen(['redis-server', '--port', str(port), '--bind', '127.0.0.1', '--save', '',
                                '--appendonly', 'yes', '--appendfsync', 'always', '--dir', str(home.path)],
                               stdout=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while redis_say(port, 'PING') != '+PONG\r\n':
        assert time.monotonic() < end
        time.sleep(0.02)
    return process


def redis_say(port, *words):
    try:
        with socket.create_connection(('127.0.0.1', port), 5) as sock:
            sock.sendall((' '.join(words) + '\r\n').encode())
            return sock.recv(65536).decode()
    except ConnectionRefusedError:
        return ''


def in_sqlite_and_postgresql(run):
    """Cases of those names, of run(home, store)."""
    def in_sqlite(home):
        with sqlite(home) as store:
            run(home, store)

    def in_postgresql(home):
        with postgres(home) as store:
            run(home, store)

    case(in_sqlite)
    case(in_postgresql)
