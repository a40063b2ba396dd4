#!/usr/bin/env python3
"""`convo serve` from outside, by raw sockets: broken HTTP, limits, slow and leaving clients, drain."""

import base64
import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import time

from serving import CONVO, Server, parse_replies, read_all, request
from harness import case, contains, equal, main

HI = {'model': 'echo', 'messages': [{'role': 'user', 'content': 'hi'}]}
CHAT = '/v1/chat/completions'


def first_bytes(sock, wanted):
    """Read until these bytes came. @return all that did"""
    data = b''
    while wanted not in data:
        part = sock.recv(65536)
        assert part, data
        data += part
    return data


# ---- heads ---------------------------------------------------------------------------------


@case
def unknown_paths_and_methods_are_refused_in_the_form_of_the_api(home):
    with Server(home) as server:
        reply = server.ask('GET', '/v1/nothing')
        equal((404, 'unknown_path'), (reply.status, reply.code))
        equal('application/json', reply.headers['content-type'])
        reply = server.ask('DELETE', '/v1/models')
        equal((405, 'GET, HEAD, OPTIONS'), (reply.status, reply.headers['allow']))
        equal({'message', 'type', 'param', 'code'}, set(reply.json['error']))
        equal(405, server.ask('BREW', '/v1/models').status)
        equal(404, server.ask('GET', '/v1/models/').status)
        equal(404, server.ask('GET', '/nothing').status)
        equal((405, 'GET, HEAD, OPTIONS'), (server.ask('POST', '/').status, server.ask('POST', '/').headers['allow']))


@case
def parameters_of_a_path_are_percent_decoded_bytes(home):
    with Server(home) as server:
        equal('echo', server.ask('GET', '/v1/models/%65ch%6F').json['id'])
        equal(404, server.ask('GET', '/v1/models/ech%C3%B6').status)
        for path in ('/v1/models/e%00', '/v1/models/e%2', '/v1/models/e%zz', '/v1/models?a=%', '/v1/models?a=%00'):
            equal(400, server.ask('GET', path).status)


@case
def a_long_head_is_refused_and_one_within_the_limit_is_not(home):
    with Server(home) as server:
        for name in ('X_Long', 'Cookie'):
            equal(200, server.ask('GET', '/v1/models', **{name: 'a' * 7500}).status)
            equal(431, server.ask('GET', '/v1/models', **{name: 'a' * 8500}).status)
        many = {f'X_{i}': 'v' for i in range(1000)}
        equal(200, server.ask('GET', '/v1/models', **dict(list(many.items())[:100])).status)
        equal(431, server.ask('GET', '/v1/models', **{**many, 'X_Rest': 'a' * 4000}).status)
        assert server.ask('GET', '/v1/models', X_Huge='a' * 1000000).status in (413, 431)
        equal(414, server.ask('GET', '/' + 'a' * 100000).status)


@case
def broken_heads_are_refused(home):
    with Server(home) as server:
        for head in (b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 / HTTP/1.1\r\n\r\n',
                     b'GET\r\n\r\n', b'GET /v1/models HTTP/1.1\r\nno colon\r\nHost: localhost\r\n\r\n',
                     b'GET /v1/models HTTP/9.9\r\nHost: localhost\r\n\r\n',
                     b'GET /v1/models HTTP/1.1\r\n\r\n',
                     b'GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n'):
            replies = server.talk(head + b'', b'', pause=0.01) if b'Host: l' in head else server.talk(head)
            assert not replies or parse_replies(replies)[0].status in (400, 505), (head, replies)
        equal(200, server.ask('GET', '/healthz').status)


@case
def a_length_that_can_be_read_in_two_ways_is_refused(home):
    with Server(home) as server:
        body = json.dumps(HI).encode()
        chunked = b'%x\r\n%s\r\n0\r\n\r\n' % (len(body), body)
        for headers in ({'Content_Length': str(len(chunked)), 'Transfer_Encoding': 'chunked'},
                        {'Content_Length': f'{len(chunked)}, {len(chunked)}'},
                        {'Content_Length': f'+{len(chunked)}'}, {'Content_Length': '-1'},
                        {'Content_Length': '0x10'}, {'Content_Length': '9' * 30},
                        {'Content_Length': None, 'Transfer_Encoding': 'gzip, chunked'},
                        {'Content_Length': None, 'Transfer_Encoding': 'identity'}):
            reply = server.replies(request('POST', CHAT, chunked, close=True, **headers))[0]
            assert reply.status in (400, 413), (headers, reply.status)
        twice = request('POST', CHAT, chunked, close=True).replace(
            b'Content-Length', b'Content-Length: 3\r\nContent-Length')
        equal(400, server.replies(twice)[0].status)
        equal(411, server.ask('POST', CHAT, Content_Length=None).status)


