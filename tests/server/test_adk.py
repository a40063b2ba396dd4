#!/usr/bin/env python3
"""Google ADK's REST API, by what is sent and by the client of the `google-adk` package."""

import asyncio
import json
import time
import uuid

import pypi

MISSING = pypi.need('google-adk==2.13.0', 'google.adk', within=600)

from serving import Server  # noqa: E402
from stores import postgres, sqlite  # noqa: E402
from harness import Skip, case, contains, equal, main  # noqa: E402

ROOT = '/apps/convo/users/user/sessions'


def text(words, role='user'):
    return {'role': role, 'parts': [{'text': words}]}


def run_body(session, words='hi', **more):
    return {'appName': 'convo', 'userId': 'user', 'sessionId': session, 'newMessage': text(words), **more}


def texts(events):
    return [''.join(part.get('text', '') for part in event['content']['parts']) for event in events]


def make(server, session, **more):
    reply = server.ask('POST', ROOT, {'sessionId': session, **more})
    equal((session, 200), (session, reply.status))
    return reply.json


# ---- by what is sent -----------------------------------------------------------------------


@case
def the_server_tells_of_itself(home):
    with Server(home) as server:
        equal({'status': 'ok'}, server.ask('GET', '/health').json)
        equal({'version', 'language', 'language_version'}, set(server.ask('GET', '/version').json))
        equal(['convo'], server.ask('GET', '/list-apps').json)
        equal('convo', server.ask('GET', '/list-apps?detailed=true').json['apps'][0]['name'])


@case
def sessions_are_made_read_changed_and_deleted(home):
    with Server(home) as server:
        began = time.time()
        made = make(server, 's', state={'a': 1, 'user:lang': 'de', 'temp:x': 1, 'deep': {'b': [1, None, 'ü']}})
        equal(('s', 'convo', 'user', []), tuple(made[name] for name in ('id', 'appName', 'userId', 'events')))
        equal({'a': 1, 'user:lang': 'de', 'deep': {'b': [1, None, 'ü']}}, made['state'])
        assert began - 2 < made['lastUpdateTime'] < time.time() + 2, made
        equal(made, server.ask('GET', f'{ROOT}/s').json)
        equal(409, server.ask('POST', ROOT, {'session_id': 's'}).status)
        changed = server.ask('PATCH', f'{ROOT}/s', {'stateDelta': {'a': None, 'c': 'x'}}).json
        equal({'c': 'x', 'user:lang': 'de', 'deep': {'b': [1, None, 'ü']}}, changed['state'])
        for body in (None, {}, b'null'):
            assert uuid.UUID(server.ask('POST', ROOT, body).json['id'])
        equal({'k': 'v', 'user:lang': 'de'}, server.ask('POST', f'{ROOT}/a%2Fb%20%C3%BC', {'k': 'v'}).json['state'])
        listed = server.ask('GET', ROOT).json
        equal(5, len(listed))
        equal({'s', 'a/b ü'}, {one['id'] for one in listed if len(one['id']) < 9})
        equal(b'null', server.ask('DELETE', f'{ROOT}/s').body)
        equal(b'null', server.ask('DELETE', f'{ROOT}/s').body)
        for method, body in (('GET', None), ('PATCH', {'stateDelta': {'a': 1}}), ('PATCH', {})):
            reply = server.ask(method, f'{ROOT}/s', body)
            equal((404, {'detail': 'Session not found: s'}), (reply.status, reply.json))


@case
def a_run_answers_with_events(home):
    with Server(home) as server:
        make(server, 's')
        events = server.ask('POST', '/run', run_body('s', 'grüße', stateDelta={'n': 1})).json
        equal((1, 'model', 'convo'), (len(events), events[0]['content']['role'], events[0]['author']))
        contains('grüße', texts(events)[0])
        session = server.ask('GET', f'{ROOT}/s').json
        equal((['user', 'model'], {'n': 1}), ([one['content']['role'] for one in session['events']], session['state']))
        equal({key: events[0][key] for key in ('id', 'invocationId', 'content', 'author', 'actions')},
              {key: session['events'][1][key] for key in ('id', 'invocationId', 'content', 'author', 'actions')})
        equal({events[0]['invocationId']}, {one['invocationId'] for one in session['events']})
        snake = {'user_id': 'user', 'session_id': 's', 'new_message': text('two'), 'state_delta': {'n': 2}}
        contains('two', texts(server.ask('POST', '/run', snake).json)[0])
        equal((4, {'n': 2}), (len(server.ask('GET', f'{ROOT}/s').json['events']),
                              server.ask('GET', f'{ROOT}/s').json['state']))
        equal('6', server.chat('three', session='s').headers['x-convo-seq'])


