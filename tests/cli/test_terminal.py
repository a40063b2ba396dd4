#!/usr/bin/env python3
"""The program in a real terminal, through tmux: editing, pasting, Ctrl-C, signals, kill -9."""

import fcntl
import itertools
import os
import pty
import random
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import termios
import time
from pathlib import Path

from harness import CONVO, KEY, Skip, case, contains, equal, main

PROMPT = '👤 You:'


def is_alive(pid):
    """Whether a process runs: a zombie does not."""
    try:
        return Path(f'/proc/{pid}/stat').read_text(encoding='utf-8').split(') ')[1][0] != 'Z'
    except FileNotFoundError:
        return False


class Terminal:
    """A tmux server of its own with a shell in it, gone at the end of the `with`."""

    numbers = itertools.count()

    def __init__(self, home, width=80, height=40, **env):
        if not shutil.which('tmux'):
            raise Skip('tmux is missing')
        self.home = home
        # One of its own: the server before it may not be gone yet.
        self.socket = str(home.path / f'tmux{next(Terminal.numbers)}')
        self.env = {**home.env, 'OPENAI_BASE_URL': home.url, 'OPENAI_API_KEY': KEY,
                    'TMUX_TMPDIR': str(home.path), **env}
        self.tmux('-f', '/dev/null', 'new-session', '-d', '-x', str(width), '-y', str(height),
                  "exec env PS1='$ ' bash --norc --noprofile")

    def __enter__(self):
        try:
            self.wait('$')
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        left = self.children()
        self.tmux('kill-server', check=False)
        until = time.monotonic() + 10
        while any(is_alive(pid) for pid in left) and time.monotonic() < until:
            time.sleep(0.02)

    def tmux(self, *args, check=True, **more):
        return subprocess.run(['tmux', '-u', '-S', self.socket, *args], check=check, text=True,
                              capture_output=True, env=self.env, timeout=20, **more).stdout

    def keys(self, *names):
        self.tmux('send-keys', *names)

    def type(self, text):
        self.tmux('send-keys', '-l', text)

    def paste(self, text):
        self.tmux('load-buffer', '-', input=text)
        self.tmux('paste-buffer', '-p')

    def screen(self, history=False):
        return self.tmux('capture-pane', '-p', *(['-S', '-'] if history else [])).rstrip()

    def wait(self, text, seconds=10, gone=False):
        """Wait until the screen's end shows the text. @return the screen."""
        until = time.monotonic() + seconds
        while True:
            screen = self.screen()
            if (text in screen) != gone:
                return screen
            assert time.monotonic() < until, f'waited for {text!r}; the screen:\n{screen}'
            time.sleep(0.05)

    def wait_prompt(self, seconds=10):
        """Wait until the last line is the empty prompt."""
        until = time.monotonic() + seconds
        while True:
            screen = self.screen()
            if screen.splitlines()[-1:] == [PROMPT]:
                return screen
            assert time.monotonic() < until, f'waited for the prompt; the screen:\n{screen}'
            time.sleep(0.05)

    def start(self, model='echo', args=''):
        self.type(f'clear; {CONVO} -model {model} -session sqlite {args}')
        self.keys('Enter')
        return self.wait_prompt()

    def enter(self, *names):
        """Press keys, then Enter once they show in the line."""
        self.keys(*names)
        until = time.monotonic() + 10
        while self.screen().endswith(PROMPT) and time.monotonic() < until:
            time.sleep(0.02)
        self.keys('Enter')

    def ask(self, *names):
        """Say something, and wait for the next prompt. @return the screen."""
        self.enter(*names)
        return self.wait_prompt()

    def leave(self, *names):
        """Leave the program. @return what the shell shows afterwards, the exit code at its end."""
        self.keys(*(names or ['C-d']))
        time.sleep(0.3)
        self.type('echo code=$?.')
        self.keys('Enter')
        screen = self.wait('code=', 10)
        return self.wait('.\n$') if '.\n$' not in screen else screen

    def children(self):
        """The process ids of what the shell runs."""
        shell = self.tmux('display-message', '-p', '#{pane_pid}').strip()
        return Path(f'/proc/{shell}/task/{shell}/children').read_text(encoding='ascii').split()

    def program(self):
        """The process id of the program."""
        return int(self.children()[0])

    def settings(self):
        """How the terminal is set."""
        tty = self.tmux('display-message', '-p', '#{pane_tty}').strip()
        return subprocess.run(['stty', '-g', '-F', tty], capture_output=True, text=True,
                              check=True).stdout


