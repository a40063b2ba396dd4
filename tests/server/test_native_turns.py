#!/usr/bin/env python3
"""What streams in the native API, as docs/api.md has it: turns, and following sessions."""

import contextlib
import json
import signal
import time
from pathlib import Path
from urllib.parse import quote

from serving import Server, request
from harness import case, contains, equal, main
from stores import free_port, redis_say, redis_start

ECHO = 'I am echo, a stand-in and no language model. I was sent 1 message. The last one:\nuser: '


def at(*names, **query):
    path = '/convo/v1/sessions' + ''.join('/' + quote(name, safe='') for name in names)
    return path + ('?' + '&'.join(f'{k}={quote(str(v), safe="")}' for k, v in query.items()) if query else '')


def done(reply, status=200):
    equal((status, None), (reply.status, None if reply.status == status else reply.body))
    return reply.json


def refused(reply):
    error = reply.json['error']
    return reply.status, error['code'], error.get('param')


class Stream:
    """A stream of events that is read as it comes: (name, id, data) each."""

    def __init__(self, server, method, path, body=None, buffer=None, **headers):
        self.sock = server.connect(buffer)
        self.sock.sendall(request(method, path, body, **headers))
        self.data = self.body = b''
        while b'\r\n\r\n' not in self.data:
            part = self.sock.recv(4096)
            assert part, self.data
            self.data += part
        self.head, self.data = self.data.split(b'\r\n\r\n', 1)
        assert b' 200 ' in self.head and b'text/event-stream' in self.head, self.head + self.data

    def more(self, within):
        """Read what comes next. @return False at the end"""
        self.sock.settimeout(within)
        while True:
            size, mark, rest = self.data.partition(b'\r\n')
            if mark and len(rest) >= int(size, 16) + 2:
                length = int(size, 16)
                self.body, self.data = self.body + rest[:length], rest[length + 2:]
                return length > 0
            part = self.sock.recv(65536)
            if not part:
                return False
            self.data += part

    def next(self, within=20):
        """The next event; None at the end. Comments are passed over."""
        end = time.monotonic() + within
        while True:
            event, mark, rest = self.body.partition(b'\n\n')
            if mark:
                self.body = rest
                lines = dict(line.split(': ', 1) for line in event.decode().split('\n') if not line.startswith(':'))
                if lines:
                    assert set(lines) <= {'event', 'id', 'data'}, lines
                    return lines['event'], lines.get('id'), json.loads(lines['data'])
            elif not self.more(max(end - time.monotonic(), 0.01)):
                return None

    def until(self, name, within=20):
        """@return the data of the first event of that name, and all events up to it"""
        seen = []
        while True:
            event = self.next(within)
            assert event, seen
            seen.append(event)
            if event[0] == name:
                return event[2], seen

    def rest(self):
        seen = []
        while event := self.next():
            seen.append(event)
        return seen

    def silent(self, seconds=0.6):
        """Nothing comes."""
        with contextlib.suppress(TimeoutError):
            raise AssertionError(f'it told {self.next(seconds)}')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def text_of(events, kind=None):
    """The text that deltas make, each where the one before ends."""
    text = b''
    for name, _, data in events:
        if name == 'delta' and data.get('kind') == kind:
            assert data['pos'] in (0, len(text)), (data, text)
            text = text[:data['pos']] + data['text'].encode()
    return text.decode()


def turn(server, session, text='hi', **more):
    return Stream(server, 'POST', at(session, 'turns'), {'text': text, **more})


def follow(server, session, headers=None, buffer=None, **query):
    return Stream(server, 'GET', at(session, 'follow', **query), buffer=buffer, **(headers or {}))


def append(server, session, *texts):
    events = [{'message': {'role': 'user', 'content': text}} for text in texts]
    return [one['seq'] for one in done(server.ask('POST', at(session, 'events'), events))['events']]


def drafted(server, session):
    """Wait until something of the answer is kept (R2): within a second or so."""
    end = time.monotonic() + 20
    while not done(server.ask('GET', at(session)))['draft']:
        assert time.monotonic() < end
        time.sleep(0.05)


