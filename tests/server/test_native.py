#!/usr/bin/env python3
"""The native API, /convo/v1, as docs/api.md has it: sessions, lists, windows. What streams is in test_native_turns."""

import re
from urllib.parse import quote

from serving import Server
from harness import case, equal, main

UUID = re.compile(r'[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}')
MEMBERS = {'id', 'title', 'generation', 'created_ms', 'updated_ms', 'expires_ms', 'deleted_ms', 'count', 'last_seq',
           'held_ms', 'fork'}
ODD = ['a/b', '/', 'a b', '%2F', 'a?b#c', '\u00e4\U0001f600', "'", '"', '\\', 'x' * 255, '{id}', '..a', 'a+b', '*', ';&=']


def at(*names, **query):
    """A path below /convo/v1/sessions, of names as they are."""
    path = '/convo/v1/sessions' + ''.join('/' + quote(name, safe='') for name in names)
    return path + ('?' + '&'.join(f'{k}={quote(str(v), safe="")}' for k, v in query.items()) if query else '')


def done(reply, status=200):
    """@return its JSON"""
    equal((status, True), (reply.status, reply.headers.get('content-type', 'application/json') == 'application/json'))
    return reply.json if reply.body else None


def make(server, name=None, **more):
    return done(server.ask('POST', at(), {**({'id': name} if name is not None else {}), **more}), 201)


def refused(reply):
    error = reply.json['error']
    assert error['message'], error
    return reply.status, error['code'], error.get('param')


# ---- sessions ------------------------------------------------------------------------------


@case
def who_asks_is_told(home):
    with Server(home, '-user', 'alice \u00e4', '-app', 'a') as server:
        equal({'app': 'a', 'user': 'alice \u00e4', 'key': '', 'rights': ['chat', 'read', 'admin'],
               'version': home.run('-version').out.split()[1], 'models': ['echo']},
              done(server.ask('GET', '/convo/v1/me')))


@case
def S1_a_session_is_made_once(home):
    with Server(home) as server:
        reply = server.ask('POST', at(), {'id': 'trip/2', 'title': 'A trip', 'state': {'city': 'Rome', 'user:n': [1, {}]}})
        made = done(reply, 201)
        equal(MEMBERS, set(made))
        equal(('trip/2', 'A trip', 0, 0, 0, 0, None), tuple(made[name] for name in (
            'id', 'title', 'deleted_ms', 'count', 'last_seq', 'held_ms', 'fork')))
        assert UUID.fullmatch(made['generation']) or len(made['generation']) == 36, made
        equal('/convo/v1/sessions/trip%2F2', reply.headers['location'])
        equal((409, 'exists', None), refused(server.ask('POST', at(), {'id': 'trip/2'})))
        got = done(server.ask('GET', at('trip/2')))
        equal((made, [], None, {'city': 'Rome', 'user:n': [1, {}]}, {'before': False, 'after': False}),
              tuple(got[name] for name in ('session', 'events', 'draft', 'state', 'more')))


@case
def N1_ids_are_bytes_that_a_path_encodes(home):
    with Server(home) as server:
        for name in ODD:
            equal(name, make(server, name, title=name[:60])['id'])
        for name in ODD:
            got = done(server.ask('GET', at(name)))
            equal((name, name[:60]), (got['session']['id'], got['session']['title']))
        equal(sorted(ODD), sorted(one['id'] for one in done(server.ask('GET', at()))['sessions']))
        equal((400, 'invalid_value', None), refused(server.ask('GET', at() + '/a%00')))
        for path in ('%0A', '%FF', '%ED%A0%80', 'x' * 256, '%7F'):
            equal((path[:8], (400, 'invalid_value', 'id')), (path[:8], refused(server.ask('GET', at() + '/' + path))))


@case
def without_an_id_one_is_made_up(home):
    with Server(home) as server:
        ids = {make(server)['id'], done(server.ask('POST', at()), 201)['id'], make(server, title='x')['id']}
        equal(3, len(ids))
        assert all(UUID.fullmatch(one) for one in ids), ids