def log(home):
    """What the store holds of the session used last."""
    return home.echo('-session', 'sqlite', '-c', text='/log 100\n').out.split('/log 100\n')[1]


@case
def a_conversation_reads_as_it_should(home):
    with Terminal(home) as term:
        before = term.settings()
        term.start()
        term.ask('Hello')
        screen = term.ask('/sessions')
        contains('👤 You: Hello\n🤖 Assistant: I am echo', screen)
        contains('   * chat-session-', screen)
        contains('just now · 2 messages', screen)
        assert term.settings() != before
        contains('👋 Goodbye!', term.leave('/exit', 'Enter'))
        equal(before, term.settings())


@case
def a_long_paste_is_one_message(home):
    block = ''.join(f'line {i} of the block\n' for i in range(1, 201))
    with Terminal(home) as term:
        term.start('count')
        term.paste(block)
        contains('[paste 1: 200 lines, ', term.wait('[paste 1'))
        term.type('the end')
        term.keys('Enter')
        contains(f'2 messages, {len(block) + 7} characters', term.wait_prompt())
    contains('#1 👤 You: ' + block + 'the end\n', log(home))


@case
def a_huge_paste_is_one_message(home):
    block = 'x' * 79 + '\n'
    with Terminal(home) as term:
        term.start('count')
        term.paste(block * 20000)
        term.wait('[paste 1: 20000 lines', 30)
        term.keys('Enter')
        contains('2 messages, 1600000 characters', term.wait('characters', 30))


@case
def a_paste_too_big_is_refused_and_the_next_line_works(home):
    with Terminal(home) as term:
        term.start('count')
        term.paste('x' * ((8 << 20) + 1))
        term.wait('more than 8 MiB: not sent', 30)
        contains('2 messages, 5 characters', term.ask('after'))


@case
def a_short_paste_can_be_edited(home):
    with Terminal(home) as term:
        term.start()
        term.paste('one\ntwo\nthree')
        term.wait('three')
        term.ask('Up', 'Left', '!')
    contains('#1 👤 You: one\ntw!o\nthree\n', log(home))


@case
def ctrl_j_begins_a_line(home):
    with Terminal(home) as term:
        term.start()
        term.ask('one', 'C-j', 'two')
    contains('#1 👤 You: one\ntwo\n', log(home))


@case
def arrows_never_lose_the_line(home):
    with Terminal(home) as term:
        term.start()
        term.ask('earlier')
        term.keys('one', 'C-j', 'two', 'Down', 'Down', 'Up', 'Up', 'Up')
        term.ask('Down', 'Down', 'Down', '!')
    contains('#3 👤 You: one\ntwo!\n', log(home))


@case
def wide_and_combining_characters_are_edited_right(home):
    with Terminal(home) as term:
        term.start()
        term.type('你好吗 cafe\u0301s 👍x')
        term.keys('BSpace', 'Left', 'Left', 'Left', 'Z')
        contains(f'{PROMPT} 你好吗 cafe\u0301Zs 👍', term.wait('Z'))
        term.ask('Home', 'Right', 'DC', 'C-e', '!')
    contains('#1 👤 You: 你吗 cafe\u0301Zs 👍!\n', log(home))


