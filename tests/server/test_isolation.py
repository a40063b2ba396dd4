#!/usr/bin/env python3
"""Two users on one server: what is the other one's looks, by every route, as what does not exist."""

import contextlib
import itertools
import json
import random
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from serving import CONVO, Reply, Server, parse_replies, request
from harness import case, equal, main
import tokens
from stores import postgres, sqlite

CHAT = '/v1/chat/completions'
SECRET = 'marzipan'  # what bob says; nothing that alice is told may hold it
MOST = 40  # ids that are tried
PERSONS = ('alice', 'bob', 'carol')
STREAM = 0.5  # seconds of silence after which no more is read of one


def add_key(home, store, user, app='convo'):
    done = home.run('key', 'add', '-session', store, '-user', user, '-app', app)
    equal(0, done.returncode)
    return done.out.strip()


def routes():
    """The server's own table: method, path, rights."""
    said = subprocess.run([CONVO, 'serve', '-routes'], capture_output=True, text=True, check=True, timeout=20).stdout
    found = [line.split('\t') for line in said.splitlines()]
    for path in (CHAT, '/v1/responses', '/v1/conversations'):
        assert ['POST', path, 'chat'] in found, said
    return found


class Person:
    """Asks with one key. Of each reply the ids are kept."""

    def __init__(self, server, key):
        self.server, self.key, self.ids = server, key, []

    def ask(self, method, path, body=None, **headers):
        body = body if method in ('POST', 'PUT', 'PATCH') else None
        if body and path.startswith('/v1/responses'):
            body = {name: value for name, value in body.items() if name != 'text'}  # how an answer looks, there
        data = b''
        with self.server.connect() as sock:
            sock.sendall(request(method, path, body, close=True, Authorization=f'Bearer {self.key}', **headers))
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                while not (path.partition('?')[0].endswith('/follow') and b'\n\n' in data) and (part := sock.recv(65536)):
                    data += part
                    if b'text/event-stream' in data:
                        sock.settimeout(STREAM)  # it may have no end
        if b'text/event-stream' not in data:
            return parse_replies(data)[0]
        head, body = data.split(b'\r\n\r\n', 1)
        return Reply(head, re.sub(rb'(?:^|\r\n)[0-9A-F]+\r\n|\r\n$', b'', body))  # without the sizes of its chunks

    def learn(self, reply):
        for found in re.findall(rb'"(?:\w*id|seq|name|cursor|generation)": ?"?([^",}\]\[{]+)', reply.body):
            found = found.decode()
            if found.strip().isdigit():  # a place among one's own
                continue
            if found not in ('null', 'true', 'false', 'echo') and found not in self.ids and len(self.ids) < MOST:
                self.ids.append(found)


def body_of(text, **more):
    """One that all routes understand something of."""
    return {'model': 'echo', 'messages': [{'role': 'user', 'content': text}], 'input': text, 'text': text,
            'title': text, 'items': [{'type': 'message', 'role': 'user',
                                      'content': [{'type': 'input_text', 'text': text}]}], **more}


NATIVE = '/convo/v1/'
ADK = ('/apps/', '/run')


def native_body(path, text):
    """What a route of the native API takes: it refuses what it does not know."""
    message = {'role': 'user', 'content': text}
    return {
        'sessions': {'title': text, 'state': {'a': text, 'user:a': text}},
        '{id}': {'title': text, 'state': {'a': text}},
        'events': [{'message': message}],
        'turns': {'text': text, 'busy': 'wait'},
    }.get(path.rsplit('/', 1)[-1], {})


def body_for(path, text, **more):
    return native_body(path, text) if path.startswith(NATIVE) and not more else body_of(text, **more)


def fill(path, values, user='bob'):
    """A route's path with these in place of its parameters; app and user of ADK's are no ids to try."""
    path = path.replace('{app}', 'convo').replace('{user}', user)
    return re.sub(r'\{[^}]*\}', lambda _: quote(next(values), safe=''), path)