def make(server, session):
    return done(server.ask('POST', at(), {'id': session}), 201)


# ---- turns ---------------------------------------------------------------------------------


@case
def a_turn_is_streamed_and_stored(home):
    for store in ('inmemory', 'sqlite'):
        with Server(home, '-session', store) as server:
            with turn(server, 'a/b', 'h\u00e4 \U0001f600', turn='t1') as stream:
                events = stream.rest()
            equal(('turn', {'turn': 't1', 'session': 'a/b', 'model': 'echo'}), (events[0][0], events[0][2]))
            equal(ECHO + 'h\u00e4 \U0001f600', text_of(events))
            stored = [data for name, _, data in events if name == 'event']
            equal([('1', 'user'), ('2', 'assistant')],
                  [(number, data['role']) for name, number, data in events if name == 'event'])
            end = events[-1]
            equal(('done', 't1', 'a/b', True, False, 'complete', 1, 2),
                  (end[0], *(end[2][name] for name in ('turn', 'session', 'created', 'repeated', 'status', 'question_seq',
                                                       'answer_seq'))))
            window = done(server.ask('GET', at('a/b')))
            equal(stored, window['events'])
            equal((end[2]['generation'], 0), (window['session']['generation'], window['session']['held_ms']))


@case
def a_whole_answer_is_one_object(home):
    with Server(home) as server:
        got = done(server.ask('POST', at('s', 'turns'), {'text': 'hi', 'stream': False}))
        equal(('complete', 1, 2, [1, 2]), (got['status'], got['question_seq'], got['answer_seq'],
                                           [event['seq'] for event in got['events']]))
        equal(ECHO + 'hi', got['events'][1]['message']['content'])
        got = done(server.ask('POST', at('s', 'turns'), {'text': 'x', 'stream': False, 'instruction': 'Be brief'}))
        equal(4, got['sent_messages'])


@case
def a_turn_can_be_repeated(home):
    with Server(home, '-session', 'sqlite') as server:
        for more, headers in (({'turn': 't'}, {}), ({}, {'Idempotency_Key': 'k'})):
            body = {'text': 'hi', 'stream': False, **more}
            first, second = (done(server.ask('POST', at('s', 'turns'), body, **headers)) for _ in range(2))
            equal((False, True), (first['repeated'], second['repeated']))
            equal(first['events'], second['events'])
            with Stream(server, 'POST', at('s', 'turns'), {**body, 'stream': True}, **headers) as stream:
                equal(['turn', 'event', 'event', 'done'], [name for name, _, _ in stream.rest()])
        equal(4, done(server.ask('GET', at('s')))['session']['last_seq'])
        # The same header means another turn in another session, and is no event's.
        equal(False, done(server.ask('POST', at('t', 'turns'), body, Idempotency_Key='k'))['repeated'])
        equal(5, done(server.ask('POST', at('s', 'events'), [{'message': {'role': 'user', 'content': 'x'}}],
                                 Idempotency_Key='k'))['events'][0]['seq'])


@case
def R1_another_turn_is_refused_waits_or_takes(home):
    with Server(home, '-session', 'sqlite', model='slow') as server:
        with turn(server, 's', turn='first') as first:
            first.until('delta')
            reply = server.ask('POST', at('s', 'turns'), {'text': 'and'})
            equal((409, 'busy', None), refused(reply))
            assert 0 < reply.json['error']['busy_ms'] <= 15000, reply.json
            equal(1, done(server.ask('GET', at('s')))['session']['last_seq'])
            drafted(server, 's')
            with turn(server, 's', 'taken', turn='second', busy='take') as second:
                second.until('delta')
                first.until('error')
                with turn(server, 's', 'late', turn='third', busy='wait') as third:
                    assert third.until('busy')[0]['busy_ms'] > 0
                    done(server.ask('POST', at('s', 'turns', 'second', 'cancel')), 202)
                    equal('interrupted', second.until('done')[0]['status'])
                    third.until('delta')
                    done(server.ask('POST', at('s', 'turns', 'third', 'cancel')), 202)
                    third.until('done')
        events = done(server.ask('GET', at('s')))['events']
        equal([('first', 'interrupted'), ('second', 'interrupted'), ('third', 'interrupted')],
              [(event['turn'], event['status']) for event in events if event['role'] == 'assistant'])