@case
def an_invocation_that_is_repeated_runs_once(home):
    with Server(home) as server:
        make(server, 's')
        first, again = (server.ask('POST', '/run', run_body('s', invocationId='inv-1')).json for _ in range(2))
        equal((first[0]['id'], first[0]['content'], 'inv-1'),
              (again[0]['id'], again[0]['content'], again[0]['invocationId']))
        equal(2, len(server.ask('GET', f'{ROOT}/s').json['events']))


@case
def a_stream_has_pieces_and_then_the_whole(home):
    with Server(home) as server:
        make(server, 's')
        reply = server.ask('POST', '/run_sse', run_body('s', 'one two three', streaming=True))
        events = [json.loads(event) for event in reply.events]
        *pieces, whole = events
        assert len(pieces) > 1 and all(piece['partial'] for piece in pieces), events
        assert 'partial' not in whole, whole
        equal(texts([whole])[0], ''.join(texts(pieces)))
        equal({whole['invocationId']}, {event['invocationId'] for event in events})
        equal(len(events), len({event['id'] for event in events}))
        equal(whole['id'], server.ask('GET', f'{ROOT}/s').json['events'][-1]['id'])
        reply = server.ask('POST', '/run_sse', run_body('s', 'again'))
        equal((1, 'text/event-stream'), (len(reply.events), reply.headers['content-type']))
        contains('again', texts([json.loads(reply.events[0])])[0])


@case
def what_fails_is_told_as_adk_tells_it(home):
    with Server(home, model='gone') as server:
        make(server, 's')
        reply = server.ask('POST', '/run', run_body('s'))
        assert reply.status >= 500 and list(reply.json) == ['detail'], reply.body
        reply = server.ask('POST', '/run_sse', run_body('s', streaming=True))
        event = json.loads(reply.events[-1])
        equal((200, {'error', 'error_details'}, {'error_type', 'error_message', 'timestamp'}),
              (reply.status, set(event), set(event['error_details'])))


@case
def what_is_wrong_is_refused_and_nothing_is_stored(home):
    with Server(home) as server:
        make(server, 's')
        for body in (b'{', b'[]', b'7', {}, run_body('s', newMessage=None), run_body('s', newMessage={}),
                     run_body('s', newMessage={'parts': []}), run_body('s', newMessage={'parts': [{}]}),
                     run_body('s', newMessage={'parts': ['hi']}), run_body('s', newMessage={'parts': [{'text': 5}]}),
                     run_body('s', newMessage={'parts': [{'executableCode': {}}]}), run_body('s', stateDelta=[]),
                     run_body('s', newMessage={'role': 'user', 'parts': [{'functionCall': {'id': 'a', 'name': 'b'}}]}),
                     run_body('s', newMessage={'parts': [{'functionResponse': {'id': 'a', 'response': {}}}]}),
                     run_body('s', invocationId='x\x01'), run_body('s', stateDelta={'': 1}), run_body(5),
                     run_body('s', appName=5), run_body('s', invocationId=5)):
            for path in ('/run', '/run_sse'):
                reply = server.ask('POST', path, body)
                wanted = 400 if reply.status != 200 else 200
                equal((path, body, wanted), (path, body, reply.status))
                if reply.status == 200:
                    contains('"error"', reply.events[0])
                else:
                    equal(['detail'], list(reply.json))
        equal(([], {}), tuple(server.ask('GET', f'{ROOT}/s').json[name] for name in ('events', 'state')))
        for body in ({'sessionId': 'x' * 256}, {'sessionId': 'a\x01'}, {'state': 5}, {'events': [{}]}, b'[1]',
                     {'sessionId': 5}):
            equal((body, 400), (body, server.ask('POST', ROOT, body).status))
        for path in ('/run_live', f'{ROOT}/s/artifacts', f'{ROOT}/s/artifacts/a/versions/1'):
            equal((path, 501), (path, server.ask('GET', path).status))
        equal(['detail'], list(server.ask('GET', '/apps/x').json))


