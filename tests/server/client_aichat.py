#!/usr/bin/env python3
"""`aichat`, a client for the terminal, pointed at `convo serve` by its configuration.

Usage: client_aichat.py CONVO. It is built first, for minutes and with Rust's cargo, so scripts/check clients runs
this, and no suite.
"""

import subprocess

import crates
from serving import Server
from stores import in_sqlite_and_postgresql
from harness import Skip, contains, equal, main

PACKAGE = 'aichat@0.30.0'

CONFIG = """
model: convo:echo
save: false
save_session: true
use_tools: all
clients:
- type: openai-compatible
  name: convo
  api_base: http://{where}/v1
  api_key: any
  models:
  - name: echo
  - {{name: by-header, real_name: echo, patch: {{headers: {{X-Convo-Session: from%20aichat}}}}}}
  - {{name: by-metadata, real_name: echo, patch: {{body: {{metadata: {{session_id: from metadata}}}}}}}}
  - {{name: tool, supports_function_calling: true, patch: {{headers: {{X-Convo-Session: tools}}}}}}
"""

FUNCTIONS = '[{"name": "f", "description": "f", "parameters": {"type": "object", "properties": {}}}]'
FUNCTION = '#!/bin/sh\necho 42 >"$LLM_OUTPUT"\n'


def aichat_of(home, server):
    """@return what runs it, with files of its own"""
    programs, why = crates.need(PACKAGE)
    if why:
        raise Skip(f'no aichat: {why}')
    folder = home.path / 'aichat'
    tool = folder / 'functions/bin/f'
    tool.parent.mkdir(parents=True, exist_ok=True)
    tool.write_text(FUNCTION, encoding='utf-8')
    tool.chmod(0o755)
    (folder / 'functions/functions.json').write_text(FUNCTIONS, encoding='utf-8')
    (folder / 'config.yaml').write_text(CONFIG.format(where=server.where), encoding='utf-8')

    def run(model, *args, code=0):
        done = subprocess.run([programs / 'aichat', '-m', f'convo:{model}', *args], text=True, capture_output=True,
                              env={**home.env, 'AICHAT_CONFIG_DIR': str(folder)}, stdin=subprocess.DEVNULL, timeout=60,
                              check=False)
        equal((code, ''), (done.returncode, done.stderr if code == 0 else done.stdout))
        return done.stdout or done.stderr
    return run


def talk(home, store):
    with Server(home, '-session', store) as server:
        aichat = aichat_of(home, server)
        for how in ([], ['-S']):  # streamed, and whole
            answer = aichat('echo', *how, 'grüße 🎈')
            contains('user: grüße 🎈', answer)
            contains('1 message', answer)
            contains('2 messages', aichat('echo', *how, '--prompt', 'be brief', 'x'))
            contains('no model of that name', aichat('nowhere', *how, 'x', code=1))
        # In a session of its own it sends all of the conversation again.
        for number in (1, 3):
            contains(f'{number} message', aichat('echo', '-s', 'own', f'n{number}'))
        # In one of ours each of its runs goes on, whatever it knows.
        for model in ('by-header', 'by-metadata'):
            for number, how in ((1, []), (3, ['-S']), (5, ['-s', 'ours']), (7, ['-s', 'ours'])):
                contains(f'{number} message', aichat(model, *how, f'n{number}'))
            # Its own session has its model, too.
            (home.path / 'aichat/sessions/ours.yaml').unlink()
    with Server(home, '-session', store) as server:
        aichat = aichat_of(home, server)
        for model in ('by-header', 'by-metadata'):
            contains('9 messages', aichat(model, 'after a restart'))
        equal(['from aichat', 'from metadata'],
              sorted(one['id'] for one in server.ask('GET', '/convo/v1/sessions').json['sessions']))
    with Server(home, '-session', store, model='tool') as server:
        aichat = aichat_of(home, server)
        equal('user assistant tool at None', aichat('tool', 'x').strip())
        equal('user assistant tool assistant user assistant tool at None', aichat('tool', '-S', 'y').strip())


in_sqlite_and_postgresql(talk)


main()
