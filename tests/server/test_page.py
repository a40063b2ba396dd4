#!/usr/bin/env python3
"""The pages in a real browser, on a real server with SQLite: by mouse, by keyboard, with hostile answers."""

import atexit
import contextlib
import json
import time
from urllib.parse import quote

from browser import Browser, Driver, missing
from serving import Server
from harness import Skip, case, contains, equal, main
from stores import free_port, postgres

STORE = 'sqlite:chats.db'
SESSIONS = '/convo/v1/sessions'
ANSWER, QUESTION = '.message.assistant .text', '.message.user .text'
ENTRIES = '#list .entry'
FROM_END = 'const log = document.querySelector("#log"); return log.scrollHeight - log.scrollTop - log.clientHeight'
drivers = []


@contextlib.contextmanager
def browser(**look):
    if missing():
        raise Skip(missing())
    if not drivers:
        drivers.append(Driver().__enter__())
        atexit.register(drivers[0].__exit__, None, None, None)
    with Browser(drivers[0], **look) as window:
        yield window


def serving(home, *args, store=STORE, **more):
    return Server(home, '-session', store, *args, **more)


@contextlib.contextmanager
def opened(home, *args, model='echo', store=STORE, **look):
    """A server, and a window that shows its page."""
    with serving(home, *args, store=store, model=model) as server, browser(**look) as window:
        window.open(address(server))
        window.find('#input')
        yield server, window


def address(server, session=None):
    return f'http://{server.where}/' + (f'#/{quote(session, safe="")}' if session else '')


def say(window, text):
    """Type a message and send it."""
    window.type('#input', text.replace('\n', '\ue008\n\ue008') + '\n')


def say_and_wait(window, text):
    before = len(window.texts(ANSWER))
    say(window, text)
    window.until(lambda: len(window.texts(ANSWER)) > before and not window.texts('#stop'), f'an answer to {text}')


def made(server, session, title='', events=()):
    """A session by the API, with (role, text) of messages."""
    equal(201, server.ask('POST', SESSIONS, {'id': session, 'title': title}).status)
    if events:
        body = [{'message': {'role': role, 'content': text}} for role, text in events]
        equal(200, server.ask('POST', f'{SESSIONS}/{quote(session, safe="")}/events', body).status)


def scroll_until(window, css, top, look):
    """Go there again and again while there is more to load."""
    def scroll():
        window.run('document.querySelector(arguments[0]).scrollTop = arguments[1]', css, top)
        return look()
    window.until(scroll, f'what scrolling {css} brings')


def events_of(server, session):
    return server.ask('GET', f'{SESSIONS}/{quote(session, safe="")}?last=200').json['events']


def sessions_of(server, more=''):
    return server.ask('GET', SESSIONS + more).json['sessions']


# ---- chatting ------------------------------------------------------------------------------


@case
def what_is_said_is_answered_and_there_after_a_reload(home):
    with opened(home) as (server, window):
        say_and_wait(window, 'Good morning, all')
        contains('user: Good morning, all', window.text(ANSWER))
        window.wait_texts(ENTRIES, ['Good morning, all'])
        equal('Good morning, all', window.text('#title'))
        say_and_wait(window, 'And a second one')
        window.reload()
        window.wait_texts(QUESTION, ['Good morning, all', 'And a second one'])
        equal(2, len(window.texts(ANSWER)))
        equal(1, len(sessions_of(server)))
        equal('', window.run('return document.querySelector("#input").value'))


@case
def an_answer_streams_is_stopped_and_asked_again(home):
    with opened(home, model='slow') as (server, window):
        say(window, 'Count for me')
        window.wait_text(ANSWER, 'word3')
        assert window.texts('#stop') and not window.texts('#send')
        window.click('#stop')
        window.wait_text('.message.assistant .problem', 'Stopped')
        window.wait_gone('#stop')
        session = sessions_of(server)[0]['id']
        equal('interrupted', events_of(server, session)[-1]['status'])
        window.click('.retry')
        window.wait_gone('.message.assistant .problem')
        window.wait_text(ANSWER, 'word3')
        equal((['Count for me'], 1), (window.texts(QUESTION), len(window.texts(ANSWER))))
        window.keys('Escape')
        window.wait_text('.message.assistant .problem', 'Stopped')


