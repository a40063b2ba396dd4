#!/usr/bin/env python3
"""The official `openai` package of Python against `convo serve`: what it sends is what clients send."""

from concurrent.futures import ThreadPoolExecutor

from serving import Server
from official import client_of, openai
from stores import memory, postgres, sqlite
from harness import case, contains, equal, main


def on_each_store(function):
    """A case for each; the function gets the store's URL, too."""
    for make in (memory, sqlite, postgres):
        def run(home, make=make):
            with make(home) as store:
                function(home, store)
        run.__name__ = f'{function.__name__}_in_{make.__name__}'
        case(run)


def user(text):
    return {'role': 'user', 'content': text}


@case
def models_are_listed_and_found(home):
    with Server(home) as server:
        client = client_of(server)
        equal(['echo'], [model.id for model in client.models.list()])
        equal('echo', client.models.retrieve('echo').id)
        try:
            client.models.retrieve('a/b c')
            raise AssertionError('there is such a model')
        except openai.NotFoundError as error:
            equal('model_not_found', error.code)


@case
def a_chat_without_a_session_is_as_the_client_sends_it(home):
    with Server(home) as server:
        client = client_of(server)
        answer = client.chat.completions.create(
            model='echo', messages=[{'role': 'system', 'content': 'short'}, user('hi'),
                                    {'role': 'assistant', 'content': 'yes?'}, user('grüße 🎈')])
        equal(('chat.completion', 'echo', 'stop'), (answer.object, answer.model, answer.choices[0].finish_reason))
        contains('4 messages', answer.choices[0].message.content)
        contains('user: grüße 🎈', answer.choices[0].message.content)
        equal('assistant', answer.choices[0].message.role)
        assert answer._request_id
        again = client.chat.completions.create(model='echo', messages=[user('hi')])
        contains('1 message', again.choices[0].message.content)
        equal((0, 0, 0), (again.usage.prompt_tokens, again.usage.completion_tokens, again.usage.total_tokens))


@case
def a_stream_is_the_same_in_pieces(home):
    with Server(home) as server:
        client = client_of(server)
        whole = client.chat.completions.create(model='echo', messages=[user('one two')])
        chunks = list(client.chat.completions.create(model='echo', messages=[user('one two')], stream=True))
        equal(whole.choices[0].message.content, ''.join(chunk.choices[0].delta.content or '' for chunk in chunks))
        equal('assistant', chunks[0].choices[0].delta.role)
        equal(['stop'], [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason])
        equal(1, len({chunk.id for chunk in chunks}))
        with client.chat.completions.stream(model='echo', messages=[user('one two')]) as stream:
            equal(whole.choices[0].message.content, stream.get_final_completion().choices[0].message.content)


@on_each_store
def a_session_is_remembered_by_the_store(home, store):
    with Server(home, '-session', store) as server:
        client = client_of(server)
        for number, stream in ((1, False), (3, True), (5, False)):
            # Clients resend all of it: what is new is the last message.
            messages = [user('old'), {'role': 'assistant', 'content': 'x'}, user(f'say {number}')]
            answer = client.chat.completions.with_raw_response.create(
                model='echo', messages=messages, stream=stream,
                extra_headers={'X-Convo-Session': 'a/b%20%C3%BC'} if number < 5 else None,
                **({'metadata': {'session_id': 'a/b ü'}} if number == 5 else {}))
            said = ''.join(chunk.choices[0].delta.content or '' for chunk in answer.parse()) if stream \
                else answer.parse().choices[0].message.content
            contains(f'{number} message', said)
            contains(f'user: say {number}', said)
            if not stream:
                equal(('a/b%20%C3%BC', str(number + 1)),
                      (answer.headers['x-convo-session'], answer.headers['x-convo-seq']))
        answer = client.chat.completions.create(model='echo', messages=[user('x')],
                                                metadata={'session_id': 'another'})
        contains('1 message', answer.choices[0].message.content)
    if store == 'inmemory':
        return
    with Server(home, '-session', store) as server:
        answer = client_of(server).chat.completions.create(model='echo', messages=[user('x')],
                                                           metadata={'session_id': 'a/b ü'})
        contains('7 messages', answer.choices[0].message.content)