@case
def keys_go_by_grapheme_clusters(home):
    family, flag, letter = '👩\u200d👩\u200d👧', '🇯🇵', 'e\u0323\u0301'
    with Terminal(home) as term:
        term.start()
        term.type(f'a{family}b')
        term.ask('BSpace', 'BSpace', 'c')
        term.type(f'{flag}{letter}👍🏽1')
        term.ask('Left', 'Left', 'x', 'Left', 'BSpace', 'Left', 'DC')
        contains('user: x👍🏽1', term.screen())
    contains('#1 👤 You: ac\n', log(home))
    contains('#3 👤 You: x👍🏽1\n', log(home))


@case
def words_are_cut_and_put_back(home):
    with Terminal(home) as term:
        term.start()
        term.ask('one two three', 'M-b', 'M-b', 'M-d', 'C-e', ' ', 'C-y', 'C-w', 'C-w', 'C-a',
                 'C-k', 'C-y', 'C-y', '!', 'C-b', 'C-t', 'C-e', '.')
        term.ask('line', 'C-j', 'next', 'C-u', 'x', 'C-p', 'C-e', 's', 'C-n', 'C-v', 'Tab')
    contains('#1 👤 You: one  one ! .\n', log(home))
    contains('#3 👤 You: lines\nx\t\n', log(home))


@case
def keys_that_mean_nothing_do_nothing(home):
    with Terminal(home) as term:
        term.start()
        term.keys('a', 'F5', 'M-x', 'C-g', 'C-Space', 'S-Up', 'C-x', 'b', 'Escape')
        term.type('Oxc')  # with the Escape: a key of no keyboard
        term.keys('Escape', 'Escape', 'OA', 'PPage', 'd')
        term.wait('bcd')
        term.keys('C-l')
        term.wait('Session Management', gone=True)
        equal(f'{PROMPT} abcd', term.screen())
        term.keys('Enter')
        term.wait('user: abcd\n')


@case
def thinking_is_shown_to_who_watches(home):
    with Terminal(home) as term:
        term.start('think')
        contains('🤖 Assistant: 💭 let me see\n\nHello from think.', term.ask('x'))
    contains('#2 🤖 Assistant: Hello from think.\n', log(home))


KEYS = ['a', 'b ', 'é', '你', '👩\u200d👩\u200d👧', 'e\u0301', '\u0301', '\u200d', '\ufe0f', '🇯', 'x' * 50,
        *map(chr, [1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18, 20, 21, 23, 25, 127]),
        '\x16\x1b', '\x16\t', '/use ', '/se', '\x1bb', '\x1bd', '\x1bf', '\x1b[A', '\x1b[B', '\x1b[C',
        '\x1b[D', '\x1b[H', '\x1b[F', '\x1b[3~', '\x1b[1;5C', '\x1b[1;5D', '\x1b[15~', '\x1b\x1b',
        '\x1bO', '\x1b[', '\x1b[99;', '\udcff', '\udce4\udcbd', '\x1b[200~pasted\rtext\x1b[201~',
        '\x1b[200~' + 'long\r' * 30 + '\x1b[201~']


def read_for(fd, seconds):
    """What comes within this time; None at the end."""
    got, until = b'', time.monotonic() + seconds
    while select.select([fd], [], [], max(0, until - time.monotonic()))[0]:
        try:
            got += os.read(fd, 65536)
        except OSError:
            return None
    return got