@case
def those_who_wait_leave_workers_to_others(home):
    with Server(home, '-workers', '20', model='slow') as server:
        with turn(server, 's', turn='t') as first, contextlib.ExitStack() as stack:
            first.until('delta')
            for i in range(16):
                stack.enter_context(turn(server, 's', f'{i}', busy='wait')).until('busy')
            equal((409, 'busy', None), refused(server.ask('POST', at('s', 'turns'), {'text': 'x', 'busy': 'wait'})))
            with turn(server, 'other', turn='o') as other:
                other.until('delta')
                done(server.ask('POST', at('other', 'turns', 'o', 'cancel')), 202)
                other.until('done')
            server.process.send_signal(signal.SIGTERM)
            server.process.send_signal(signal.SIGINT)


@case
def any_device_can_stop_an_answer(home):
    with Server(home, model='slow') as server:
        with turn(server, 'a/b', turn='x/y') as stream:
            stream.until('delta')
            for session, name in (('a/b', 'x'), ('a', 'x/y'), ('nothing', 'x/y')):
                equal((404, 'not_found', None), refused(server.ask('POST', at(session, 'turns', name, 'cancel'))))
            equal({'turn': 'x/y'}, done(server.ask('POST', at('a/b', 'turns', 'x/y', 'cancel')), 202))
            end, events = stream.until('done')
        equal(('interrupted', True), (end['status'], 'error' in end))
        stored = events[-2][2]
        equal('interrupted', stored['status'])
        contains('word0 ', stored['message']['content'])
        equal((404, 'not_found', None), refused(server.ask('POST', at('a/b', 'turns', 'x/y', 'cancel'))))


@case
def what_the_model_does_wrong_is_told(home):
    with Server(home, model='gone') as server:
        equal((502, 'model_not_found', None), refused(server.ask('POST', at('s', 'turns'), {'text': 'hi'})))
        equal(['user', 'assistant'], [one['role'] for one in done(server.ask('GET', at('s')))['events']])
    with Server(home, model='cut') as server, turn(server, 's') as stream:
        end, events = stream.until('done')
        equal(('failed', True), (end['status'], 'error' in end))
        equal('Hello from cut.', text_of(events))
    with Server(home, model='think') as server, turn(server, 's') as stream:
        events = stream.rest()
        equal(('let me see', 'Hello from think.'), (text_of(events, 'reasoning'), text_of(events)))
    with Server(home, model='busy-once') as server, turn(server, 's') as stream:
        wait = stream.until('wait')[0]
        equal((2, True), (wait['attempt'], wait['wait_ms'] > 0))
        equal('complete', stream.until('done')[0]['status'])


@case
def calls_of_tools_go_both_ways(home):
    with Server(home, model='tool') as server:
        with turn(server, 's', params={'tools': [{'type': 'function', 'function': {'name': 'f'}}]}) as stream:
            events = stream.rest()
        call = [data for name, _, data in events if name == 'delta'][0]
        equal(('tool_call', 0, 'c1', 'f'), tuple(call[name] for name in ('kind', 'call', 'call_id', 'name')))
        body = {'messages': [{'role': 'tool', 'tool_call_id': 'c2', 'content': '5'}], 'stream': False}
        equal((400, 'invalid_value', 'messages[0]'), refused(server.ask('POST', at('s', 'turns'), body)))
        body['messages'][0]['tool_call_id'] = 'c1'
        got = done(server.ask('POST', at('s', 'turns'), body))
        equal('complete', got['status'])
        contains('tool', got['events'][1]['message']['content'])