def reload_in_mid_answer(home, store):
    with opened(home, model='slow', store=store) as (_, window):
        say(window, 'Count for me')
        window.wait_text(ANSWER, 'word5')
        window.reload()
        window.wait_text(ANSWER, 'word5')
        window.wait_text(ANSWER, 'word20')
        words = window.text(ANSWER).split()
        equal([f'word{i}' for i in range(len(words))], words)
        window.click('#stop')
        window.wait_text('.message.assistant .problem', 'Stopped')
        equal(1, len(window.texts(ANSWER)))


@case
def a_reload_in_mid_answer_goes_on_with_it(home):
    reload_in_mid_answer(home, STORE)


@case
def a_reload_in_mid_answer_goes_on_with_it_in_postgresql(home):
    with postgres(home) as store:
        reload_in_mid_answer(home, store)


@case
def a_second_device_sees_it_live_and_can_stop_it(home):
    with opened(home, model='slow') as (server, window), browser(width=375, height=667) as other:
        say(window, 'Count for me')
        window.wait_text(ANSWER, 'word1')
        other.open(window.run('return location.href'))
        other.wait_text(ANSWER, 'word8')
        window.wait_text(ANSWER, 'word9')
        other.click('#stop')
        for one in (window, other):
            one.wait_text('.message.assistant .problem', 'Stopped')
            equal((1, 1), (len(one.texts(QUESTION)), len(one.texts(ANSWER))))
        session = sessions_of(server)[0]['id']
        more = [{'message': {'role': 'user', 'content': 'from a script'}}]
        equal(200, server.ask('POST', f'{SESSIONS}/{session}/events', more).status)
        for one in (window, other):
            one.wait_texts(QUESTION, ['Count for me', 'from a script'])


@case
def what_fails_is_said_where_it_happens_and_nothing_typed_is_lost(home):
    with opened(home, model='gone') as (server, window):
        say(window, 'Is anybody there?')
        window.wait_text('.problem', 'no such model')
        equal(['Is anybody there?'], window.texts(QUESTION))
        window.find('.retry')
        server.process.kill()
        window.wait_text('#line', 'connection is lost')
        say(window, 'And now?')
        window.wait_text('#problem', 'was not sent')
        equal('And now?', window.run('return document.querySelector("#input").value'))


@case
def a_lost_connection_is_mended_from_where_it_was(home):
    port = free_port()
    with browser() as window:
        with serving(home, listen=f'127.0.0.1:{port}') as server:
            made(server, 'kept', 'Kept', [('user', 'one')])
            window.open(address(server, 'kept'))
            window.wait_texts(QUESTION, ['one'])
        window.wait_text('#line', 'connection is lost')
        with serving(home, listen=f'127.0.0.1:{port}') as server:
            body = [{'message': {'role': 'user', 'content': 'two'}}]
            equal(200, server.ask('POST', f'{SESSIONS}/kept/events', body).status)
            window.wait_texts(QUESTION, ['one', 'two'])
            window.wait_gone('#line')


@case
def an_answer_whose_server_dies_is_kept_and_asked_again(home):
    port = free_port()
    with browser() as window:
        dying = serving(home, listen=f'127.0.0.1:{port}', model='slow')
        window.open(address(dying))
        say(window, 'Count for me')
        window.wait_text(ANSWER, 'word15')
        dying.process.kill()
        dying.process.wait()
        with serving(home, listen=f'127.0.0.1:{port}', model='slow') as server:
            window.wait_text('.message.assistant .problem', 'Interrupted', within=60)
            contains('word3', window.text(ANSWER))
            window.reload()
            window.wait_text('.message.assistant .problem', 'Interrupted')
            contains('word3', window.text(ANSWER))
            window.click('.retry')
            window.wait_gone('.message.assistant .problem')
            window.wait_text(ANSWER, 'word3')
            window.click('#stop')
            window.wait_text('.message.assistant .problem', 'Stopped')
            equal((['Count for me'], 1), (window.texts(QUESTION), len(window.texts(ANSWER))))
            window.reload()
            window.wait_text('.message.assistant .problem', 'Stopped')
            equal((['Count for me'], 1), (window.texts(QUESTION), len(window.texts(ANSWER))))
            equal(1, len(sessions_of(server)))
        dying.process.stderr.close()