@case
def no_keys_break_the_line(home):
    """Random ones, in windows of random size; Ctrl-C and Ctrl-D, which leave, are not among them."""
    for seed in range(4):
        rng = random.Random(seed)
        pid, fd = pty.fork()
        if not pid:
            os.execve(CONVO, [CONVO, '-model', 'echo'], home.env)
        read_for(fd, 0.3)
        for _ in range(300):
            if rng.random() < 0.03:
                fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack(
                    'HHHH', rng.randrange(1, 30), rng.randrange(1, 100), 0, 0))
            keys = ''.join(rng.choice(KEYS) for _ in range(rng.randrange(1, 4)))
            os.write(fd, keys.encode('utf-8', 'surrogateescape'))
            assert read_for(fd, 0.002) is not None, f'seed {seed}: it ended after {keys!r}'
        os.write(fd, b'\x1b[201~\x07\x07\r\r\r')
        read_for(fd, 0.5)
        os.write(fd, b'/exit\r')
        while read_for(fd, 5):
            pass
        os.close(fd)
        equal((seed, 0), (seed, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


@case
def a_history_that_cannot_grow_disturbs_nobody(home):
    folder = home.path / '.local/share/convo'
    folder.mkdir(parents=True)
    (folder / 'history').write_text('earlier\n' + 'x' * 991 + '\n')
    with Terminal(home) as term:
        term.enter('(ulimit -f 1')
        term.start(args='-session inmemory; echo left=$?)')
        contains('user: ' + 'y' * 40, term.ask('y' * 40))
        contains('user: z', term.ask('z'))
        term.keys('C-d')
        term.wait('left=0')
    equal('earlier\n' + 'x' * 991 + '\n' + 'y' * 24, (folder / 'history').read_text())
    with Terminal(home) as term:
        term.start()
        term.ask('after')
    assert (folder / 'history').read_text().endswith('y' * 24 + '\nafter\n')


@case
def a_text_taller_than_the_screen_is_edited_right(home):
    with Terminal(home, width=40, height=10) as term:
        term.start()
        text = ''.join(f'{i:039}-' for i in range(20))
        term.type(text)
        term.wait('019-')
        assert PROMPT not in term.screen()
        term.keys('Home')
        contains(f'{PROMPT} {0:032}\n', term.wait(PROMPT) + '\n')
        term.type('>')
        term.wait('>')
        term.ask('End', '<')
    contains(f'#1 👤 You: >{text}<\n', log(home))


@case
def odd_characters_in_the_line_cannot_steer(home):
    with Terminal(home, width=40) as term:
        term.start()
        term.keys('a' * 31, 'C-v', 'Escape', '[2J', 'C-v', 'C-a', 'z', 'Left', 'Left', '!')
        contains(f'{PROMPT} {"a" * 31}\n^[[2J!^Az', term.wait('!^Az'))


@case
def a_search_goes_on_and_can_be_given_up(home):
    with Terminal(home) as term:
        term.start()
        for text in ('red apple', 'green apple', 'plum'):
            term.ask(text)
        term.keys('draft', 'C-r', 'apple')
        contains(f'{PROMPT} green apple\nsearch: apple', term.wait('search: apple'))
        term.keys('C-r')
        term.wait(f'{PROMPT} red apple')
        term.keys('x')
        term.wait('not found: applex')
        term.keys('BSpace', 'BSpace', 'BSpace', 'C-g')
        term.wait(f'{PROMPT} draft')
        term.keys('C-r', 'red', 'C-a')
        term.wait('search:', gone=True)
        contains('user: big red apple', term.ask('big '))


@case
def a_history_beyond_its_limit_is_shortened(home):
    folder = home.path / '.local/share/convo'
    folder.mkdir(parents=True)
    (folder / 'history').write_text(''.join(f'entry {i:06} {"x" * 100}\n' for i in range(12000)))
    with Terminal(home) as term:
        term.start()
        term.keys('Up')
        term.wait('entry 011999')
        term.keys('C-u')
        term.ask('new')
    kept = (folder / 'history').read_text()
    assert len(kept) < 300000, len(kept)
    assert kept.endswith(f'entry 011999 {"x" * 100}\nnew\n')
    equal('entry ', kept[:6])
    equal(0o600, (folder / 'history').stat().st_mode & 0o777)
    equal(['convo/history'], [str(path.relative_to(folder.parent))
                              for path in folder.glob('history*')])


@case
def a_line_longer_than_the_screen_is_edited_right(home):
    with Terminal(home, width=40, height=12) as term:
        term.start()
        text = ' '.join(f'词{i}' for i in range(40))
        term.type(text)
        term.ask('C-a', '>', 'C-e', '<')
    contains(f'#1 👤 You: >{text}<\n', log(home))


@case
def ctrl_c_stops_the_answer_and_keeps_what_came(home):
    with Terminal(home) as term:
        term.start('slow')
        term.enter('tell me')
        term.wait('word3')
        start = time.monotonic()
        term.keys('C-c')
        contains('(interrupted; what came is stored)', term.wait_prompt())
        assert time.monotonic() - start < 1.5
        term.ask('/model plain')
        contains('Hello from plain.', term.ask('go on'))
    contains('#1 👤 You: tell me\n#2 🤖 Assistant (interrupted): word0 word1', log(home))


@case
def ctrl_c_at_the_prompt_hints_and_twice_leaves(home):
    with Terminal(home) as term:
        before = term.settings()
        term.start()
        term.type('half a thought')
        term.wait('thought')
        term.keys('C-c')
        term.wait_prompt()
        time.sleep(1.1)
        term.keys('C-c')
        contains('/exit', term.wait('to leave'))
        term.wait_prompt()
        term.keys('Up')
        contains(f'{PROMPT} half a thought', term.wait('thought'))
        time.sleep(1.1)
        term.keys('C-c')
        time.sleep(0.2)
        contains('code=130.', term.leave('C-c'))
        equal(before, term.settings())


@case
def ctrl_c_stops_a_store_that_waits(home):
    with Terminal(home) as term:
        term.start()
        term.ask('hi')
        with sqlite3.connect(home.path / '.local/share/convo/sessions.db') as data:
            data.execute('BEGIN EXCLUSIVE')
            term.enter('/rename other')
            time.sleep(0.3)
            start = time.monotonic()
            term.keys('C-c')
            screen = term.wait_prompt()
            assert time.monotonic() - start < 2, 'the timeout was waited for'
            data.rollback()
        contains('/rename other\n(interrupted', screen)
        contains('🏷 Title: new', term.ask('/rename new'))


@case
def a_countdown_is_shown_and_can_be_stopped(home):
    with Terminal(home, width=100) as term:
        term.start('busy')
        term.enter('hello')
        contains('HTTP 429', term.wait('again in 2s'))
        term.keys('C-c')
        screen = term.wait_prompt()
        contains('(interrupted; the question is stored, /retry asks again)', screen)
        assert 'again in' not in screen


@case
def the_spinner_counts_and_goes(home):
    with Terminal(home) as term:
        term.start('late')
        term.enter('hello')
        term.wait('1s')
        screen = term.wait_prompt()
        contains('🤖 Assistant: Hello from late.', screen)
        assert '1s' not in screen and '2s' not in screen


@case
def what_is_typed_during_an_answer_is_said_next(home):
    with Terminal(home) as term:
        term.start('late')
        term.enter('one')
        term.wait('🤖')
        term.enter('/log')
        screen = term.wait('#2')
        contains(f'{PROMPT} /log\n#1', screen)
        contains('🤖 Assistant: Hello from late.\n', screen)


@case
def sigterm_stores_what_came_and_restores_the_terminal(home):
    with Terminal(home) as term:
        before = term.settings()
        term.start('slow')
        term.enter('tell me')
        term.wait('word3')
        os.kill(term.program(), signal.SIGTERM)
        term.wait('interrupted')
        contains('code=130.', term.leave(''))
        equal(before, term.settings())
    contains('(interrupted): word0 word1', log(home))


@case
def sigterm_at_the_prompt_leaves(home):
    with Terminal(home) as term:
        before = term.settings()
        term.start()
        os.kill(term.program(), signal.SIGTERM)
        contains('code=130.', term.leave(''))
        equal(before, term.settings())


@case
def a_terminal_that_goes_away_loses_nothing(home):
    with Terminal(home) as term:
        term.start('slow')
        term.enter('tell me')
        term.wait('word3')
    contains('(interrupted): word0 word1', log(home))


@case
def kill_9_leaves_the_question_for_c(home):
    with Terminal(home) as term:
        term.start('slow')
        term.enter('tell me')
        term.wait('word3')
        os.kill(term.program(), signal.SIGKILL)
        term.wait('Killed')
        term.keys('Enter')
        term.type('stty sane')
        term.keys('C-j')
        screen = term.start('plain', '-c')
        contains('👤 tell me', screen)
        contains('#1 👤 You: tell me\n', term.ask('/log'))
        term.enter('/retry')
        # Nobody tells that the other program is gone: its lease runs out (R1).
        term.wait('another program is answering')
        contains('Hello from plain.', term.wait_prompt(40))


@case
def kill_9_keeps_what_came_for_c_and_a_second_screen_shows_it(home):
    with Terminal(home) as term, Terminal(home) as second:
        term.start('slow')
        contains('Current:  work', term.ask('/new work'))
        second.type(f'clear; {CONVO} -session sqlite -follow work')
        second.keys('Enter')
        second.wait('nothing is stored under this id yet')
        term.enter('tell me')
        term.wait('word25', 20)
        os.kill(term.program(), signal.SIGKILL)
        screen = second.wait('word10', 20)
        contains('👤 You: tell me', screen)
        contains('🤖 Assistant: word0 word1 ', screen)
        assert screen.count('word3 ') == 1, screen
        term.wait('Killed')
        term.keys('Enter')
        time.sleep(16)  # the lease of the program that is gone
        contains('what had come is stored', term.start('plain', '-c'))
        contains('#2 🤖 Assistant (interrupted): word0', term.ask('/log'))
        second.wait('(interrupted)', 20)
        contains('Hello from plain.', term.ask('/retry'))
        second.wait('Hello from plain.', 20)
        contains('🌱 Forked session work', term.ask('/fork 2'))
        contains('#2 🤖 Assistant (interrupted): word0', term.ask('/log'))
        second.keys('C-c')
        second.wait('^C')


@case
def a_second_screen_follows_a_session_to_its_end_and_back(home):
    with Terminal(home) as term, Terminal(home) as second:
        term.start('plain')
        term.ask('/new work')
        term.ask('first')
        second.type(f'clear; {CONVO} -session sqlite -follow work')
        second.keys('Enter')
        second.wait('Hello from plain.', 20)
        term.enter('/delete work')
        term.wait('[y/N]')
        term.enter('y')
        second.wait('(the session was deleted)', 20)
        term.wait_prompt()
        term.ask('/restore work')
        second.wait('(the session is back)', 20)
        term.ask('/use work')
        term.ask('second')
        screen = second.wait('second', 20)
        equal(1, screen.count('👤 You: first'))
        term.ask('/undo')
        second.wait('(a turn was taken back)', 20)
        term.enter('/delete work')
        term.wait('[y/N]')
        term.enter('y')
        term.wait_prompt()
        term.ask('/new work')
        term.ask('third')
        second.wait('begun anew)', 20)
        second.wait('👤 You: third', 20)
        equal(1, second.screen().count('👤 You: first'))


@case
def suspending_gives_the_terminal_back(home):
    with Terminal(home) as term:
        before = term.settings()
        term.start()
        term.type('half')
        term.wait('half')  # Ctrl-Z makes the terminal forget what is not read yet
        term.keys('C-z')
        term.wait('Stopped')
        term.enter('fg')
        time.sleep(0.5)
        term.enter('!')
        contains('user: half!', term.wait('user:'))
        contains('code=0.', term.leave())
        equal(before, term.settings())


@case
def tab_completes_commands_and_ids(home):
    with Terminal(home) as term:
        term.start()
        term.ask('/new alpha-one')
        term.ask('x')
        term.ask('/new alpha-two')
        term.ask('y')
        term.keys('/se', 'Tab')
        term.wait('/sessions')
        term.keys('C-u')
        term.keys('/use al', 'Tab')
        term.wait('/use alpha-')
        term.keys('Tab')
        term.wait('   alpha-two\n')
        term.enter('o', 'Tab')
        contains('Switched to session alpha-one\n   x · just now · 2 messages\n   👤 x',
                 term.wait_prompt())


@case
def the_history_is_kept_on_disk_for_its_owner(home):
    with Terminal(home) as term:
        term.start()
        term.ask('remember the 雪 please')
        term.ask('two', 'C-j', 'lines\\')
        term.leave()
        term.start()
        term.keys('Up')
        term.wait('lines\\')
        term.keys('C-c')
        term.wait_prompt()
        term.keys('C-r')
        term.type('the 雪')
        term.wait(f'{PROMPT} remember the 雪 please')
        term.keys('Enter')
        contains('user: remember the 雪 please', term.wait_prompt())
    path = home.path / '.local/share/convo/history'
    equal(0o600, path.stat().st_mode & 0o777)
    equal('remember the 雪 please\ntwo\\nlines\\\\\nremember the 雪 please\n',
          path.read_text(encoding='utf-8'))


@case
def a_long_roster_is_paged(home):
    for i in range(30):
        home.echo('-session', 'sqlite', text=f'/new s{i}\nhello {i}\n')
    with Terminal(home, height=14) as term:
        term.start()
        term.enter('/sessions')
        screen = term.wait('more: Enter')
        contains('     s29  hello 29  just now · 2 messages\n', screen)
        term.ask('q')
        assert ' s0 ' not in term.screen(history=True)


@case
def deleting_asks(home):
    with Terminal(home) as term:
        term.start()
        term.ask('hi')
        term.enter('/delete')
        term.wait('[y/N]')
        term.enter('n')
        contains('(not deleted)', term.wait_prompt())
        term.enter('/delete')
        term.wait('[y/N]', 1)
        term.enter('y')
        contains('🗑 Deleted session', term.wait_prompt())


@case
def a_window_that_changes_answers_no_question(home):
    with Terminal(home) as term:
        term.start()
        term.ask('hi')
        term.enter('/delete')
        term.wait('[y/N]')
        term.tmux('resize-window', '-x', '60', '-y', '30')
        time.sleep(0.2)
        term.enter('y')
        contains('🗑 Deleted session', term.wait_prompt())


@case
def odd_text_cannot_steer_the_terminal(home):
    with Terminal(home) as term:
        term.start('odd')
        contains('🤖 Assistant: a^[[31mred^G b<U+009B>c d<U+202E>e', term.ask('x'))


@case
def colours_go_where_they_are_wanted(home):
    with Terminal(home) as term:
        term.start('markdown')
        term.ask('x')
        shown = term.tmux('capture-pane', '-p', '-e')
        contains('\x1b[1m', shown)
        contains('# Head\nplain **bold** and `code`\n```c\nint *x;\n```\nend * star', term.screen())
    with Terminal(home, NO_COLOR='1') as term:
        term.start('markdown')
        term.ask('x')
        assert '\x1b[' not in term.tmux('capture-pane', '-p', '-e')


@case
def a_dumb_terminal_gets_no_escapes(home):
    with Terminal(home) as term:
        term.tmux('pipe-pane', f'cat > {home.path}/bytes')
        term.type(f'TERM=dumb {CONVO} -model echo')
        term.keys('Enter')
        term.wait(PROMPT)
        size = (home.path / 'bytes').stat().st_size
        term.enter('hello')
        term.wait('user: hello')
        contains('code=0.', term.leave('C-d'))
        raw = (home.path / 'bytes').read_bytes()[size:].split(b'code')[0]
        contains(b'user: hello', raw)
        assert b'\x1b' not in raw.split(b'Goodbye')[0], raw


@case
def a_window_can_change_its_size(home):
    with Terminal(home, width=80) as term:
        term.start()
        term.type('a' * 60)
        term.wait('a' * 60)
        term.tmux('resize-window', '-x', '40', '-y', '20')
        time.sleep(0.3)
        # No row of the line is left where it was drawn before.
        contains(f'\n\n{PROMPT} {"a" * 32}\n{"a" * 28}', term.screen())
        equal(1, term.screen().count(PROMPT))
        term.ask('C-a', 'X')
    contains('#1 👤 You: X' + 'a' * 60 + '\n', log(home))


if __name__ == '__main__':
    main()