@case
def what_is_not_theirs_is_not_there(home):
    with Server(home) as server:
        make(server, 's')
        for app, user in (('convo', 'bob'), ('other', 'user'), ('convo:keys', 'user'), ('CONVO', 'user')):
            root = f'/apps/{app}/users/{user}/sessions'
            for method, path, body in (('GET', root, None), ('POST', root, {}), ('GET', f'{root}/s', None),
                                       ('POST', f'{root}/s', {}), ('PATCH', f'{root}/s', {'stateDelta': {'a': 1}}),
                                       ('DELETE', f'{root}/s', None)):
                equal((method, path, 404), (method, path, server.ask(method, path, body).status))
            body = {**run_body('s'), 'appName': app, 'userId': user}
            equal(404, server.ask('POST', '/run', body).status)
            equal(404, server.ask('POST', '/run_sse', body).status)
        equal({'detail': 'Session not found: none'}, server.ask('POST', '/run', run_body('none')).json)
        equal([], server.ask('GET', f'{ROOT}/s').json['events'])


@case
def state_of_the_whole_application_is_the_administrators(home):
    keys = [home.run('key', 'add', '-user', 'user', '-session', 'sqlite:k.db', '-rights', rights).out.strip()
            for rights in ('chat,read', 'chat,read,admin')]
    with Server(home, '-auth', 'keys', '-session', 'sqlite:k.db') as server:
        mine, admin = ({'Authorization': f'Bearer {key}'} for key in keys)
        equal(200, server.ask('POST', ROOT, {'sessionId': 's'}, **mine).status)
        changes = {'app:motd': 'x'}
        for method, path, body in (('PATCH', f'{ROOT}/s', {'stateDelta': changes}), ('POST', ROOT, {'state': changes}),
                                   ('POST', f'{ROOT}/t', changes), ('POST', '/run', run_body('s', stateDelta=changes)),
                                   ('POST', '/run_sse', run_body('s', stateDelta=changes))):
            equal((path, 403), (path, server.ask(method, path, body, **mine).status))
        events = [{'author': 'user', 'content': text('a'), 'actions': {'stateDelta': changes}}]
        equal(400, server.ask('POST', ROOT, {'events': events}, **mine).status)
        equal('x', server.ask('PATCH', f'{ROOT}/s', {'stateDelta': changes}, **admin).json['state']['app:motd'])
        equal('x', server.ask('GET', f'{ROOT}/s', **mine).json['state']['app:motd'])


@case
def a_session_can_begin_with_events(home):
    picture = {'inlineData': {'mimeType': 'image/png', 'data': 'AA-_'}}
    events = [{'author': 'user', 'invocationId': 'i1', 'content': {'role': 'user', 'parts': [{'text': 'see'}, picture]}},
              {'author': 'painter', 'invocation_id': 'i1', 'actions': {'state_delta': {'seen': 1}},
               'content': {'role': 'model', 'parts': [{'text': 'wait'}, {'functionCall': {'id': 'c1', 'name': 'look',
                                                                                         'args': {'x': 1}}}]}},
              {'author': 'user', 'content': {'role': 'user', 'parts': [
                  {'functionResponse': {'id': 'c1', 'name': 'look', 'response': {'ok': True}}}]}},
              {'author': 'painter', 'content': text('a dot', 'model')},
              {'author': 'user', 'content': {'parts': [{'fileData': {'fileUri': 'https://a.example/x.png'}}]}}]
    with Server(home) as server:
        made = make(server, 's', events=events)
        equal({'seen': 1}, made['state'])
        equal([['user', 'i1', [{'text': 'see'}, {'inlineData': {'mimeType': 'image/png', 'data': 'AA+/'}}]],
               ['painter', 'i1', events[1]['content']['parts']], ['user', '', events[2]['content']['parts']],
               ['painter', '', [{'text': 'a dot'}]], ['user', '', events[4]['content']['parts']]],
              [[one['author'], one['invocationId'], one['content']['parts']] for one in made['events']])
        equal({'seen': 1}, made['events'][1]['actions']['stateDelta'])
        assert server.ask('POST', '/run', run_body('s')).status == 200


@case
def a_session_that_cannot_have_its_events_is_not_made(home):
    good = {'author': 'user', 'content': text('a')}
    with Server(home) as server:
        for bad in ({**good, 'invocationId': 'i' * 256}, {**good, 'author': 'a\x01'}, {**good, 'content': {'parts': []}},
                    {**good, 'actions': {'stateDelta': {'n' * 300: 1}}}):
            equal((bad, 400), (bad, server.ask('POST', ROOT, {'sessionId': 's', 'events': [good, bad]}).status))
            equal((bad, 404), (bad, server.ask('GET', f'{ROOT}/s').status))
        equal([], server.ask('GET', ROOT).json)
        equal(413, server.ask('POST', ROOT, {'sessionId': 's', 'events': [
            {'author': 'user', 'content': text('x' * (5 << 20))}]}).status)
        equal(404, server.ask('GET', f'{ROOT}/s').status)
        make(server, 's', events=[good])


