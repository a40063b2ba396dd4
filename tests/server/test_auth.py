#!/usr/bin/env python3
"""`convo key` and `convo serve -auth keys`: who may, and what is said to who may not."""

import hashlib
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time

from serving import Server, parse_replies, request
from harness import case, contains, equal, main
from stores import free_port, redis_say, redis_start

STORE = 'sqlite:k.db'
HI = {'model': 'echo', 'messages': [{'role': 'user', 'content': 'hi'}]}
CHAT = '/v1/chat/completions'
TRUST = 5  # seconds that a key is believed


def add(home, *args, store=STORE):
    """A new key."""
    done = home.run('key', 'add', '-session', store, *args)
    equal(0, done.returncode)
    assert re.fullmatch(r'ck_[A-Za-z0-9_-]{43}\n', done.out), done.out
    return done.out.strip()


def key_id(key):
    return key[:15]


def keyed(home, *args, store=STORE, **more):
    return Server(home, '-auth', 'keys', '-session', store, *args, **more)


def ask(server, key, method='GET', path='/v1/models', body=None, **more):
    return server.ask(method, path, body, **({'Authorization': f'Bearer {key}'} if key else {}), **more)


# ---- the command ---------------------------------------------------------------------------


@case
def a_key_is_shown_once_and_its_hash_alone_is_stored(home):
    key = add(home, '-user', 'alice', '-note', 'laptop')
    data = b''.join(file.read_bytes() for file in home.path.glob('k.db*'))
    assert key.encode() not in data and key[15:].encode() not in data
    assert hashlib.sha256(key.encode()).hexdigest().encode() in data
    listed = home.run('key', 'list', '-session', STORE)
    equal((0, True, True, False), (listed.returncode, key_id(key) in listed.out,
                                   'alice in convo: laptop' in listed.out, key in listed.out + listed.err))
    equal(5, len({add(home, '-user', 'bob') for _ in range(5)}))


@case
def keys_of_odd_names_are_listed_safely(home):
    user, note = 'a/b %2F \u202e"x"', '\x1b[31mred'
    key = add(home, '-user', user, '-app', 'ö\\', '-note', note)
    listed = home.run('key', 'list', '-session', STORE).out
    assert '\x1b' not in listed and '\u202e' not in listed, listed
    with keyed(home) as server:
        equal(200, ask(server, key).status)


@case
def wrong_use_of_the_command_is_told(home):
    for args, part in (((), 'usage: convo key'), (('add',), 'whose key is it?'),
                       (('add', '-user', ''), '1 to 255 bytes'), (('add', '-user', 'x' * 256), '1 to 255 bytes'),
                       (('add', '-user', 'a\x01'), 'control character'),
                       (('add', '-user', 'a', '-rights', 'chat,root'), '-rights'),
                       (('add', '-user', 'a', '-rights', ''), '-rights'),
                       (('add', '-user', 'a', '-expires', 'soon'), '-expires'),
                       (('add', '-user', 'a', '-rpm', '-1'), '-rpm'), (('add', '-user', 'a', '-tpm', '9' * 12), '-tpm'),
                       (('add', '-user', 'a', '-note', 'x' * 121), '-note'),
                       (('add', '-user', 'a', '-app', 'convo:keys'), "convo's own"),
                       (('add', '-user', 'a', 'b'), 'usage: convo key'),
                       (('revoke',), 'usage: convo key'), (('revoke', 'x'), "no key's id"), (('renew',), 'usage')):
        done = home.run('key', *args, '-session', STORE)
        equal((2, ''), (done.returncode, done.out))
        contains(part, done.err)
    done = home.run('key', 'add', '-user', 'a')
    equal(2, done.returncode)
    contains('no longer than their store', done.err)
    add(home, '-user', 'a')
    done = home.run('key', 'revoke', 'ck_' + 'A' * 12, '-session', STORE)
    equal(1, done.returncode)
    contains('there is no key', done.err)