@case
def who_reads_above_is_not_moved_by_an_answer_that_grows(home):
    with opened(home, model='slow', width=375, height=400) as (server, window):
        made(server, 'x', 'X', [('user', 'line\n' * 60)])
        window.open(address(server, 'x'))
        window.wait_text(QUESTION, 'line')
        say(window, 'Count for me')
        window.wait_text(ANSWER, 'word20')
        assert window.run(FROM_END) < 2, 'the end is not followed'
        window.run('document.querySelector("#log").scrollTop -= 500')
        before = window.run('return document.querySelector("#log").scrollTop')
        window.wait_text(ANSWER, 'word60')
        equal(before, window.run('return document.querySelector("#log").scrollTop'))
        window.click('#jump')
        window.wait_text(ANSWER, 'word80')
        assert window.run(FROM_END) < 2, 'the end is not followed'
        window.click('#stop')
        window.wait_gone('#stop')


@case
def the_model_can_be_chosen_and_a_conversation_keeps_its_own(home):
    config = home.path / 'serve.json'
    config.write_text(json.dumps({'models': [{'name': name, 'url': home.url} for name in ('plain', 'other')]}))
    with Server(home, '-session', STORE, '-config', str(config), model=None) as server, browser() as window:
        window.open(address(server))
        say_and_wait(window, 'first')
        contains('Hello from plain', window.text(ANSWER))
        window.run('const select = document.querySelector("#model"); select.value = "other";'
                   'select.dispatchEvent(new Event("change"))')
        window.click('#new')
        window.wait_gone('.message')
        say_and_wait(window, 'second')
        contains('Hello from other', window.text(ANSWER))
        window.click('#list .row:nth-of-type(3) .entry')
        window.wait_texts(QUESTION, ['first'])
        window.until(lambda: window.run('return document.querySelector("#model").value') == 'plain', 'its own model')


# ---- conversations -------------------------------------------------------------------------


@case
def what_is_typed_stays_with_its_conversation(home):
    with opened(home) as (server, window):
        made(server, 'a/b ä', 'First', [('user', 'said in a')])
        made(server, 'c', 'Second', [('user', 'said in c')])
        window.reload()
        window.wait_texts(ENTRIES, ['Second', 'First'])
        window.click('#list .row:nth-of-type(3) .entry')
        window.wait_texts(QUESTION, ['said in a'])
        window.type('#input', 'half a thought')
        window.click('#list .row:nth-of-type(2) .entry')
        window.wait_texts(QUESTION, ['said in c'])
        equal('', window.run('return document.querySelector("#input").value'))
        window.run('history.back()')
        window.wait_texts(QUESTION, ['said in a'])
        equal('half a thought', window.run('return document.querySelector("#input").value'))
        window.reload()
        window.wait_texts(QUESTION, ['said in a'])
        equal('half a thought', window.run('return document.querySelector("#input").value'))


@case
def a_conversation_is_renamed(home):
    with opened(home) as (server, window):
        made(server, 'x', 'Before', [('user', 'hello')])
        window.open(address(server, 'x'))
        window.wait_texts(QUESTION, ['hello'])
        window.click('#title')
        window.keys(*'After', 'Enter')
        window.wait_texts(ENTRIES, ['After'])
        equal('After', window.text('#title'))
        window.click('#title')
        window.keys(*'No', 'Escape')
        equal('After', window.text('#title'))
        equal('After', sessions_of(server)[0]['title'])


