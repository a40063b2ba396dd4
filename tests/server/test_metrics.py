#!/usr/bin/env python3
"""What happens in `convo serve`: GET /metrics, read by the official client's parser; figures that are kept; `convo stats`."""

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import pty
import re
import struct
import subprocess
import termios
import time
from concurrent.futures import ThreadPoolExecutor

import pypi

MISSING = pypi.need('prometheus-client==0.21.1', 'prometheus_client')

from serving import CONVO, Server, parse_replies, request  # noqa: E402
from harness import Skip, case, contains, equal, main  # noqa: E402
from stores import redis  # noqa: E402

CHAT = '/v1/chat/completions'
HI = {'model': 'echo', 'messages': [{'role': 'user', 'content': 'hi'}]}
HOSTILE = 'a "model"\\ {x="y",le="+Inf"} # \u00e9 \U0001f600'


class Scrape:
    """What a server tells at one moment."""

    def __init__(self, server, **headers):
        if MISSING:
            raise Skip(f'no prometheus_client: {MISSING}')
        from prometheus_client.parser import text_string_to_metric_families
        reply = server.ask('GET', '/metrics', **headers)
        equal((200, 'text/plain; version=0.0.4; charset=utf-8'), (reply.status, reply.headers['content-type']))
        self.text = reply.body.decode()
        self.families = {family.name: family for family in text_string_to_metric_families(self.text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def value(self, name, **labels):
        """The sum of those with these labels, or None where there is none."""
        found = [sample.value for sample in self.samples
                 if sample.name == name and labels.items() <= sample.labels.items()]
        return sum(found) if found else None


def counts(scrape, route=CHAT, method='POST'):
    return {sample.labels['code']: sample.value for sample in scrape.samples if sample.name == 'convo_requests_total'
            and (sample.labels['route'], sample.labels['method']) == (route, method)}


def add_key(home, store, user, rights):
    done = home.run('key', 'add', '-session', store, '-user', user, '-rights', rights)
    equal(0, done.returncode)
    return done.out.strip()


@case
def requests_are_counted_by_route_and_status(home):
    with Server(home, '-session', 'sqlite') as server:
        for i in range(5):
            equal(200, server.chat('hi', session=f's{i % 2}').status)
        equal(200, server.chat('hi', stream=True).status)
        equal(404, server.chat('hi', model='absent').status)
        equal(400, server.ask('POST', CHAT, b'{').status)
        equal(405, server.ask('DELETE', CHAT).status)
        equal(404, server.ask('GET', '/nothing/marzipan').status)
        equal(404, server.ask('GET', '/v1/models/marzipan').status)
        equal(200, parse_replies(server.talk(request('HEAD', '/v1/models', close=True)), heads_only=True)[0].status)
        scrape = Scrape(server)
        equal({'200': 6, '404': 1, '400': 1}, counts(scrape))
        equal({'404': 1}, counts(scrape, '/v1/models/{model...}', 'GET'))
        equal({'200': 1}, counts(scrape, '/v1/models', 'GET'))
        equal({'404': 1, '405': 1}, counts(scrape, 'other', 'other'))
        assert 'marzipan' not in scrape.text
        equal({'200': 1}, counts(Scrape(server), '/metrics', 'GET'))


@case
def turns_tokens_and_calls_of_the_store_are_counted(home):
    with Server(home, '-session', 'sqlite', model='plain') as server:
        for i in range(3):
            equal(200, server.chat('hi', session=f's{i}', model='plain').status)
        equal(200, server.chat('hi', model='plain', stream=True).status)
        scrape = Scrape(server)
        equal((4, 0, 0), tuple(scrape.value('convo_turns_total', state=state, model='plain')
                               for state in ('complete', 'failed', 'interrupted')))
        equal((44, 28), tuple(scrape.value('convo_tokens_total', kind=kind, model='plain')
                              for kind in ('prompt', 'completion')))
        equal(6, scrape.value('convo_events_total'))
        equal(3, scrape.value('convo_store_seconds_count', op='create'))
        assert scrape.value('convo_store_seconds_count', op='append') >= 3
        equal(4, scrape.value('convo_model_seconds_count', model='plain'))
        equal(4, scrape.value('convo_model_first_seconds_count', model='plain'))
        equal(0, scrape.value('convo_store_retries_total'))
    with Server(home, model='gone') as server:
        equal(502, server.chat('hi', model='gone').status)
        equal((1, 0), tuple(Scrape(server).value('convo_turns_total', state=state) for state in ('failed', 'complete')))


@case
def histograms_are_whole_and_grow(home):
    with Server(home) as server:
        server.chat('hi')
        for _ in range(2):
            scrape = Scrape(server)
            for family in scrape.families.values():
                if family.type != 'histogram':
                    continue
                rows = {}
                for sample in family.samples:
                    labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != 'le'))
                    rows.setdefault(labels, []).append(sample)
                assert rows or family.name.startswith('convo_store'), family.name
                for row in rows.values():
                    buckets = [(float(sample.labels['le']), sample.value) for sample in row if 'le' in sample.labels]
                    equal(sorted(buckets), buckets)
                    equal(21, len(buckets))
                    assert [count for _, count in buckets] == sorted(count for _, count in buckets)
                    total = [sample.value for sample in row if sample.name.endswith('_count')]
                    equal([buckets[-1][1]], total)
                    assert all(sample.value >= 0 for sample in row)
        assert scrape.value('convo_request_seconds_sum', route=CHAT) > 0


