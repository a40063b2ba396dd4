#!/usr/bin/env python3
"""/v1/responses and /v1/conversations by the official `openai` package of Python, on several stores."""

import time
from concurrent.futures import ThreadPoolExecutor

from serving import Server
from official import client_of, openai
from stores import in_sqlite_and_postgresql, sqlite
from harness import case, contains, equal, main

scenarios = []


def scenario(model='echo'):
    """Runs on each store, before a server with that model."""
    def register(function):
        scenarios.append((function, model))
        return function
    return register


def run_all(home, store):
    for function, model in scenarios:
        with Server(home, '-session', store, model=model) as server:
            try:
                function(home, server, client_of(server, max_retries=0), store)
            except Exception as error:
                error.add_note(f'in {function.__name__}')
                raise


@case
def in_memory(home):
    run_all(home, 'inmemory')


in_sqlite_and_postgresql(run_all)


def refused(kind, call, **more):
    try:
        call(**more)
    except kind as error:
        return error
    raise AssertionError(f'no {kind.__name__} for {more}')


def wait_for(look, within=20):
    end = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < end, 'it does not come'
        time.sleep(0.05)
    return found


# ---- responses -----------------------------------------------------------------------------

@scenario()
def a_response_has_what_its_type_says(_home, _server, client, _store):
    said = client.responses.create(model='echo', input='grüße 🎈', instructions='be brief', metadata={'a': 'b'},
                                   temperature=0.5, user='x')
    contains('user: grüße 🎈', said.output_text)
    contains('2 messages', said.output_text)
    equal(('response', 'completed', 'echo', 'be brief', {'a': 'b'}, 0.5, None, None),
          (said.object, said.status, said.model, said.instructions, said.metadata, said.temperature, said.error,
           said.previous_response_id))
    equal(('message', 'assistant', 'completed'), (said.output[0].type, said.output[0].role, said.output[0].status))
    assert said.id.startswith('resp_') and said.output[0].id.startswith('msg_') and said.created_at > 1e9
    again = client.responses.retrieve(said.id)
    equal(said.to_dict(), again.to_dict())


@scenario()
def a_response_follows_another(_home, _server, client, _store):
    one = client.responses.create(model='echo', input='one', instructions='for one')
    two = client.responses.create(model='echo', input='two', previous_response_id=one.id)
    contains('3 messages', two.output_text)
    equal(one.id, two.previous_response_id)
    # Another one that follows the first is a fork: it does not see the second.
    other = client.responses.create(model='echo', input='other', previous_response_id=one.id)
    contains('3 messages', other.output_text)
    for last in (two, other):
        contains('5 messages', client.responses.create(model='echo', input='x', previous_response_id=last.id).output_text)
    equal('one', client.responses.input_items.list(one.id).data[0].content[0].text)


@scenario()
def of_many_that_follow_one_each_sees_that_alone(_home, _server, client, _store):
    one = client.responses.create(model='echo', input='one')
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda i: client.responses.create(model='echo', input=f'n{i}', previous_response_id=one.id),
                             range(16)))
    for i, said in enumerate(told):
        contains('3 messages', said.output_text)
        contains(f'user: n{i}', said.output_text)
    equal(16, len({said.id for said in told}))


@scenario()
def items_go_in_as_they_come_out(_home, _server, client, _store):
    history = [{'role': 'user', 'content': 'old'},
               {'type': 'message', 'role': 'assistant', 'id': 'msg_1', 'status': 'completed',
                'content': [{'type': 'output_text', 'text': 'an', 'annotations': []},
                            {'type': 'output_text', 'text': 'swer', 'annotations': []}]},
               {'type': 'reasoning', 'id': 'rs_1', 'summary': []},
               {'role': 'developer', 'content': [{'type': 'input_text', 'text': 'new rule'}]},
               {'role': 'user', 'content': [{'type': 'input_text', 'text': 'now'},
                                            {'type': 'input_image', 'image_url': 'data:image/png;base64,AAAA',
                                             'detail': 'low'}]}]
    said = client.responses.create(model='echo', input=history)
    contains('4 messages', said.output_text)
    given = client.responses.input_items.list(said.id, order='asc').data
    equal(['user', 'assistant', 'developer', 'user'], [item.role for item in given])
    equal('answer', given[1].content[0].text)
    equal('data:image/png;base64,AAAA', given[3].content[1].image_url)
    more = client.responses.create(model='echo', input='more', previous_response_id=said.id)
    contains('6 messages', more.output_text)
    pages = client.responses.input_items.list(said.id, order='desc', limit=3)
    equal((True, 3), (pages.has_more, len(pages.data)))
    equal([item.id for item in reversed(given)], [item.id for item in pages])