@case
def names_of_other_servers_are_refused(home):
    with Server(home, '-host', 'a.example,B.example') as server:
        for host in ('localhost', f'localhost:{server.port}', '127.0.0.1', '[::1]:8080', '10.1.2.3', 'b.example:1'):
            equal((host, 200), (host, server.ask('GET', '/v1/models', Host=host).status))
        for host in ('evil.example', 'localhost.evil.example', 'a.example.evil', '127.0.0.1.evil.example',
                     'localhost:x', '', ':80'):
            equal((host, 421), (host, server.ask('GET', '/v1/models', Host=host).status))


@case
def pages_of_other_origins_may_not_ask(home):
    with Server(home, '-origin', 'https://a.example') as server:
        for origin in ('https://evil.example', 'http://a.example', 'null', 'https://a.example.evil'):
            equal(403, server.ask('POST', CHAT, HI, Origin=origin).status)
        reply = server.ask('POST', CHAT, HI, Origin='https://a.example')
        equal((200, 'https://a.example'), (reply.status, reply.headers['access-control-allow-origin']))
        equal(200, server.ask('POST', CHAT, HI, Origin='http://localhost').status)
        reply = server.ask('OPTIONS', CHAT, Origin='https://a.example',
                           Access_Control_Request_Method='POST',
                           Access_Control_Request_Headers='authorization, content-type')
        equal(204, reply.status)
        contains('POST', reply.headers['access-control-allow-methods'])
        equal('authorization, content-type', reply.headers['access-control-allow-headers'])
        equal(403, server.ask('OPTIONS', CHAT, Origin='https://evil.example').status)
        assert 'access-control-allow-origin' not in server.ask('POST', CHAT, HI).headers


@case
def the_page_may_run_what_it_was_built_with_and_nothing_else(home):
    with Server(home) as server:
        reply = server.ask('GET', '/')
        equal((200, 'text/html; charset=utf-8'), (reply.status, reply.headers['content-type']))
        equal(('nosniff', 'no-referrer', 'DENY', 'no-store'),
              tuple(reply.headers[name] for name in ('x-content-type-options', 'referrer-policy', 'x-frame-options',
                                                     'cache-control')))
        rules = dict(rule.split(' ', 1) for rule in reply.headers['content-security-policy'].split('; '))
        for name in ('script', 'style'):
            parts = re.findall(f'<{name}[^>]*>(.*?)</{name}>', reply.body.decode(), re.S)
            equal(1, len(parts))
            digest = base64.b64encode(hashlib.sha256(parts[0].encode()).digest()).decode()
            equal(f"'sha256-{digest}'", rules[f'{name}-src'])
        equal(("'none'", "'self'", "'self' data:", "'none'", "'none'"),
              tuple(rules[name] for name in ('default-src', 'connect-src', 'img-src', 'frame-ancestors', 'form-action')))
        head = reply.body.split(b'<style>')[0] + reply.body.split(b'</style>')[1].split(b'<script')[0]
        equal([], re.findall(rb'\b(?:src|srcset|action|style|on\w+)=|https?://(?!www\.w3\.org/2000/svg)', head))
        with_host = server.ask('GET', '/', Host='evil.example')
        equal(421, with_host.status)


@case
def head_and_options_are_answered(home):
    with Server(home) as server:
        data = server.talk(request('HEAD', '/v1/models', close=True))
        reply = parse_replies(data, heads_only=True)[0]
        equal((200, True), (reply.status, int(reply.headers['content-length']) > 20))
        assert data.endswith(b'\r\n\r\n')
        reply = server.ask('OPTIONS', '/v1/models')
        equal((204, 'GET, HEAD, OPTIONS'), (reply.status, reply.headers['allow']))