@case
def turns_that_make_no_sense_are_refused_by_name(home):
    with Server(home) as server:
        for body, param in (({}, 'text'), ({'text': ''}, 'text'), ({'text': 5}, 'text'), ({'messages': []}, 'text'),
                            ({'text': 'a', 'messages': [{}]}, 'messages'), ({'messages': 'x'}, 'messages'),
                            ({'messages': ['x']}, 'messages[0]'), ({'messages': [{'role': 'x', 'content': 'a'}]}, 'messages[0]'),
                            ({'text': 'a', 'model': 'none'}, 'model'), ({'text': 'a', 'busy': 'x'}, 'busy'),
                            ({'text': 'a', 'turn': ''}, 'turn'), ({'text': 'a', 'turn': 'x' * 256}, 'turn'),
                            ({'text': 'a', 'turn': 'a\nb'}, 'turn'), ({'text': 'a', 'stream': 1}, 'stream'),
                            ({'text': 'a', 'new': 'yes'}, 'new'), ({'text': 'a', 'params': []}, 'params'),
                            ({'text': 'a', 'params': {'model': 'x'}}, 'params'), ({'text': 'a', 'tools': []}, 'tools'),
                            ({'text': 'a', 'instruction': {}}, 'instruction'), ([], None), (b'', None)):
            equal((str(body)[:50], (400, 'invalid_value', param)),
                  (str(body)[:50], refused(server.ask('POST', at('s', 'turns'), body))))
        equal((400, 'invalid_value', 'Idempotency-Key'),
              refused(server.ask('POST', at('s', 'turns'), {'text': 'a', 'turn': 't'}, Idempotency_Key='k')))
        equal((404, 'not_found', None), refused(server.ask('GET', at('s'))))
        make(server, 's')
        equal((409, 'exists', None), refused(server.ask('POST', at('s', 'turns'), {'text': 'a', 'new': True})))


@case
def the_last_turn_is_taken_back(home):
    with Server(home) as server:
        for text in ('one', 'two'):
            done(server.ask('POST', at('s', 'turns'), {'text': text, 'stream': False}))
        equal({'text': 'two'}, done(server.ask('POST', at('s', 'undo'))))
        equal({'text': 'one'}, done(server.ask('POST', at('s', 'undo'))))
        equal((404, 'not_found', None), refused(server.ask('POST', at('s', 'undo'))))
        equal((404, 'not_found', None), refused(server.ask('POST', at('nothing', 'undo'))))
        got = done(server.ask('POST', at('s', 'turns'), {'text': 'three', 'stream': False}))
        equal(1, got['sent_messages'])


@case
def tokens_of_turns_count(home):
    key = home.run('key', 'add', '-session', 'sqlite:t.db', '-user', 'a', '-tpm', '60').out.strip()
    named = {'Authorization': f'Bearer {key}'}
    with Server(home, '-auth', 'keys', '-session', 'sqlite:t.db') as server:
        done(server.ask('POST', at('s', 'turns'), {'text': 'x ' * 200, 'stream': False}, **named))
        reply = server.ask('POST', at('s', 'turns'), {'text': 'x'}, **named)
        equal((429, 'rate_limit_exceeded'), (reply.status, reply.code))


# ---- following -----------------------------------------------------------------------------


def numbers(stream, count):
    """The seqs of the next events."""
    got = []
    while len(got) < count:
        name, number, data = stream.next()
        if name == 'event':
            equal(str(data['seq']), number)
            got.append(data['seq'])
    return got


@case
def W1_what_happens_is_told_whoever_does_it(home):
    with Server(home, '-session', 'sqlite:f.db') as one, Server(home, '-session', 'sqlite:f.db') as two:
        make(one, 'a/b')
        append(one, 'a/b', 'before')
        with follow(one, 'a/b') as stream:
            meta = stream.until('session')[0]
            equal(('a/b', 1), (meta['id'], meta['last_seq']))
            stream.silent()
            append(two, 'a/b', 'x', 'y')
            equal([2, 3], numbers(stream, 2))
            done(two.ask('PATCH', at('a/b'), {'title': 'New'}))
            equal('New', stream.until('session')[0]['title'])
            for _ in range(3):
                append(one, 'a/b', 'z')
            equal([4, 5, 6], numbers(stream, 3))