@scenario()
def what_is_not_stored_is_not_found(_home, _server, client, _store):
    said = client.responses.create(model='echo', input=[{'role': 'user', 'content': 'a'}], instructions='i', store=False)
    contains('2 messages', said.output_text)
    equal(False, said.model_extra.get('store', said.to_dict().get('store')))
    for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        equal('not_found', refused(openai.NotFoundError, call, response_id=said.id).code)
    for more in ({'previous_response_id': said.id}, {'background': True}):
        equal('store', refused(openai.BadRequestError, client.responses.create, model='echo', input='x', store=False,
                               **more).param)


TOOL = {'type': 'function', 'name': 'f', 'description': 'd', 'parameters': {'type': 'object', 'properties': {}},
        'strict': False}


@scenario('tool')
def tools_are_called_and_answered(_home, _server, client, _store):
    ask = {'model': 'tool', 'tools': [TOOL], 'temperature': 0.25, 'tool_choice': 'auto', 'parallel_tool_calls': True}
    said = client.responses.create(input='x', **ask)
    call = said.output[0]
    equal(('function_call', 'f', '{}', 'c1', 'completed'), (call.type, call.name, call.arguments, call.call_id,
                                                            call.status))
    equal(('f', True), (said.tools[0].name, call.id.startswith('fc_')))
    wrong = {'type': 'function_call_output', 'call_id': 'c2', 'output': '42'}
    equal(400, refused(openai.BadRequestError, client.responses.create, input=[wrong], previous_response_id=said.id,
                       **ask).status_code)
    # Who passes the call over is answered, and the half of it goes to no model.
    passed = client.responses.create(input='never mind', previous_response_id=said.id, **ask)
    equal('function_call', passed.output[0].type)
    told = client.responses.create(input=[{**wrong, 'call_id': 'c1'}], previous_response_id=said.id, **ask)
    equal('user assistant tool at 0.25', told.output_text)
    # The same with all of it in one request.
    told = client.responses.create(input=[{'role': 'user', 'content': 'x'}, call.to_dict(),
                                          {**wrong, 'call_id': 'c1'}], **ask)
    equal('user assistant tool at 0.25', told.output_text)
    equal(['message', 'function_call', 'function_call_output'],
          [item.type for item in client.responses.input_items.list(told.id, order='asc')])


ORDER = ['response.created', 'response.in_progress', 'response.output_item.added', 'response.content_part.added',
         'response.output_text.delta', 'response.output_text.done', 'response.content_part.done',
         'response.output_item.done', 'response.completed']


@scenario()
def a_stream_has_its_events_in_order(_home, _server, client, _store):
    whole = client.responses.create(model='echo', input='one two')
    events = list(client.responses.create(model='echo', input='one two', stream=True))
    equal(ORDER, list(dict.fromkeys(event.type for event in events)))
    numbers = [event.sequence_number for event in events]
    equal((0, sorted(set(numbers))), (numbers[0], numbers))
    equal(whole.output_text, ''.join(event.delta for event in events if event.type == ORDER[4]))
    equal(whole.output_text, events[-1].response.output_text)
    equal(events[0].response.id, events[-1].response.id)
    equal(events[-1].response.to_dict(), client.responses.retrieve(events[0].response.id).to_dict())
    with client.responses.stream(model='echo', input='one two') as stream:
        equal(whole.output_text, stream.get_final_response().output_text)
    # What is stored can be heard again, from any place on.
    name = events[0].response.id
    again = list(client.responses.retrieve(name, stream=True))
    equal(ORDER, list(dict.fromkeys(event.type for event in again)))
    for at in range(0, numbers[-1], 3):
        heard = [event for event in events if event.sequence_number <= at]
        rest = list(client.responses.retrieve(name, stream=True, starting_after=heard[-1].sequence_number))
        equal(whole.output_text, ''.join(e.delta for e in heard + rest if e.type == ORDER[4]))
        equal((numbers[-1], 'response.completed'), (rest[-1].sequence_number, rest[-1].type))


