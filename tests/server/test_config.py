#!/usr/bin/env python3
"""`convo serve -config FILE` and `-check`: models and flags from a file, and what is wrong with one."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from serving import Server
from harness import KEY, case, contains, equal, main

HI = [{'role': 'user', 'content': 'hi'}]


class Endpoint(ThreadingHTTPServer):
    """Answers as OpenAI's API does; keeps what it was asked."""

    daemon_threads = True

    def __init__(self):
        self.asked = asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
                asked.append((self.headers.get('Authorization'), body))
                data = json.dumps({'choices': [{'message': {'role': 'assistant', 'content': f'I am {body["model"]}'},
                                                'finish_reason': 'stop'}]}).encode()
                self.send_response(200)
                self.send_header('Content-Type', 'application/json')
                self.send_header('Content-Length', str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        super().__init__(('127.0.0.1', 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f'http://127.0.0.1:{self.server_port}/v1'

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


def write(home, content, name='c.json'):
    (home.path / name).write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
    return name


def serve(home, content, *args, **more):
    """Without -model on the command line, and without what the environment says of one."""
    return Server(home, '-config', write(home, content), *args, model=None,
                  env={'OPENAI_BASE_URL': '', 'OPENAI_API_KEY': '', **more.pop('env', {})}, **more)


def check(home, *args, **env):
    return home.run('serve', '-check', *args, **env)


# ---- models --------------------------------------------------------------------------------


@case
def each_model_has_its_endpoint_key_name_and_parameters(home):
    write(home, f'  {KEY}-two\n\n', 'secret')
    with Endpoint() as one, Endpoint() as two:
        models = [{'name': 'fast', 'asked': 'llama/3 8b', 'url': one.url, 'key_env': 'FAST_KEY',
                   'params': {'temperature': 0.25, 'tools': [], 'user': None}},
                  {'name': 'good', 'url': two.url, 'key_file': 'secret', 'connect_timeout': '5s', 'idle_timeout': '1m',
                   'retries': 0},
                  {'name': 'free', 'url': two.url}, {'name': 'echo'}, {'name': 'mirror', 'asked': 'echo'}]
        with serve(home, {'models': models}, env={'FAST_KEY': f'{KEY}-one'}) as server:
            equal(['fast', 'good', 'free', 'echo', 'mirror'],
                  [model['id'] for model in server.ask('GET', '/v1/models').json['data']])
            equal('mirror', server.ask('GET', '/v1/models/mirror').json['id'])
            for name, says in (('fast', 'I am llama/3 8b'), ('good', 'I am good'), ('free', 'I am free')):
                equal(says, server.chat('hi', model=name).text)
                equal(says, server.chat('hi', model=name, session='s').text)
            contains('hi', server.chat('hi', model='mirror').text)
            equal('model_not_found', server.chat('hi', model='llama/3 8b').code)
            equal(0.75, [server.chat('hi', model='fast', temperature=0.75), one.asked[-1][1]['temperature']][1])
        equal([f'Bearer {KEY}-one'] * 3, [key for key, _ in one.asked])
        equal([f'Bearer {KEY}-two'] * 2 + [None] * 2, [key for key, _ in two.asked])
        equal([(0.25, [])] * 2, [(body['temperature'], body['tools']) for _, body in one.asked[:2]])
        assert 'temperature' not in two.asked[0][1], two.asked


@case
def a_retry_and_a_timeout_are_the_models_own(home):
    models = [{'name': 'gone', 'url': 'http://127.0.0.1:9/v1', 'retries': 0, 'connect_timeout': '1s'}]
    with serve(home, {'models': models}) as server:
        equal((502, 'model_unavailable'), (server.chat('hi', model='gone').status, server.chat('hi', model='gone').code))


# ---- flags ---------------------------------------------------------------------------------


@case
def flags_can_stand_in_the_file_and_the_command_line_wins(home):
    content = {'listen': f'unix:{home.path}/file.sock', 'session': 'sqlite:c.db', 'user': 'äöü', 'access-log': True,
               'workers': 2, 'drain': '1s', 'event-limit': 'off', 'models': [{'name': 'echo'}]}
    with serve(home, content, '-user', 'b', listen=f'unix:{home.path}/line.sock') as server:
        assert server.where.endswith('line.sock'), server.where
        equal('2', server.chat('hi', session='s').headers['x-convo-seq'])
        server.log(1)
    with Server(home, '-session', 'sqlite:c.db', '-user', 'b') as server:
        equal('4', server.chat('hi', session='s').headers['x-convo-seq'])
    done = check(home, '-config', 'c.json')
    equal((0, ''), (done.returncode, done.err))
    contains('everybody, as äöü of convo', done.out)
    contains('file.sock', done.out)


@case
def a_model_named_twice_over_is_refused(home):
    write(home, {'models': [{'name': 'echo'}]})
    for content, args, part in (({'models': [{'name': 'echo'}]}, ('-model', 'echo'), 'cannot both'),
                                ({'models': [{'name': 'echo'}], 'model': 'echo'}, (), 'models names them already')):
        done = check(home, '-config', write(home, content), *args)
        equal((2, 1), (done.returncode, done.err.count('\n')))
        contains(part, done.err)
    equal(0, check(home, '-config', write(home, {'model': 'echo'})).returncode)
    equal(0, check(home, '-config', write(home, {'models': [{'name': 'echo'}]}), MODEL_NAME='x').returncode)


# ---- what is wrong -------------------------------------------------------------------------


@case
def what_is_wrong_is_told_with_file_line_and_member(home):
    (home.path / 'empty').touch()
    for content, line, part, why in (
            ('[]', 1, '', 'an object is wanted'),
            ('{\n"listen":\n 8080}', 3, 'listen', 'some text'),
            ('{"workers":\n\n"many"}', 3, 'workers', "'many' is not a whole number"),
            ('{"workers": 1.5}', 1, 'workers', 'a number, true or false'),
            ('{"workers": []}', 1, 'workers', 'a number, true or false'),
            ('{\n"drain": "soon"}', 2, 'drain', 'a duration'),
            ('{\n"access-log": "yes"}', 2, 'access-log', 'true or false'),
            ('{"models": [],\n\n"lissen": "x"}', 3, 'lissen', 'no such flag'),
            ('{"routes": true}', 1, 'routes', 'no such flag'),
            ('{\n"check": true}', 2, 'check', 'command line alone'),
            ('{\n"config": "c.json"}', 2, 'config', 'command line alone'),
            ('{"x{\\"y": 1,\n"help": true}', 1, 'x{"y', 'no such flag'),
            ('{"user": "a",\n"models": []}', 2, 'models', 'one at least'),
            ('{"models":\n{}}', 2, 'models', 'one at least'),
            ('{"models": null}', 1, 'models', 'one at least'),
            ('{"models": [{"name": "echo"},\n3]}', 2, 'models[1]', 'an object'),
            ('{"models": [{"name": "echo"},\n{}]}', 2, 'models[1]', 'wants a name'),
            ('{"models": [{"name": "echo"},\n{"name": "echo"}]}', 2, 'models[1].name', 'there twice'),
            ('{"models": [{"name":\n""}]}', 2, 'models[0].name', 'some text'),
            ('{"models": [{"name":\n7}]}', 2, 'models[0].name', 'some text'),
            ('{"models": [{"name": "a"}]}', 1, 'models[0]', 'no model to ask'),
            ('{"models": [{"name": "a", "ulr": "x",\n"url": "http://a/"}]}', 1, 'models[0].ulr', 'no such member'),
            ('{"models": [{"name": "a",\n"url": "ftp://a/"}]}', 2, 'models[0].url', 'http'),
            ('{"models": [{"name": "a",\n"key": "sk-hidden"}]}', 2, 'models[0].key', 'secrets do not belong here'),
            ('{"models": [{"name": "a",\n"key_env": "NOT_SET"}]}', 2, 'models[0].key_env', 'no such variable'),
            ('{"models": [{"name": "a",\n"key_file": "not-there"}]}', 2, 'models[0].key_file', 'No such file'),
            ('{"models": [{"name": "a",\n"key_file": "empty"}]}', 2, 'models[0].key_file', 'is empty'),
            ('{"models": [{"name": "a", "key_env": "HOME",\n"key_file": "empty"}]}', 2, 'models[0].key_file', 'already'),
            ('{"models": [{"name": "a", "url": "http://a/",\n"params": []}]}', 2, 'models[0].params', 'an object'),
            ('{"models": [{"name": "a", "url": "http://a/",\n"params": {"stream": true}}]}', 2, 'models[0].params', 'own'),
            ('{"models": [{"name": "a", "url": "http://a/",\n"idle_timeout": 5}]}', 2, 'models[0].idle_timeout', 'duration'),
            ('{"models": [{"name": "a", "url": "http://a/",\n"retries": 101}]}', 2, 'models[0].retries', '0 to 100'),
            ('{"models": [{"name": "a", "url": "http://a b/"\n}]}', 1, 'models[0]', '')):
        for more in (('-check',), ()):
            done = home.run('serve', *more, '-config', write(home, content), '-listen', f'unix:{home.path}/s')
            equal((content, 2, 1, ''), (content, done.returncode, done.err.count('\n'), done.out))
            contains(f'c.json:{line}: {part}', done.err)
            contains(why, done.err)
            assert 'hidden' not in done.err, done.err


@case
def a_file_that_is_none_is_told(home):
    write(home, '{"models": [\n  {"name": "echo",}]}', 'broken')
    write(home, '[' * 100, 'deep')
    write(home, ' ' * ((1 << 20) + 1), 'long')
    for name, part in (('gone', 'No such file'), ('broken', 'line 2'), ('deep', 'nested'), ('long', 'more than'),
                       ('/dev/null', 'no JSON'), ('.', 'directory')):
        done = home.run('serve', '-config', name)
        equal((name, 2, 1), (name, done.returncode, done.err.count('\n')))
        contains(name, done.err)
        contains(part, done.err)


# ---- -check --------------------------------------------------------------------------------


@case
def a_check_tells_what_it_would_do_and_ends(home):
    content = {'session': 'sqlite:c.db', 'auth': 'keys',
               'models': [{'name': 'fast', 'asked': 'llama', 'url': 'http://me:hidden@127.0.0.1:9/v1', 'key_env': 'FAST_KEY'},
                          {'name': 'echo'}]}
    done = check(home, '-config', write(home, content), '-listen', '127.0.0.1:0', FAST_KEY=f'{KEY}-one')
    equal((0, ''), (done.returncode, done.err))
    for part in ('config  c.json', 'store   SQLite', 'model   fast, asked as llama at http://127.0.0.1:9/v1, with the key in FAST_KEY',
                 'model   echo', 'who     whoever has a key', 'listen  127.0.0.1:'):
        contains(part, done.out)
    assert 'hidden' not in done.out, done.out
    with serve(home, content, env={'FAST_KEY': 'x'}) as server:
        done = check(home, '-config', 'c.json', '-listen', server.where, FAST_KEY='x')
        equal((0, 1), (done.returncode, done.err.count('\n')))
        contains('Address already in use', done.err)
        equal(401, server.ask('GET', '/v1/models').status)
    done = check(home, '-model', 'echo')
    equal(0, done.returncode)
    contains('everybody, as user of convo', done.out)


@case
def a_check_fails_where_a_start_would(home):
    for args, code, part in ((('-listen', '0.0.0.0:0'), 2, 'nobody is asked for a key'), (('-listen', 'x'), 2, '-listen'),
                             (('-session', 'redis://127.0.0.1:9/0'), 3, 'refused'), (('-auth', 'keys'), 2, 'wants a store'),
                             (('-tls-cert', 'gone', '-tls-key', 'gone'), 2, 'gone: No such file'),
                             (('-app', 'convo:keys'), 2, "convo's own"), (('-session', 'sqlite:/dev/null/x.db'), 3, '/dev/null')):
        done = check(home, '-model', 'echo', *args)
        equal((args, code, 1), (args, done.returncode, done.err.count('\n')))
        contains(part, done.err)


main()