@case
def what_makes_no_sense_is_refused_by_name(home):
    with Server(home) as server:
        for body, param in (({'id': 5}, 'id'), ({'id': ''}, 'id'), ({'id': 'x' * 256}, 'id'), ({'id': 'a\nb'}, 'id'),
                            ({'title': []}, 'title'), ({'title': 'x' * 256}, 'title'), ({'title': 'a\tb'}, 'title'),
                            ({'state': 'x'}, 'state'), ({'state': []}, 'state'), ({'name': 'x'}, 'name'),
                            ({'state': {'': 1}}, 'state'), ({'state': {'x' * 256: 1}}, 'state'),
                            ({'state': {'temp:x': [[[]]], 'a\nb': 1}}, 'state'), ({'x' * 5000: 1}, 'x' * 63),
                            ([], None), ('x', None), (b'{', None), (b'{"id":"a\\u0000b"}', None), (b'[' * 100000, None)):
            equal((str(body)[:40], (400, 'invalid_value', param)),
                  (str(body)[:40], refused(server.ask('POST', at(), body))))
        deep = '[' * 31 + ']' * 31
        equal((400, 'invalid_value', 'state'), refused(server.ask('POST', at(), b'{"state":{"a":%s}}' % deep.encode())))
        equal((413, 'too_big', 'state'), refused(server.ask('POST', at(), {'state': {'a': 'x' * (1 << 20)}})))
        equal([], done(server.ask('GET', at()))['sessions'])


@case
def what_is_not_there_is_404(home):
    with Server(home) as server:
        equal((404, 'not_found', None), refused(server.ask('GET', at('nothing'))))
        equal((404, 'unknown_path', None), refused(server.ask('GET', '/convo/v1/nothing')))
        reply = server.ask('PUT', at('x'))
        equal((405, 'method_not_allowed', None), refused(reply))


# ---- lists ---------------------------------------------------------------------------------


def walk(server, **query):
    """@return the ids of each page"""
    pages, cursor = [], None
    while not pages or cursor:
        page = done(server.ask('GET', at(**query, **({'cursor': cursor} if cursor else {}))))
        pages.append([one['id'] for one in page['sessions']])
        cursor = page['cursor']
    return pages


