"""A headless Chromium, driven by WebDriver (https://www.w3.org/TR/webdriver2/): plain JSON to chromedriver."""

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request

ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'
KEYS = {'Enter': '\ue007', 'Shift': '\ue008', 'Control': '\ue009', 'Escape': '\ue00c', 'Tab': '\ue004',
        'Up': '\ue013', 'Down': '\ue015', 'Delete': '\ue017', 'F2': '\ue032', 'Home': '\ue011'}
PATIENCE = 30


def missing():
    """@return what there must be and is not, or None"""
    for name in ('chromium', 'chromedriver'):
        if not shutil.which(name):
            return f'no {name}: scripts/install test installs it'
    return None


class Driver:
    """chromedriver on a free port, until the end of the block."""

    def __enter__(self):
        self.process = subprocess.Popen(['chromedriver', '--port=0'], stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.DEVNULL)
        for line in self.process.stdout:
            found = re.search(r'started successfully on port (\d+)', line)
            if found:
                self.url = f'http://127.0.0.1:{found[1]}'
                return self
        raise AssertionError(f'chromedriver ended: {self.process.wait()}')

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()

    def ask(self, method, path, body=None):
        data = None if method in ('GET', 'DELETE') else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.url + path, data, {'Content-Type': 'application/json'}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return json.load(reply)['value']
        except urllib.error.HTTPError as error:
            value = json.load(error)['value']
            raise AssertionError(f'{value["error"]}: {value["message"]}') from None


class Browser:
    """One window, in a profile of its own: with storage and keys that no other one has."""

    def __init__(self, driver, width=1280, height=800, dark=False):
        args = ['--headless=new', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars', '--lang=en-GB',
                '--force-color-profile=srgb', f'--window-size={width},{height}']
        if os.getuid() == 0:
            args.append('--no-sandbox')
        wanted = {'browserName': 'chrome', 'goog:chromeOptions': {'args': args},
                  'goog:loggingPrefs': {'browser': 'ALL'}, 'unhandledPromptBehavior': 'ignore'}
        self.driver = driver
        self.at = '/session/' + driver.ask('POST', '/session', {'capabilities': {'alwaysMatch': wanted}})['sessionId']
        self.size(width, height)
        self.look(dark)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(AssertionError, OSError):
            self.driver.ask('DELETE', self.at)

    def ask(self, method, path, body=None):
        return self.driver.ask(method, self.at + path, body)

    def devtools(self, name, **params):
        return self.ask('POST', '/goog/cdp/execute', {'cmd': name, 'params': params})

    def size(self, width, height, scale=1):
        """The page's own size, below what windows may have."""
        self.devtools('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=scale,
                      mobile=False)

    def look(self, dark):
        self.devtools('Emulation.setEmulatedMedia',
                      features=[{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])

    def open(self, url):
        self.ask('POST', '/url', {'url': url})

    def reload(self):
        self.ask('POST', '/refresh')

    def run(self, script, *args):
        """What a function body returns in the page."""
        return self.ask('POST', '/execute/sync', {'script': script, 'args': list(args)})

    def picture(self):
        return base64.b64decode(self.ask('GET', '/screenshot'))

    # ---- elements, by CSS ----

    def find(self, css):
        """The first that is seen."""
        def look():
            return self.run('return [...document.querySelectorAll(arguments[0])].find((node) => node.checkVisibility({visibilityProperty: true}))',
                            css)
        return self.until(look, f'{css} to be seen')[ELEMENT]

    def click(self, css):
        self.ask('POST', f'/element/{self.find(css)}/click')

    def hover(self, css):
        self.ask('POST', '/actions', {'actions': [{'type': 'pointer', 'id': 'mouse', 'actions': [
            {'type': 'pointerMove', 'duration': 0, 'x': 0, 'y': 0, 'origin': {ELEMENT: self.find(css)}}]}]})

    def type(self, css, text):
        self.ask('POST', f'/element/{self.find(css)}/value', {'text': text})

    def keys(self, *names, held=()):
        """Press keys where the focus is."""
        held, names = [KEYS.get(key, key) for key in held], [KEYS.get(key, key) for key in names]
        moves = [{'type': 'keyDown', 'value': key} for key in held]
        for key in names:
            moves += [{'type': 'keyDown', 'value': key}, {'type': 'keyUp', 'value': key}]
        moves += [{'type': 'keyUp', 'value': key} for key in reversed(held)]
        self.ask('POST', '/actions', {'actions': [{'type': 'key', 'id': 'keyboard', 'actions': moves}]})

    def texts(self, css):
        """The texts of all that are seen."""
        return self.run('return [...document.querySelectorAll(arguments[0])].filter((node) => node.checkVisibility({visibilityProperty: true}))'
                        '.map((node) => node.innerText.trim())', css)

    def text(self, css):
        return '\n'.join(self.texts(css))

    # ---- waiting ----

    def until(self, look, what, within=PATIENCE):
        end = time.monotonic() + within
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > end:
                raise AssertionError(f'waited {within} s for {what}; the page says:\n{self.text("body")}\n{self.log()}')
            time.sleep(0.05)

    def wait_text(self, css, part, within=PATIENCE):
        self.until(lambda: part in self.text(css), f'{part!r} in {css}', within)

    def wait_texts(self, css, wanted, within=PATIENCE):
        self.until(lambda: self.texts(css) == wanted, f'{wanted} in {css}, not {self.texts(css)}', within)

    def wait_gone(self, css, within=PATIENCE):
        self.until(lambda: not self.texts(css), f'no {css}', within)

    def log(self):
        """What the page's console says, since this was asked last."""
        return [entry['message'] for entry in self.ask('POST', '/se/log', {'type': 'browser'})]
