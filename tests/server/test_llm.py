#!/usr/bin/env python3
"""`llm`, a client for the terminal, pointed at `convo serve` by its file of models."""

import subprocess

import pypi
from serving import Server
from stores import in_sqlite_and_postgresql
from harness import Skip, contains, equal, main

PACKAGE = 'llm==0.36'

MODELS = """
- {{model_id: plain, model_name: echo, api_base: "http://{where}/v1"}}
- {{model_id: responds, model_name: echo, api_base: "http://{where}/v1", responses: true}}
- {{model_id: kept, model_name: echo, api_base: "http://{where}/v1", headers: {{X-Convo-Session: "from llm"}}}}
- {{model_id: tool, model_name: tool, api_base: "http://{where}/v1", supports_tools: true,
   headers: {{X-Convo-Session: tools}}}}
- {{model_id: responds-with-tools, model_name: tool, api_base: "http://{where}/v1", supports_tools: true,
   responses: true}}
"""


def llm_of(home, server):
    """@return what runs it, with files of its own"""
    cache = pypi.cache_of(PACKAGE)
    why = pypi.install(cache, PACKAGE, 200)
    if why:
        raise Skip(f'no llm package: {why}')
    folder = home.path / 'llm'
    folder.mkdir(exist_ok=True)
    (folder / 'extra-openai-models.yaml').write_text(MODELS.format(where=server.where), encoding='utf-8')

    def run(*args):
        done = subprocess.run([cache / 'venv/bin/llm', *args], text=True, capture_output=True, timeout=60,
                              env={**home.env, 'LLM_USER_PATH': str(folder), 'OPENAI_API_KEY': 'any'}, stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout
    return run


def talk(home, store):
    with Server(home, '-session', store) as server:
        llm = llm_of(home, server)
        for model in ('plain', 'responds'):
            contains('1 message', llm('-m', model, 'grüße 🎈', '--no-stream'))
            contains('user: grüße 🎈', llm('-m', model, 'grüße 🎈'))
            # It sends all of a conversation again, and keeps that itself.
            contains('3 messages', llm('-c', 'more'))
            contains('2 messages', llm('-m', model, '-s', 'be brief', 'x'))
        # In a session each of its programs goes on, whatever it knows.
        for number, more in ((1, ['--no-stream']), (3, []), (5, ['-c'])):
            contains(f'{number} message', llm('-m', 'kept', f'n{number}', *more))
    with Server(home, '-session', store) as server:
        contains('7 messages', llm_of(home, server)('-m', 'kept', 'after a restart'))
    with Server(home, '-session', store, model='tool') as server:
        for name in ('tool', 'responds-with-tools'):
            equal('user assistant tool at None', llm_of(home, server)(
                '-m', name, '--functions', 'def f() -> str:\n    return "42"', 'x').strip())


in_sqlite_and_postgresql(talk)


main()