# ---- who may -------------------------------------------------------------------------------


def said(reply):
    """What a client learns of a refusal."""
    return (reply.status, {k: v for k, v in reply.headers.items() if k not in ('date', 'x-request-id')}, reply.body)


@case
def whatever_is_wrong_with_a_key_the_answer_is_the_same(home):
    good, revoked, expired = (add(home, '-user', 'a', *more) for more in ((), (), ('-expires', '1ms')))
    equal(0, home.run('key', 'revoke', key_id(revoked), '-session', STORE).returncode)
    equal(0, home.run('key', 'revoke', key_id(revoked), '-session', STORE).returncode)
    time.sleep(1)
    other = 'B' if good[-1] == 'A' else 'A'
    with keyed(home) as server:
        equal(200, ask(server, good).status)
        equal(200, server.ask('GET', '/v1/models', Authorization=f'bEARER   {good}').status)
        first = server.ask('GET', '/v1/models')
        equal((401, 'Bearer', 'invalid_api_key', 'authentication_error'),
              (first.status, first.headers['www-authenticate'], first.code, first.json['error']['type']))
        for value in (f'Bearer {revoked}', f'Bearer {expired}', f'Bearer {good[:-1]}{other}', f'Bearer {good}x',
                      f'Bearer {good[:-1]}', f'Bearer{good}', good, f'Basic {good}', 'Bearer', 'Bearer ', '',
                      f'Bearer {key_id(good)}', 'Bearer ck_' + 'A' * 43, f'Bearer "{good}"', f'Bearer {good}, x',
                      f'Bearer {good} {good}', f'Bearer\t{good}', 'Bearer ' + 'A' * 7000, 'Bearer ck_' + '../' * 14 + 'a',
                      f'Bearer {good[:-1]}\u00ff'.encode().decode('latin-1')):
            reply = server.ask('GET', '/v1/models', Authorization=value)
            equal((value[:80], said(first)), (value[:80], said(reply)))
        head = f'Authorization: Bearer {good}\r\n'
        twice = request('GET', '/v1/models', close=True).replace(b'\r\n', f'\r\n{head}{head}'.encode(), 1)
        equal(said(first), said(server.replies(twice)[0]))
        equal(401, ask(server, None, 'POST', CHAT, HI).status)
        for path in ('/healthz', '/readyz'):
            equal(200, server.ask('GET', path).status)


@case
def a_nul_within_a_key_makes_it_no_key(home):
    good = add(home, '-user', 'a').encode()
    with keyed(home) as server:
        for value in (b'Bearer \0' + good, b'Bearer\0' + good, b'Bearer ' + good[:-1] + b'\0' + good[-1:], b'\0',
                      b'Bearer ' + good[:15] + b'\0' + good[15:]):
            data = request('GET', '/v1/models', close=True).replace(
                b'\r\n', b'\r\nAuthorization: ' + value + b'\r\n', 1)
            reply = server.talk(data)
            assert not reply or parse_replies(reply)[0].status in (400, 401), (value, reply)
        equal(200, ask(server, good.decode()).status)


@case
def rights_that_a_key_lacks_are_403(home):
    keys = {rights: add(home, '-user', 'a', '-rights', rights) for rights in ('read', 'chat', 'admin', 'chat,read')}
    with keyed(home) as server:
        for rights, key in keys.items():
            equal((rights, 200 if 'read' in rights else 403), (rights, ask(server, key).status))
            reply = ask(server, key, 'POST', CHAT, HI)
            equal((rights, 200 if 'chat' in rights else 403), (rights, reply.status))
            assert reply.status == 200 or reply.json['error']['type'] == 'permission_error'


