#!/usr/bin/env python3
"""The official `openai` package of Node against `convo serve`; the scenarios are in openai_node.mjs."""

import subprocess
from pathlib import Path

import npm
from serving import Server
from stores import in_sqlite_and_postgresql
from harness import Skip, main

SCRIPT = Path(__file__).resolve().parent / 'openai_node.mjs'


def run_all(home, store):
    modules, why = npm.need('openai@6.49.0')
    if why:
        raise Skip(f'no openai package of Node: {why}')
    for model in ('echo', 'tool', 'slow'):
        with Server(home, '-session', store, model=model) as server:
            done = subprocess.run(['node', SCRIPT, modules, f'http://{server.where}/v1', model], text=True,
                                  capture_output=True, timeout=120, check=False)
            assert done.returncode == 0, done.stderr or done.stdout


in_sqlite_and_postgresql(run_all)


main()