@case
def S3_a_list_comes_in_pages_newest_activity_first(home):
    for store in ('inmemory', 'sqlite'):
        with Server(home, '-session', store) as server:
            names = [f's{i}' for i in range(7)]
            for name in names:
                make(server, name)
            server.chat('hi', session='s0')
            wanted = ['s0', *names[:0:-1]]
            for limit in (1, 2, 3, 7, 8, 1000):
                pages = walk(server, limit=limit)
                equal(wanted, sum(pages, []))
                equal([limit] * (7 // limit) + [7 % limit], [len(page) for page in pages])
            equal([wanted], walk(server))
            equal([[]], walk(server, trash='true'))


@case
def a_cursor_is_good_for_its_own_list_alone(home):
    with Server(home) as server:
        for i in range(3):
            make(server, f's{i}')
        cursor = done(server.ask('GET', at(limit=1)))['cursor']
        equal(['s1'], [one['id'] for one in done(server.ask('GET', at(limit=1, cursor=cursor)))['sessions']])
        for wrong in ('', 'x', cursor[:-1], cursor + '0', cursor[:-1] + ('0' if cursor[-1] != '0' else '1'), '0' * 48,
                      cursor.upper(), ' ' + cursor[1:], '-' * 48, '0x' + cursor[2:]):
            if wrong != cursor:
                equal((wrong, (400, 'invalid_value', 'cursor')), (wrong, refused(server.ask('GET', at(cursor=wrong)))))
        equal((400, 'invalid_value', 'cursor'), refused(server.ask('GET', at(cursor=cursor, trash='true'))))
        for query, param in (({'limit': 0}, 'limit'), ({'limit': 1001}, 'limit'), ({'limit': '1e2'}, 'limit'),
                             ({'limit': ''}, 'limit'), ({'limit': '9' * 30}, 'limit'), ({'trash': 'yes'}, 'trash'),
                             ({'deleted': 'true'}, 'deleted'), ({'limit cursor': '1'}, 'limit cursor')):
            equal((query, (400, 'invalid_value', param)), (query, refused(server.ask('GET', at(**{
                quote(k, safe=''): v for k, v in query.items()})))))


# ---- windows -------------------------------------------------------------------------------


def seqs(window):
    return [event['seq'] for event in window['events']]


@case
def S2_windows_show_what_is_asked_for(home):
    for store in ('inmemory', 'sqlite'):
        with Server(home, '-session', store) as server:
            for i in range(5):
                server.chat(f'word {i}', session='s')
            for query, wanted, more in (({}, range(1, 11), (False, False)), ({'last': 3}, (8, 9, 10), (True, False)),
                                        ({'last': 0}, (), (True, False)), ({'after': 8}, (9, 10), (True, False)),
                                        ({'after': 0, 'n': 2}, (1, 2), (False, True)), ({'after': 10}, (), (True, False)),
                                        ({'before': 4, 'n': 2}, (2, 3), (True, True)), ({'before': 1}, (), (False, True)),
                                        ({'before': 99, 'n': 1}, (10,), (True, False))):
                got = done(server.ask('GET', at('s', **query)))
                equal((query, list(wanted), more), (query, seqs(got), (got['more']['before'], got['more']['after'])))
            event = got['events'][0]
            equal(('assistant', 'assistant', 'complete', 'echo'),
                  tuple(event[name] for name in ('role', 'author', 'status', 'model')))
            equal(event['message']['role'], 'assistant')
            reply = server.ask('GET', at('s', around=event['id'].upper(), n=3, state='false'))
            got = done(reply)
            equal(([9, 10], False), (seqs(got), 'state' in got))
            equal(f'"{got["session"]["generation"]}/10"', reply.headers['etag'])
            equal((404, 'not_found', None), refused(server.ask('GET', at('s', around='0' * 8 + '-0000-7000-8000-' + '0' * 12))))


@case
def a_window_ends_early_when_its_events_are_large(home):
    with Server(home) as server:
        for i in range(6):
            server.chat(f'{i}' * (1 << 20), session='s')
        got = done(server.ask('GET', at('s')))
        assert 1 <= len(got['events']) < 5, seqs(got)
        equal((12, True, False), (seqs(got)[-1], got['more']['before'], got['more']['after']))
        got = done(server.ask('GET', at('s', after=0)))
        equal((1, False, True), (seqs(got)[0], got['more']['before'], got['more']['after']))
        got = done(server.ask('GET', at('s', around=got['events'][0]['id'])))
        equal(1, seqs(got)[0])


@case
def windows_that_make_no_sense_are_refused(home):
    with Server(home) as server:
        make(server, 's')
        for query, param in (({'last': -1}, 'last'), ({'last': 201}, 'last'), ({'last': 1, 'after': 1}, 'after'),
                             ({'after': 1, 'before': 2}, 'before'), ({'n': 5}, 'n'), ({'after': 1, 'n': 0}, 'n'),
                             ({'after': 'x'}, 'after'), ({'after': '9' * 25}, 'after'), ({'around': 'x'}, 'around'),
                             ({'state': '1'}, 'state'), ({'first': 1}, 'first')):
            equal((query, (400, 'invalid_value', param)), (query, refused(server.ask('GET', at('s', **query)))))


# ---- changing and deleting -----------------------------------------------------------------


@case
def T1_title_and_state_are_set_and_removed(home):
    with Server(home) as server:
        make(server, 's', state={'old': 1})
        got = done(server.ask('PATCH', at('s'), {'title': 'New', 'state': {'a': {'b': [1.5, None]}, 'user:n': 2, 'old': None}}))
        equal('New', got['title'])
        equal({'a': {'b': [1.5, None]}, 'user:n': 2}, done(server.ask('GET', at('s')))['state'])
        equal('New', done(server.ask('PATCH', at('s'), {}))['title'])
        for title in (None, ''):
            done(server.ask('PATCH', at('s'), {'title': 'x'}))
            equal('', done(server.ask('PATCH', at('s'), {'title': title}))['title'])
        equal({'user:n': 2}, done(server.ask('GET', at(make(server)['id'])))['state'])
        for body, param in (({'title': 5}, 'title'), ({'title': 'x' * 256}, 'title'), ({'state': []}, 'state'),
                            ({'id': 'x'}, 'id'), ({'state': {'x' * 256: 1}}, 'state'), (b'', None)):
            equal((param, (400, 'invalid_value', param)), (param, refused(server.ask('PATCH', at('s'), body))))
        equal((404, 'not_found', None), refused(server.ask('PATCH', at('nothing'), {'title': 'x'})))
        equal((404, 'not_found', None), refused(server.ask('PATCH', at('nothing'), {'state': {'a': 1}})))


@case
def S4_what_is_deleted_can_be_brought_back_or_removed_for_good(home):
    for store in ('inmemory', 'sqlite'):
        with Server(home, '-session', store) as server:
            server.chat('hi', session='s/1')
            first = done(server.ask('GET', at('s/1')))['session']['generation']
            equal(204, server.ask('DELETE', at('s/1')).status)
            equal((404, 'not_found', None), refused(server.ask('GET', at('s/1'))))
            equal((404, 'not_found', None), refused(server.ask('DELETE', at('s/1'))))
            trash = done(server.ask('GET', at(trash='true')))['sessions']
            equal([('s/1', first, True)], [(one['id'], one['generation'], one['deleted_ms'] > 0) for one in trash])
            got = done(server.ask('POST', at('s/1', 'restore')))
            equal((first, 2), (got['generation'], got['count']))
            equal((409, 'exists', None), refused(server.ask('POST', at('s/1', 'restore'))))
            equal((404, 'not_found', None), refused(server.ask('POST', at('nothing', 'restore'))))
            server.ask('DELETE', at('s/1'))
            make(server, 's/1')
            equal((409, 'exists', None), refused(server.ask('POST', at('s/1', 'restore'))))
            equal(204, server.ask('DELETE', at('s/1')).status)
            got = done(server.ask('POST', at('s/1', 'restore'), {'generation': first}))
            equal((first, 2), (got['generation'], got['count']))
            equal(1, len(done(server.ask('GET', at(trash='true')))['sessions']))
            for _ in range(2):
                equal(204, server.ask('DELETE', at('s/1', trash='true')).status)
            equal([], done(server.ask('GET', at(trash='true')))['sessions'])
            equal(2, done(server.ask('GET', at('s/1')))['session']['count'])
            equal((400, 'invalid_value', 'generation'), refused(server.ask('DELETE', at('s/1', generation=first))))


@case
def S6_a_fork_has_the_same_beginning(home):
    with Server(home) as server:
        for i in range(3):
            server.chat(f'{i}', session='a/b')
        reply = server.ask('POST', at('a/b', 'fork'), {'id': 'c/d', 'upto_seq': 3})
        fork = done(reply, 201)
        equal(('c/d', 3, at('c/d')), (fork['id'], fork['last_seq'], reply.headers['location']))
        equal(('a/b', 3), (fork['fork']['id'], fork['fork']['seq']))
        equal([1, 2, 3], seqs(done(server.ask('GET', at('c/d')))))
        equal(6, done(server.ask('POST', at('a/b', 'fork')), 201)['last_seq'])
        equal((409, 'exists', None), refused(server.ask('POST', at('a/b', 'fork'), {'id': 'c/d'})))
        equal((404, 'not_found', None), refused(server.ask('POST', at('nothing', 'fork'))))
        for body, param in (({'id': ''}, 'id'), ({'upto_seq': -1}, 'upto_seq'), ({'upto_seq': '3'}, 'upto_seq')):
            equal((400, 'invalid_value', param), refused(server.ask('POST', at('a/b', 'fork'), body)))


# ---- appending -----------------------------------------------------------------------------


def said(content, **more):
    return {'message': {'role': 'user', 'content': content}, **more}


@case
def A1_events_are_appended_all_or_none(home):
    uuid = '0192F0C1-0000-7000-8000-00000000000A'
    for store in ('inmemory', 'sqlite'):
        with Server(home, '-session', store) as server:
            make(server, 's')
            full = said('b', id=uuid, author='bot', turn='t', status='failed', model='m', finish_reason='length', error='why',
                        usage={'total_tokens': 3}, state={'mood': 'fine'}, extra={'x': [1]})
            got = done(server.ask('POST', at('s', 'events'), [said('a'), full]))['events']
            equal([1, 2], [one['seq'] for one in got])
            equal(uuid.lower(), got[1]['id'])
            window = done(server.ask('GET', at('s')))
            equal('fine', window['state']['mood'])
            event = window['events'][1]
            equal({**full, 'id': uuid.lower(), 'seq': 2, 'role': 'user', 'time_ms': event['time_ms']}, event)
            # What was read can be appended elsewhere, as it is.
            make(server, 't')
            done(server.ask('POST', at('t', 'events'), window['events']))
            again = done(server.ask('GET', at('t')))['events']
            equal(*([{**one, 'time_ms': 0} for one in events] for events in (window['events'], again)))
            equal((400, 'invalid_value', 'events[1].message'),
                  refused(server.ask('POST', at('s', 'events'), [said('c'), {'message': {'content': 'x'}}])))
            equal(2, done(server.ask('GET', at('s')))['session']['last_seq'])


@case
def A2_an_append_can_be_repeated(home):
    with Server(home) as server:
        make(server, 's')
        ids = [f'0192f0c1-0000-7000-8000-00000000000{i}' for i in range(2)]
        events = [said(str(i), id=one) for i, one in enumerate(ids)]
        first, second = (done(server.ask('POST', at('s', 'events'), events)) for _ in range(2))
        equal(first, second)
        replies = [done(server.ask('POST', at('s', 'events'), [said('x'), said('y')], Idempotency_Key='one')) for _ in range(3)]
        equal([replies[0]] * 3, replies)
        other = done(server.ask('POST', at('s', 'events'), [said('x')], Idempotency_Key='two'))
        equal([5], [one['seq'] for one in other['events']])
        make(server, 't')
        elsewhere = done(server.ask('POST', at('t', 'events'), [said('x')], Idempotency_Key='one'))['events']
        assert elsewhere[0]['id'] != replies[0]['events'][0]['id'] and elsewhere[0]['seq'] == 1, elsewhere
        for value in ('', 'x' * 256):
            equal((400, 'invalid_value', 'Idempotency-Key'),
                  refused(server.ask('POST', at('s', 'events'), [said('x')], Idempotency_Key=value)))


@case
def A3_who_has_not_seen_all_is_told_where_it_is(home):
    for store in ('inmemory', 'sqlite'):
        with Server(home, '-session', store) as server:
            make(server, 's')
            tag = server.ask('GET', at('s')).headers['etag']
            one = said('a', id='0192f0c1-0000-7000-8000-000000000001')
            equal(1, done(server.ask('POST', at('s', 'events'), [one], If_Match=tag))['events'][0]['seq'])
            reply = server.ask('POST', at('s', 'events'), [said('b')], If_Match=tag)
            equal((412, 'conflict', None), refused(reply))
            equal(1, reply.json['error']['last_seq'])
            # What is there already is there, whatever was expected.
            equal(1, done(server.ask('POST', at('s', 'events'), [one], If_Match=tag))['events'][0]['seq'])
            other = '"' + '0' * 8 + '-0000-4000-8000-' + '0' * 12 + '/1"'
            equal((412, 'conflict', None), refused(server.ask('POST', at('s', 'events'), [said('b')], If_Match=other)))
            equal(2, done(server.ask('POST', at('s', 'events'), [said('b')], If_Match='*'))['events'][0]['seq'])
            for wrong in ('x', '', tag[1:-1], 'W/' + tag, tag + ', ' + tag, tag[:-2] + '-1"', '"/1"', tag[:-1] + '9' * 30 + '"'):
                equal((wrong, (400, 'invalid_value', 'If-Match')),
                      (wrong, refused(server.ask('POST', at('s', 'events'), [said('b')], If_Match=wrong))))


@case
def A8_what_is_wrong_with_an_event_is_told_by_name(home):
    with Server(home) as server:
        make(server, 's')
        good = said('a')
        deep = {'role': 'user', 'content': 'a'}
        for _ in range(30):
            deep = {'role': 'user', 'content': 'a', 'x': deep}
        for events, param in (([], 'events'), ([good] * 1001, 'events'), ([5], 'events[0]'), ([good, None], 'events[1]'),
                              ([{}], 'events[0].message'), ([{'message': 'x'}], 'events[0].message'),
                              ([{'message': {}}], 'events[0].message'), ([{'message': {'role': ''}}], 'events[0].message'),
                              ([good, good, {'message': {'role': 5}}], 'events[2].message'),
                              ([good, said('a', id='x')], 'events[1].id'), ([said('a', id='x' * 36)], 'events[0].id'),
                              ([said('a', id='\u00e4' * 18)], 'events[0].id'), ([said('a', author='')], 'events[0].author'),
                              ([good, said('a', author='x' * 256)], 'events[1].author'),
                              ([said('a', turn='a\nb')], 'events[0].turn'), ([said('a', status='done')], 'events[0].status'),
                              ([said('a', usage=[])], 'events[0].usage'), ([good, said('a', state={'': 1})], 'events[1].state'),
                              ([said('a', text='b')], 'events[0].text'), ([{'message': deep}], 'events[0].message'),
                              ([good, said('a', extra=deep)], 'events[1].extra')):
            equal((param, (400, 'invalid_value', param)), (param, refused(server.ask('POST', at('s', 'events'), events))))
        equal((400, 'invalid_value', None), refused(server.ask('POST', at('s', 'events'), good)))
        equal((400, 'invalid_value', None), refused(server.ask('POST', at('s', 'events'))))
        equal((413, 'too_big', 'events[1]'), refused(server.ask('POST', at('s', 'events'), [good, said('x' * (5 << 20))])))
        equal((404, 'not_found', None), refused(server.ask('POST', at('nothing', 'events'), [good])))
        equal(0, done(server.ask('GET', at('s')))['session']['last_seq'])


# ---- rights --------------------------------------------------------------------------------


@case
def names_of_the_app_want_the_right_admin(home):
    store, keys = 'sqlite:n.db', {}
    for rights in ('chat,read', 'chat,read,admin', 'read', 'chat'):
        made = home.run('key', 'add', '-session', store, '-user', 'a', '-rights', rights)
        keys[rights] = {'Authorization': f'Bearer {made.out.strip()}'}
    with Server(home, '-auth', 'keys', '-session', store) as server:
        admin, plain = keys['chat,read,admin'], keys['chat,read']
        done(server.ask('POST', at(), {'id': 's', 'state': {'app:x': 1}}, **admin), 201)
        for method, path, body, param in (('POST', at(), {'state': {'app:x': 2}}, 'state'),
                                          ('PATCH', at('s'), {'state': {'a': 1, 'app:x': None}}, 'state'),
                                          ('POST', at('s', 'events'), [said('x', state={'app:x': 2})], 'events[0].state')):
            equal((403, 'forbidden', param), refused(server.ask(method, path, body, **plain)))
        got = done(server.ask('GET', at('s'), **plain))
        equal(({'app:x': 1}, 0), (got['state'], got['session']['last_seq']))
        done(server.ask('PATCH', at('s'), {'state': {'app:x': 2}}, **admin))
        for rights, method, path in (('read', 'POST', at()), ('read', 'PATCH', at('s')), ('read', 'DELETE', at('s')),
                                     ('read', 'POST', at('s', 'events')), ('read', 'POST', at('s', 'turns')),
                                     ('chat', 'GET', at()), ('chat', 'GET', at('s')), ('chat', 'GET', at('s', 'follow'))):
            equal((rights, method, path, 403), (rights, method, path, server.ask(method, path, **keys[rights]).status))
        equal(['read'], done(server.ask('GET', '/convo/v1/me', **keys['read']))['rights'])


@case
def what_is_not_there_yet_is_said_so(home):
    with Server(home) as server:
        equal((501, 'not_supported', None), refused(server.ask('GET', '/convo/v1/search?q=x')))


main()
