"""The official `openai` package of Python, before a server of ours. Importing this goes on where it is installed."""

import pypi

MISSING = pypi.need('openai==3.57.0', 'openai')
if MISSING:
    openai = None
else:
    import openai

from harness import Skip  # noqa: E402


def client_of(server, **more):
    if MISSING:
        raise Skip(f'no openai package: {MISSING}')
    return openai.OpenAI(base_url=f'http://{server.where}/v1', **{'api_key': 'any', 'timeout': 20, **more})