@case
def the_key_says_whose_a_session_is_and_nothing_else_does(home):
    alice, bob = (add(home, '-user', name) for name in ('alice', 'bob'))
    other = add(home, '-user', 'alice', '-app', 'other')
    claim = {**HI, 'user': 'alice', 'metadata': {'session_id': 's', 'user': 'alice', 'app': 'convo'}}
    with keyed(home, '-user', 'root') as server:
        seqs = []
        for key in (alice, bob, bob, other, alice):
            reply = ask(server, key, 'POST', CHAT + '?user=alice&app=convo', claim, X_User='alice')
            seqs.append((reply.status, reply.headers['x-convo-seq']))
    equal([(200, '2'), (200, '2'), (200, '4'), (200, '2'), (200, '4')], seqs)


@case
def a_revoked_key_ends_within_five_seconds_on_all_instances(home):
    key = add(home, '-user', 'a')
    with keyed(home) as one, keyed(home) as two:
        equal([200, 200], [ask(server, key).status for server in (one, two)])
        home.run('key', 'revoke', key_id(key), '-session', STORE)
        end = time.monotonic() + TRUST
        while time.monotonic() < end:
            assert {ask(server, key).status for server in (one, two)} <= {200, 401}
            time.sleep(0.1)
        equal([401, 401], [ask(server, key).status for server in (one, two)])
        contains('revoked', home.run('key', 'list', '-session', STORE).out)


@case
def a_key_costs_the_store_one_question_in_five_seconds(home):
    port = free_port()
    redis, store = redis_start(home, port), f'redis://127.0.0.1:{port}/0'
    try:
        key = add(home, '-user', 'a', store=store)
        with keyed(home, store=store) as server:
            redis_say(port, 'CONFIG RESETSTAT')
            for _ in range(50):
                equal(200, ask(server, key).status)
            stats = dict(re.findall(r'cmdstat_(\w+):calls=(\d+)', redis_say(port, 'INFO commandstats')))
            reads = {name: int(n) for name, n in stats.items() if name not in ('info', 'config', 'ping', 'client')}
            # One question is up to four commands, and so are the figures of a minute, if it ends just now.
            assert sum(reads.values()) <= 8, reads
    finally:
        redis.terminate()
        redis.wait()


@case
def a_store_that_is_away_is_503_and_never_a_wrong_key(home):
    port = free_port()
    redis, store = redis_start(home, port), f'redis://127.0.0.1:{port}/0'
    try:
        key, other = (add(home, '-user', 'a', store=store) for _ in range(2))
        with keyed(home, store=store) as server:
            equal(200, ask(server, key).status)
            redis.send_signal(signal.SIGKILL)
            redis.wait()
            reply = ask(server, other)
            equal((503, True, 'store_unavailable'), (reply.status, 'retry-after' in reply.headers, reply.code))
            time.sleep(TRUST)
            equal(503, ask(server, key).status)
            equal(401, ask(server, 'nonsense').status)
            redis = redis_start(home, port)
            end = time.monotonic() + 10
            while ask(server, key).status != 200 and time.monotonic() < end:
                time.sleep(0.1)
            equal([200, 200], [ask(server, one).status for one in (key, other)])
    finally:
        redis.terminate()
        redis.wait()


# ---- limits --------------------------------------------------------------------------------


@case
def requests_beyond_a_keys_limit_are_429_and_say_when(home):
    key, free = add(home, '-user', 'a', '-rpm', '3'), add(home, '-user', 'a')
    with keyed(home) as server:
        for left in (2, 1, 0):
            reply = ask(server, key)
            equal((200, '3', str(left)), (reply.status, reply.headers['x-ratelimit-limit-requests'],
                                          reply.headers['x-ratelimit-remaining-requests']))
        assert re.fullmatch(r'(1m0|[45]\d)s', reply.headers['x-ratelimit-reset-requests']), reply.headers
        reply = ask(server, key)
        equal((429, 'rate_limit_exceeded', 'rate_limit_error', '0'),
              (reply.status, reply.code, reply.json['error']['type'], reply.headers['x-ratelimit-remaining-requests']))
        wait = int(reply.headers['retry-after'])
        assert 1 <= wait <= 20, wait
        assert 'x-ratelimit-limit-requests' not in ask(server, free).headers
        equal(401, ask(server, key[:-1]).status)
        equal(200, ask(server, free).status)
    contains('3 requests a minute', home.run('key', 'list', '-session', STORE).out)