@scenario('tool')
def calls_are_streamed(_home, _server, client, _store):
    events = list(client.responses.create(model='tool', input='x', tools=[TOOL], stream=True))
    equal(['response.created', 'response.in_progress', 'response.output_item.added',
           'response.function_call_arguments.delta', 'response.function_call_arguments.done',
           'response.output_item.done', 'response.completed'], [event.type for event in events])
    equal(('f', 'c1', '{}'), (events[2].item.name, events[2].item.call_id, events[4].arguments))
    with client.responses.stream(model='tool', input='x', tools=[TOOL]) as stream:
        equal('{}', stream.get_final_response().output[0].arguments)
    equal([e.type for e in events],
          [e.type for e in client.responses.retrieve(events[0].response.id, stream=True)])


@scenario('think')
def thinking_and_usage_come_through(_home, _server, client, _store):
    events = list(client.responses.create(model='think', input='x', stream=True))
    equal('let me see', ''.join(e.delta for e in events if e.type == 'response.reasoning_text.delta'))
    said = events[-1].response
    equal(['reasoning', 'message'], [item.type for item in said.output])
    equal((11, 7, 18), (said.usage.input_tokens, said.usage.output_tokens, said.usage.total_tokens))
    equal(said.to_dict(), client.responses.retrieve(said.id).to_dict())


@scenario('length')
def an_answer_that_is_cut_is_incomplete(_home, _server, client, _store):
    said = client.responses.create(model='length', input='x', max_output_tokens=16)
    equal(('incomplete', 'max_output_tokens', 16), (said.status, said.incomplete_details.reason, said.max_output_tokens))
    events = list(client.responses.create(model='length', input='x', stream=True))
    equal('response.incomplete', events[-1].type)


@scenario('cut')
def an_answer_that_breaks_has_failed(_home, _server, client, _store):
    said = client.responses.create(model='cut', input='x', stream=True)
    events = list(said)
    equal(('response.failed', 'failed', 'server_error'), (events[-1].type, events[-1].response.status,
                                                          events[-1].response.error.code))
    kept = client.responses.retrieve(events[0].response.id)
    equal(('failed', 'Hello from cut.'), (kept.status, kept.output_text))


@scenario('gone')
def what_a_model_refuses_is_told(_home, _server, client, _store):
    equal(('model_not_found', 502), (lambda e: (e.code, e.status_code))(
        refused(openai.APIStatusError, client.responses.create, model='gone', input='x')))
    events = list(client.responses.create(model='gone', input='x', stream=True))
    equal(['response.created', 'response.in_progress', 'response.failed'], [event.type for event in events])


@scenario()
def what_is_not_supported_is_refused_by_name(_home, _server, client, _store):
    ask = client.responses.create
    deep = {}
    for _ in range(40):
        deep = {'a': deep}
    for more, param in (
            ({'tools': [{'type': 'web_search'}]}, 'tools'), ({'prompt': {'id': 'p'}}, 'prompt'),
            ({'extra_body': {'background_options': {}}}, 'background_options'), ({'input': []}, 'input'),
            ({'input': ''}, 'input'), ({'input': [{'type': 'item_reference', 'id': 'msg_x'}]}, 'input[0].type'),
            ({'input': [{'role': 'user', 'content': [{'type': 'input_file', 'file_id': 'f'}]}]}, 'input[0].content'),
            ({'input': [{'role': 'robot', 'content': 'x'}]}, 'input[0].role'),
            ({'text': {'format': {'type': 'xml'}}}, 'text.format'), ({'metadata': 'x'}, 'metadata'), ({'extra_body': {'text': 'x'}}, 'text'),
            ({'tools': [TOOL], 'tool_choice': {'type': 'allowed_tools'}}, 'tool_choice'),
            ({'max_output_tokens': 0}, 'max_output_tokens'), ({'temperature': 'warm'}, 'temperature'),
            ({'extra_body': {'stream': 'yes'}}, 'stream'), ({'metadata': deep}, None),
            ({'conversation': 'conv_x', 'previous_response_id': 'resp_x'}, 'conversation'),
            ({'extra_headers': {'Idempotency-Key': 'x' * 256}}, None)):
        error = refused(openai.BadRequestError, ask, **{'model': 'echo', 'input': 'x', **more})
        equal((str(more)[:80], param), (str(more)[:80], error.param))
    for name in ('resp_x', 'resp_', 'x', 'conv_' + 'A' * 60, 'resp_' + 'A' * 60, 'resp_' + 'A' * 900):
        for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel,
                     client.responses.input_items.list):
            equal((404, 'there is no such response'), (lambda e: (e.status_code, e.body['message']))(
                refused(openai.NotFoundError, call, response_id=name)))
        equal(404, refused(openai.NotFoundError, ask, model='echo', input='x', previous_response_id=name).status_code)
        equal(404, refused(openai.NotFoundError, ask, model='echo', input='x', conversation=name).status_code)


