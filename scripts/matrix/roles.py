"""What stands between a store and its server, or beside it. Each is called with the server, and
changes its URL: those of BEFORE once the server is ready, those of AFTER once convo's schema and a
session are there."""

import time
from pathlib import Path

from .engines import Broken, Mysql, Postgres, Redis, free_port, listens


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
        f'default_pool_size = {80 if mode == "session" else 4}\nmax_client_conn = 200\n', encoding='ascii')
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


def replication_group(server):
    """Two servers more, and Group Replication between the three. The primary is to be found: it is named last."""
    servers = [server]
    for _ in range(2):
        other = Mysql(server.row, server.folder)
        server.beside.append(other)
        other.serve(server.row.flags)
        servers.append(other)
    ways = [f'127.0.0.1:{free_port()}' for _ in servers]
    for number, (each, way) in enumerate(zip(servers, ways), 1):
        each.ask(f"""SET GLOBAL server_id = {number},
            group_replication_group_name = 'c0000000-0000-4000-8000-000000000000',
            group_replication_local_address = '{way}', group_replication_group_seeds = '{",".join(ways)}',
            group_replication_recovery_get_public_key = ON,
            group_replication_bootstrap_group = {"ON" if each is server else "OFF"};
            CHANGE REPLICATION SOURCE TO SOURCE_USER = 'app', SOURCE_PASSWORD = 'secret'
            FOR CHANNEL 'group_replication_recovery';
            START GROUP_REPLICATION; SET GLOBAL group_replication_bootstrap_group = OFF""")
    members = 'SELECT CONCAT(member_state, " ", member_role) FROM performance_schema.replication_group_members'
    wanted = ['ONLINE PRIMARY', 'ONLINE SECONDARY', 'ONLINE SECONDARY']
    for each in servers:
        each.wait(lambda each=each: sorted(each.ask(members).splitlines()) == wanted)
    hosts = ','.join(f'127.0.0.1:{each.port}' for each in reversed(servers))
    server.url = server.url.replace(f'127.0.0.1:{server.port}', hosts)


BEFORE = {'pgbouncer-transaction': lambda server: bouncer(server, 'transaction'),
          'pgbouncer-session': lambda server: bouncer(server, 'session'),
          'pgbouncer-statement': lambda server: bouncer(server, 'statement'),
          'group': replication_group}
AFTER = {'standby': standby, 'replica': replica}