@case
def a_model_of_any_name_is_one_label(home):
    with Server(home, model=HOSTILE) as server:
        equal(200, server.chat('hi', model=HOSTILE).status)
        equal(1, Scrape(server).value('convo_turns_total', model=HOSTILE, state='complete'))


@case
def streams_and_waiting_requests_are_gauges(home):
    with Server(home, '-workers', '1', model='slow') as server:
        socks = [server.connect() for _ in range(3)]
        for sock in socks:
            sock.sendall(request('POST', CHAT, {**HI, 'model': 'slow', 'stream': True}))
        end = time.monotonic() + 20
        while True:
            scrape = Scrape(server)
            got = (scrape.value('convo_streams'), scrape.value('convo_workers', lane='long', state='busy'),
                   scrape.value('convo_workers', lane='long', state='queued'),
                   scrape.value('convo_workers_limit', lane='long'))
            if got == (1, 1, 2, 1):
                break
            assert time.monotonic() < end, got
            time.sleep(0.1)
        assert scrape.value('convo_connections') >= 4
        for sock in socks:
            sock.close()
        while Scrape(server).value('convo_streams'):
            assert time.monotonic() < end
            time.sleep(0.1)
        equal(1, scrape.value('convo_build_info'))
        assert scrape.value('process_resident_memory_bytes') > 1 << 20
        assert abs(scrape.value('process_start_time_seconds') - time.time()) < 60


@case
def no_label_tells_of_users_sessions_or_keys(home):
    store = 'sqlite:m.db'
    alice, admin = add_key(home, store, 'alicia', 'chat,read'), add_key(home, store, 'boss', 'admin')
    with Server(home, '-auth', 'keys', '-session', store) as server:
        equal(200, server.ask('POST', CHAT, HI, Authorization=f'Bearer {alice}', X_Convo_Session='mysession').status)
        equal(401, server.ask('GET', '/metrics').status)
        equal(403, server.ask('GET', '/metrics', Authorization=f'Bearer {alice}').status)
        scrape = Scrape(server, Authorization=f'Bearer {admin}')
        equal({'200': 1}, counts(scrape))
        for word in ('alicia', 'boss', 'mysession', alice[:15], admin[:15], alice[15:]):
            assert word not in scrape.text, word
        equal({'401': 1, '403': 1, '200': 1}, counts(Scrape(server, Authorization=f'Bearer {admin}'), '/metrics', 'GET'))


# ---- what is kept --------------------------------------------------------------------------

ADMIN = 'sqlite:u.db'


def usage(server, query='', **headers):
    reply = server.ask('GET', f'/usage.json{query}', **headers)
    equal(200, reply.status)
    return reply.json


def last(days):
    now = int(time.time())
    return f'?from={now - days * 86400}&to={now + 1}'


def turns(report):
    return sum(report['total']['turns'].values())


