"""Starting servers: each on a free port of the loopback interface, in a directory of its own, as
nobody. What is in a server's log is told when it does not start."""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import packages

PAGES = Path(__file__).resolve().parents[2] / 'docs/backends'


class Broken(Exception):
    """A server that does not start, or does not do what a row asks of it."""


def free_port():
    """One below those that connections get, or one of them could have it before the server."""
    for _ in range(1000):
        port = random.randrange(10000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(('127.0.0.1', port))
            return port
    raise Broken('no port is free')


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


def shown(page, start):
    """A statement as docs/backends shows it to administrators, from `start` to the empty line."""
    text = (PAGES / page).read_text(encoding='utf-8')
    return re.search(rf'{re.escape(start)}.*?(?=\n\n|;|\n```)', text, re.S)[0]


class Server:
    """One of them, or a program beside it: in a directory, of which it and we see different paths."""

    def __init__(self, row, folder):
        self.row = row
        self.folder = folder            # of its programs
        self.in_sid = packages.SID in folder.parents
        self.dir = Path(tempfile.mkdtemp(prefix='convo.', dir=packages.SID / 'tmp' if self.in_sid else None))
        self.inside = Path('/tmp', self.dir.name) if self.in_sid else self.dir
        self.dir.chmod(0o755)
        shutil.chown(self.dir, 'nobody')
        self.port = free_port()
        self.children = []
        self.beside = []                # servers that end with it
        self.url = ''

    # ---- programs

    def program(self, name):
        """A program of the server's, as the server will see it."""
        roots = [self.folder]
        if self.folder == Path('/'):
            roots = [Path('/usr/sbin'), Path('/usr/bin'), *Path('/usr/lib/postgresql').glob('*/bin')]
        for root in roots:
            for path in sorted(root.rglob(name) if len(roots) == 1 else root.glob(name)):
                if not path.is_dir() and path.parent.name in ('bin', 'sbin', 'scripts'):
                    return Path('/', path.relative_to(packages.SID)) if self.in_sid else path
        # Some archives keep the program on top.
        raise Broken(f'no {name} in the package')

    def command(self, *words):
        env = ['env', '-u', 'TMPDIR', 'HOME=/tmp', 'LC_ALL=C']
        words = [str(word) for word in words]
        if self.in_sid:
            return ['chroot', '--userspec=nobody:nogroup', str(packages.SID), *env, *words]
        return ['setpriv', '--reuid', 'nobody', '--regid', 'nogroup', '--clear-groups', *env, *words]

    def log(self):
        text = (self.dir / 'log').read_bytes().replace(b'\0', b'').decode(errors='replace')
        lines = [line for line in text.splitlines() if line.strip()]
        errors = [line for line in lines if re.search(r'ERROR|FATAL|rror:', line)]
        return ((errors or lines or ['it said nothing'])[-1])[:200]

    def run(self, *words):
        """A program of its own, to its end."""
        with open(self.dir / 'log', 'wb') as log:
            done = subprocess.run(self.command(*words), stdin=subprocess.DEVNULL, stdout=log,
                                  stderr=log, check=False, timeout=180, cwd=self.dir)
        if done.returncode:
            raise Broken(f'{Path(str(words[0])).name}: {self.log()}')

    def start(self, *words):
        with open(self.dir / 'log', 'wb') as log:
            self.children.append(subprocess.Popen(
                self.command(*words), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir))

    def wait(self, ready, seconds=60):
        """Until ready() is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.children[-1].poll() is not None:
                raise Broken(f'does not start: {self.log()}')
            if ready():
                return
            time.sleep(0.05)
        raise Broken(f'does not answer: {self.log()}')

    def stop(self):
        for server in self.beside:
            server.stop()
        for child in self.children:
            child.send_signal(signal.SIGTERM if self.row.engine != 'postgres' else signal.SIGQUIT)
        for child in self.children:
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- asking, as its administrator

    def client(self, *words):
        done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                              errors='replace')
        return done.returncode, done.stdout.strip()

    def ask(self, text):
        code, said = self.client(*self.asking(text))
        if code or said.startswith(('ERR', 'NOPERM', 'WRONG')):
            raise Broken(f'{text.split()[0]}: {said[-160:]}')
        return said

    def answers(self, text):
        return self.client(*self.asking(text))[0] == 0


class Mysql(Server):
    """MySQL, and what MariaDB has in common with it."""

    def asking(self, text):
        return ['mariadb', '--no-defaults', '-NB', '-S', self.dir / 's', '-u', 'root', '-e', text]

    def initialise(self, base, flags):
        names = [flag for flag in flags if 'lower' in flag and 'names' in flag]
        self.run(self.program('mysqld'), '--no-defaults', f'--basedir={base}', *self.messages(base),
                 f'--datadir={self.inside}/d', *names, '--initialize-insecure')

    def messages(self, base):
        return [f'--lc-messages-dir={base}/share'] if (base / 'share').is_dir() and not self.in_sid else []

    def open(self, flags):
        self.serve(flags)
        self.make_user()
        for line in self.row.sql:
            self.ask(line)

    def serve(self, flags):
        server = self.program(self.row.engine + 'd' if self.row.engine == 'mariadb' else 'mysqld')
        base = server.parents[1]
        self.initialise(base, flags)
        more = ['--secure-file-priv=NULL', '--performance-schema=OFF', *self.messages(base)]
        if self.row.server == 'mysql-9':
            more += ['--mysqlx=OFF', f'--plugin-dir={base}/lib/mysql/plugin']
        if self.row.engine == 'mariadb':
            # A newer one makes keys for TLS whenever it starts, which can take a minute.
            more = [f'--tmpdir={self.inside}', '--skip-ssl']
        self.start(server, '--no-defaults', f'--basedir={base}', f'--datadir={self.inside}/d',
                   f'--port={self.port}', '--bind-address=127.0.0.1', f'--socket={self.inside}/s',
                   f'--pid-file={self.inside}/pid', '--innodb-buffer-pool-size=64M', *more,
                   '--skip-name-resolve', '--innodb-flush-log-at-trx-commit=0', *flags)
        self.wait(lambda: self.answers('DO 0'))
        self.url = f'mysql://app:secret@127.0.0.1:{self.port}/{self.row.database}'

    def make_user(self):
        self.ask(f"CREATE USER app@'%' IDENTIFIED {self.row.user or 'BY'} 'secret'")
        if not self.row.grants:
            self.ask("GRANT ALL ON *.* TO app@'%' WITH GRANT OPTION")
            return
        # As the page says it, on the database that is ours.
        grant = shown('mysql.md', self.row.grants)
        self.ask(grant.replace('chat.*', f'`{self.row.database}`.*').replace('TO chat', "TO app@'%'"))

    def version(self):
        return self.ask('SELECT VERSION()')


class Mariadb(Mysql):
    def initialise(self, base, flags):
        self.run(self.program('mariadb-install-db'), '--no-defaults', f'--basedir={base}',
                 f'--datadir={self.inside}/d', f'--tmpdir={self.inside}',
                 '--auth-root-authentication-method=normal', '--skip-test-db', '--force')


class Postgres(Server):
    encoding = 'UTF8'

    def asking(self, text):
        return ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', self.dir, '-p', self.port, '-U', 'app',
                '-d', 'postgres', '-c', text]

    def open(self, flags):
        self.run(self.program('initdb'), '-D', f'{self.inside}/d', '-U', 'app', '--auth=trust', '-N',
                 '-E', 'UTF8', '--locale=C')
        self.serve(flags)
        for line in self.row.sql:
            self.ask(line)

    def serve(self, flags):
        words = [word for flag in flags for word in flag.split(' ', 1)]
        self.start(self.program('postgres'), '-D', f'{self.inside}/d', '-p', self.port, '-k', self.inside,
                   '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off', *words)
        self.wait(lambda: self.answers('SELECT 1'))
        self.url = f'postgres://app@127.0.0.1:{self.port}/{self.row.database}'

    def version(self):
        return self.ask('SHOW server_version')


class Redis(Server):
    password = ''
    server = None

    def asking(self, text):
        return ['redis-cli', '-s', self.dir / 's', '--no-auth-warning',
                *(['-a', self.password] if self.password else []), *text.split()]

    def open(self, flags):
        try:
            self.server = self.program('redis-server')
        except Broken:
            self.server = self.program('valkey-server')
        words = [word for flag in flags for word in flag.split(' ')]
        if '--requirepass' in words:
            self.password = words[words.index('--requirepass') + 1]
        ports = ['--port', self.port]
        self.url = f'redis://127.0.0.1:{self.port}/0'
        if self.row.role == 'tls':
            ports = self.certificates()
        self.start(self.server, *ports, '--bind', '127.0.0.1', '--unixsocket', self.inside / 's', '--save', '',
                   '--dir', self.inside, *('' if word == '""' else word for word in words))
        self.wait(lambda: re.match('0|CLUSTERDOWN', self.client(*self.asking('EXISTS 0'))[1]))
        for line in self.row.sql:
            self.ask(line)
        if self.password:
            self.url = self.url.replace('://', f'://:{self.password}@')
        if self.row.grants:
            # The suite opens stores under other prefixes too, and walks over users: +scan on its page.
            self.ask(shown('redis.md', self.row.grants).replace('>password', '>secret')
                     .replace('~convo:*', '~convo:* ~convo_* ~thr_* ~pro_* ~chk_*') + ' +scan')
            self.url = self.url.replace('://', '://convo:secret@')

    def certificates(self):
        self.client('sh', '-c', f"""cd {self.dir} && openssl req -x509 -newkey rsa:2048 -nodes -days 2 \
            -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
            -keyout key -out crt && chmod 644 key crt""")
        self.url = f'rediss://127.0.0.1:{self.port}/0?ca={self.dir}/crt'
        return ['--port', '0', '--tls-port', self.port, '--tls-cert-file', self.inside / 'crt',
                '--tls-key-file', self.inside / 'key', '--tls-ca-cert-file', self.inside / 'crt',
                '--tls-auth-clients', 'no']

    def version(self):
        said = self.client(*self.asking('INFO server'))[1]
        if '_version:' not in said:  # renamed
            return re.search(r'v=(\S+)', self.client(*self.command(self.server, '--version'))[1])[1]
        # A Valkey says of which Redis it is the like, too.
        return (re.search(r'valkey_version:(\S+)', said) or re.search(r'redis_version:(\S+)', said))[1]


ENGINES = {'mysql': Mysql, 'mariadb': Mariadb, 'postgres': Postgres, 'redis': Redis}