# ---- bodies --------------------------------------------------------------------------------


@case
def a_body_may_come_in_chunks(home):
    with Server(home) as server:
        body = json.dumps(HI).encode()
        chunks = [b'%x\r\n%s\r\n' % (1, body[i:i + 1]) for i in range(len(body))] + [b'0\r\n\r\n']
        head = request('POST', CHAT, close=True, Content_Length=None, Transfer_Encoding='chunked')
        contains('user: hi', server.replies(head, *chunks)[0].text)


@case
def a_body_beyond_the_limit_is_refused_and_the_reply_can_be_read(home):
    with Server(home) as server:
        padded = json.dumps(HI).encode()
        padded += b' ' * ((8 << 20) - len(padded))
        equal(200, server.ask('POST', CHAT, padded).status)
        equal((413, None), (server.ask('POST', CHAT, padded + b' ').status, None))
        chunk = b'%x\r\n%s\r\n' % (1 << 20, b' ' * (1 << 20))
        head = request('POST', CHAT, close=True, Content_Length=None, Transfer_Encoding='chunked')
        equal(413, server.replies(head, *[chunk] * 9, b'0\r\n\r\n')[0].status)
        # One that asks first gets its answer without sending a byte.
        head = request('POST', CHAT, close=True, Content_Length='9000000', Expect='100-continue')
        equal(413, server.replies(head)[0].status)
        # One without an end is cut.
        with server.connect() as sock:
            sock.sendall(request('POST', CHAT, Content_Length=None, Transfer_Encoding='chunked'))
            try:
                for _ in range(200):
                    sock.sendall(chunk)
                raise AssertionError('200 MB were taken')
            except (BrokenPipeError, ConnectionResetError):
                pass
        equal(200, server.ask('GET', '/healthz').status)


@case
def a_body_that_is_asked_for_comes(home):
    with Server(home) as server, server.connect() as sock:
        body = json.dumps(HI).encode()
        sock.sendall(request('POST', CHAT, Content_Length=len(body), Expect='100-continue', close=True))
        contains('100 Continue', first_bytes(sock, b'\r\n\r\n').decode())
        sock.sendall(body)
        equal(200, parse_replies(read_all(sock))[0].status)


# ---- connections ---------------------------------------------------------------------------


@case
def a_connection_is_kept_and_requests_may_come_ahead(home):
    with Server(home) as server:
        asked = [request('GET', '/v1/models'), request('POST', CHAT, HI), request('GET', '/healthz'),
                 request('POST', CHAT, {**HI, 'stream': True}), request('GET', '/v1/models', close=True)]
        for sent in (asked, [b''.join(asked)]):
            replies = server.replies(*sent)
            equal([200] * 5, [reply.status for reply in replies])
            contains('user: hi', replies[1].text)
            contains('user: hi', replies[3].text)
        equal(2, len(server.replies(request('GET', '/healthz', close=True, version='HTTP/1.1')[:0] +
                                    request('GET', '/healthz') + request('GET', '/healthz', close=True))))
        equal(b'ok\n', server.replies(request('GET', '/healthz', version='HTTP/1.0'))[0].body)


@case
def who_has_sent_all_may_close_his_side(home):
    with Server(home) as server:
        for stream in (False, True):
            with server.connect() as sock:
                sock.sendall(request('POST', CHAT, {**HI, 'stream': stream}, close=True))
                sock.shutdown(socket.SHUT_WR)
                contains('user: hi', parse_replies(read_all(sock))[0].text)


@case
def who_has_closed_his_side_gets_a_slow_stream_to_its_end(home):
    with Server(home, model='late') as server, server.connect() as sock:
        sock.sendall(request('POST', CHAT, {**HI, 'model': 'late', 'stream': True}))
        time.sleep(0.2)
        sock.shutdown(socket.SHUT_WR)
        equal('Hello from late.', parse_replies(read_all(sock))[0].text)


