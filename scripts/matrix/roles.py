"""What stands between a store and its server, or beside it. Each is called with the server, and
changes its URL: those of BEFORE once the server is ready, those of AFTER once convo's schema and a
session are there."""

import time
from pathlib import Path

from .engines import Broken, Postgres, Redis, listens


BASEBACKUP = '/usr/lib/postgresql/15/bin/pg_basebackup'


def bouncer(server, mode):
    """PgBouncer of Debian 12 in front."""
    front = Postgres(server.row, Path('/'))
    server.beside.append(front)
    (front.dir / 'users').write_text('"app" ""\n', encoding='ascii')
    (front.dir / 'ini').write_text(
        f'[databases]\n* = host=127.0.0.1 port={server.port} user=app\n[pgbouncer]\n'
        f'listen_addr = 127.0.0.1\nlisten_port = {front.port}\nunix_socket_dir = {front.dir}\n'
        f'auth_type = any\nauth_file = {front.dir}/users\npool_mode = {mode}\n'
        'default_pool_size = 4\nmax_client_conn = 200\n', encoding='ascii')
    front.start('/usr/sbin/pgbouncer', front.dir / 'ini')
    front.wait(lambda: listens(front.port))
    server.url = f'postgres://app@127.0.0.1:{front.port}/{server.row.database}'


def standby(server):
    """A standby that can be read from."""
    other = Postgres(server.row, server.folder)
    server.beside.append(other)
    # Debian's, which speaks to older servers too: not every package has it.
    other.run(BASEBACKUP, '-h', '127.0.0.1', '-p', server.port, '-U', 'app',
              '-D', f'{other.inside}/d', '-R', '-X', 'stream', '-c', 'fast', '-N')
    other.run('chmod', '700', f'{other.inside}/d')
    other.serve(())
    if other.ask('SELECT pg_is_in_recovery()') != 't':
        raise Broken('the standby is none')
    server.url = other.url


def replica(server):
    """A replica that can be read from."""
    other = Redis(server.row, server.folder)
    server.beside.append(other)
    other.open(('--replicaof 127.0.0.1 %d' % server.port, '--repl-diskless-sync-delay 0'))
    for _ in range(200):
        if 'master_link_status:up' in other.ask('INFO replication'):
            break
        time.sleep(0.1)
    else:
        raise Broken('the replica does not come up')
    server.url = other.url


BEFORE = {'pgbouncer-transaction': lambda server: bouncer(server, 'transaction'),
          'pgbouncer-session': lambda server: bouncer(server, 'session'),
          'pgbouncer-statement': lambda server: bouncer(server, 'statement')}
AFTER = {'standby': standby, 'replica': replica}