def params(path):
    return len(re.findall(r'{(?!app}|user})', path))


def run_of(user, session):
    """What ADK's routes want in a body."""
    return {'appName': 'convo', 'userId': user, 'sessionId': session,
            'newMessage': {'role': 'user', 'parts': [{'text': SECRET if user == 'bob' else 'hello'}]}}


def absent(name):
    """One of the same form that does not exist."""
    swapped = {**dict(zip('0123456789', '5678901234')), **dict(zip('abcdef', 'defabc')),
               **dict(zip('ghijklmnopqrstuvwxyz', 'qrstuvwxyzghijklmnop'))}
    at = name.index('_') + 1 if re.match(r'[a-z]{2,8}_', name) else 0
    return name[:at] + ''.join(swapped.get(c, c) for c in name[at:]) if re.search(r'[0-9a-z]', name[at:]) else name + 'x'


def said(reply, name):
    """What a client learns, but for what it said itself, times, and ids that are new."""
    text = reply.body.decode()
    for shape in (json.dumps(name)[1:-1], json.dumps(name, ensure_ascii=False)[1:-1], name, quote(name, safe='')):
        text = text.replace(shape, 'NAME')
    text = re.sub(r'[0-9a-f]{8}-[0-9a-f-]{27}|(?<=[a-z]_)[0-9A-Za-z_-]{16,}', 'NEW', text)
    text = re.sub(r'("\w*(?:created|_at|[tT]ime\w*|_ms)": ?)[0-9.]+', r'\1TIME', text)
    where = {k: v for k, v in reply.headers.items()
             if k not in ('date', 'x-request-id', 'x-convo-session', 'content-length', 'etag', 'location')}
    return reply.status, text, where


def live(home, bob, table):
    """Bob makes all there is to make, and looks at it, so that its ids are known."""
    bob.ids = ['bobs-session', 'bobs/other session %2F']
    for name in list(bob.ids):
        equal(200, bob.ask('POST', CHAT, body_of(SECRET), X_Convo_Session=quote(name)).status)
    for _ in range(2):
        for method, path, rights in table:
            if not rights or method not in ('GET', 'POST'):
                continue
            for values in itertools.product(bob.ids[:12], repeat=params(path)) if params(path) else [()]:
                more = run_of('bob', 'bobs third') if path.startswith(ADK) else {}
                bob.learn(bob.ask(method, fill(path, iter(values)), body_for(path, SECRET, **more)))
    cursors = [bob.ask('GET', f'{NATIVE}sessions?limit={n}').json['cursor'] for n in (1, 2)]
    assert all(cursors), cursors
    bob.ids[-2:] = cursors


def look(bob, table):
    """All that bob can read of his."""
    seen = {}
    for method, path, rights in table:
        if method != 'GET' or not rights:
            continue
        for values in itertools.product(bob.ids, repeat=params(path)) if params(path) <= 1 else []:
            where = fill(path, iter(values))
            reply = bob.ask('GET', where)
            seen[where] = (reply.status, reply.body)
    return seen


def refuses_alike(alice, method, path, mine, none, owner='bob'):
    """The other one's id, and one that nobody has."""
    body, stranger = body_for(path, 'hello'), 'nobody' if owner == 'bob' else owner
    count = params(path)
    most = MOST if count == 1 else 12
    for theirs, nobodys in zip(itertools.product(mine[:most], repeat=count), itertools.product(none[:most], repeat=count)):
        one = said(alice.ask(method, fill(path, iter(theirs), owner), body), theirs[0])
        two = said(alice.ask(method, fill(path, iter(nobodys), stranger), body), nobodys[0])
        equal((method, path, two), (method, path, one))
        assert SECRET not in one[1], one