@case
def a_head_that_comes_byte_by_byte_is_cut(home):
    with Server(home) as server, server.connect() as slow, server.connect() as silent:
        begin = time.monotonic()
        try:
            for byte in request('GET', '/healthz') * 2:
                slow.sendall(bytes([byte]))
                time.sleep(0.4)
            raise AssertionError('it was never cut')
        except (BrokenPipeError, ConnectionResetError):
            pass
        took = time.monotonic() - begin
        assert 9 < took < 14, took
        equal(b'', read_all(silent))
        equal(200, server.ask('GET', '/healthz').status)


@case
def a_request_cut_in_the_middle_leaves_nothing_behind(home):
    whole = request('POST', CHAT, HI, X_Convo_Session='s')
    with Server(home) as server:
        for cut in range(1, len(whole), 7):
            with server.connect() as sock:
                sock.sendall(whole[:cut])
        contains('1 message', server.chat('first', session='s').text)


# ---- streams -------------------------------------------------------------------------------


@case
def a_reader_who_sleeps_is_closed_and_the_answer_is_stored(home):
    text = 'a ' * 150000
    with Server(home, '-session', 'sqlite', '-access-log') as server:
        with server.connect(buffer=4096) as sock:
            sock.sendall(request('POST', CHAT, {**HI, 'stream': True, 'messages': [
                {'role': 'user', 'content': text}]}, X_Convo_Session='s', close=True))
            first_bytes(sock, b'data: ')
            deadline = time.monotonic() + 60
            while '3 messages' not in server.chat('and', session='s').text:
                assert time.monotonic() < deadline
            body = read_all(sock)
        contains('"code":"too_slow"', body[-400:].decode())
        assert b'[DONE]' not in body
        stored = stored_events(home)
        equal('complete', stored[1][1])
        equal(True, text.strip() in stored[1][0])


def stored_events(home):
    """What the events of a database say, with their status, in order."""
    path = next(home.path.rglob('sessions.db'))
    with sqlite3.connect(path) as db:
        rows = db.execute('SELECT message, status FROM convo_events ORDER BY session, seq').fetchall()
    names = {0: 'complete', 1: 'interrupted', 2: 'failed'}
    return [(json.loads(message).get('content'), names.get(status, status)) for message, status in rows]


@case
def without_a_session_a_reader_who_leaves_stops_the_model(home):
    with Server(home, '-access-log', model='slow') as server:
        with server.connect() as sock:
            sock.sendall(request('POST', CHAT, {**HI, 'model': 'slow', 'stream': True}))
            first_bytes(sock, b'word0')
        begin = time.monotonic()
        line = server.log(1)[0]
        equal(True, line['gone'])
        assert line['ms'] < 5000, line
        server.stop()  # nothing runs any more: there is nothing to wait for
        assert time.monotonic() - begin < 5


@case
def in_a_session_the_answer_goes_on_without_its_reader(home):
    with Server(home, '-session', 'sqlite', '-drain', '2s', model='slow') as server:
        with server.connect() as sock:
            sock.sendall(request('POST', CHAT, {**HI, 'model': 'slow', 'stream': True}, X_Convo_Session='s'))
            first_bytes(sock, b'word0')
        time.sleep(1.5)
        equal(0, server.stop())
    said, status = stored_events(home)[1]
    equal('interrupted', status)
    contains('word20 ', said)


# ---- the end -------------------------------------------------------------------------------


@case
def a_signal_lets_what_runs_go_on_for_its_time_and_stores_it(home):
    with Server(home, '-session', 'sqlite', '-drain', '1s', model='slow') as server:
        with server.connect() as sock, server.connect() as kept:
            kept.sendall(request('GET', '/readyz'))
            contains('200 OK', first_bytes(kept, b'ok\n').decode())
            sock.sendall(request('POST', CHAT, {**HI, 'model': 'slow', 'stream': True}, X_Convo_Session='s'))
            first_bytes(sock, b'word0')
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            kept.sendall(request('GET', '/readyz'))
            reply = parse_replies(read_all(kept))[0]
            equal((503, 'close'), (reply.status, reply.headers['connection']))
            try:
                server.connect()
                raise AssertionError('it still listens')
            except ConnectionRefusedError:
                pass
            rest = read_all(sock).decode()
            contains('word4', rest)
            contains('"code":"shutting_down"', rest[-300:])
        equal(0, server.process.wait(5))
    said, status = stored_events(home)[1]
    equal('interrupted', status)
    contains('word4 ', said)


