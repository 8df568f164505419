"""Differences and times of run.sh, as tables.

    report.py samples NAME BENCH.json        "NAME MS MS ..." of `yolov3 bench --json`
    report.py check CASE                     compares CASE/outputs/*.f32 with CASE/maps.f32; exit code 1: not the same
    report.py table CASE TIMES OUT.md TITLE  TIMES has lines "ROUND NAME MS MS ..."

A difference is given for the worst head, in two ways: the greatest difference of one logit over the greatest logit, and
the L2 norm of the differences over the L2 norm of the head.
"""
import json
import statistics
import sys
from pathlib import Path

import numpy as np

# L2 over L2: what rounding to that type explains, with room; another network or input is off by about 1.
LIMITS = {'f32': 1e-4, 'bf16': 0.1, 'auto': 0.1, 'int8': 0.4}


def kind(name):
    return name.split('-')[1]


def differences(case):
    sizes = [int(np.prod([int(n) for n in line.split()[1:]])) for line in open(case / 'heads.txt')]
    ours = np.fromfile(case / 'maps.f32', '<f4').astype(np.float64)
    assert sum(sizes) == len(ours), 'maps.f32 does not fit heads.txt'
    found = {}
    for file in sorted((case / 'outputs').glob('*.f32')):
        theirs = np.fromfile(file, '<f4').astype(np.float64)
        assert len(theirs) == len(ours), '%s: %d numbers, expected %d' % (file, len(theirs), len(ours))
        worst = [0.0, 0.0]
        for a, b in zip(np.split(theirs, np.cumsum(sizes)[:-1]), np.split(ours, np.cumsum(sizes)[:-1])):
            assert b.std() > 0.1, 'a head is constant: nothing could be told from it'
            worst[0] = max(worst[0], float(np.abs(a - b).max() / np.abs(b).max()))
            worst[1] = max(worst[1], float(np.linalg.norm(a - b) / np.linalg.norm(b)))
        found[file.stem] = worst
    return found


def check(case):
    bad = []
    print('%-22s %12s %12s' % ('against ours-f32', 'max', 'L2'))
    for name, (largest, l2) in differences(case).items():
        wrong = not l2 <= LIMITS[kind(name)]
        bad += [name] if wrong else []
        print('%-22s %12.2e %12.2e%s' % (name, largest, l2, '  OVER %g' % LIMITS[kind(name)] if wrong else ''))
    if bad:
        print('not the same network or input: %s; nothing is timed' % ', '.join(bad))
    return 1 if bad else 0


def read_times(path):
    """name -> round -> ms"""
    times = {}
    for line in open(path):
        words = line.split()
        times.setdefault(words[1], {}).setdefault(int(words[0]), []).extend(float(w) for w in words[2:])
    return times


def ratio(times, name, base):
    """Median over the rounds of both of (name's median / base's median), so that drift cancels."""
    rounds = [r for r in times[name] if r in times.get(base, {})]
    if not rounds:
        return None
    return statistics.median(statistics.median(times[name][r]) / statistics.median(times[base][r]) for r in rounds)


def table(case, times, title):
    found = differences(case)
    bases = [name for name in times if name.startswith('ours-')]
    lines = ['# ' + title, '',
             'Network alone, batch 1, ms. A ratio is the median over the rounds of the ratio of the medians; over 1, '
             'the program takes longer than ours.', '',
             '| program | median | min | max | runs | max diff | L2 diff | ' +
             ' | '.join('/ ' + base for base in bases) + ' |', '|---' * (7 + len(bases)) + '|']
    for name, rounds in times.items():
        ms = [t for samples in rounds.values() for t in samples]
        cells = [name, '%.1f' % statistics.median(ms), '%.1f' % min(ms), '%.1f' % max(ms), str(len(ms))]
        cells += ['%.1e' % d for d in found[name]]
        cells += ['%.2f' % r if r else '' for r in (ratio(times, name, base) for base in bases)]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


mode = sys.argv[1]
if mode == 'samples':
    print(sys.argv[2], *('%.3f' % ms for ms in json.load(open(sys.argv[3]))['network_runs_ms']))
elif mode == 'check':
    sys.exit(check(Path(sys.argv[2])))
else:
    text = table(Path(sys.argv[2]), read_times(sys.argv[3]), sys.argv[5])
    Path(sys.argv[4]).write_text(text)
    print(text)