@case
def usage_thinking_and_tools_of_a_model_come_through(home):
    for model in ('think', 'tool'):
        with Server(home, model=model) as server:
            client = client_of(server)
            chunks = list(client.chat.completions.create(
                model=model, messages=[user('x')], stream=True, stream_options={'include_usage': True}))
            equal([], chunks[-1].choices)
            with client.chat.completions.stream(model=model, messages=[user('x')]) as stream:
                final = stream.get_final_completion().choices[0]
            if model == 'tool':
                equal('tool_calls', final.finish_reason)
                call = final.message.tool_calls[0]
                equal(('c1', 'f', '{}'), (call.id, call.function.name, call.function.arguments))
            else:
                equal(18, chunks[-1].usage.total_tokens)
                equal('let me see', ''.join(getattr(chunk.choices[0].delta, 'reasoning_content', None) or ''
                                            for chunk in chunks if chunk.choices))


@on_each_store
def tools_go_both_ways_in_a_session(home, store):
    with Server(home, '-session', store, model='tool') as server:
        ask = client_of(server, max_retries=0).chat.completions
        asked = [{'role': 'system', 'content': 'be brief'}, user('x')]
        named = {'model': 'tool', 'metadata': {'session_id': 'tools'}, 'temperature': 0.25,
                 'tools': [{'type': 'function', 'function': {'name': 'f', 'parameters': {}}}]}
        with ask.stream(messages=asked, **named) as stream:
            call = stream.get_final_completion().choices[0].message
        equal(('c1', 'f', '{}'), (call.tool_calls[0].id, call.tool_calls[0].function.name,
                                  call.tool_calls[0].function.arguments))
        asked.append(call.model_dump(include={'role', 'content', 'tool_calls'}, exclude_none=True))
        wrong = {'role': 'tool', 'tool_call_id': 'c2', 'content': '42'}
        refused(openai.BadRequestError, ask.create, **{**named, 'messages': [*asked, wrong]})
        asked.append({**wrong, 'tool_call_id': 'c1'})
        answer = ask.create(messages=asked, **named)
        # The endpoint had the instruction, question, call and output, and what else was set.
        equal('system user assistant tool at 0.25', answer.choices[0].message.content)
        asked += [{'role': 'assistant', 'content': answer.choices[0].message.content}, user('again')]
        equal('tool_calls', ask.create(messages=asked, **named).choices[0].finish_reason)


def assistant(text):
    return {'role': 'assistant', 'content': text}


@on_each_store
def of_a_clients_history_what_is_not_there_is_stored(home, store):
    with Server(home, '-session', store) as server:
        create = client_of(server, max_retries=0).chat.completions.create

        def ask(messages, name='h'):
            said = create(model='echo', messages=messages, extra_headers={
                'X-Convo-Session': name, 'X-Convo-History': 'client'}).choices[0].message.content
            return [*messages, assistant(said)], said
        # A conversation that was begun elsewhere, its instruction not stored, and gone on with.
        history, said = ask([{'role': 'system', 'content': 's'}, user('a'), assistant('yes'), user('b'), assistant('yes'),
                             {'role': 'user', 'content': [{'type': 'text', 'text': 'c'}]}])
        contains('6 messages', said)
        history, said = ask([*history, user('d')])
        contains('8 messages', said)
        # Asked again it is said again; what was changed or cut by the client goes on behind what is there.
        history = history[1:]
        contains('9 messages', ask(history[:-1])[1])
        history, said = ask([*history[:-1], assistant('cut'), user('e')])
        contains('12 messages', said)
        # Who has only the end of it, and who says the same words over and over.
        contains('14 messages', ask([*history[-3:], user('f')])[1])
        same = []
        for number in (1, 3, 5, 7):
            same, said = ask([*same, user('go on')], name='same')
            contains(f'{number} message', said)
        contains('9 messages', create(model='echo', messages=[user('other'), assistant('x'), user('y')],
                                      extra_headers={'X-Convo-Session': 'same'}).choices[0].message.content)
        # Others at the same time: nothing is stored twice or in between.
        with ThreadPoolExecutor(8) as pool:
            ends = list(pool.map(lambda i: server.ask(
                'POST', '/v1/chat/completions', {'model': 'echo', 'messages': [*same, user(f'n{i}')]},
                X_Convo_Session='same', X_Convo_History='client').status, range(16)))
        assert set(ends) <= {200, 409} and 200 in ends, ends
        contains(f'{11 + 2 * ends.count(200)} messages', ask([*same, user('last')], name='same')[1])
        for more, param in (({'X-Convo-History': 'server', 'X-Convo-Session': 'h'}, None),
                            ({'X-Convo-History': 'client'}, None)):
            equal(param, refused(openai.BadRequestError, create, extra_headers=more).param)
        for messages in ([assistant('x')], [user('x'), assistant('x')], [{'role': 'system', 'content': 's'}]):
            equal('messages', refused(openai.BadRequestError, create, messages=messages, extra_headers={
                'X-Convo-History': 'client', 'X-Convo-Session': 'h'}).param)