@case
def an_answer_that_ends_in_time_is_whole(home):
    with Server(home, '-session', 'sqlite', model='late') as server, server.connect() as sock:
        sock.sendall(request('POST', CHAT, {**HI, 'model': 'late'}, X_Convo_Session='s'))
        time.sleep(0.5)
        server.process.send_signal(signal.SIGINT)
        equal('Hello from late.', parse_replies(read_all(sock))[0].text)
        equal(0, server.process.wait(5))
    equal([('hi', 'complete'), ('Hello from late.', 'complete')], stored_events(home))


@case
def a_second_signal_ends_it_at_once(home):
    with Server(home, '-session', 'sqlite', model='slow') as server, server.connect() as sock:
        sock.sendall(request('POST', CHAT, {**HI, 'model': 'slow', 'stream': True}, X_Convo_Session='s'))
        first_bytes(sock, b'word3')
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        begin = time.monotonic()
        equal(0, server.stop(signal.SIGTERM))
        assert time.monotonic() - begin < 3
    equal('interrupted', stored_events(home)[1][1])


@case
def bodies_that_do_not_end_are_not_waited_for(home):
    half = request('POST', CHAT, HI)[:-20]
    doubtful = request('POST', CHAT, b'{', Content_Length='5000', Transfer_Encoding='chunked')
    with Server(home) as server, server.connect() as silent, server.connect() as refused_one:
        with server.connect() as left, server.connect() as reset:
            left.sendall(half)
            reset.sendall(half)
            reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        silent.sendall(half)
        refused_one.sendall(doubtful)
        contains('400 Bad Request', first_bytes(refused_one, b'\r\n').decode())
        begin = time.monotonic()
        equal(0, server.stop())
        assert time.monotonic() - begin < 5


# ---- where it listens ----------------------------------------------------------------------


def refused(home, *args, **env):
    """A server that does not start. @return its exit code and what it says"""
    done = home.run('serve', '-model', 'echo', *args, **env)
    return done.returncode, done.err


@case
def nobody_beyond_this_machine_is_served_without_a_key(home):
    for where in ('0.0.0.0:0', ':0', '[::]:0'):
        code, said = refused(home, '-listen', where)
        equal(2, code)
        contains('nobody is asked for a key', said)


@case
def wrong_flags_are_named(home):
    for args, words in ((['-listen', 'nowhere'], "'nowhere' is not HOST:PORT"),
                        (['-listen', '127.0.0.1:99999'], 'is not HOST:PORT'),
                        (['-listen', 'unix:'], 'unix:PATH wants'),
                        (['-listen', 'systemd'], 'handed over no socket'),
                        (['-tls-cert', 'x'], 'go together'), (['-workers', 'off'], '-workers: 1 to 4096'),
                        (['-tls-cert', 'absent', '-tls-key', 'absent'], 'absent: No such file'),
                        (['-lisen', 'x'], 'did you mean -listen?'), (['more'], "unexpected 'more'")):
        code, said = refused(home, *args)
        equal((args, 2), (args, code))
        contains(words, said)


@case
def it_listens_in_the_file_system(home):
    path = home.path / 'convo.sock'
    for _ in range(2):
        with Server(home, listen=f'unix:{path}') as server:
            equal(0o600, os.stat(path).st_mode & 0o777)
            equal(200, server.ask('GET', '/v1/models', Host='whatever').status)
            code, said = refused(home, '-listen', f'unix:{path}')
            equal(1, code)
            contains('Address already in use', said)
        assert not path.exists()
    # What a program that was killed left is no hindrance.
    with Server(home, listen=f'unix:{path}') as server:
        server.process.kill()
        server.process.wait()
    assert path.exists()
    with Server(home, listen=f'unix:{path}') as server:
        equal(200, server.ask('GET', '/healthz').status)