@case
def who_comes_back_goes_on_where_he_was(home):
    for store in ('inmemory', 'sqlite'):
        with Server(home, '-session', store, '-event-limit', 'off') as server:
            generation = make(server, 's')['generation']
            append(server, 's', *(str(i) for i in range(300)))
            for headers, query, first in (({}, {'after': 0}, 1), ({}, {'after': 200}, 201), ({'Last_Event_ID': '290'}, {}, 291),
                                          ({'Last_Event_ID': '298'}, {'after': 5}, 299),
                                          ({}, {'after': 299, 'generation': generation}, 300)):
                with follow(server, 's', headers, **query) as stream:
                    equal(list(range(first, 301)), numbers(stream, 301 - first))
            for query in ({'after': 301}, {'after': 5, 'generation': 'another'}):
                with follow(server, 's', **query) as stream:
                    equal({'generation': generation}, stream.next()[2])
                    equal(list(range(1, 301)), numbers(stream, 300))
            for headers, query, param in (({'Last_Event_ID': 'x'}, {}, 'Last-Event-ID'), ({}, {'after': 'x'}, 'after'),
                                          ({'Last_Event_ID': '9' * 30}, {}, 'Last-Event-ID'), ({}, {'last': 1}, 'last')):
                equal((400, 'invalid_value', param), refused(server.ask('GET', at('s', 'follow', **query), **headers)))
            equal((404, 'not_found', None), refused(server.ask('GET', at('nothing', 'follow'))))


@case
def S5_the_end_of_a_session_and_its_new_life_are_told(home):
    for store in ('inmemory', 'sqlite'):
        with Server(home, '-session', store) as server:
            make(server, 's')
            append(server, 's', 'a', 'b')
            with follow(server, 's', after=0) as stream:
                equal([1, 2], numbers(stream, 2))
                server.ask('DELETE', at('s'))
                equal({}, stream.until('gone')[0])
                done(server.ask('POST', at('s', 'restore')))
                stream.until('session')
                append(server, 's', 'c')
                equal([3], numbers(stream, 1))
                server.ask('DELETE', at('s'))
                stream.until('gone')
                generation = make(server, 's')['generation']
                equal({'generation': generation}, stream.until('reset')[0])
                append(server, 's', 'new')
                equal([1], numbers(stream, 1))


@case
def R2_an_answer_goes_on_without_its_reader_and_can_be_followed(home):
    with Server(home, '-session', 'sqlite', model='slow') as server:
        with turn(server, 's', turn='t') as first:
            first.until('delta')
        with follow(server, 's', after=0) as stream:
            equal(True, stream.until('session')[0]['held_ms'] > 0)
            seen = stream.until('delta')[1]
            equal(('t', 0), (seen[-1][2]['turn'], seen[-1][2]['pos']))
            while 'word25 ' not in text_of(seen):
                seen.append(stream.next())
            contains('word0 word1 word2 ', text_of(seen))
            with follow(server, 's') as late:
                contains('word0 word1 ', late.until('delta')[0]['text'])
            done(server.ask('POST', at('s', 'turns', 't', 'cancel')), 202)
            stored = stream.until('event')[0]
            equal(('t', 'interrupted', 2), (stored['turn'], stored['status'], stored['seq']))
            assert stored['message']['content'].startswith(text_of(seen)), stored
            while True:
                meta = done(server.ask('GET', at('s', last=0)))['session']
                if not meta['held_ms']:
                    break


@contextlib.contextmanager
def on_redis(home):
    """Two servers on one Redis, which have users of their own there. @return both, and its process in a list"""
    port = free_port()
    redis = [redis_start(home, port)]
    try:
        equal('+OK\r\n', redis_say(port, 'ACL SETUSER other on >word ~* &* +@all'))
        with Server(home, '-session', f'redis://127.0.0.1:{port}/0') as one, \
                Server(home, '-session', f'redis://other:word@127.0.0.1:{port}/0') as two:
            yield one, two, redis, port
    finally:
        redis[0].terminate()
        redis[0].wait()


