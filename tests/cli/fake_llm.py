#!/usr/bin/env python3
"""A small OpenAI-compatible server for the tests of the program: the model's name says what it does.

Prints its port, serves on loopback until it is stopped. Given a certificate and its key: by TLS. The wire itself is tested elsewhere; this
one is there to be slow, to refuse, and to answer with odd text.
"""

import json
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = 'sk-test-secret'
tries = {}


def text_of(model, body):
    """What a model answers at once, in pieces."""
    messages = body['messages']
    return {
        'tool': [' '.join(message['role'] for message in messages), f' at {body.get("temperature")}'],
        'odd': ['a\x1b[31mred\x07', ' b\u009bc', ' d\u202ee\n'],
        'blank': ['two\n\n', 'ends\n'],
        'markdown': ['# Head\nplain **bo', 'ld** and `co', 'de`\n```c\nint *x;\n```\nend * star\n'],
        'count': [f'{len(messages)} messages, {len(messages[-1]["content"])} characters'],
    }.get(model, ['Hello', ' from ', model, '.'])


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def reply(self, status, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.end_headers()
        self.wfile.write(data)

    def allowed(self):
        given = self.headers.get('Authorization')
        if given in (None, f'Bearer {KEY}'):
            return True
        self.reply(401, {'error': {'message': f'Incorrect API key provided: {given[7:]}',
                                   'code': 'invalid_api_key'}})
        return False

    def do_GET(self):
        if self.allowed():
            self.reply(200, {'data': [{'id': 'plain'}, {'id': 'slow'}]})

    def chunk(self, text):
        data = f'data: {text}\n\n'.encode()
        self.wfile.write(b'%x\r\n%s\r\n' % (len(data), data))
        self.wfile.flush()

    def delta(self, finish=None, **delta):
        self.chunk(json.dumps({'choices': [{'index': 0, 'delta': delta,
                                            'finish_reason': finish}]}))

    def stream(self, model, body):
        if model == 'late':
            time.sleep(2.5)
        if model == 'overload':
            self.chunk('{"error":"overloaded"}')
            self.wfile.write(b'0\r\n\r\n')
            return
        if model == 'tool' and body['messages'][-1]['role'] != 'tool':
            calls = 1 + sum(message['role'] == 'tool' for message in body['messages'])
            self.delta(tool_calls=[{'index': 0, 'id': f'c{calls}', 'type': 'function',
                                    'function': {'name': 'f', 'arguments': '{}'}}])
            self.delta(finish='tool_calls')
            self.chunk('[DONE]')
            return
        if model == 'think':
            self.delta(reasoning_content='let me see')
        if model in ('slow', 'steady'):
            for i in range(200 if model == 'slow' else 10):
                self.delta(content=f'word{i} ')
                time.sleep(0.1 if model == 'slow' else 0.03)
        else:
            for piece in text_of(model, body):
                self.delta(content=piece)
        if model == 'cut':
            self.close_connection = True
            return
        self.delta(finish='length' if model == 'length' else 'stop')
        self.chunk(json.dumps({'choices': [], 'usage': {
            'prompt_tokens': 11, 'completion_tokens': 7, 'total_tokens': 18}}))
        self.chunk('[DONE]')
        self.wfile.write(b'0\r\n\r\n')

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        model = body['model']
        tries[model] = tries.get(model, 0) + 1
        if not self.allowed():
            return
        if model == 'gone':
            self.reply(404, {'error': {'message': 'no such model', 'code': 'model_not_found'}})
        elif model == 'alternate':
            self.reply(400, {'error': {'message': 'roles must alternate', 'type': 'invalid'}})
        elif model == 'small' and sum(len(m['content']) for m in body['messages']) > 2000:
            self.reply(400, {'error': {'message': "This model's maximum context length is 500 tokens",
                                       'code': 'context_length_exceeded'}})
        elif model == 'page':
            self.reply(200, 'no API here')
        elif model == 'busy' or (model == 'busy-once' and tries[model] == 1):
            self.reply(429, {'error': {'message': 'too many requests'}}, Retry_After='3')
        else:
            self.send_response(200)
            self.send_header('Content-Type', 'text/event-stream')
            self.send_header('Transfer-Encoding', 'chunked')
            self.end_headers()
            self.stream(model, body)


def main():
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None
    if sys.argv[1:]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*sys.argv[1:])
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == '__main__':
    main()