@case
def it_takes_a_socket_of_systemd_and_tells_how_it_goes(home):
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(str(home.path / 'notify'))
    notices.settimeout(10)
    with notices, socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen()
        given = (f'import os, sys; os.dup2({listener.fileno()}, 3); '
                 'os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1"); '
                 'os.execv(sys.argv[1], sys.argv[1:])')
        with Server(home, listen='systemd', prefix=[sys.executable, '-c', given],
                    env={'NOTIFY_SOCKET': str(home.path / 'notify')},
                    pass_fds=[listener.fileno()]) as server:
            equal(listener.getsockname()[1], server.port)
            equal(200, server.ask('GET', '/v1/models').status)
            equal(b'READY=1', notices.recv(100))
            equal(0, server.stop())
        equal(b'STOPPING=1', notices.recv(100))


@case
def it_speaks_tls(home):
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                    '-keyout', 'key.pem', '-out', 'cert.pem', '-days', '2', '-subj', '/CN=localhost',
                    '-addext', 'subjectAltName=DNS:localhost'], cwd=home.path, check=True, capture_output=True)
    context = ssl.create_default_context(cafile=home.path / 'cert.pem')
    with Server(home, '-tls-cert', 'cert.pem', '-tls-key', 'key.pem') as server:
        for stream in (False, True):
            with context.wrap_socket(server.connect(), server_hostname='localhost') as sock:
                sock.sendall(request('POST', CHAT, {**HI, 'stream': stream}, close=True))
                contains('user: hi', parse_replies(read_all(sock))[0].text)
    code, said = refused(home, '-tls-cert', 'key.pem', '-tls-key', 'key.pem')
    equal(1, code)
    contains('certificate and key', said)


@case
def the_log_tells_each_request_and_no_text(home):
    with Server(home, '-access-log') as server:
        server.chat('a secret thing', session='secret-session')
        server.ask('GET', '/v1/models/secret-model?a=secret')
        server.ask('GET', '/secret')
        lines = server.log(3)
        equal([('POST', CHAT, 200), ('GET', '/v1/models/{model...}', 404), ('GET', '', 404)],
              [(line['method'], line['route'], line['status']) for line in lines])
        assert all(line['bytes'] > 20 and line['ms'] >= 0 and not line['gone'] for line in lines), lines
        assert 'secret' not in ''.join(server.lines)


@case
def a_log_that_nobody_reads_holds_nobody_up(home):
    # The test's own end of the pipe is read late: the server's is full before.
    with Server(home, '-access-log', read=False) as server:
        with server.connect() as sock:
            for _ in range(40):
                sock.sendall(request('GET', '/healthz') * 100)
                data = b''
                while data.count(b'ok\n') < 100:
                    part = sock.recv(65536)
                    assert part
                    data += part
        server.reader.start()
        lost = [line['lost_lines'] for line in server.log(100) if 'lost_lines' in line]
        end = time.monotonic() + 10
        while not lost and time.monotonic() < end:
            lost = [line['lost_lines'] for line in server.log(100) if 'lost_lines' in line]
        told = [line for line in server.log(100) if 'route' in line]
        equal(4000, len(told) + sum(lost))
        server.ask('GET', '/v1/models')
        while server.log(100)[-1].get('route') != '/v1/models':
            assert time.monotonic() < end


@case
def a_log_that_nobody_reads_does_not_keep_the_server_from_its_end(home):
    with Server(home, '-access-log', read=False) as server:
        with server.connect() as sock:
            for _ in range(5):
                sock.sendall(request('GET', '/healthz') * 100)
                data = b''
                while data.count(b'ok\n') < 100:
                    data += sock.recv(65536)
        server.process.send_signal(signal.SIGTERM)
        equal(0, server.process.wait(10))


@case
def help_and_version_are_told(home):
    done = home.run('serve', '-help')
    equal((0, ''), (done.returncode, done.err))
    contains('-listen WHERE', done.out)
    contains('-session STORE', done.out)
    equal(home.run('-version').out, home.run('serve', '-version').out)
    done = home.run('-model', 'echo', 'serve')
    equal(2, done.returncode)
    contains('serve comes first', done.err)


@case
def without_the_server_it_says_what_is_missing(home):
    alone = home.path / 'convo'
    alone.write_bytes(open(CONVO, 'rb').read())
    alone.chmod(0o755)
    done = subprocess.run([alone, 'serve'], capture_output=True, text=True, check=False, env=home.env)
    equal(1, done.returncode)
    contains('comes without its server', done.stderr)


main()
