#!/usr/bin/env python3
"""`convo serve -auth jwt`: whose token is taken, and what is said of those that are not."""

import hashlib
import hmac
import json
import re
import time

from serving import Server
from stores import free_port
from tokens import AUDIENCE, ISSUER, Publisher, Signer, base64url, claims_of, jwks, need
from harness import case, contains, equal, main

HI = {'model': 'echo', 'messages': [{'role': 'user', 'content': 'hi'}]}
CHAT = '/v1/chat/completions'
FLAGS = ('-jwt-issuer', ISSUER, '-jwt-audience', AUDIENCE)


class Tokened(Server):
    """A server that asks for tokens. None of those that were shown to it may be said by it."""

    def __init__(self, home, keys, *args, auth='jwt', **more):
        need()
        self.shown = []
        super().__init__(home, '-auth', auth, '-jwt-keys', str(keys), *FLAGS, *args, **more)

    def says(self, token, method='GET', path='/v1/models', body=None, **more):
        """Ask with a token."""
        self.shown.append(token)
        reply = self.ask(method, path, body, Authorization=f'Bearer {token}', **more)
        assert len(token) < 20 or token[:20] not in reply.body.decode(), reply.body
        return reply

    def stop(self, *signals, within=20):
        code = super().stop(*signals, within=within)
        said = ''.join(self.lines)
        for token in self.shown:
            for part in token.split('.'):
                assert len(part) < 16 or part not in said, f'{part} was said'
        return code


def write(home, text, name='keys'):
    (home.path / name).write_text(text)
    return name