@scenario()
def a_deleted_response_is_gone_and_sent_no_more(_home, _server, client, _store):
    one = client.responses.create(model='echo', input='one')
    two = client.responses.create(model='echo', input='two', previous_response_id=one.id)
    three = client.responses.create(model='echo', input='three', previous_response_id=two.id)
    client.responses.delete(two.id)
    equal(404, refused(openai.NotFoundError, client.responses.retrieve, response_id=two.id).status_code)
    equal(404, refused(openai.NotFoundError, client.responses.create, model='echo', input='x',
                       previous_response_id=two.id).status_code)
    equal('three', client.responses.input_items.list(three.id).data[0].content[0].text)
    contains('3 messages', client.responses.create(model='echo', input='x', previous_response_id=one.id).output_text)


@scenario()
def a_replay_stores_nothing_twice(_home, server, client, _store):
    again = {'extra_headers': {'Idempotency-Key': f'key {time.time()}'}}
    one = [client.responses.create(model='echo', input='one', temperature=t, **again) for t in (0.5, 0.75)]
    equal((0.5, one[0].to_dict()), (one[1].temperature, one[1].to_dict()))
    events = list(client.responses.create(model='echo', input='one', stream=True, **again))
    equal((one[0].id, one[0].output_text), (events[-1].response.id, ''.join(
        e.delta for e in events if e.type == ORDER[4])))
    two = [client.responses.create(model='echo', input='two', previous_response_id=one[0].id, **again) for _ in range(2)]
    equal(two[0].to_dict(), two[1].to_dict())
    contains('3 messages', two[1].output_text)
    fork = {'extra_headers': {'Idempotency-Key': f'fork {time.time()}'}}
    three = [client.responses.create(model='echo', input='3', previous_response_id=one[0].id, **fork) for _ in range(2)]
    equal(three[0].to_dict(), three[1].to_dict())
    contains('3 messages', three[1].output_text)
    talk = client.conversations.create(items=[{'role': 'user', 'content': 'first'}], **again)
    equal(talk.id, client.conversations.create(items=[{'role': 'user', 'content': 'first'}], **again).id)
    four = [client.responses.create(model='echo', input='4', conversation=talk.id, **again) for _ in range(2)]
    equal(four[0].to_dict(), four[1].to_dict())
    equal(3, len(list(client.conversations.items.list(talk.id))))
    for stream in (False, True, False):
        reply = server.ask('POST', '/v1/chat/completions',
                           {'model': 'echo', 'messages': [{'role': 'user', 'content': 'hi'}], 'stream': stream},
                           X_Convo_Session=f'replays%20{one[0].id[-9:]}', Idempotency_Key='same')
        equal(200, reply.status)
        contains('1 message', reply.text)


# ---- running -------------------------------------------------------------------------------

@scenario('slow')
def one_in_the_background_goes_on(home, _server, client, store):
    begun = client.responses.create(model='slow', input='x', background=True)
    equal(('in_progress', True, []), (begun.status, begun.background, begun.output))
    # Behind one that runs nothing can be said yet.
    equal('busy', refused(openai.ConflictError, client.responses.create, model='slow', input='y',
                          previous_response_id=begun.id).code)
    so_far = wait_for(lambda: client.responses.retrieve(begun.id).output_text)
    contains('word0', so_far)
    with Server(home, '-session', store, model='slow') as second:
        other = client_of(second, max_retries=0) if store != 'inmemory' else client
        equal('in_progress', other.responses.retrieve(begun.id).status)
        heard = ''
        for event in other.responses.retrieve(begun.id, stream=True):
            heard += event.delta if event.type == ORDER[4] else ''
            if 'word5' in heard:
                break
        contains('word0 word1 word2 word3 word4 word5', heard)
        ended = other.responses.cancel(begun.id)
        equal('cancelled', ended.status)
        contains('word0 word1', ended.output_text)
        equal('cancelled', other.responses.cancel(begun.id).status)
    kept = client.responses.retrieve(begun.id)
    equal(('cancelled', ended.output_text), (kept.status, kept.output_text))
    events = list(client.responses.retrieve(begun.id, stream=True))
    equal(('response.incomplete', 'cancelled'), (events[-1].type, events[-1].response.status))
    more = client.responses.create(model='slow', input='more', previous_response_id=begun.id, background=True)
    equal('cancelled', client.responses.cancel(more.id).status)


