"""Signed tokens, and who publishes the keys that they are checked with."""

import base64
import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pypi
from harness import Skip

MISSING = pypi.need('PyJWT[crypto]==2.10.1', 'jwt', 'cryptography')
if not MISSING:
    import jwt
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER, AUDIENCE = 'https://id.example', 'convo-test'


def need():
    if MISSING:
        raise Skip(f'no PyJWT: {MISSING}')


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


class Signer:
    """A key pair, and tokens of it."""

    def __init__(self, alg='ES256', kid=None, bits=2048):
        need()
        self.alg, self.kid = alg, kid
        if alg.startswith(('RS', 'PS')):
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        elif alg == 'EdDSA':
            self.private = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private = ec.generate_private_key(ec.SECP384R1() if alg == 'ES384' else ec.SECP256R1())
        self.public = self.private.public_key()

    @property
    def pem(self):
        return self.public.public_bytes(serialization.Encoding.PEM,
                                        serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def private_pem(self):
        return self.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption()).decode()

    def jwk(self, **more):
        """Its public half; a member that is None is left out."""
        def number(value, size=None):
            return base64url(value.to_bytes(size or (value.bit_length() + 7) // 8, 'big'))
        if self.alg.startswith(('RS', 'PS')):
            numbers = self.public.public_numbers()
            jwk = {'kty': 'RSA', 'n': number(numbers.n), 'e': number(numbers.e)}
        elif self.alg == 'EdDSA':
            jwk = {'kty': 'OKP', 'crv': 'Ed25519',
                   'x': base64url(self.public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))}
        else:
            numbers, size = self.public.public_numbers(), (self.public.curve.key_size + 7) // 8
            jwk = {'kty': 'EC', 'crv': f'P-{self.public.curve.key_size}', 'x': number(numbers.x, size),
                   'y': number(numbers.y, size)}
        jwk |= {'use': 'sig', 'alg': self.alg, 'kid': self.kid, **more}
        return {name: value for name, value in jwk.items() if value is not None}

    def token(self, user='alice', head=None, alg=None, kid=None, **claims):
        """A good one, but for what is said here. A claim that is None is left out."""
        kid = kid or self.kid
        return jwt.encode(claims_of(user, **claims), self.private, algorithm=alg or self.alg,
                          headers={**({'kid': kid} if kid else {}), **(head or {})})


def claims_of(user='alice', **claims):
    now = int(time.time())
    full = {'iss': ISSUER, 'aud': AUDIENCE, 'sub': user, 'exp': now + 600, 'nbf': now - 5, **claims}
    return {name: value for name, value in full.items() if value is not None}


def jwks(*signers, **more):
    return json.dumps({'keys': [signer.jwk() for signer in signers], **more})


class Publisher(ThreadingHTTPServer):
    """An address that says `text`, or does what `answer` does. `asked` counts."""

    daemon_threads = True

    def __init__(self, text, port=0):
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):  # pylint: disable=invalid-name
                publisher.asked += 1
                with contextlib.suppress(OSError):
                    publisher.answer(self)

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self.text, self.asked, self.answer = text, 0, self.say
        super().__init__(('127.0.0.1', port), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f'http://127.0.0.1:{self.server_port}/keys?x=1'

    def say(self, handler, status=200, length=None):
        data = self.text.encode()
        handler.send_response(status)
        handler.send_header('Content-Length', str(length or len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