def forged(head, claims=None, signature=b''):
    """A token of these parts."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (head, claims or claims_of())]
    return '.'.join([*map(base64url, parts), signature if isinstance(signature, str) else base64url(signature)])


def wrong(reply):
    return reply.status, reply.code, reply.json['error']['message']


# ---- keys ----------------------------------------------------------------------------------


@case
def all_three_ways_to_sign_are_taken_from_files_and_addresses(home):
    signers = [Signer(alg, kid=alg) for alg in ('RS256', 'ES256', 'EdDSA')]
    with Publisher(jwks(*signers)) as publisher:
        for keys in (write(home, jwks(*signers)), write(home, ''.join(one.pem for one in signers), 'pem'),
                     publisher.url):
            with Tokened(home, keys) as server:
                for one in signers:
                    equal((keys, one.alg, 200), (keys, one.alg, server.says(one.token()).status))
                    equal(200, server.says(one.token(kid='')).status)
    for one in signers:
        with Tokened(home, write(home, json.dumps(one.jwk(use=None, alg=None, kid=None, key_ops=['verify'])))) as server:
            equal(200, server.says(one.token()).status)


@case
def the_named_key_is_used(home):
    one, two = Signer(kid='one'), Signer(kid='two')
    with Tokened(home, write(home, jwks(one, two))) as server:
        equal([200, 200], [server.says(signer.token()).status for signer in (one, two)])
        equal([401, 401], [server.says(a.token(kid=b.kid)).status for a, b in ((one, two), (two, one))])
        equal(200, server.says(two.token(head={'kid': 'two'})).status)
        equal(401, server.says(forged({'alg': 'ES256', 'kid': 1})).status)


@case
def keys_that_cannot_be_used_are_passed_over(home):
    good = Signer(kid='good')
    others = [Signer('RS256', kid='weak', bits=1024).jwk(), Signer('ES384', kid='curve').jwk(),
              Signer(kid='enc').jwk(use='enc'), Signer(kid='ops').jwk(key_ops=['sign']), Signer(kid='alg').jwk(alg='RS256'),
              Signer(kid='point').jwk(y='AAAA'), {'kty': 'oct', 'k': base64url(b'secret'), 'kid': 'oct'},
              {'kty': 'RSA', 'n': 'AQAB', 'kid': 'no e'}, {'kty': 'EC', 'crv': 'P-256', 'x': 7, 'y': []}, {}, 3, None,
              Signer(kid='off').jwk(x=base64url(bytes(32)))]
    with Tokened(home, write(home, json.dumps({'keys': [*others, good.jwk()]}))) as server:
        equal(200, server.says(good.token()).status)
        for kid in ('weak', 'curve', 'enc', 'oct'):
            equal(401, server.says(good.token(kid=kid)).status)


@case
def wrong_keys_and_flags_are_told_at_the_start(home):
    good, weak = Signer(), Signer('RS256', bits=1024)
    for name, text, part in (
            ('gone', None, 'No such file'), ('empty', '', 'no public key'), ('text', 'hello', 'no public key'),
            ('json', '{"keys":', 'no JSON'), ('none', '{"keys":[]}', 'no public key'), ('odd', '{"keys":3}', 'no public key'),
            ('private', good.private_pem, 'a private key'), ('mixed', good.pem + good.private_pem, 'a private key'),
            ('weak', weak.pem, '1024 bits'), ('p384', Signer('ES384').pem, 'P-256'),
            ('broken', good.pem.replace('M', 'N', 1), 'no public key'), ('many', jwks(*[good] * 101), 'more than 100'),
            ('deep', '{"keys":' + '[' * 100, 'nested'), ('long', ' ' * 300000, 'more than')):
        if text is not None:
            write(home, text, name)
        done = home.run('serve', '-model', 'echo', '-auth', 'jwt', '-jwt-keys', name, *FLAGS)
        equal((name, 2, 1), (name, done.returncode, done.err.count('\n')))
        contains(part, done.err)
    write(home, good.pem)
    for args, part in ((('-auth', 'jwt'), 'wants -jwt-keys'), (('-auth', 'jwt', '-jwt-keys', 'keys'), 'wants -jwt-keys'),
                       (('-auth', 'jwt', '-jwt-keys', 'keys', *FLAGS, '-jwt-rights', 'all'), '-jwt-rights'),
                       (('-auth', 'jwt', '-jwt-keys', 'keys', *FLAGS, '-jwt-rpm', '9' * 12), '-jwt-rpm'),
                       (('-jwt-keys', 'keys'), 'go with -auth jwt'), (('-auth', 'jwt,none'), '-auth'),
                       (('-auth', 'jwt', '-jwt-keys', 'http://id.example/keys', *FLAGS), 'https is wanted'),
                       (('-auth', 'jwt', '-jwt-keys', 'http://localhost@id.example/keys', *FLAGS), 'https is wanted'),
                       (('-auth', 'jwt', '-jwt-keys', 'http://127.0.0.1.example/keys', *FLAGS), 'https is wanted')):
        done = home.run('serve', '-model', 'echo', *args)
        equal((args, 2, 1), (args, done.returncode, done.err.count('\n')))
        contains(part, done.err)


# ---- tokens that are refused ---------------------------------------------------------------


@case
def what_nobody_of_ours_has_signed_gets_one_answer(home):
    rs, es, ed = (Signer(alg, kid=alg) for alg in ('RS256', 'ES256', 'EdDSA'))
    other = Signer(kid='ES256')
    good = es.token()
    head, claims, signature = good.split('.')
    with Tokened(home, write(home, jwks(rs, es, ed))) as server:
        equal(200, server.says(good).status)
        first = wrong(server.ask('GET', '/v1/models'))
        equal((401, 'invalid_api_key'), first[:2])
        tried = [other.token(), other.token(head={'jwk': other.jwk()}), other.token(head={'jku': 'https://id.example/k'}),
                 f'{head}.{base64url(json.dumps(claims_of("bob")).encode())}.{signature}',
                 f'{head}.{claims}.', f'{head}.{claims}', head, '', '.', '..', '...', f'.{claims}.{signature}',
                 f'{head}..{signature}', f'{good}.', f'{good}.x', f'{good}=', f'{good}A', good[:-1], good[:-2] + '!!',
                 f'{head}.{claims}.{signature[:-1]}{"B" if signature[-1] == "A" else "A"}', f'{head}=.{claims}.{signature}',
                 f'{head}.{claims}.{base64url(bytes(64))}', f'{head}.{claims}.{base64url(b"1" * 63)}', good + 'A' * 7000,
                 f'{head}.{claims}.{base64url(b"0" + b"1" * 70)}', good.replace('.', '. '), f'"{good}"',
                 es.token(head={'crit': ['exp']}), es.token(head={'crit': []})]
        for alg in ('none', 'None', 'NONE', 'nOnE', '', 'HS256', 'HS384', 'HS512', 'RS384', 'PS256', 'ES384', 'ES256K', 'rs256'):
            tried += [forged({'alg': alg, 'kid': one.kid}) for one in (rs, es, ed)]
            tried.append(f'{base64url(json.dumps({"alg": alg, "typ": "JWT"}).encode())}.{claims}.{signature}')
        for alg in (None, 5, [], {}, ['ES256'], True):
            tried.append(forged({'alg': alg}, signature=signature))
        tried += [forged(part, signature=signature) for part in
                  (b'', b'[]', b'{', b'null', b'"x"', b'{"alg":"ES256"', b'\xff', b'{"alg":"ES256\\u0000"}', b'[' * 2000)]
        for token in tried:
            reply = server.says(token)
            equal((token[:300], first), (token[:300], wrong(reply)))
            equal('Bearer', reply.headers['www-authenticate'])
        equal(200, server.says(good).status)


@case
def a_public_key_is_no_secret_to_sign_with(home):
    """The old trick: HMAC, with the text of the public key as its secret."""
    rs, es = Signer('RS256', kid='rs'), Signer(kid='es')
    for keys in (write(home, rs.pem + es.pem), write(home, jwks(rs, es), 'set')):
        with Tokened(home, keys) as server:
            for alg, digest in (('HS256', hashlib.sha256), ('HS512', hashlib.sha512), ('RS256', hashlib.sha256),
                                ('ES256', hashlib.sha256)):
                for one in (rs, es):
                    for secret in (one.pem, one.pem.strip(), json.dumps(one.jwk()), jwks(rs, es)):
                        text = '.'.join(forged({'alg': alg, 'kid': one.kid}).split('.')[:2])
                        signature = hmac.new(secret.encode(), text.encode(), digest).digest()
                        equal(401, server.says(f'{text}.{base64url(signature)}').status)
            swapped = rs.token(head={'alg': 'RS256', 'kid': 'es'}, alg='RS256')
            equal(200 if keys == 'keys' else 401, server.says(swapped).status)  # in PEM no key has a name


@case
def what_is_wrong_with_a_signed_token_is_told_to_its_holder(home):
    signer, now = Signer(), int(time.time())
    with Tokened(home, write(home, signer.pem)) as server:
        for claims, part in (
                ({'exp': now - 61}, 'has expired'), ({'exp': -1}, 'has expired'), ({'exp': 0.5}, 'has expired'),
                ({'exp': -1e300}, 'has expired'), ({'nbf': now + 90}, 'not valid yet'), ({'nbf': 1e300}, 'not valid yet'),
                ({'iss': 'https://id.example/'}, 'another issuer'), ({'iss': None}, 'another issuer'),
                ({'iss': [ISSUER]}, 'another issuer'), ({'aud': 'convo'}, 'another audience'), ({'aud': None}, 'another audience'),
                ({'aud': []}, 'another audience'), ({'aud': ['a', 'b', 3]}, 'another audience'), ({'aud': {'a': 1}}, 'audience'),
                ({'exp': None}, 'lacks a claim'), ({'exp': str(now + 600)}, 'lacks a claim'), ({'exp': True}, 'lacks a claim'),
                ({'nbf': 'now'}, 'lacks a claim'), ({'sub': None}, 'lacks a claim'), ({'sub': 5}, 'lacks a claim'),
                ({'sub': ''}, 'lacks a claim'), ({'sub': 'x' * 300}, 'lacks a claim'), ({'sub': 'a\0b'}, 'lacks a claim'),
                ({'sub': 'a\x07'}, 'lacks a claim'), ({'sub': 'a\n'}, 'lacks a claim'), ({'sub': ['alice']}, 'lacks a claim')):
            reply = server.says(signer.token(**{'user': None, **({'user': claims['sub']} if 'sub' in claims else {'user': 'a'}),
                                                **{k: v for k, v in claims.items() if k != 'sub'}}))
            equal((claims, 401, 'invalid_token'), (claims, reply.status, reply.code))
            contains(part, reply.json['error']['message'])
            equal(1, reply.json['error']['message'].count('\n') + 1)
        for claims in ({'exp': now - 30}, {'nbf': now + 30}, {'nbf': None}, {'aud': ['other', AUDIENCE]}, {'exp': now + 1e9},
                       {'exp': now + 600.5}):
            equal((claims, 200), (claims, server.says(signer.token(**claims)).status))


@case
def a_token_of_16_kb_is_too_long(home):
    signer = Signer()
    with Tokened(home, write(home, signer.pem)) as server:
        equal(431, server.says(signer.token(more='x' * 16000)).status)
        equal(200, server.says(signer.token(more='x' * 4000)).status)
        equal(200, server.says(signer.token()).status)


# ---- what a token gives --------------------------------------------------------------------


@case
def the_token_says_whose_a_session_is_and_nothing_else_does(home):
    signer = Signer()
    claim = {**HI, 'user': 'alice', 'metadata': {'session_id': 's', 'user': 'alice', 'app': 'convo'}}

    def seqs(server, *tokens):
        replies = [server.says(token, 'POST', CHAT + '?user=alice', claim, X_User='alice') for token in tokens]
        return [(reply.status, reply.headers.get('x-convo-seq')) for reply in replies]

    users = ['alice', 'bob', 'Alice', 'a/../alice', 'alice/', '/', '../alice', '%2F', 'ä', 'x' * 255, "'; --"]
    with Tokened(home, write(home, signer.pem), '-user', 'alice') as server:
        equal([(200, '2')] * len(users), seqs(server, *map(signer.token, users)))
        equal([(200, '4')] * len(users), seqs(server, *map(signer.token, users)))
    with Tokened(home, 'keys', '-jwt-user', 'email', '-jwt-app', 'tenant') as server:
        def of(**claims):
            return signer.token(user='same', **claims)
        equal([(200, '2'), (200, '2'), (200, '2'), (200, '4')],
              seqs(server, of(email='a', tenant='x'), of(email='b', tenant='x'), of(email='a', tenant='y'),
                   of(email='a', tenant='x')))
        for more in ({'email': 'a'}, {'tenant': 'x'}, {'email': 'a', 'tenant': 'convo:keys'}, {'email': 'a', 'tenant': ''}):
            equal(401, server.says(of(**more)).status)


@case
def rights_are_those_of_the_token_within_those_of_the_flag(home):
    signer = Signer()

    def may(server, **claims):
        token = signer.token(**claims)
        return [server.says(token).status == 200, server.says(token, 'POST', CHAT, HI).status == 200]

    with Tokened(home, write(home, signer.pem)) as server:
        for claims, wanted in (({}, [1, 1]), ({'rights': 'read'}, [1, 0]), ({'rights': 'chat,read'}, [1, 1]),
                               ({'rights': ['chat']}, [0, 1]), ({'rights': []}, [0, 0]), ({'rights': ''}, [0, 0]),
                               ({'rights': None, 'scope': 'openid convo:read profile'}, [1, 0]), ({'scope': 'read chat'}, [1, 1]),
                               ({'scope': 'openid profile'}, [0, 0]), ({'scp': ['convo:chat', 'x' * 500]}, [0, 1]),
                               ({'rights': 'read', 'scope': 'chat'}, [1, 0]), ({'rights': 7}, [0, 0]), ({'rights': {'chat': 1}}, [0, 0]),
                               ({'rights': 'chatread CHAT xchat chat;read'}, [0, 0])):
            equal((claims, [bool(one) for one in wanted]), (claims, may(server, **claims)))
    with Tokened(home, 'keys', '-jwt-rights', 'read') as server:
        equal([[True, False]] * 3, [may(server, **more) for more in ({}, {'rights': 'chat,read,admin'}, {'scope': 'read chat'})])
        equal([False, False], may(server, scope='convo:chat'))


@case
def limits_are_of_a_user_whatever_the_token(home):
    signer = Signer()
    with Tokened(home, write(home, signer.pem), '-jwt-rpm', '3', '-jwt-tpm', '60') as server:
        equal([200, 200, 200, 429], [server.says(signer.token(jti=str(i))).status for i in range(4)])
        equal('3', server.says(signer.token()).headers['x-ratelimit-limit-requests'])
        long = {**HI, 'messages': [{'role': 'user', 'content': 'x ' * 200}]}
        equal(200, server.says(signer.token('bob'), 'POST', CHAT, long).status)
        reply = server.says(signer.token('bob'))
        equal((429, '0'), (reply.status, reply.headers['x-ratelimit-remaining-tokens']))


@case
def the_log_knows_users_by_a_hash_alone(home):
    signer = Signer()
    with Tokened(home, write(home, signer.pem), '-access-log') as server:
        for user in ('alice', 'alice', 'bob'):
            equal(200, server.says(signer.token(user)).status)
        keys = [line['key'] for line in server.log(3)]
        assert all(re.fullmatch(r'jwt_[A-Za-z0-9_-]{11}', key) for key in keys), keys
        equal((True, False), (keys[0] == keys[1], keys[0] == keys[2]))
        assert not any('alice' in line for line in server.lines), server.lines


@case
def keys_and_tokens_can_both_be_taken(home):
    signer = Signer()
    done = home.run('key', 'add', '-user', 'alice', '-session', 'sqlite:k.db')
    key = done.out.strip()
    chat = {**HI, 'metadata': {'session_id': 's'}}
    with Tokened(home, write(home, signer.pem), '-session', 'sqlite:k.db', auth='keys,jwt', listen='0.0.0.0:0') as server:
        equal(['2', '4', '6', '2'], [server.says(said, 'POST', CHAT, chat).headers['x-convo-seq']
                                     for said in (key, signer.token(), key, signer.token('bob'))])
        equal([401, 401], [server.says(one).status for one in (key[:-1], signer.token()[:-2])])
    with Tokened(home, 'keys', '-session', 'sqlite:k.db') as server:
        equal([401, 200], [server.says(one).status for one in (key, signer.token())])


# ---- keys from an address ------------------------------------------------------------------


@case
def a_new_key_is_found_by_its_name(home):
    one, two, three = (Signer(kid=kid) for kid in ('one', 'two', 'three'))
    with Publisher(jwks(one)) as publisher, Tokened(home, publisher.url) as server:
        equal([200, 200, 1], [server.says(one.token()).status, server.says(one.token()).status, publisher.asked])
        publisher.text = jwks(two)
        equal([200, 401, 2], [server.says(two.token()).status, server.says(one.token()).status, publisher.asked])
        publisher.text = jwks(two, three)
        for signer, status in ((three, 401), (two, 200), (one, 401), (three, 401)):
            equal((signer.kid, status), (signer.kid, server.says(signer.token()).status))
        equal(2, publisher.asked)  # again for an unknown name: in a minute


@case
def old_keys_are_used_while_the_address_is_away(home):
    one, two = Signer(kid='one'), Signer(kid='two')
    with Publisher(jwks(one)) as publisher, Tokened(home, publisher.url) as server:
        for answer in ('status', 'nonsense', 'short'):
            publisher.answer = {
                'status': lambda handler: publisher.say(handler, 500),
                'nonsense': lambda handler: (setattr(publisher, 'text', '{"keys":[]}'), publisher.say(handler)),
                'short': lambda handler: publisher.say(handler, length=5000),
            }[answer]
            reply = server.says(two.token())
            equal((503, 'keys_unavailable', '2'), (reply.status, reply.code, reply.headers['retry-after']))
            equal(200, server.says(one.token()).status)
        equal(2, publisher.asked)
        said = [line for line in server.lines if '-jwt-keys' in line]
        equal(1, len(said))
        contains('are used on', said[0])
        assert '?x=1' not in said[0], said


@case
def an_address_that_is_away_is_waited_for(home):
    signer, port = Signer(kid='one'), free_port()
    with Tokened(home, f'http://127.0.0.1:{port}/keys') as server:
        equal((503, 'keys_unavailable'), (server.says(signer.token()).status, server.says(signer.token()).code))
        equal(401, server.ask('GET', '/v1/models').status)
        contains('no token can be checked', ''.join(server.lines))
        with Publisher(jwks(signer), port) as publisher:
            end = time.monotonic() + 30
            while server.says(signer.token()).status != 200:
                assert time.monotonic() < end
                time.sleep(0.5)
            equal(1, publisher.asked)


@case
def an_address_that_hangs_or_never_ends_holds_up_little(home):
    one, two = Signer(kid='one'), Signer(kid='two')

    def hang(handler):
        time.sleep(60)

    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b' ' * (1 << 20))

    def lying(handler):
        handler.send_response(200)
        handler.send_header('Content-Length', str(100 << 20))
        handler.end_headers()
        handler.wfile.write(b'{')
        time.sleep(60)

    for answer, most in ((hang, 15), (endless, 12), (lying, 12)):
        with Publisher(jwks(one)) as publisher, Tokened(home, publisher.url) as server:
            equal(200, server.says(one.token()).status)
            publisher.answer = answer
            began = time.monotonic()
            equal((answer.__name__, 503), (answer.__name__, server.says(two.token()).status))
            took = time.monotonic() - began
            assert took < most, (answer.__name__, took)
            equal([200, 503, 200], [server.says(each.token()).status for each in (one, two, one)])
            equal(2, publisher.asked)


@case
def others_go_on_while_one_waits_for_keys(home):
    one, two = Signer(kid='one'), Signer(kid='two')
    with Publisher(jwks(one)) as publisher, Tokened(home, publisher.url) as server:
        publisher.answer = lambda handler: time.sleep(60)
        with server.connect() as waiting:
            waiting.sendall(f'GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {two.token()}\r\n'
                            'Connection: close\r\n\r\n'.encode())
            while publisher.asked < 2:
                time.sleep(0.01)
            began = time.monotonic()
            equal([200] * 20, [server.says(one.token()).status for _ in range(20)])
            equal(503, server.says(two.token()).status)
            assert time.monotonic() - began < 4, 'they wait, too'
            contains(b' 503 ', waiting.recv(4096))


main()