@scenario('late')
def a_stream_that_is_cancelled_ends(_home, _server, client, _store):
    with client.responses.create(model='late', input='x', stream=True) as stream:
        begun = next(iter(stream)).response
        equal('cancelled', client.responses.cancel(begun.id).status)
        rest = [event.type for event in stream]
    equal('response.incomplete', rest[-1])
    equal('cancelled', client.responses.retrieve(begun.id).status)


@scenario('late')
def who_leaves_loses_nothing(_home, _server, client, _store):
    with client.responses.create(model='late', input='x', stream=True) as stream:
        begun = next(iter(stream)).response
    kept = wait_for(lambda: [r for r in [client.responses.retrieve(begun.id)] if r.status != 'in_progress'])[0]
    equal(('completed', 'Hello from late.'), (kept.status, kept.output_text))


@case
def a_response_is_there_after_a_restart(home):
    with sqlite(home) as store:
        with Server(home, '-session', store) as server:
            one = client_of(server).responses.create(model='echo', input='one')
        with Server(home, '-session', store) as server:
            client = client_of(server)
            equal(one.to_dict(), client.responses.retrieve(one.id).to_dict())
            contains('3 messages', client.responses.create(model='echo', input='two',
                                                           previous_response_id=one.id).output_text)


@case
def of_a_killed_server_what_was_said_is_there(home):
    with sqlite(home) as store:
        with Server(home, '-session', store, model='slow') as server:
            client = client_of(server)
            begun = client.responses.create(model='slow', input='x', background=True)
            wait_for(lambda: 'word3' in client.responses.retrieve(begun.id).output_text)
            server.process.kill()
            server.process.wait()
        with Server(home, '-session', store, model='slow') as server:
            client = client_of(server)
            kept = wait_for(lambda: [r for r in [client.responses.retrieve(begun.id)] if r.status != 'in_progress'], 30)
            equal('incomplete', kept[0].status)
            contains('word3', kept[0].output_text)


@case
def a_long_answer_is_streamed_whole(home):
    with Server(home) as server:
        client = client_of(server)
        text = 'grüße 🎈 ' * 8000
        events = list(client.responses.create(model='echo', input=text, stream=True))
        while events[-1].type == 'error':  # a reader that fell behind goes on where it was
            equal('too_slow', events.pop().code)
            events += client.responses.retrieve(events[0].response.id, stream=True,
                                                starting_after=events[-1].sequence_number)
        equal(events[-1].response.output_text, ''.join(e.delta for e in events if e.type == ORDER[4]))
        contains(text.strip()[-5000:], events[-1].response.output_text)
        again = list(client.responses.retrieve(events[0].response.id, stream=True))
        equal(events[-1].response.output_text, ''.join(e.delta for e in again if e.type == ORDER[4]))


# ---- conversations -------------------------------------------------------------------------

@scenario()
def a_conversation_is_made_told_and_ended(_home, _server, client, _store):
    talk = client.conversations.create(metadata={'topic': 'a'})
    equal(('conversation', {'topic': 'a'}), (talk.object, talk.metadata))
    equal(talk.to_dict(), client.conversations.retrieve(talk.id).to_dict())
    equal({'topic': 'b'}, client.conversations.update(talk.id, metadata={'topic': 'b'}).metadata)
    equal({'topic': 'b'}, client.conversations.retrieve(talk.id).metadata)
    one = client.responses.create(model='echo', input='one', conversation=talk.id)
    equal(talk.id, one.conversation.id)
    contains('3 messages', client.responses.create(model='echo', input='two', conversation={'id': talk.id}).output_text)
    equal(['user', 'assistant'] * 2, [i.role for i in client.conversations.items.list(talk.id, order='asc')])
    gone = client.conversations.delete(talk.id)
    equal((talk.id, 'conversation.deleted', True), (gone.id, gone.object, gone.deleted))
    for call in (client.conversations.retrieve, client.conversations.delete, client.conversations.items.list):
        equal('there is no such conversation',
              refused(openai.NotFoundError, call, conversation_id=talk.id).body['message'])
    equal(404, refused(openai.NotFoundError, client.responses.retrieve, response_id=one.id).status_code)
    equal(404, refused(openai.NotFoundError, client.responses.create, model='echo', input='x',
                       conversation=talk.id).status_code)
    # Of two lives of one name the ids of the first lead to nothing.
    again = {'extra_headers': {'Idempotency-Key': f'lives {time.time()}'}}
    first = client.conversations.create(**again)
    kept = client.responses.create(model='echo', input='x', conversation=first.id)
    client.conversations.delete(first.id)
    second = client.conversations.create(**again)
    assert first.id != second.id
    equal([], client.conversations.items.list(second.id).data)
    equal(404, refused(openai.NotFoundError, client.conversations.retrieve, conversation_id=first.id).status_code)
    equal(404, refused(openai.NotFoundError, client.responses.retrieve, response_id=kept.id).status_code)