def takes_alike(alice, method, path, theirs, nobodys):
    """The same where headers, members and queries name something."""
    for place in (lambda name: ({}, {'X_Convo_Session': quote(name)}, ''),
                  lambda name: ({'metadata': {'session_id': name}}, {}, ''),
                  lambda name: ({'previous_response_id': name}, {}, ''),
                  lambda name: ({'conversation': name}, {}, ''),
                  lambda name: ({'conversation': {'id': name}}, {}, ''),
                  lambda name: ({'session': name, 'sessionId': name, 'session_id': name}, {}, ''),
                  lambda name: ({'id': name}, {}, ''),
                  lambda name: (run_of('alice', name), {}, ''),
                  lambda name: (run_of('bob', name), {}, ''),
                  lambda name: ({}, {}, f'?after={quote(name, safe="")}'),
                  lambda name: ({}, {}, f'?cursor={quote(name, safe="")}'),
                  lambda name: ({'user': 'bob', 'app': 'convo', 'appName': 'convo', 'userId': 'bob'},
                                {'X_Convo_User': 'bob', 'X_User': 'bob', 'X_Forwarded_User': 'bob'}, '?user=bob')):
        got = []
        for name in (theirs, nobodys):
            more, headers, query = place(name)
            reply = alice.ask(method, path + query, body_for(path, 'hello', **more), **headers)
            got.append(said(reply, name))
            assert SECRET not in reply.body.decode(), (path, reply.body)
        equal((method, path, got[1]), (method, path, got[0]))


def by_keys(home, store):
    """@return the keys of some people, and the flags that ask for them"""
    return [add_key(home, store, user) for user in PERSONS], ['-auth', 'keys']


def by_tokens(home, _):
    signer = tokens.Signer()
    (home.path / 'pem').write_text(signer.pem)
    return [signer.token(user) for user in PERSONS], [
        '-auth', 'jwt', '-jwt-keys', 'pem', '-jwt-issuer', tokens.ISSUER, '-jwt-audience', tokens.AUDIENCE]


def the_other_ones(home, store, ways=by_keys):
    table = routes()
    keys, flags = ways(home, store)
    with Server(home, *flags, '-session', store) as server:
        alice, bob, carol = (Person(server, key) for key in keys)  # carol only reads: her lists are empty
        live(home, bob, table)
        before, none = look(bob, table), [absent(name) for name in bob.ids]
        for method, path, rights in table:
            if not rights:
                continue
            asker, own = (carol, 'carol') if method == 'GET' else (alice, 'alice')
            for owner in (own, 'bob') if '{user}' in path else ('bob',):
                if params(path):
                    refuses_alike(asker, method, path, bob.ids, none, owner)
                    continue
                for theirs, nobodys in zip(bob.ids, none):
                    takes_alike(asker, method, fill(path, iter(()), owner), theirs, nobodys)
        equal(before, look(bob, table))
        for name in bob.ids[:2]:
            last = bob.ask('GET', f'{NATIVE}sessions/{quote(name, safe="")}').json['session']['last_seq']
            reply = bob.ask('POST', CHAT, body_of('more'), X_Convo_Session=quote(name))
            equal((200, str(last + 2)), (reply.status, reply.headers['x-convo-seq']))


@case
def what_is_the_others_looks_as_if_it_were_not_there_in_sqlite(home):
    with sqlite(home) as store:
        the_other_ones(home, store)


@case
def what_is_the_others_looks_as_if_it_were_not_there_by_tokens(home):
    with sqlite(home) as store:
        the_other_ones(home, store, by_tokens)


@case
def what_is_the_others_looks_as_if_it_were_not_there_in_postgresql(home):
    with postgres(home) as store:
        the_other_ones(home, store)


@case
def figures_for_who_looks_after_the_server_name_nobody(home):
    with sqlite(home) as store:
        bob = add_key(home, store, 'bob-of-figures')
        done = home.run('key', 'add', '-session', store, '-user', 'root-of-figures', '-rights', 'admin,read')
        with Server(home, '-auth', 'keys', '-session', store) as server:
            him, admin = Person(server, bob), Person(server, done.out.strip())
            him.ids = ['bobs-session-of-figures']
            equal(200, him.ask('POST', CHAT, body_of(SECRET), X_Convo_Session=him.ids[0]).status)
            for method, path, rights in routes():
                if rights != 'admin':
                    continue
                equal((path, 403), (path, him.ask(method, path, body_of(SECRET)).status))
                reply = admin.ask(method, path, body_of('hello'))
                equal((path, 200), (path, reply.status))
                for word in (SECRET, 'of-figures', bob[:15], bob[15:], done.out.strip()[:15]):
                    assert word not in reply.body.decode(), (path, word)


