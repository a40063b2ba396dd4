#!/usr/bin/env python3
"""The program without a terminal: transcripts, flags, settings, -p, -json, exit codes."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

from harness import CONVO, Skip, case, contains, equal, main, number_ids, serve

FRAME = '''🚀 Session Management Demo
Model: echo
Streaming: true
Session Backend: {store}
==================================================
✅ Chat ready! Session: S1

💡 Session commands:
   /history   - Ask the assistant to recap our conversation
   /new       - Start a brand-new session ID
   /sessions  - List known session IDs
   /use <id>  - Switch to an existing (or new) session
   /exit      - End the conversation

'''


def answer(number, text):
    return (f'🤖 Assistant: I am echo, a stand-in and no language model. '
            f'I was sent {number} messages. The last one:\nuser: {text}\n\n')


def talk(home, *lines, store='inmemory', args=()):
    """What comes after the frame, ids numbered."""
    done = home.echo('-session', store, *args, text='\n'.join(lines) + '\n')
    head, rest = done.out.split('   /exit      - End the conversation\n\n', 1)
    done.rest = number_ids(head + '\x00' + rest).split('\x00')[1]
    return done


# ---- the transcript of the frame -----------------------------------------------------------


@case
def the_frame_is_as_promised(home):
    """The whole session of the page that describes the program, line by line."""
    first = 'Hello! I\'m planning a trip to Japan'
    # The id to go back to is known by its making alone: the script names it by a prefix.
    done = home.echo(text=f'{first}\n/new\n/sessions\n/use chat-session-\n/exit\n')
    wanted = (FRAME.format(store='in-memory') + f'👤 You: {first}\n' + answer(2, first) +
              '👤 You: /new\n🆕 Started new session!\n   Previous: S1\n   Current:  S2\n'
              '   (Conversation history has been reset)\n\n'
              '👤 You: /sessions\n🗂 Session roster:\n     S1\n   * S2\n\n'
              '👤 You: /use chat-session-\n🔁 Switched to session S1\n\n'
              '👤 You: /exit\n👋 Goodbye!\n')
    equal(wanted, number_ids(done.out))
    equal(('', 0), (done.err, done.returncode))


@case
def the_end_of_the_script_says_goodbye(home):
    done = talk(home, 'hi')
    equal('👤 You: hi\n' + answer(2, 'hi') + '👋 Goodbye!\n', done.rest)
    equal(0, done.returncode)


@case
def a_last_line_without_newline_is_said(home):
    contains('👤 You: hi\n🤖', home.echo(text='hi').out)


@case
def blank_lines_and_carriage_returns_are_no_messages(home):
    done = talk(home, '', '   ', 'hi\r', '')
    equal('👤 You: hi\n' + answer(2, 'hi') + '👋 Goodbye!\n', done.rest)


@case
def a_script_holds_no_escapes(home):
    done = home.model('odd', text='x\x1b[2J\n/info\n/log\n', TERM='xterm-256color')
    assert '\x1b' not in done.out + done.err
    contains('a^[[31mred^G b<U+009B>c d<U+202E>e\n', done.out)
    contains('👤 You: x^[[2J\n', done.out)


@case
def odd_bytes_are_stored_as_replacements(home):
    with open(home.path / 'script', 'wb') as script:
        script.write(b'a\0b\xff\xc3\n/log\n')
    with open(home.path / 'script', 'rb') as script:
        done = home.echo(stdin=script)
    contains('👤 You: a^@b<FF><C3>\n', done.out)
    contains('#1 👤 You: a\ufffdb\ufffd\ufffd\n', done.out)


@case
def history_asks_the_model(home):
    done = talk(home, 'first thing', '/history', '/exit')
    contains('👤 You: /history\n🤖 Assistant: ', done.rest)
    contains('first thing', done.rest.split('/history\n')[1])


# ---- commands ------------------------------------------------------------------------------


@case
def an_unknown_command_never_reaches_the_model(home):
    done = talk(home, '/histroy', '/info', '/exit')
    contains('/histroy: no such command; did you mean /history?', done.err)
    assert '🤖' not in done.rest
    contains('0, nothing is stored yet', done.rest)
    equal(1, done.returncode)


@case
def a_name_is_matched_whole(home):
    done = talk(home, '/hist', '/e', '//exit', '/exit')
    contains('/hist: no such command; did you mean /history?', done.err)
    contains(answer(2, '/exit'), done.rest)


@case
def new_takes_an_id_and_refuses_one_that_exists(home):
    done = talk(home, 'hi', '/new trip', 'a', '/new trip', '/exit')
    contains('   Previous: S1\n   Current:  trip\n', done.rest)
    contains('session trip exists already; /use', done.err)


@case
def extra_words_are_refused(home):
    lines = ['/new a b', '/use a b', '/exit now', '/quit now', '/undo it', '/retry 2', '/info all',
             '/help me', '/history please']
    done = talk(home, 'hi', *lines, '/sessions', '/exit')
    contains('roster:\n   * S1\n\n👤 You: /exit\n', done.rest)
    for line in lines[:2]:
        contains(f'{line.split()[0]}: the id of a new session is one word', done.err)
    for line in lines[2:]:
        contains(f'{line.split()[0]} takes nothing after it', done.err)
    equal(len(lines), done.err.count('\n'))
    equal(1, done.rest.count('🤖'))


@case
def what_is_missing_or_not_there_is_said(home):
    done = talk(home, '/delete', '/use', '/rename', '/restore', '/restore nothing', '/delete nothing',
                '/new ' + 'x' * 300, '/new one', 'hi', '/delete', 'y', '/new one', 'again',
                '/restore one', '/exit')
    equal('convo: this session has no message yet: there is nothing to delete\n'
          'convo: /use wants a session id; /sessions lists them\n'
          'convo: /rename wants a title\n'
          'convo: /restore wants the id of a deleted session\n'
          'convo: nothing: no deleted session of that id\n'
          'convo: nothing: no such session; /sessions lists those there are\n'
          'convo: a session id has 1 to 255 bytes and no control characters\n'
          'convo: a session one lives again; delete or leave that one first\n', done.err)
    equal(1, done.returncode)


@case
def a_session_with_blanks_in_its_id_can_be_used(home):
    talk(home, '/new one', 'hi', store='sqlite')
    path = home.path / '.local/share/convo/sessions.db'
    with sqlite3.connect(path) as data:
        data.execute("UPDATE convo_sessions SET session = 'trip to Japan'")
    done = talk(home, '/use trip to Japan', '/new', '/use trip to', store='sqlite')
    equal(2, done.rest.count('Switched to session trip to Japan\n'))


@case
def only_near_misses_are_suggested(home):
    done = talk(home, '/foo', '/lgo', '/xyzzy', '/session', '/exit')
    contains('/foo: no such command; /help lists them', done.err)
    contains('/lgo: no such command; did you mean /log?', done.err)
    contains('/xyzzy: no such command; /help', done.err)
    contains('/session: no such command; did you mean /sessions?', done.err)

@case
def ids_of_one_second_differ(home):
    done = talk(home, *['/new'] * 30, '/exit')
    contains('   Previous: S30\n   Current:  S31\n', done.rest)


@case
def programs_of_one_second_get_sessions_of_their_own(home):
    """Eight at once, and the store must show eight sessions of one exchange each."""
    programs = [subprocess.Popen([CONVO, '-model', 'echo', '-session', 'sqlite', '-p', f'q{i}'],
                                 env=home.env, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL) for i in range(8)]
    equal([0] * 8, [program.wait(30) for program in programs])
    done = talk(home, '/sessions', store='sqlite')
    equal(9, done.rest.count('chat-session') + done.rest.count('\n     S') +
          done.rest.count('\n   * S'))


@case
def use_finds_by_prefix_and_says_what_is_ambiguous(home):
    done = talk(home, '/new alpha-one', 'a', '/new alpha-two', 'b', '/use alpha',
                '/use alpha-o', '/log', '/exit')
    contains("'alpha' is the beginning of 2 sessions", done.err)
    contains('🔁 Switched to session alpha-one\n\n👤 You: /log\n#1 👤 You: a\n', done.rest)


@case
def use_of_an_unknown_id_says_that_it_is_new(home):
    done = talk(home, '/use trip', 'hi', '/new', '/use trip', '/exit')
    contains('Switched to session trip\n   (a new session', done.rest)
    contains('Switched to session trip\n\n👤 You: /exit', done.rest)


@case
def use_of_the_session_that_is_used_changes_nothing(home):
    done = talk(home, '/new trip', '/use trip', 'hi', '/use trip', '/undo', '/exit')
    equal('', done.err)
    contains('↩ Took back: hi\n', done.rest)


@case
def an_exact_id_wins_over_longer_ones(home):
    done = talk(home, '/new a', 'x', '/new ab', 'y', '/use a', '/sessions', '/exit')
    contains('Session roster:\n   * a\n     ab\n', done.rest)


@case
def the_roster_can_be_searched(home):
    done = talk(home, '/new one', 'about Japan', '/new two', 'about Peru', '/sessions JAPAN')
    contains('roster:\n     one\n\n', done.rest)
    done = talk(home, 'hi', '/sessions zzz\x1b', '/exit')
    contains("roster:\n     (none has 'zzz^[' in id or title)\n\n", done.rest)


@case
def a_deleted_session_comes_back(home):
    done = talk(home, '/new keep', 'x', '/delete', 'y', '/sessions', '/restore keep', '/use keep',
                '/log', '/exit')
    contains('Delete session keep? [y/N] y\n🗑 Deleted session keep\n   (/restore keep', done.rest)
    contains('/sessions\n🗂 Session roster:\n   * S', done.rest)
    contains('♻ Restored session keep\n', done.rest)
    contains('#1 👤 You: x\n', done.rest)


@case
def deleting_needs_a_yes(home):
    done = talk(home, '/new keep', 'x', '/delete keep', '/sessions', '/delete keep', 'n', '/exit')
    contains('Delete session keep? [y/N] \n   (not deleted)\n\n👤 You: /sessions', done.rest)
    contains('roster:\n   * keep\n', done.rest)
    contains('[y/N] n\n   (not deleted)\n', done.rest)


@case
def a_title_can_be_given(home):
    done = talk(home, '/rename early', 'hi', '/rename My trip', '/info', '/exit')
    contains('no message yet', done.err)
    contains('title     My trip\n', done.rest)
    contains('expires   1 d after the last message\n', done.rest)


@case
def undo_and_retry_take_back(home):
    done = talk(home, 'one', 'two', '/undo', 'three', '/retry', '/log', '/undo', '/undo', '/undo')
    contains('↩ Took back: two\n', done.rest)
    contains('↩ Asking again: three\n' + answer(4, 'three'), done.rest)
    contains('👤 You (taken back): two\n', done.rest)
    contains('no question to take back', done.err)


@case
def the_log_shows_what_was_taken_back_and_not_how(home):
    done = talk(home, 'one', '/undo', '/log', '/log -1')
    contains('👤 You: /log\n#1 👤 You (taken back): one\n'
             '#2 🤖 Assistant (taken back): I am echo, a stand-in and no language model. '
             'I was sent 2 messages. The last one:\nuser: one\n\n', done.rest)
    contains('convo: /log wants a number of messages\n', done.err)


@case
def a_question_that_is_no_longer_stored_cannot_be_retried(home):
    done = talk(home, 'one', '/retry', args=['-event-limit', '1'])
    equal('convo: the question is no longer stored (-event-limit): ask it once more\n', done.err)


@case
def model_and_instruction_can_change(home):
    done = home.model('plain', text='/model\n/model count\nhi\n/system Be brief\n/system\n/exit\n')
    contains('👤 You: /model\nModel: plain\n\n👤 You: /model count\nModel: count\n', done.out)
    contains('2 messages, 2 characters', done.out)
    contains('👤 You: /system\nInstruction: Be brief\n', done.out)


@case
def log_shows_the_newest_of_many(home):
    done = talk(home, *[f'm{i}' for i in range(15)], '/log 2', '/log x', '/exit')
    contains('/log 2\n… 28 earlier: /log 30 shows all\n#29 👤 You: m14\n#30 🤖', done.rest)
    contains('/log wants a number', done.err)


@case
def help_lists_every_command(home):
    out = talk(home, '/help', '/quit').rest
    for name in ('history', 'log', 'new', 'sessions', 'use', 'exit', 'quit', 'rename', 'delete',
                 'restore', 'retry', 'undo', 'model', 'system', 'info', 'help'):
        contains(f'   /{name} ', out)


@case
def a_long_line_is_refused_and_the_next_works(home):
    done = talk(home, 'x' * (9 << 20), 'hi', '/exit')
    contains('more than 8 MiB: not sent', done.err)
    contains(answer(2, 'hi'), done.rest)
    equal(1, done.returncode)


@case
def a_message_too_big_for_the_store_leaves_the_session_usable(home):
    done = talk(home, 'x' * (5 << 20), 'hi', '/exit')
    contains('more than 4 MiB', done.err)
    contains(answer(2, 'hi'), done.rest)


# ---- flags ---------------------------------------------------------------------------------

WRONG = [
    (['-modle', 'x'], 'unknown flag -modle: did you mean -model?'),
    (['--sesion=x'], 'unknown flag --sesion=x: did you mean -session?'),
    (['-zzzzzzz'], 'unknown flag -zzzzzzz: convo -help'),
    (['-model'], '-model wants a value'),
    (['-event-limit', '-1'], "'-1' is not a whole number"),
    (['-event-limit', '1x'], 'is not a whole number, or off'),
    (['-event-limit', 'of'], 'is not a whole number, or off'),
    (['-session-ttl', '-1'], 'is not a duration'),
    (['-event-limit', '99999999999999999999'], 'is not a whole number'),
    (['-session-ttl', '5'], 'is not a duration'),
    (['-session-ttl', '1y'], 'is not a duration'),
    (['-cleanup-interval=x'], 'is not a duration'),
    (['-streaming=maybe'], 'is not true or false'),
    (['-context', '10x'], 'is not a number of messages'),
    (['-color=blue'], 'is not auto, always or never'),
    (['hello'], "unexpected 'hello'; to ask once: convo -p"),
    (['-streaming', 'false'], 'written -x=false'),
    (['-session', 'oracle'], 'no such store; there are: inmemory'),
    (['-session', 'oracle://me:secret@host/db'], '-session oracle: no such store; there are: inmemory'),
    (['-complete', 'nothing'], "-complete: 'nothing' is not"),
    (['-json'], '-json goes with -p'),
    (['-user', ''], '-user: a name has 1 to 255 bytes'),
    (['-table-prefix', "x'; drop", '-session', 'sqlite'], 'prefix'),
    (['schema'], 'usage: convo schema'),
    (['schema', 'oracle'], 'schema oracle'),
    (['schema', 'inmemory'], 'schema inmemory: the memory store has no schema'),
    (['-p', ''], 'nothing to ask'),
]


@case
def wrong_use_is_one_line_and_2(home):
    for args, text in WRONG:
        done = home.run('-model', 'echo', *args)
        contains(text, done.err)
        equal(('', 1, 2), (done.out, done.err.count('\n'), done.returncode))
        assert 'secret' not in done.err


@case
def flags_take_every_form(home):
    for args in (['-model', 'echo'], ['--model=echo'], ['-model=echo', '-streaming=false'],
                 ['-model', 'echo', '--streaming', '-color=never', '-debug=0']):
        equal(0, home.run(*args, '-p', 'x').returncode)
    contains('Streaming: false', home.echo('-streaming=false').out)


@case
def help_and_version_go_to_stdout(home):
    for flag in ('-help', '--help', '-h', '-help=true'):
        done = home.run(flag)
        contains('  -session STORE', done.out)
        equal(('', 0), (done.err, done.returncode))
    contains('convo ', home.run('-version').out)


@case
def a_flag_wins_over_the_environment(home):
    contains('Model: echo', home.run(text='', MODEL_NAME='echo').out)
    contains('Model: echo', home.echo(MODEL_NAME='other').out)
    contains('Model: deepseek-chat', home.run(OPENAI_BASE_URL=home.url).out)


@case
def without_key_and_url_three_lines_say_what_to_set(home):
    done = home.run()
    equal(('', 3, 2), (done.out, done.err.count('\n'), done.returncode))
    for part in ('OPENAI_API_KEY', 'OPENAI_BASE_URL', '-model echo'):
        contains(part, done.err)
    equal(2, home.run(OPENAI_API_KEY='', OPENAI_BASE_URL='').returncode)


@case
def colour_is_used_when_asked_for(home):
    contains('\x1b[', home.echo('-color', text='a **b** c\n').out)
    assert '\x1b' not in home.echo('-color=never', text='a **b** c\n').out


# ---- stores --------------------------------------------------------------------------------


@case
def sqlite_goes_where_the_environment_says(home):
    equal(0, home.echo('-session', 'sqlite', '-p', 'x').returncode)
    assert (home.path / '.local/share/convo/sessions.db').exists()
    home.echo('-session', 'sqlite', '-p', 'x', XDG_DATA_HOME=str(home.path / 'data'))
    assert (home.path / 'data/convo/sessions.db').exists()
    done = home.echo('-session', 'sqlite', SQLITE_PATH='odd ?#%41.db')
    contains('odd ?#%41.db', done.out)
    assert (home.path / 'odd ?#%41.db').exists()
    equal(0o700, (home.path / 'data/convo').stat().st_mode & 0o777)


@case
def the_last_session_is_continued(home):
    for args in (['-p', 'one'], ['-p', 'two'], ['-c', '-p', 'three']):
        equal(0, home.echo('-session', 'sqlite', *args).returncode)
    done = talk(home, '/log', store='sqlite', args=['-c'])
    contains('#1 👤 You: two\n', done.rest)
    contains('#3 👤 You: three\n', done.rest)
    other = talk(home, '/log', store='sqlite', args=['-c', '-user', 'ann'])
    contains('no session to continue yet', other.err)
    contains('no message is stored', other.rest)


@case
def an_unusable_store_is_3(home):
    (home.path / 'text').write_text('this is no database, ' * 100)
    for path in ('text', '/dev/null/x.db', '/dev/null', '.'):
        done = home.echo('-session', 'sqlite', '-p', 'x', SQLITE_PATH=path)
        equal((1, 3), (done.err.count('\n'), done.returncode))
    equal('this is no database, ' * 100, (home.path / 'text').read_text())


@case
def what_makes_a_place_unusable_is_said(home):
    done = home.echo('-session', 'sqlite', '-p', 'x', HOME='/proc')
    equal(('convo: no place for the sessions: cannot make /proc/.local: '
           'No such file or directory; set SQLITE_PATH\n', 2), (done.err, done.returncode))
    done = home.echo('-session', 'sqlite', '-p', 'x', HOME='')
    equal(('convo: no place for the sessions: HOME is not set; set SQLITE_PATH\n', 2),
          (done.err, done.returncode))
    done = home.echo('-session', 'sqlite', '-p', 'x', SQLITE_PATH='/etc/passwd')
    contains('another file can be named by SQLITE_PATH\n', done.err)
    assert 'newer' not in done.err
    equal(3, done.returncode)


@case
def a_file_that_reaches_its_limit_is_a_full_disk(home):
    code, err = shell(home, 'ulimit -f 1; exec "$0" -model echo -session sqlite -p hi')
    lines = [line for line in err.splitlines() if line.startswith('convo: ')]
    equal((3, 1), (code, len(lines)))
    contains('the disk is full', lines[0])
    contains('; make room on its disk, or raise the limit', lines[0])
    code, err = shell(home, 'ulimit -f 1; exec "$0" -help >out; echo $?')
    equal(1, code)
    contains('convo: cannot write the output: File too large\n', err)


@case
def a_file_that_can_only_be_read_is_read(home):
    talk(home, 'hi', store='sqlite')
    folder = home.path / '.local/share/convo'
    (folder / 'sessions.db').chmod(0o444)
    shutil.copy(CONVO, home.path / 'convo')  # where it is may be closed to others
    for path in (folder, *folder.parents):
        if path == home.path.parent:
            break
        path.chmod(0o555)
    program = [str(home.path / 'convo'), '-c', '-model', 'echo', '-session', 'sqlite']
    if os.geteuid() == 0:  # whom rights do not bind
        program = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', *program]
    done = subprocess.run(program, env={**home.env, 'XDG_STATE_HOME': '/nowhere'}, timeout=20,
                          capture_output=True, check=False, cwd='/',
                          input=b'/sessions\n/log\nmore\n/rename x\n/log\n/exit\n')
    for path in (home.path, *home.path.rglob('*')):
        path.chmod(0o755)
    out, err = done.stdout.decode(), done.stderr.decode()
    contains('👤 You: /log\n#1 👤 You: hi\n', out)
    equal(2, out.count('#1 👤 You: hi\n'))
    assert '#3' not in out
    equal((3, 2), (done.returncode, err.count('convo: ')))
    equal(2, err.count('; /log and /sessions can be used; to write, check the rights of the file'))


@case
def a_byte_order_mark_is_no_text(home):
    mark = '\ufeff'
    done = home.echo(text=f'{mark}/sessions\n{mark}hi\n/exit\n')
    contains('👤 You: /sessions\n🗂 Session roster:', done.out)
    contains(f'user: {mark}hi\n', done.out)
    (home.path / 'file').write_text(f'{mark}text\n')
    with open(home.path / 'file', 'rb') as file:
        contains('user: sum up\n\ntext\n', home.echo('-p', 'sum up', stdin=file).out)
    for text in ('', mark, '\xef', 'a'):
        equal(0, home.echo(text=text).returncode)
    with subprocess.Popen([CONVO, '-model', 'echo'], env=home.env, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as program:
        for byte in f'{mark}/exit\n'.encode():
            program.stdin.write(bytes([byte]))
            program.stdin.flush()
            time.sleep(0.01)
        contains('👤 You: /exit\n👋 Goodbye!\n', program.communicate(timeout=20)[0].decode())


@case
def a_base_url_that_is_none_is_shown(home):
    line = "OPENAI_BASE_URL: '127.0.0.1:9/v1' does not begin with http:// or https://\n"
    for url in ('127.0.0.1:9/v1', 'me:s3cret@127.0.0.1:9/v1'):
        done = home.run('-model', 'm', '-p', 'x', OPENAI_BASE_URL=url)
        equal((f'convo: {line}', 2), (done.err, done.returncode))
        done = home.run('-model', 'm', '-check', OPENAI_BASE_URL=url)
        contains(f'url    {line}', done.out)
        equal(2, done.returncode)
        assert 's3cret' not in done.out


@case
def an_unusable_port_is_named(home):
    for name, port in (('pgsql', 'PG_PORT'), ('mysql', 'MYSQL_PORT')):
        done = home.echo('-session', name, **{port: '54x'})
        equal(2, done.returncode)
        if 'not in this build' not in done.err:
            contains(f"{port}: '54x' is not a port number", done.err)


@case
def servers_that_are_not_there_are_3_and_no_password_is_shown(home):
    env = {'PG_HOST': '127.0.0.1', 'PG_PORT': '1', 'PG_PASSWORD': 's3cr:et@/#?%',
           'MYSQL_HOST': '127.0.0.1', 'MYSQL_PORT': '1', 'MYSQL_PASSWORD': 's3cr:et@/#?%',
           'REDIS_ADDR': '127.0.0.1:1'}
    for name in ('redis', 'pgsql', 'postgres', 'mysql'):
        done = home.echo('-session', name, **env)
        assert 's3cr' not in done.err
        equal(1, done.err.count('\n'))
        if 'not in this build' in done.err:
            equal(2, done.returncode)
            continue
        contains('127.0.0.1', done.err)
        equal(3, done.returncode)


@case
def an_address_may_have_every_form(home):
    built = home.run('-complete', 'stores').out.split()
    for name, env, shown in (
            ('pgsql', {'PG_HOST': '::1', 'PG_PORT': '1'}, '::1'),
            ('pgsql', {'PG_HOST': '127.0.0.1:1,127.0.0.1:2'}, '127.0.0.1:2'),
            ('pgsql', {'PG_HOST': '127.0.0.1,127.0.0.1:2', 'PG_PORT': '1'}, '127.0.0.1:1,127.0.0.1:2'),
            ('pgsql', {'PG_HOST': '/no/such folder', 'PG_PORT': '1'}, '/no/such folder'),
            ('redis', {'REDIS_ADDR': '127.0.0.1:1,127.0.0.1:2'}, '127.0.0.1:'),
            ('mysql', {'MYSQL_HOST': '127.0.0.1:1', 'MYSQL_PORT': '2'}, '127.0.0.1:1'),
            ('mysql', {'MYSQL_HOST': '[::1]:1', 'MYSQL_PORT': '2'}, '[::1]:1'),
            ('mysql', {'MYSQL_HOST': '127.0.0.1:1,127.0.0.1', 'MYSQL_PORT': '2'}, '127.0.0.1:2'),
            ('mysql', {'MYSQL_HOST': '127.0.0.1:1,::1', 'MYSQL_PORT': '2'}, '[::1]:2'),
            ('redis', {'REDIS_ADDR': 'redis://me:s3cret@127.0.0.1:1/0'}, '127.0.0.1:1')):
        if name in built:
            done = home.echo('-session', name, '-p', 'x', **env)
            contains(shown, done.err)
            contains('is it running and reachable? Check ' + ' and '.join(
                {'pgsql': ['PG_HOST', 'PG_PORT'], 'mysql': ['MYSQL_HOST', 'MYSQL_PORT'],
                 'redis': ['REDIS_ADDR']}[name]), done.err)
            equal(3, done.returncode)
            assert 's3cret' not in done.err


@case
def the_schema_is_printed(home):
    done = home.run('schema', 'sqlite', '-table-prefix', 'mine_')
    contains('CREATE TABLE mine_', done.out)
    equal(('', 0), (done.err, done.returncode))


@case
def off_is_a_word_for_what_can_be_off(home):
    for args in (['-session-ttl', 'off'], ['-session-ttl=0'], ['-session-ttl=0s']):
        assert 'expires' not in talk(home, 'hi', '/info', args=args).rest
    for args in (['-event-limit', 'off'], ['-event-limit=0']):
        done = talk(home, *[f'm{i}' for i in range(60)], '/info', args=args)
        contains('messages  120, begun', done.rest)
    for args in (['-cleanup-interval', 'off'], ['-cleanup-interval=0']):
        equal(0, home.echo('-p', 'x', *args).returncode)


@case
def a_session_that_expired_begins_anew_and_that_is_said(home):
    with subprocess.Popen([CONVO, '-model', 'echo', '-session-ttl', '100ms'], env=home.env,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as program:
        program.stdin.write(b'one\n')
        program.stdin.flush()
        got = b''
        while b'user: one' not in got:
            got += os.read(program.stdout.fileno(), 4096)
        time.sleep(0.3)
        out, err = program.communicate(b'two\n', timeout=20)
    contains('I was sent 2 messages', out.decode())
    equal('(the session was gone, deleted or expired: it begins anew here)\n', err.decode())


@case
def a_store_that_fails_is_one_line_for_each_command(home):
    lines = ['/sessions', '/use other', '/new other', '/delete', '/restore other', '/rename title',
             '/log', '/info', '/undo', '/retry', 'another question']
    with subprocess.Popen([CONVO, '-model', 'echo', '-session', 'sqlite'], env=home.env,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as program:
        program.stdin.write(b'hi\n/info\n')
        program.stdin.flush()
        got = b''
        while b'messages  2' not in got:
            got += os.read(program.stdout.fileno(), 4096)
        with sqlite3.connect(home.path / '.local/share/convo/sessions.db') as data:
            data.execute('ALTER TABLE convo_sessions RENAME TO lost')
        out, err = program.communicate('\n'.join([*lines, '/model', '/exit', '']).encode(), 20)
    equal(len(lines), err.decode().count('convo: '))
    equal(len(lines), err.decode().count('check the file and its disk\n'))
    contains('👤 You: /model\nModel: echo\n\n👤 You: /exit\n👋 Goodbye!\n', out.decode())
    equal(3, program.returncode)


@case
def the_event_limit_is_kept(home):
    done = talk(home, 'a', 'b', 'c', '/log 50', args=['-event-limit', '3'])
    contains('/log 50\n#4', done.rest.replace('… 0 earlier', ''))


# ---- -p ------------------------------------------------------------------------------------


@case
def the_answer_is_exact_with_one_newline(home):
    equal(b'Hello from plain.\n', home.model('plain', '-p', 'x').stdout)
    equal(b'two\n\nends\n', home.model('blank', '-p', 'x').stdout)
    equal('a\x1b[31mred\x07 b\u009bc d\u202ee\n', home.model('odd', '-p', 'x').out)
    equal(b'two\n\nends\n', home.model('blank', '-p', 'x', '-streaming=false').stdout)
    equal(b'Hello from plain.\n', home.model('plain', '-p', 'x', '-color=always').stdout)


@case
def piped_input_follows_after_a_blank_line(home):
    done = home.echo('-p', 'sum up', text='line 1\nline 2\n')
    contains('user: sum up\n\nline 1\nline 2\n', done.out)
    contains('user: alone', home.echo('-p', '', text='alone').out)
    contains('user: x\n', home.echo('-p', 'x', stdin=subprocess.DEVNULL).out)
    done = home.echo('-p', 'x', text='x' * (8 << 20))
    equal(('', 'convo: the question is more than 8 MiB\n', 1),
          (done.out, done.err, done.returncode))


@case
def json_tells_all(home):
    got = json.loads(home.model('odd', '-json', '-p', 'x').out)
    equal('a\x1b[31mred\x07 b\u009bc d\u202ee\n', got['answer'])
    equal(('complete', 'stop', None, 7), (got['status'], got['finish_reason'], got['error'],
                                           got['usage']['completion_tokens']))
    assert got['session'].startswith('chat-session-') and got['timing']['first_ms'] >= 0
    done = home.model('gone', '-json', '-p', 'x')
    got = json.loads(done.out)
    equal((4, None, 'failed', 4), (done.returncode, got['answer'], got['status'], got['exit']))
    contains('no such model', got['error'])


@case
def thinking_is_not_the_answer(home):
    equal('Hello from think.\n', home.model('think', '-p', 'x').out)
    assert 'let me see' not in home.model('think', text='x\n').out


@case
def an_answer_without_text_is_said(home):
    done = home.model('tool', '-p', 'x')
    equal(('', '(the answer holds no text; the model ended with: tool_calls)\n', 0),
          (done.out, done.err, done.returncode))


@case
def the_token_limit_is_said(home):
    done = home.model('length', '-p', 'x')
    contains('token limit', done.err)
    equal(('Hello from length.\n', 0), (done.out, done.returncode))


@case
def what_fails_at_the_model_is_4(home):
    for name, text in (('gone', 'no such model'), ('cut', 'before the reply was complete')):
        done = home.model(name, '-p', 'x')
        contains(text, done.err)
        equal((1, 4), (done.err.count('\n'), done.returncode))
    done = home.run('-model', 'plain', '-p', 'x', OPENAI_BASE_URL=home.url,
                    OPENAI_API_KEY='sk-another-secret')
    assert 'another' not in done.err + done.out
    contains('check OPENAI_API_KEY', done.err)
    equal(4, done.returncode)
    done = home.run('-model', 'plain', text='x\n/exit\n', OPENAI_BASE_URL='http://127.0.0.1:1/v1')
    contains('refused', done.err)
    equal(4, done.returncode)


@case
def advice_fits_what_failed_at_the_model(home):
    both = '; check -model and OPENAI_BASE_URL\n'
    for name, words, advice in (('gone', 'no such model', both),
                                ('page', 'not an OpenAI-style API', both),
                                ('alternate', 'HTTP 400: refused: roles must alternate', None),
                                ('overload', 'the server reported: overloaded', None),
                                ('cut', 'before the reply was complete', None)):
        done = home.model(name, '-p', 'x')
        contains(words, done.err)
        if advice:
            contains(advice, done.err)
        else:
            assert 'check ' not in done.err and 'OPENAI' not in done.err, done.err
        equal(4, done.returncode)
    done = home.run('-model', 'x', '-p', 'x', OPENAI_BASE_URL='http://127.0.0.1:1/v1')
    contains('; check OPENAI_BASE_URL and the network\n', done.err)


@case
def a_certificate_that_nobody_signed_is_told_and_can_be_trusted(home):
    key, cert = home.path / 'key.pem', home.path / 'cert.pem'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
                    '-keyout', key, '-out', cert, '-subj', '/CN=127.0.0.1',
                    '-addext', 'subjectAltName=IP:127.0.0.1'], check=True, capture_output=True)
    server, url = serve(str(cert), str(key))
    try:
        for use in (['-p', 'x'], ['-check']):
            done = home.run('-model', 'plain', *use, OPENAI_BASE_URL=url)
            contains('the certificate is not trusted', done.err + done.out)
            contains('SSL_CERT_FILE', done.err + done.out)
            assert 'OPENAI_BASE_URL and' not in done.err + done.out
            equal(4, done.returncode)
        equal('Hello from plain.\n', home.run('-model', 'plain', '-p', 'x', OPENAI_BASE_URL=url,
                                             SSL_CERT_FILE=str(cert)).out)
    finally:
        server.terminate()
        server.wait()


@case
def a_failed_question_is_stored_and_the_session_goes_on(home):
    done = home.model('gone', text='one\n/log\n/model plain\n/retry\n/exit\n')
    contains('👤 You: /log\n#1 👤 You: one\n', done.out)
    contains('↩ Asking again: one\n🤖 Assistant: Hello from plain.\n', done.out)


@case
def questions_in_a_row_are_sent_as_one_and_that_is_said(home):
    done = home.model('gone', text='one\n/log\n/model count\ntwo\n/log\n/info\nthree\n/info\n')
    first, _, rest = done.out.partition('/model count')
    assert 'as one' not in first
    contains('2 messages, 8 characters', rest)
    contains('👤 You: /log\n#1 👤 You: one\n#3 👤 You (sent as one with #1): two\n', rest)
    info, _, last = rest.partition('👤 You: three\n')
    contains('sent      2 messages, 1 question sent as one with the one before\n', info)
    contains('4 messages, 5 characters', last)
    contains('1 question sent as one', last)


@case
def a_wait_is_announced(home):
    done = home.model('busy-once', '-p', 'x')
    contains('asking again in 3.0 s (attempt 2)', done.err)
    equal('Hello from busy-once.\n', done.out)


@case
def debug_tells_figures_on_stderr_and_no_key(home):
    done = home.model('plain', '-debug', '-p', 'x')
    contains('11 tokens in, 7 out', done.err)
    contains('first token', done.err)
    equal('Hello from plain.\n', done.out)


@case
def the_context_can_be_limited(home):
    text = 'a\nb\nc\n/exit\n'
    contains('6 messages, 1', home.model('count', text=text).out)
    done = home.model('count', '-context', '2', text=text)
    assert '6 messages' not in done.out
    contains('left out', done.err)


@case
def context_tells_what_goes_and_why_not_all(home):
    contains('   sent      nothing is stored yet\n', talk(home, '/context', '/exit').rest)
    done = talk(home, 'hi', '/context', '/exit')
    contains('   sent      3 messages, some ', done.rest)
    contains('   limit     none is known\n   left out  nothing\n', done.rest)
    done = talk(home, 'a' * 400, 'b' * 400, '/context', '/exit', args=['-context', '150t'])
    contains('   limit     150 tokens, as -context says\n', done.rest)
    contains(' left out: the context is 150 tokens\n', done.rest)


@case
def a_chat_can_be_summed_up(home):
    text = ''.join(f'question {i} {"x" * 50}\n' for i in range(12))
    done = home.model('count', text=f'hi\n/compact\n{text}/compact\n/compact\n/context\nand now?\nand then?\n')
    equal(2, done.err.count('(there is too little to sum up yet)\n'))
    contains('🗜 The first 18 messages are summed up: 9 messages, some ', done.out)
    contains('   summary   of the first 18 messages, stored as #27\n', done.out)
    contains('and now?\n🤖 Assistant: 10 messages, ', done.out)
    assert 'are summed up: a summary' not in done.err, done.err
    equal(0, done.returncode)
    done = talk(home, 'hi', '/context', '/compact', '/exit')
    contains('   left out  nothing\n   summary   none\n', done.rest)
    contains('/compact: echo is no language model', done.err)


@case
def what_an_event_limit_would_remove_is_summed_up_and_that_is_said(home):
    text = ''.join(f'question {i} {"x" * 50}\n' for i in range(100))
    done = home.model('plain', '-event-limit', '40', text=text + '/context\n')
    contains(' messages are summed up: a summary is sent for them)\n', done.err)
    contains('   summary   of the first ', done.out)
    done = home.model('plain', '-event-limit', '40', '-summary=false', text=text + '/context\n')
    equal('', done.err)
    contains('   summary   none\n', done.out)


@case
def what_is_too_long_for_the_model_is_cut_and_said(home):
    text = ''.join(f'question {i} {"x" * 300}\n' for i in range(12))
    done = home.model('small', text=text + '/context\n')
    assert 'too long' not in done.err
    contains('left out: the model takes 500 tokens)', done.err)
    contains(' tokens of 500, for it refused more\n', done.out)
    equal(12, done.out.count('Hello from small.'))
    equal(0, done.returncode)


def shell(home, script):
    """Run the program, "$0", in a shell. @return exit code, what came on stderr."""
    (home.path / 'script').write_text('hi\n')
    done = subprocess.run(['sh', '-c', script, CONVO], env=home.env, cwd=home.path, timeout=20,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stderr.decode()


@case
def a_closed_output_is_no_success(home):
    with subprocess.Popen([CONVO, '-model', 'slow', '-p', 'x'], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env={**home.env, 'OPENAI_BASE_URL': home.url}) as program:
        program.stdout.read(1)
        program.stdout.close()
        assert program.wait(10) != 0
    full = 'convo: cannot write the output: No space left on device\n'
    for use in ('-p x', '-json -p x', '-check', '-help', '-version', 'schema sqlite', '<script'):
        equal((1, full), shell(home, f'exec "$0" -model echo {use} >/dev/full'))
    # Who closed a pipe knows.
    equal((0, ''), shell(home, 'test "$( ("$0" -model echo -p x; echo $? >&3) 3>code | head -c1)" '
                               '&& test "$(cat code)" -le 1'))


@case
def closed_descriptors_are_not_taken_by_others(home):
    bad = 'convo: cannot write the output: Bad file descriptor\n'
    equal((1, bad), shell(home, 'exec "$0" -model echo -session sqlite -p x >&-'))
    equal((1, bad), shell(home, 'exec "$0" -model echo -session sqlite <script >&-'))
    equal((0, ''), shell(home, 'exec "$0" -model echo -session sqlite -p x 2>&- <&- >out'))
    equal((0, ''), shell(home, 'exec "$0" -model echo -session sqlite <&- >out'))


def interrupted(home, sig, *args):
    """Stop a slow answer in the middle. @return exit code, what came."""
    program = subprocess.Popen([CONVO, '-model', 'slow', '-session', 'sqlite', *args],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE,
                               env={**home.env, 'OPENAI_BASE_URL': home.url})
    if args:
        program.stdin.close()
    else:
        program.stdin.write(b'tell me\nnever said\n')
        program.stdin.flush()
    got = b''
    while b'word3' not in got:
        got += os.read(program.stdout.fileno(), 4096)
    program.send_signal(sig)
    start = time.monotonic()
    program.stdin = None
    out, err = program.communicate(timeout=20)
    assert time.monotonic() - start < 3
    assert b'Sanitizer' not in err
    return program.returncode, (got + out).decode()


@case
def a_signal_stores_what_came(home):
    for sig, args in ((signal.SIGINT, ['-p', 'tell me']), (signal.SIGTERM, ['-p', 'tell me']),
                      (signal.SIGINT, []), (signal.SIGTERM, []), (signal.SIGHUP, [])):
        code, out = interrupted(home, sig, *args)
        equal(130, code)
        assert out.endswith('\n') and 'never said' not in out
        done = talk(home, '/log', store='sqlite', args=['-c'])
        contains('#1 👤 You: tell me\n#2 🤖 Assistant (interrupted): word0 word1', done.rest)


@case
def a_signal_ends_a_store_that_hangs(home):
    if 'pgsql' not in home.run('-complete', 'stores').out.split():
        raise Skip('PostgreSQL is not in this build')
    with socket.create_server(('127.0.0.1', 0)) as server:
        where = {'PG_HOST': '127.0.0.1', 'PG_PORT': str(server.getsockname()[1])}
        server.settimeout(10)
        for use in ([], ['-check']):
            with subprocess.Popen([CONVO, '-model', 'echo', '-session', 'pgsql', *use],
                                  env={**home.env, **where}, text=True, stderr=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as program:
                peer, _ = server.accept()
                start = time.monotonic()
                program.send_signal(signal.SIGINT)
                error = program.communicate(timeout=20)[1]
                peer.close()
            equal(('', 130) if use else ('(interrupted)\n', 130), (error, program.returncode))
            assert time.monotonic() - start < 2, 'the timeout was waited for'


@case
def a_signal_ends_a_script_that_waits(home):
    for sig in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen([CONVO, '-model', 'echo'], env=home.env, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as program:
            program.stdin.write(b'hi\n')
            program.stdin.flush()
            got = b''
            while b'user: hi\n' not in got:
                got += os.read(program.stdout.fileno(), 4096)
            program.send_signal(sig)
            equal(130, program.wait(5))


@case
def kill_in_the_middle_leaves_the_question(home):
    code, _ = interrupted(home, signal.SIGKILL, '-p', 'tell me')
    equal(-9, code)
    done = talk(home, '/log', store='sqlite', args=['-c'])
    contains('#1 👤 You: tell me\n\n', done.rest)


# ---- -check --------------------------------------------------------------------------------


@case
def check_says_what_works(home):
    done = home.model('plain', '-check')
    equal([['key', 'ok'], ['url', 'ok'], ['model', 'ok'], ['store', 'ok']],
          [line.split()[:2] for line in done.out.splitlines()])
    equal(0, done.returncode)
    equal(0, home.echo('-check').returncode)


@case
def check_says_what_does_not(home):
    done = home.model('unheard-of', '-check')
    contains("no model 'unheard-of'", done.out)
    equal(4, done.returncode)
    done = home.run('-model', 'plain', '-check', OPENAI_BASE_URL='http://u:s3cret@127.0.0.1:1/v1')
    contains('refused', done.out)
    equal(4, done.returncode)
    assert 's3cret' not in done.out + done.err
    done = home.run('-check')
    contains('key    missing', done.out)
    equal(2, done.returncode)
    done = home.echo('-check', '-session', 'sqlite', SQLITE_PATH='/dev/null/x.db')
    equal(3, done.returncode)


if __name__ == '__main__':
    main()