def two_servers(home, store):
    with Server(home, '-session', store, model='plain') as one:
        with Server(home, '-session', store, model='plain') as other:
            for i in range(6):
                equal(200, one.chat('hi', session=f's{i % 3}', model='plain').status)
                equal(200, other.chat('hi', session=f's{i % 4}', model='plain').status)
            equal(404, other.chat('hi', model='absent').status)
            with ThreadPoolExecutor(8) as pool:  # who writes again and again counts nothing twice
                list(pool.map(lambda i: usage((one, other)[i % 2]), range(16)))
            told = usage(one, last(2))
            equal((12, 4, 24), (turns(told), told['total']['sessions'], told['total']['events']))
            equal({'prompt': 132, 'completion': 84}, told['total']['models']['plain']['tokens'])
            equal({'fine': 12, 'refused': 1, 'failed': 0}, told['total']['requests'])
            assert told['total']['whole_ms']['p95'] >= told['total']['whole_ms']['p50'] > 0
            equal(('hour', turns(told)), (told['step'], sum(p['turns']['complete'] for p in told['points'])))
            equal(told['total'], usage(one, last(30))['total'])  # the same by the day
            equal('day', usage(one, last(30))['step'])
            equal(200, other.chat('hi', session='s9', model='plain').status)
        # It has ended, and wrote its last then.
        equal((13, 5), (turns(usage(one, last(2))), usage(one, last(2))['total']['sessions']))
        one.process.kill()  # what it has written stays
        one.process.wait()
        with Server(home, '-session', store, model='plain') as again:
            equal(13, turns(usage(again, last(2))))
            equal(200, again.chat('hi', session='s0', model='plain').status)
            told = usage(again, last(2))
            equal((14, 5), (turns(told), told['total']['sessions']))
        done = home.run('stats', '-session', store, '-last', '48h', '-json')
        equal((0, ''), (done.returncode, done.err))
        equal(told['total'], json.loads(done.out)['total'])


@case
def figures_of_two_servers_add_up_and_outlive_them_in_sqlite(home):
    two_servers(home, 'sqlite:u.db')


@case
def figures_of_two_servers_add_up_and_outlive_them_in_redis(home):
    with redis(home) as store:
        two_servers(home, store)


@case
def times_that_are_none_are_refused(home):
    with Server(home, '-session', 'sqlite') as server:
        now = int(time.time())
        for query in ('?from=x', '?to=', '?from=-5', '?from=1&to=1', f'?from={now}&to={now - 9}', '?from=0',
                      f'?from={"9" * 30}', '?to=1.5', '?from=%2B1', f'?from={now}&to={now + 500 * 86400}'):
            reply = server.ask('GET', f'/usage.json{query}')
            equal((query, 400), (query, reply.status))
        told = usage(server)
        assert told["to"] - told["from"] in (24 * 3600, 25 * 3600), told


@case
def who_may_see_the_figures_is_told_by_the_key(home):
    alice, admin = add_key(home, ADMIN, 'alicia', 'chat,read'), add_key(home, ADMIN, 'boss', 'admin')
    with Server(home, '-auth', 'keys', '-session', ADMIN) as server:
        equal(200, server.ask('POST', CHAT, HI, Authorization=f'Bearer {alice}', X_Convo_Session='mysession').status)
        equal(401, server.ask('GET', '/usage.json').status)
        equal(403, server.ask('GET', '/usage.json', Authorization=f'Bearer {alice}').status)
        reply = server.ask('GET', '/usage.json', Authorization=f'Bearer {admin}')
        equal((200, 1), (reply.status, reply.json['total']['sessions']))
        for word in ('alicia', 'boss', 'mysession', alice[:15]):
            assert word not in reply.body.decode(), word


@case
def the_page_may_run_its_own_script_alone(home):
    with Server(home) as server:
        reply = server.ask('GET', '/usage')
        equal((200, 'text/html; charset=utf-8'), (reply.status, reply.headers['content-type']))
        policy = reply.headers['content-security-policy']
        assert "default-src 'none'" in policy and 'unsafe' not in policy, policy
        for tag in (b'script', b'style'):
            parts = re.findall(b'<' + tag + b'>(.*?)</' + tag + b'>', reply.body, re.S)
            equal(1, len(parts))
            digest = base64.b64encode(hashlib.sha256(parts[0]).digest()).decode()
            assert f"{tag.decode()}-src 'sha256-{digest}'" in policy, policy
        equal([b'http://www.w3.org/2000/svg'], re.findall(rb'https?://[^\'"\s]+', reply.body))
        for word in (b' onclick=', b'innerHTML', b'document.write', b' style='):
            assert word not in reply.body, word