# ---- names ---------------------------------------------------------------------------------

PIECES = ['/', '%', '%2F', '%252F', '%00', '..', '.', ' ', '\u00e4', 'a\u0308', '\U0001f600', ':', '::', '*', '?', '\\',
          '"', "'", "';--", '{', '}', 'a', 'A', '\u202e', '\u0131', '\u017f', '\u212a', 'k', '-', '_', '+', '&', '=',
          '#', '\u00a0', '\uff11', '1', 'user', 'app:', ',', '|', '~', '$1', '\ufeff']
PEOPLE = [('convo', 'a'), ('convo', 'A'), ('convo', 'a/b'), ('convo', 'a%2Fb'), ('convo', 'a b'), ('convo', 'a '),
          ('convo', '\u00e4'), ('convo', 'a\u0308'), ('convo', '..'), ('convo', '*'), ('x', 'y:z'), ('x:y', 'z'),
          ('x/y', 'z'), ('x', 'y/z'), ('x', "'"), ('x', '\\'), ('x', '{a}'), ('X', 'y:z'), ('x', 'n' * 255), ('x', '%')]


def names(count):
    """Names that a careless program takes for each other."""
    chance = random.Random(10)
    found = ['n' * 254 + 'a', 'n' * 254 + 'b', 'n' * 254, *PIECES]
    known = set(found)
    while len(found) < count:
        name = ''.join(chance.choices(PIECES, k=chance.randint(1, 6)))
        if name not in known:
            known.add(name)
            found.append(name)
    return found


def chat_at(key, name, close=False):
    return request('POST', CHAT, {'model': 'echo', 'messages': [{'role': 'user', 'content': 'hi'}]}, close=close,
                   Authorization=f'Bearer {key}', X_Convo_Session=quote(name, safe=''))


def says_in_all(server, key, part):
    """A person's first words in each of these sessions: where each is stored."""
    data = b''.join(chat_at(key, name, close=name == part[-1]) for name in part)
    return [(reply.status, reply.headers.get('x-convo-seq')) for reply in parse_replies(server.talk(data))]


def names_cross_nowhere(home, store, count):
    keys = [add_key(home, store, user, app) for app, user in PEOPLE]
    all_names = names(count)
    parts = [all_names[i:i + 50] for i in range(0, count, 50)]
    work = [(key, part) for part in parts for key in keys]
    with Server(home, '-auth', 'keys', '-session', store) as server, ThreadPoolExecutor(8) as pool:
        crossed = 0
        for (_, part), got in zip(work, pool.map(lambda job: says_in_all(server, *job), work)):
            equal(len(part), len(got))
            crossed += sum(one != (200, '2') for one in got)  # where somebody had been, it would be 4
        equal(0, crossed)
        for odd in ('%00', 'a%00', '%FF', '%ED%A0%80', '%0A', 'a%1Fb', 'a%7F', 'x' * 256, '%C3%A4' * 128, '%', '%G1'):
            reply = server.ask('POST', CHAT, body_of('hi'), X_Convo_Session=odd, Authorization=f'Bearer {keys[0]}')
            equal((odd[:20], 400), (odd[:20], reply.status))


@case
def of_10_000_odd_names_none_crosses_in_sqlite(home):
    with sqlite(home) as store:
        names_cross_nowhere(home, store, 500)


@case
def of_10_000_odd_names_none_crosses_in_postgresql(home):
    with postgres(home) as store:
        names_cross_nowhere(home, store, 500)


main()