@case
def calls_in_a_clients_history_are_stored_once(home):
    with Server(home, model='tool') as server:
        create = client_of(server).chat.completions.create
        asked = []
        for number, want in ((1, 'user assistant tool at None'),
                             (2, 'user assistant tool assistant user assistant tool at None')):
            asked.append(user('x'))
            for _ in range(2):
                said = create(model='tool', messages=asked, extra_headers={
                    'X-Convo-Session': 'h', 'X-Convo-History': 'client'}).choices[0].message
                asked.append(said.model_dump(include={'role', 'content', 'tool_calls'}, exclude_none=True))
                if said.tool_calls:
                    asked.append({'role': 'tool', 'tool_call_id': f'c{number}', 'content': '42'})
            equal(want, said.content)


def refused(kind, call, **more):
    try:
        call(**{'model': 'echo', 'messages': [user('x')], **more})
    except kind as error:
        return error
    raise AssertionError(f'no {kind.__name__} for {more}')


@case
def errors_are_the_clients_own(home):
    with Server(home) as server:
        ask = client_of(server, max_retries=0).chat.completions.create
        error = refused(openai.NotFoundError, ask, model='absent')
        equal(('model_not_found', 'model', 404), (error.code, error.param, error.status_code))
        deep = user('x')
        for _ in range(70):
            deep = {'role': 'user', 'content': [deep]}
        for more, param in (({'messages': []}, 'messages'), ({'messages': [{}]}, 'messages[0].role'),
                            ({'messages': ['x']}, 'messages[0].role'), ({'messages': {'a': 1}}, 'messages'),
                            ({'model': 5}, 'model'), ({'n': 2}, 'n'), ({'extra_body': {'stream': 'yes'}}, 'stream'),
                            ({'messages': [deep]}, None),
                            ({'messages': [{'role': 'system', 'content': 'x'}], 'metadata': {'session_id': 's'}},
                             'messages'),
                            ({'messages': [user('')], 'metadata': {'session_id': 's'}}, 'messages'),
                            ({'metadata': {'session_id': 'x' * 300}}, None)):
            error = refused(openai.BadRequestError, ask, **more)
            equal((more, param), (more, error.param))
        error = refused(openai.APIStatusError, ask, messages=[user('x' * (9 << 20))])
        equal(413, error.status_code)


@case
def what_a_model_refuses_is_told_as_the_models(home):
    for model, status, code in (('gone', 502, 'model_not_found'), ('page', 502, 'model_not_found'),
                                ('overload', 502, 'model_refused'),
                                ('small', 400, 'context_length_exceeded')):
        with Server(home, model=model) as server:
            ask = client_of(server, max_retries=0).chat.completions.create
            for stream in (False, True):
                error = refused(openai.APIStatusError, ask, model=model, stream=stream,
                                messages=[user('many words ' * 400)])
                equal((model, status, code), (model, error.status_code, error.code))


@case
def an_answer_that_breaks_is_an_error_in_the_stream(home):
    with Server(home, '-session', 'sqlite', model='cut') as server:
        client = client_of(server)
        said = ''
        try:
            for chunk in client.chat.completions.create(model='cut', messages=[user('x')], stream=True,
                                                        metadata={'session_id': 's'}):
                said += chunk.choices[0].delta.content or ''
            raise AssertionError('it did not break')
        except openai.APIError as error:
            equal('model_unavailable', error.code)
        equal('Hello from cut.', said)


main()