@case
def the_trash_gives_back_or_deletes_for_good(home):
    with opened(home) as (server, window):
        for name in ('one', 'two'):
            made(server, name, f'Number {name}', [('user', name)])
        window.open(address(server, 'two'))
        window.wait_texts(QUESTION, ['two'])
        window.click('#drop')
        window.wait_texts(ENTRIES, ['Number one'])
        window.wait_gone('.message')
        window.click('#toast button')
        window.wait_texts(QUESTION, ['two'])
        window.wait_texts(ENTRIES, ['Number two', 'Number one'])
        window.click('#drop')
        window.wait_texts(ENTRIES, ['Number one'])
        window.click('#trash-open')
        window.wait_texts(ENTRIES, ['Number two'])
        window.click('#list [aria-label=Restore]')
        window.wait_text('#list-note', 'The trash is empty')
        window.click('#trash-back')
        window.wait_texts(ENTRIES, ['Number two', 'Number one'])
        equal(204, server.ask('DELETE', f'{SESSIONS}/one').status)
        window.click('#trash-open')
        window.wait_texts(ENTRIES, ['Number one'])
        window.click('#list [aria-label="Delete for good"]')
        equal(1, len(sessions_of(server, '?trash=true')))
        window.click('#list .sure')
        window.wait_text('#list-note', 'The trash is empty')
        equal([], sessions_of(server, '?trash=true'))


@case
def a_fork_goes_on_from_a_message(home):
    with opened(home) as (server, window):
        say_and_wait(window, 'first')
        say_and_wait(window, 'second')
        window.hover('.message:nth-child(2)')
        window.click('.message:nth-child(2) [title^=Fork]')
        window.wait_texts(QUESTION, ['first'])
        equal(1, len(window.texts(ANSWER)))
        say_and_wait(window, 'another way')
        equal(['first', 'another way'], window.texts(QUESTION))
        equal(2, len(sessions_of(server)))
        window.hover('.message:nth-child(3)')
        window.click('.message:nth-child(3) [title^="Say it otherwise"]')
        window.wait_texts(QUESTION, ['first'])
        equal('another way', window.run('return document.querySelector("#input").value'))


@case
def a_long_list_is_loaded_and_searched_as_wanted(home):
    with opened(home) as (server, window):
        for i in range(120):
            made(server, f'n{i}', f'Number {i} of many')
        window.reload()
        window.wait_text(ENTRIES, 'Number 119 of many')
        assert len(window.texts(ENTRIES)) < 120
        window.type('#search', 'number 7 OF')
        window.wait_texts(ENTRIES, ['Number 7 of many'])
        window.type('#search', 'x')
        window.wait_text('#list-note', 'No title has that')
        window.keys('Escape')
        window.wait_text(ENTRIES, 'Number 119 of many')
        scroll_until(window, '#list-scroll', 1e6, lambda: 'Number 0 of many' in window.texts(ENTRIES))


@case
def older_messages_come_on_scrolling_and_nothing_jumps(home):
    with opened(home, '-event-limit', '1000') as (server, window):
        made(server, 'long', 'Long', [('user', f'message {i} ' + 'words ' * 40) for i in range(150)])
        window.open(address(server, 'long'))
        window.wait_text(QUESTION, 'message 149')
        window.until(lambda: window.run(FROM_END) < 2, 'the end to be seen')
        assert 'message 0 ' not in window.text(QUESTION)
        window.run('document.querySelector("#log").scrollTop = 900')
        top = '''return [...document.querySelectorAll(".message")].map((node) => [node.innerText.slice(0, 20),
                 node.getBoundingClientRect().top]).find((row) => row[1] > 60)'''
        seen = window.run(top)
        window.run('document.querySelector("#log").scrollTop = 700')  # 200 pixels up, and older ones are loaded
        window.until(lambda: window.run('return document.querySelectorAll(".message").length') > 60, 'older messages')
        now = window.run(f'''const name = {json.dumps(seen[0])};
            return [...document.querySelectorAll(".message")].find((node) => node.innerText.startsWith(name))
                .getBoundingClientRect().top''')
        assert abs(now - seen[1] - 200) < 2, (seen, now)
        scroll_until(window, '#log', 0, lambda: 'message 0 ' in window.text(QUESTION))
        equal(150, window.run('return document.querySelectorAll(".message").length'))
        body = [{'message': {'role': 'user', 'content': 'the newest'}}]
        equal(200, server.ask('POST', f'{SESSIONS}/long/events', body).status)
        window.wait_text(QUESTION, 'the newest')
        assert window.run(FROM_END) > 1000, 'the reader was taken to the end'
        window.click('#jump')
        window.until(lambda: window.run(FROM_END) < 2, 'the end to be seen')