# ---- in a terminal -------------------------------------------------------------------------


def filled(home, model='plain'):
    with Server(home, '-session', 'sqlite:u.db', model=model) as server:
        for i in range(3):
            equal(200, server.chat('hi', session=f's{i}', model=model).status)


@case
def stats_are_lines_with_plots(home):
    filled(home, HOSTILE)
    done = home.run('stats', '-session', 'sqlite:u.db')
    equal((0, ''), (done.returncode, done.err))
    lines = done.out.splitlines()
    assert re.fullmatch(r'  turns +3  [ \u2581-\u2588]{24}', next(line for line in lines if ' turns ' in line)), done.out
    assert re.search(r'^  tokens in +33 ', done.out, re.M), done.out
    assert re.search(r'^  active sessions +3 ', done.out, re.M), done.out
    assert HOSTILE in lines[-1], done.out
    assert '\x1b' not in done.out
    assert all(len(line) <= 80 for line in lines[1:]), done.out
    month = home.run('stats', '-session', 'sqlite:u.db', '-last', '30d')
    assert 'by the day' in month.out and re.search(r'^  turns +3 ', month.out, re.M), month.out


@case
def stats_fit_the_terminal_and_have_colours_there_alone(home):
    filled(home, 'm' * 120)
    for columns in (30, 60, 200):
        shown = terminal(home, columns, 'stats', '-session', 'sqlite:u.db', '-last', '7d')
        assert '\x1b[' in shown
        plain = re.sub(r'\x1b\[[0-9;]*m', '', shown).replace('\r', '').splitlines()
        assert any(' turns ' in line for line in plain), shown
        wide = [line for line in plain[1:] if len(line) > max(columns, 52)]
        equal([], wide)
    assert '\x1b[' not in terminal(home, 80, 'stats', '-session', 'sqlite:u.db', NO_COLOR='1')


def terminal(home, columns, *args, **env):
    """What the program shows on a terminal so wide."""
    lead, own = pty.openpty()
    fcntl.ioctl(own, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
    with subprocess.Popen([CONVO, *args], stdin=own, stdout=own, stderr=own, cwd=home.path,
                          env={**home.env, **env}) as process:
        os.close(own)
        data = b''
        with contextlib.suppress(OSError):  # at its end
            while part := os.read(lead, 65536):
                data += part
        os.close(lead)
        equal(0, process.wait(30))
    return data.decode()


@case
def wrong_use_of_stats_is_told(home):
    for args, part in ((('stats',), 'no longer than their store'), (('stats', 'x', '-session', 'sqlite:u.db'), 'unexpected'),
                       (('stats', '-last', '401d', '-session', 'sqlite:u.db'), '-last'),
                       (('stats', '-last', 'off', '-session', 'sqlite:u.db'), '-last'),
                       (('stats', '-last', 'soon', '-session', 'sqlite:u.db'), '-last')):
        done = home.run(*args)
        equal((2, ''), (done.returncode, done.out))
        contains(part, done.err)
    equal(3, home.run('stats', '-session', 'postgres://u@127.0.0.1:1/d').returncode)
    contains('usage: convo stats', home.run('stats', '-help').out)
    equal(2, home.run('-model', 'echo', 'stats').returncode)


@case
def every_route_is_told_under_its_own_name(home):
    said = subprocess.run([CONVO, 'serve', '-routes'], capture_output=True, text=True, check=True, timeout=20).stdout
    routes = [line.split('\t') for line in said.splitlines()]
    with Server(home) as server:
        for method, path, _ in routes:
            server.ask(method, path.replace('{', '%7B').replace('}', '%7D'), {} if method != 'GET' else None)
        scrape = Scrape(server)
        for method, path, _ in routes:
            if path != '/metrics':
                assert counts(scrape, path, method), (method, path)


main()
