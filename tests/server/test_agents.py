#!/usr/bin/env python3
"""The `openai-agents` package against `convo serve`: agents whose conversations the server keeps."""

import asyncio

import pypi

MISSING = pypi.need('openai-agents==0.24.0', 'agents')
if not MISSING:
    import agents
    import openai

from serving import Server  # noqa: E402
from stores import in_sqlite_and_postgresql  # noqa: E402
from harness import Skip, contains, equal, main  # noqa: E402

scenarios = []


def scenario(model='echo'):
    """Runs on each store, before a server with that model; its client is closed behind it."""
    def register(function):
        scenarios.append((function, model))
        return function
    return register


async def run_scenario(function, server):
    async with openai.AsyncOpenAI(base_url=f'http://{server.where}/v1', api_key='any', timeout=20,
                                  max_retries=0) as client:
        await function(client)


def run_all(home, store):
    if MISSING:
        raise Skip(f'no openai-agents package: {MISSING}')
    agents.set_tracing_disabled(True)
    for function, model in scenarios:
        with Server(home, '-session', store, model=model) as server:
            try:
                asyncio.run(run_scenario(function, server))
            except Exception as error:
                error.add_note(f'in {function.__name__}')
                raise


in_sqlite_and_postgresql(run_all)


def agent_of(client, model='echo', chat=False, **more):
    kind = agents.OpenAIChatCompletionsModel if chat else agents.OpenAIResponsesModel
    return agents.Agent(name='a', model=kind(model, client), **more)


def tools():
    """The function that the scripted model calls, and what it was called with."""
    called = []

    async def run(_, arguments):
        called.append(arguments)
        return '42'
    return called, agents.FunctionTool(name='f', description='d', params_json_schema={
        'type': 'object', 'properties': {}, 'required': [], 'additionalProperties': False}, on_invoke_tool=run)


# ---- responses -----------------------------------------------------------------------------

@scenario()
async def an_agent_goes_on_behind_its_last_response(client):
    agent = agent_of(client, instructions='be brief')
    one = await agents.Runner.run(agent, 'one')
    contains('2 messages', one.final_output)
    two = await agents.Runner.run(agent, 'two', previous_response_id=one.last_response_id)
    contains('4 messages', two.final_output)
    contains('user: two', two.final_output)
    assert one.last_response_id != two.last_response_id


@scenario()
async def an_agent_talks_in_a_conversation(client):
    agent = agent_of(client)
    talk = await client.conversations.create()
    for number, words in ((1, 'one'), (3, 'two')):
        said = await agents.Runner.run(agent, words, conversation_id=talk.id)
        contains(f'{number} message', said.final_output)
    equal(['one', 'two'], [item.content[0].text async for item in client.conversations.items.list(talk.id, order='asc')
                           if item.role == 'user'])


@scenario()
async def a_streamed_run_is_the_same(client):
    agent = agent_of(client)
    whole = await agents.Runner.run(agent, 'one two')
    run = agents.Runner.run_streamed(agent, 'one two')
    heard = [event.data.delta async for event in run.stream_events()
             if event.type == 'raw_response_event' and event.data.type == 'response.output_text.delta']
    equal(whole.final_output, ''.join(heard))
    equal(whole.final_output, run.final_output)
    more = agents.Runner.run_streamed(agent, 'more', previous_response_id=run.last_response_id)
    async for _ in more.stream_events():
        pass
    contains('3 messages', more.final_output)


@scenario('tool')
async def tools_are_run_between_responses(client):
    for streamed in (False, True):
        for more in ({}, {'auto_previous_response_id': True}, {'conversation_id': (await client.conversations.create()).id}):
            called, tool = tools()
            agent = agent_of(client, 'tool', tools=[tool])
            if streamed:
                said = agents.Runner.run_streamed(agent, 'x', **more)
                async for _ in said.stream_events():
                    pass
            else:
                said = await agents.Runner.run(agent, 'x', **more)
            equal((['{}'], 'user assistant tool at None'), (called, said.final_output))


# ---- their session, which is a conversation -------------------------------------------------

@scenario()
async def a_session_is_kept_as_a_conversation(client):
    agent = agent_of(client)
    session = agents.OpenAIConversationsSession(openai_client=client)
    for number, words in ((1, 'one'), (3, 'two'), (5, 'three')):
        said = await agents.Runner.run(agent, words, session=session)
        contains(f'{number} message', said.final_output)
    # Another program that knows its name goes on with it.
    again = agents.OpenAIConversationsSession(conversation_id=session.session_id, openai_client=client)
    items = await again.get_items()
    equal(['user', 'assistant'] * 3, [item['role'] for item in items])
    equal(items[-2:], await again.get_items(limit=2))
    equal(items[-1]['id'], (await again.pop_item())['id'])
    equal(items[-2]['id'], (await again.pop_item())['id'])
    equal(items[:-2], await session.get_items())
    contains('5 messages', (await agents.Runner.run(agent, 'four', session=session)).final_output)
    # More than one request of theirs holds.
    await again.add_items([{'role': 'user', 'content': f'n{i}'} for i in range(45)])
    equal([f'n{i}' for i in range(45)], [item['content'][0]['text'] for item in (await session.get_items())[6:]])
    await again.clear_session()
    try:
        await session.get_items()
        raise AssertionError('the conversation is still there')
    except openai.NotFoundError:
        pass


@scenario('tool')
async def a_session_keeps_calls_and_outputs(client):
    called, tool = tools()
    session = agents.OpenAIConversationsSession(openai_client=client)
    said = await agents.Runner.run(agent_of(client, 'tool', tools=[tool]), 'x', session=session)
    equal((['{}'], 'user assistant tool at None'), (called, said.final_output))
    items = await session.get_items()
    equal(['message', 'function_call', 'function_call_output', 'message'], [item['type'] for item in items])
    equal(('c1', 'c1', '42'), (items[1]['call_id'], items[2]['call_id'], items[2]['output']))
    said = await agents.Runner.run(agent_of(client, 'tool', tools=[tool]), 'again', session=session)
    equal('user assistant tool assistant user assistant tool at None', said.final_output)


# ---- chat completions -----------------------------------------------------------------------

def kept(name):
    return {'model_settings': agents.ModelSettings(extra_headers={'X-Convo-Session': name})}


@scenario()
async def an_agent_chats_in_a_session_of_the_server(client):
    agent = agent_of(client, chat=True, **kept('chat'))
    for number, words in ((1, 'one'), (3, 'two')):
        said = await agents.Runner.run(agent, words)
        contains(f'{number} message', said.final_output)
    run = agents.Runner.run_streamed(agent, 'three')
    async for _ in run.stream_events():
        pass
    contains('5 messages', run.final_output)


@scenario('tool')
async def tools_are_run_in_a_chat_that_is_kept(client):
    for name in ('', 'tools'):
        called, tool = tools()
        agent = agent_of(client, 'tool', chat=True, tools=[tool], **(kept(name) if name else {}))
        said = await agents.Runner.run(agent, 'x')
        equal((['{}'], 'user assistant tool at None'), (called, said.final_output))
    said = await agents.Runner.run(agent, 'y')
    equal('user assistant tool assistant user assistant tool at None', said.final_output)


main()