@scenario()
def items_come_in_pages(_home, _server, client, _store):
    talk = client.conversations.create(items=[{'role': 'user', 'content': 'n0'}])
    made = client.conversations.items.create(talk.id, items=[
        {'role': 'user' if i % 2 else 'assistant', 'content': f'n{i}'} for i in range(1, 45)])
    equal(('list', 44, False), (made.object, len(made.data), made.has_more))
    equal((made.data[0].id, made.data[-1].id), (made.first_id, made.last_id))
    for limit in (1, 7, 20, 45, 100):
        for order in ('asc', 'desc'):
            got = [i.content[0].text for i in client.conversations.items.list(talk.id, limit=limit, order=order)]
            equal([f'n{i}' for i in range(45)][::1 if order == 'asc' else -1], got)
    page = client.conversations.items.list(talk.id)
    equal((20, True, 'n44'), (len(page.data), page.has_more, page.data[0].content[0].text))
    for more, param in (({'limit': 0}, 'limit'), ({'limit': 101}, 'limit'), ({'after': 'msg_x'}, 'after'),
                        ({'after': 'msg_' + '0' * 32}, 'after'), ({'extra_query': {'order': 'up'}}, 'order')):
        equal(param, refused(openai.BadRequestError, client.conversations.items.list, conversation_id=talk.id,
                             **more).param)


@scenario()
def an_item_is_read_and_taken_back(_home, _server, client, _store):
    talk = client.conversations.create(items=[{'role': 'user', 'content': 'a'}, {'role': 'assistant', 'content': 'b'},
                                              {'role': 'user', 'content': 'c'}])
    items = list(client.conversations.items.list(talk.id, order='asc'))
    equal('b', client.conversations.items.retrieve(items[1].id, conversation_id=talk.id).content[0].text)
    equal(talk.id, client.conversations.items.delete(items[1].id, conversation_id=talk.id).id)
    for call in (client.conversations.items.retrieve, client.conversations.items.delete):
        equal(404, refused(openai.NotFoundError, call, item_id=items[1].id, conversation_id=talk.id).status_code)
    for order in ('asc', 'desc'):
        equal(sorted(['a', 'c'], reverse=order == 'desc'),
              [i.content[0].text for i in client.conversations.items.list(talk.id, order=order, limit=1)])
    # Neighbours of one role go to a model as one.
    contains('a', client.responses.create(model='echo', input='d', conversation=talk.id).output_text)
    equal(4, len(list(client.conversations.items.list(talk.id))))


@scenario('tool')
def calls_that_are_added_are_whole_or_not_sent(_home, _server, client, _store):
    call = {'type': 'function_call', 'call_id': 'c1', 'name': 'f', 'arguments': '{"a": 1}'}
    talk = client.conversations.create(items=[
        {'role': 'user', 'content': 'x'}, call, {**call, 'call_id': 'c2'},
        {'type': 'function_call_output', 'call_id': 'c1', 'output': 'one'},
        {'type': 'function_call_output', 'call_id': 'c2', 'output': 'two'},
        {'role': 'assistant', 'content': 'so'}, call])
    equal(['message', 'function_call', 'function_call', 'function_call_output', 'function_call_output', 'message',
           'function_call'], [i.type for i in client.conversations.items.list(talk.id, order='asc')])
    told = client.responses.create(model='tool', input=[{'type': 'function_call_output', 'call_id': 'c1',
                                                         'output': 'three'}], conversation=talk.id)
    equal('user assistant tool tool assistant tool at None', told.output_text)


main()