# ---- looks ---------------------------------------------------------------------------------

RICH = '''# A heading

Some **bold**, *slanted*, ~~struck~~ and `code`, https://example.com/a_b_c.

1. one
   - inner
2. two

> quoted

| left | right |
| --- | ---: |
| ''' + 'wide' * 60 + ''' | 2 |

```c
int x; /* ''' + 'long ' * 80 + '''*/
```

[a link](https://example.com/x "title") and [a letter](mailto:a@example.com)'''


@case
def markdown_is_drawn_and_nothing_scrolls_sideways(home):
    with opened(home, width=375, height=667, dark=True) as (server, window):
        made(server, 'rich', 'Rich', [('user', 'w' * 500), ('assistant', RICH)])
        window.open(address(server, 'rich'))
        window.wait_text(f'{ANSWER} .level-1', 'A heading')
        counts = {css: window.run('return document.querySelectorAll(arguments[0]).length', f'{ANSWER} {css}')
                  for css in ('strong', 'em', 'del', 'ol > li', 'ol ul > li', 'blockquote p', 'th.right', 'pre code', 'a')}
        equal({'strong': 1, 'em': 1, 'del': 1, 'ol > li': 2, 'ol ul > li': 1, 'blockquote p': 1, 'th.right': 1,
               'pre code': 1, 'a': 3}, counts)
        equal(['https://example.com/a_b_c', 'https://example.com/x', 'mailto:a@example.com'],
              window.run(f'return [...document.querySelectorAll("{ANSWER} a")].map((a) => a.href)'))
        equal(['noopener noreferrer'] * 3, window.run(f'return [...document.querySelectorAll("{ANSWER} a")].map((a) => a.rel)'))
        for dark in (True, False):
            window.look(dark)
            for width in (320, 375, 768, 1280, 2560):
                window.size(width, 700)
                wide = window.run('''return [document.scrollingElement, document.querySelector("#log"), document.body]
                    .filter((node) => node.scrollWidth > node.clientWidth).length''')
                equal((width, 0), (width, wide))
        ground = 'return getComputedStyle(document.body).backgroundColor'
        light = window.run(ground)
        window.look(True)
        assert window.run(ground) != light
        window.click('#theme')  # light, whatever the system says
        equal(light, window.run(ground))
        window.reload()
        window.find('#input')
        equal(light, window.run(ground))


@case
def code_is_copied_by_its_button(home):
    with opened(home) as (server, window):
        made(server, 'code', 'Code', [('user', 'write'), ('assistant', '```c\n\tint x;\n```')])
        window.open(address(server, 'code'))
        window.click('.copy')
        window.wait_text('#toast', 'Copied')
        window.run('document.querySelector("#input").focus()')
        window.keys('v', held=['Control'])
        equal('\tint x;', window.run('return document.querySelector("#input").value'))


# ---- hostile answers -----------------------------------------------------------------------