@case
def a_limit_fills_again_by_and_by(home):
    key = add(home, '-user', 'a', '-rpm', '120')
    with keyed(home) as server:
        statuses = [ask(server, key).status for _ in range(130)]
        assert 429 in statuses and set(statuses) == {200, 429}, statuses
        reply = ask(server, key)
        while reply.status == 200:
            reply = ask(server, key)
        equal('1', reply.headers['retry-after'])
        time.sleep(1)
        equal(200, ask(server, key).status)


@case
def tokens_of_answers_count(home):
    key = add(home, '-user', 'a', '-tpm', '60')
    long = {**HI, 'messages': [{'role': 'user', 'content': 'x ' * 200}]}
    for more in ({}, {'stream': True}, {'metadata': {'session_id': 's'}}):
        with keyed(home) as server:
            equal('60', ask(server, key).headers['x-ratelimit-remaining-tokens'])
            equal(200, ask(server, key, 'POST', CHAT, {**long, **more}).status)
            reply = ask(server, key, 'POST', CHAT, HI)
            equal((429, 'rate_limit_exceeded', '0'),
                  (reply.status, reply.code, reply.headers['x-ratelimit-remaining-tokens']))
            assert 60 < int(reply.headers['retry-after']) < 600, reply.headers
            contains('tokens', reply.json['error']['message'])


# ---- what is convo's own -------------------------------------------------------------------


@case
def nobody_reaches_the_app_of_the_keys(home):
    key = add(home, '-user', 'a')
    for args in (('-p', 'hi'), ('-follow', 's')):
        done = home.echo('-app', 'convo:keys', *args)
        equal((args, 2), (args, done.returncode))
        contains("convo's own", done.err)
    done = home.run('serve', '-app', 'convo:keys', '-model', 'echo')
    equal(2, done.returncode)
    contains("convo's own", done.err)
    with sqlite3.connect(home.path / 'k.db') as db:
        tables = [name for name, in db.execute("select name from sqlite_master where type='table'")]
        changed = 0
        for table in tables:
            for column in [row[1] for row in db.execute(f'pragma table_info({table})')]:
                changed += db.execute(
                    f'update {table} set "{column}" = replace("{column}", \'"app":"convo"\', \'"app":"convo:keys"\')'
                    f' where instr("{column}", \'"app":"convo"\')').rowcount
    equal(1, changed)
    with keyed(home) as server:
        equal(401, ask(server, key).status)


@case
def a_listener_that_others_reach_wants_keys(home):
    key = add(home, '-user', 'a')
    for args in ((), ('-auth', 'none')):
        done = home.run('serve', '-listen', '0.0.0.0:0', '-model', 'echo', '-session', STORE, *args)
        equal((2, 1), (done.returncode, done.err.count('\n')))
        contains('nobody is asked for a key', done.err)
    done = home.run('serve', '-auth', 'keys', '-model', 'echo')
    equal((2, 1), (done.returncode, done.err.count('\n')))
    contains('wants a store', done.err)
    with keyed(home, listen='0.0.0.0:0') as server:
        equal([200, 401], [ask(server, one).status for one in (key, None)])
    with keyed(home, listen=f'unix:{home.path}/s.sock') as server:
        equal(401, ask(server, None).status)


@case
def the_log_has_the_id_of_a_key_and_no_more(home):
    key = add(home, '-user', 'alice')
    with keyed(home, '-access-log') as server:
        ask(server, key)
        ask(server, key[:-4] + 'AAAA')
        lines = server.log(2)
        equal([key_id(key), ''], [line.get('key') or '' for line in lines])
        assert not any(key[15:40] in line or 'alice' in line for line in server.lines)


main()
