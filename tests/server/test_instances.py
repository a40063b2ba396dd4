#!/usr/bin/env python3
"""Several `convo serve` on one PostgreSQL: one is killed, and its clients go on with another."""

import threading
from concurrent.futures import ThreadPoolExecutor

from serving import Server
from official import client_of, openai
from stores import postgres
from harness import case, contains, equal, main

WITHIN = 60  # a killed one's turns hold their sessions for 15 s
TURNS = 20


def kill(server):
    server.process.kill()
    server.process.wait()


def words(text):
    return text.split()


@case
def who_was_being_answered_finds_at_the_other_what_came(home):
    with postgres(home) as store, Server(home, '-session', store, model='slow') as other:
        dying = Server(home, '-session', store, model='slow')
        key = {'extra_headers': {'Idempotency-Key': 'one'}}
        heard = []
        try:
            for event in client_of(dying, max_retries=0).responses.create(model='slow', input='count', stream=True, **key):
                heard.append(event)
                if event.type == 'response.output_text.delta' and 'word25' in event.delta:
                    kill(dying)
        except (openai.APIError, OSError) as error:
            assert not isinstance(error, openai.APIStatusError), error
        except Exception as error:  # the client lets its transport's through
            contains('httpx', type(error).__module__)
        said = ''.join(event.delta for event in heard if event.type == 'response.output_text.delta')
        assert 'word25' in said and heard[-1].type == 'response.output_text.delta', said
        client = client_of(other, timeout=WITHIN, max_retries=0)
        name, last = heard[0].response.id, heard[-1].sequence_number
        # It hears the end from where it was: what came is there but for the last second of it.
        rest = list(client.responses.retrieve(name, stream=True, starting_after=last))
        equal('response.incomplete', rest[-1].type)
        kept = client.responses.retrieve(name)
        equal(('incomplete', 'interrupted'), (kept.status, kept.incomplete_details.reason))
        contains('word12 word13', kept.output_text)
        whole = [f'word{i}' for i in range(200)]
        equal(whole[:len(words(kept.output_text))], words(kept.output_text))
        rest = ''.join(event.delta for event in rest if event.type == 'response.output_text.delta')
        if len(kept.output_text.encode()) >= len(said.encode()):
            equal(kept.output_text, said + rest)
        else:
            equal('', rest)
        # Asked again it is the same one; and the talk goes on.
        again = client.responses.create(model='slow', input='count', **key)
        equal(kept.to_dict(), again.to_dict())
        more = client.responses.create(model='slow', input='more', previous_response_id=name, background=True)
        equal('cancelled', client.responses.cancel(more.id).status)
        equal(['count'], [i.content[0].text for i in client.responses.input_items.list(name)])
        equal(kept.conversation, client.responses.retrieve(more.id).conversation)


@case
def what_was_only_asked_is_answered_as_it_was_asked(home):
    with postgres(home) as store, Server(home, '-session', store, model='late') as other:
        dying = Server(home, '-session', store, model='late')
        ask = {'model': 'late', 'input': 'x', 'extra_headers': {'Idempotency-Key': 'one'}}
        with client_of(dying, max_retries=0).responses.create(stream=True, metadata={'a': 'first'}, **ask) as stream:
            begun = next(iter(stream)).response
            kill(dying)
        client = client_of(other, timeout=WITHIN, max_retries=0)
        said = client.responses.create(metadata={'a': 'second'}, **ask)
        equal((begun.id, begun.created_at, {'a': 'first'}, 'completed', 'Hello from late.'),
              (said.id, said.created_at, said.metadata, said.status, said.output_text))
        equal(said.to_dict(), client.responses.retrieve(said.id).to_dict())


class Talker:
    """Says one thing after the other in a conversation, at the first server, and once that is gone at the other."""

    def __init__(self, number, servers):
        self.clients = [client_of(server, max_retries=0, timeout=WITHIN) for server in servers]
        self.number = number
        self.talk = self.clients[0].conversations.create()
        self.told = []  # what was acknowledged
        self.moved = 0

    def say(self, i):
        ask = {'model': 'steady', 'input': f'n{i}', 'conversation': self.talk.id, 'stream': bool((i + self.number) % 2),
               'extra_headers': {'Idempotency-Key': f'{self.talk.id} {i}'}}
        try:
            self.told.append(self.finish(self.clients[0].responses.create(**ask)))
        except Exception as error:  # its transport fails in many ways; a refusal would be an error of ours
            assert not isinstance(error, openai.APIStatusError), error
            del self.clients[0]
            assert self.clients, error
            self.moved += 1
            self.told.append(self.finish(self.clients[0].responses.create(**ask)))

    @staticmethod
    def finish(said):
        if isinstance(said, openai.Stream):
            last = list(said)[-1]
            if not hasattr(last, 'response'):
                raise ConnectionError('the stream has no end')
            return last.response
        return said


@case
def of_a_killed_one_nothing_told_is_lost_and_nothing_is_there_twice(home):
    with postgres(home) as store, Server(home, '-session', store, model='steady') as other:
        dying = Server(home, '-session', store, model='steady')
        talkers = [Talker(number, (dying, other)) for number in range(8)]
        half = threading.Event()

        def run(talker):
            for i in range(TURNS):
                talker.say(i)
                if sum(len(one.told) for one in talkers) > 60:
                    half.set()

        with ThreadPoolExecutor(len(talkers)) as pool:
            runs = [pool.submit(run, talker) for talker in talkers]
            assert half.wait(WITHIN)
            kill(dying)
            for one in runs:
                one.result()
        equal([1] * 8, [talker.moved for talker in talkers])
        for talker in talkers:
            client = talker.clients[-1]
            items = list(client.conversations.items.list(talker.talk.id, order='asc', limit=100))
            equal([f'n{i}' for i in range(TURNS)], [item.content[0].text for item in items if item.role == 'user'])
            equal(TURNS, len({said.id for said in talker.told}))
            assert sum(item.role == 'assistant' for item in items) in (TURNS - 1, TURNS), items
            for said in talker.told:
                equal(said.to_dict(), client.responses.retrieve(said.id).to_dict())


main()