EVIL = ['<img src=x onerror="window.hit=1">', '<script>window.hit=1</script>', '<svg onload="window.hit=1">',
        '[x](javascript:window.hit=1)', '[x](JAVA\tSCRIPT:window.hit=1)', '[x](<javascript:window.hit=1>)',
        '[x](data:text/html,<script>window.hit=1</script>)', '[x](/v1/models)', '[x](vbscript:x)',
        '<javascript:window.hit=1>', '![x](https://evil.example/pixel.png)', '[x](https://a" onmouseover="window.hit=1)',
        '```"><img src=x onerror=window.hit=1>\nx\n```', '| <img src=x onerror=window.hit=1> |\n| --- |\n| x |',
        '<iframe src="javascript:parent.hit=1"></iframe>', '<a href="javascript:window.hit=1">x</a>']


@case
def what_an_answer_says_is_text_and_runs_nothing(home):
    with opened(home) as (server, window):
        made(server, 'evil', '<img src=x onerror="window.hit=1">',
             [(role, text) for text in EVIL for role in ('user', 'assistant')])
        window.open(address(server, 'evil'))
        window.until(lambda: len(window.texts(QUESTION)) == len(EVIL), 'all of them')
        say_and_wait(window, EVIL[0])
        contains('onerror', window.texts(ANSWER)[-1])
        equal([], window.run('''return [...document.querySelectorAll("#app *")].filter((node) =>
            ["IMG", "SCRIPT", "IFRAME", "OBJECT"].includes(node.tagName) ||
            [...node.attributes].some((one) => one.name.startsWith("on"))).map((node) => node.outerHTML)'''))
        links = window.run(f'return [...document.querySelectorAll("{ANSWER} a")].map((a) => a.href)')
        assert all(link.startswith('https://') for link in links), links
        for place in window.run(f'return [...document.querySelectorAll("{ANSWER} span")].map((_, i) => i)'):
            window.run(f'document.querySelectorAll("{ANSWER} span")[arguments[0]].click()', place)
        equal(None, window.run('return window.hit'))


@case
def the_policy_blocks_what_would_run(home):
    with opened(home) as (_, window):
        window.log()
        for way in ('document.body.setAttribute("onclick", "window.hit = 1"); document.body.click()',
                    'document.body.innerHTML = "<img src=x onerror=window.hit=1>"',
                    '''const script = document.createElement("script");
                       script.textContent = "window.hit = 1"; document.body.append(script)'''):
            equal('refused', window.run(f'try {{ {way} }} catch (error) {{ return "refused"; }}'))
        equal(None, window.run('return window.hit'))
        window.run('new Image().src = "https://evil.example/x.png"')
        said = window.until(lambda: '\n'.join(window.log()), 'the console')
        contains('Content Security Policy', said)
        equal('none', window.run('''return fetch("https://evil.example/").then(() => "some", () => "none")'''))


@case
def hard_texts_are_drawn_in_time(home):
    texts = ['*a ' * 40000, '[' * 100000, '`' * 50000 + ' ' + '``x' * 20000, '> ' * 5000 + 'x', '- ' * 5000 + 'x',
             '# ' * 50000, '|' * 50000 + '\n' + '|-' * 25000, ' ' * 100000 + 'x|-', 'https://' + '.' * 100000 + 'x',
             '```' + 'a' * 100000 + '`', '[x](' * 30000, '_' * 100000, '![' * 40000, '\\' * 100000, '[x](' + ' ' * 100000]
    with opened(home) as (server, window):
        for i, text in enumerate(texts):
            made(server, f'hard{i}', f'Hard {i}', [('assistant', text)])
            window.open(address(server, f'hard{i}'))
            began = time.monotonic()
            window.until(lambda: window.texts('.message'), f'text {i}')
            assert time.monotonic() - began < 15, (i, time.monotonic() - began)


# ---- keyboard and keys ---------------------------------------------------------------------