@case
def W3_a_follower_is_told_that_the_store_fails_and_misses_nothing(home):
    with on_redis(home) as (one, two, _, port):
        make(one, 's')
        with follow(one, 's') as stream:
            append(two, 's', 'before')
            equal([1], numbers(stream, 1))
            equal('+OK\r\n', redis_say(port, 'ACL SETUSER default -@scripting'))
            append(two, 's', 'meanwhile')
            contains('code', stream.until('error')[0]['error'])
            append(two, 's', 'again')
            stream.silent(3)  # that is said once, and tried again meanwhile
            equal('+OK\r\n', redis_say(port, 'ACL SETUSER default +@all'))
            equal([2, 3], numbers(stream, 2))
            append(two, 's', 'after')
            equal([4], numbers(stream, 1))


@case
def W3_a_store_that_was_away_costs_a_follower_nothing(home):
    with on_redis(home) as (one, two, redis, port):
        make(one, 's')
        with follow(one, 's') as stream:
            stream.until('session')
            redis[0].send_signal(signal.SIGKILL)
            redis[0].wait()
            reply = one.ask('GET', at('s', 'follow'))
            equal((503, True), (reply.status, 'retry-after' in reply.headers))
            redis[0] = redis_start(home, port)
            redis_say(port, 'ACL SETUSER other on >word ~* &* +@all')
            end = time.monotonic() + 20
            while two.ask('POST', at('s', 'events'), [{'message': {'role': 'user', 'content': 'x'}}]).status != 200:
                assert time.monotonic() < end
            append(two, 's', 'y')
            last = done(two.ask('GET', at('s', last=0)))['session']['last_seq']
            equal(list(range(1, last + 1)), numbers(stream, last))


@case
def a_large_event_is_told_of_and_can_be_loaded(home):
    with Server(home) as server:
        make(server, 's')
        with follow(server, 's') as stream:
            append(server, 's', 'x' * (1 << 20), 'small')
            name, number, data = stream.until('event')[1][-1]
            equal(('1', None, True), (number, data['message'], data['omitted']))
            equal('small', stream.until('event')[0]['message']['content'])
        got = done(server.ask('GET', at('s', after=0, n=1)))['events'][0]
        equal(1 << 20, len(got['message']['content']))


@case
def who_reads_slowly_is_late_and_misses_nothing(home):
    with Server(home, '-session', 'sqlite', '-event-limit', 'off') as server:
        make(server, 's')
        with follow(server, 's', buffer=4096, after=0) as stream:
            for i in range(20):
                append(server, 's', *('y' * 10000 for _ in range(30)))
            with follow(server, 's', after=0) as other:
                equal(list(range(1, 601)), numbers(other, 600))
            equal(list(range(1, 601)), numbers(stream, 600))
            append(server, 's', 'last')
            equal([601], numbers(stream, 1))


def threads_of(server):
    return int(next(line.split()[1] for line in Path(f'/proc/{server.process.pid}/status').read_text().splitlines()
                    if line.startswith('Threads:')))


@case
def W2_followers_take_no_thread(home):
    with Server(home) as server, contextlib.ExitStack() as stack:
        for i in range(10):
            make(server, f's{i}')
        streams = [stack.enter_context(follow(server, f's{i % 10}')) for i in range(300)]
        for stream in streams:
            stream.until('session')
        assert threads_of(server) < 100, threads_of(server)  # workers that opened them among them
        for i in range(10):
            append(server, f's{i}', 'x')
        equal([[1]] * len(streams), [numbers(stream, 1) for stream in streams])
        for stream in streams[::2]:
            stream.sock.close()
        for i in range(10):
            append(server, f's{i}', 'y')
        equal([[2]] * (len(streams) // 2), [numbers(stream, 1) for stream in streams[1::2]])


@case
def the_end_of_the_server_ends_the_streams(home):
    with Server(home) as server:
        make(server, 's')
        with follow(server, 's') as stream:
            stream.until('session')
            begin = time.monotonic()
            equal(0, server.stop())
            assert time.monotonic() - begin < 5
            equal([], stream.rest())


main()