@case
def what_was_taken_back_is_not_shown(home):
    with Server(home, '-session', 'sqlite:s.db') as server:
        make(server, 's')
        for words in ('one', 'two', 'three'):
            equal(200, server.ask('POST', '/run', run_body('s', words)).status)
        equal(0, home.echo('-session', 'sqlite:s.db', '-app', 'convo', '-user', 'user',
                           text='/use s\n/undo\n/undo\n').returncode)
        equal(200, server.ask('POST', '/run', run_body('s', 'four')).status)
        shown = texts(server.ask('GET', f'{ROOT}/s').json['events'])
        equal(('one', 'four', 4), (shown[0], shown[2], len(shown)))


@case
def a_session_shows_its_newest_events_as_long_as_they_fit(home):
    events = [{'author': 'user', 'content': text(str(i))} for i in range(1000)]
    with Server(home, '-event-limit', 'off') as server:
        equal(1000, len(make(server, 'many', events=events)['events']))
        equal(400, server.ask('POST', ROOT, {'events': [*events, events[0]]}).status)
        equal(200, server.ask('POST', '/run', run_body('many', 'last')).status)
        shown = texts(server.ask('GET', f'{ROOT}/many').json['events'])
        equal((1000, '2', 'last'), (len(shown), shown[0], shown[-2]))
        make(server, 'big')
        for _ in range(9):  # the answers repeat the questions
            equal(200, server.ask('POST', '/run', run_body('big', 'x' * (2 << 20))).status)
        reply = server.ask('GET', f'{ROOT}/big')
        equal((413, ['detail']), (reply.status, list(reply.json)))
        equal(200, server.ask('POST', '/run', run_body('big', 'on')).status)


@case
def tokens_of_runs_count(home):
    key = home.run('key', 'add', '-user', 'user', '-session', 'sqlite:k.db', '-tpm', '60').out.strip()
    for path in ('/run', '/run_sse'):
        with Server(home, '-auth', 'keys', '-session', 'sqlite:k.db') as server:
            head = {'Authorization': f'Bearer {key}'}
            equal(200, server.ask('POST', ROOT, {'sessionId': path}, **head).status)
            equal(200, server.ask('POST', path, run_body(path, 'x ' * 200), **head).status)
            equal(429, server.ask('GET', ROOT, **head).status)
            equal(['detail'], list(server.ask('GET', ROOT, **head).json))


# ---- by the client of the package ----------------------------------------------------------


def client_of(server):
    if MISSING:
        raise Skip(f'no google-adk: {MISSING}')
    from google.adk.cli.conformance.adk_web_server_client import AdkWebServerClient
    return AdkWebServerClient(base_url=f'http://{server.where}')


def have_a_conversation(home, store):
    async def talk(client):
        from google.adk.cli.adk_web_server import RunAgentRequest
        from google.genai import types

        def ask(session, words, **more):
            return client.run_agent(RunAgentRequest(
                app_name='convo', user_id='user', session_id=session.id, **more,
                new_message=types.Content(role='user', parts=[types.Part(text=words)])))

        async with client:
            assert await client.get_version_data()
            who = {'app_name': 'convo', 'user_id': 'user'}
            session = await client.create_session(**who, state={'color': 'blue'})
            equal({'color': 'blue'}, session.state)
            events = [event async for event in ask(session, 'hello there', streaming=True)]
            assert len(events) > 2 and all(event.partial for event in events[:-1]), events
            equal((True, False), (events[-1].is_final_response(), bool(events[-1].partial)))
            events = [event async for event in ask(session, 'second', state_delta={'color': 'red'})]
            contains('second', events[-1].content.parts[0].text)
            session = await client.get_session(**who, session_id=session.id)
            equal((['user', 'convo'] * 2, {'color': 'red'}), ([event.author for event in session.events], session.state))
            session = await client.update_session(**who, session_id=session.id, state_delta={'n': 1})
            equal({'color': 'red', 'n': 1}, session.state)
            await client.delete_session(**who, session_id=session.id)
            try:
                await client.get_session(**who, session_id=session.id)
                raise AssertionError('it is still there')
            except Exception as error:  # httpx is the package's
                contains('404', str(error))

    with Server(home, '-session', store) as server:
        asyncio.run(talk(client_of(server)))


@case
def the_packages_client_has_a_conversation_in_sqlite(home):
    with sqlite(home) as store:
        have_a_conversation(home, store)


@case
def the_packages_client_has_a_conversation_in_postgresql(home):
    with postgres(home) as store:
        have_a_conversation(home, store)


main()