@case
def all_can_be_done_by_keyboard(home):
    with opened(home) as (server, window):
        made(server, 'a', 'Apples', [('user', 'about apples')])
        made(server, 'p', 'Pears', [('user', 'about pears')])
        window.reload()
        window.wait_texts(ENTRIES, ['Pears', 'Apples'])
        focus = 'return document.activeElement.id || document.activeElement.textContent'
        window.until(lambda: window.run(focus) == 'input', 'the input to have the focus')
        window.keys('o', 'n', 'e')
        window.keys('Enter', held=['Shift'])
        window.keys('t', 'w', 'o', 'Enter')
        window.wait_texts(QUESTION, ['one\ntwo'])
        window.wait_text(ANSWER, 'two')
        window.keys('k', held=['Control'])
        equal('search', window.run(focus))
        window.keys('p', 'p', 'l')
        window.wait_texts(ENTRIES, ['Apples'])
        window.keys('Down')
        equal('Apples', window.run(focus))
        window.keys('Enter')
        window.wait_texts(QUESTION, ['about apples'])
        window.run('document.activeElement.blur()')
        window.keys('/')
        equal('search', window.run(focus))
        window.keys('Escape')
        window.wait_text(ENTRIES, 'Pears')
        equal('input', window.run(focus))
        window.keys('k', held=['Control'])
        window.keys('Down')
        window.keys('Down')
        equal('Pears', window.run(focus))
        window.keys('F2')
        window.keys(*'Plums', 'Enter')
        window.wait_text(ENTRIES, 'Plums')
        window.until(lambda: window.run(focus) == 'Plums', 'the focus to come back')
        window.keys('Delete')
        window.until(lambda: 'Plums' not in window.texts(ENTRIES), 'it to be gone')
        window.keys('Home')
        equal(window.texts(ENTRIES)[0], window.run(focus))


@case
def on_a_phone_the_list_opens_over_the_messages(home):
    with opened(home, width=375, height=667) as (server, window):
        made(server, 'a', 'Apples', [('user', 'about apples')])
        window.reload()
        window.find('#input')
        equal([], window.texts(ENTRIES))
        window.click('#menu')
        window.wait_texts(ENTRIES, ['Apples'])
        equal(True, window.run('return document.querySelector("#main").inert'))
        window.keys('Escape')
        window.wait_gone(ENTRIES)
        equal('menu', window.run('return document.activeElement.id'))
        window.click('#menu')
        window.click(ENTRIES)
        window.wait_texts(QUESTION, ['about apples'])
        window.wait_gone(ENTRIES)
        say_and_wait(window, 'and pears?')


@case
def a_key_is_asked_for_once_where_one_is_wanted(home):
    done = home.run('key', 'add', '-session', STORE, '-user', 'ann')
    equal(0, done.returncode)
    with serving(home, '-auth', 'keys') as server, browser() as window:
        window.open(address(server))
        window.type('#gate-key', 'ck_wrong\n')
        window.wait_text('#gate-problem', 'not valid')
        equal([], window.texts('#app'))
        window.run('document.querySelector("#gate-key").value = ""')
        window.type('#gate-key', done.out.strip() + '\n')
        say_and_wait(window, 'hello')
        window.reload()
        window.wait_texts(QUESTION, ['hello'])
        equal([True, False], window.run('return [sessionStorage, localStorage].map((area) => "convo.key" in area)'))
        window.click('#leave')
        window.find('#gate-key')
        equal(False, window.run('return "convo.key" in sessionStorage'))


@case
def the_page_of_figures_draws_what_happened(home):
    with opened(home) as (server, window):
        say_and_wait(window, 'hello')
        window.log()
        window.open(f'http://{server.where}/usage')
        window.wait_text('.plots', 'Errors')
        contains('Turns\n1', window.text('.totals'))
        drawn = window.run('return [...document.querySelectorAll(".plots svg")].map((svg) => [svg.viewBox.baseVal.width, '
                           'svg.getBoundingClientRect().width, svg.querySelectorAll("rect.k0").length])')
        equal(6, len(drawn))
        equal([], [one for one in drawn if abs(one[0] - one[1]) > 1])  # each as wide as it was drawn for
        equal(1, drawn[0][2])
        equal([], window.log())


if __name__ == '__main__':
    main()
