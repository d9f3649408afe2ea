"""Chords under a folk tune, and a plain way to play them. Standard library only.

Chords are chosen by dynamic programming: what the melody sounds on in each half bar against what
usually follows what. The patterns are those of a guitarist, a harpist, a pianist.
"""

import smf
import theory

# roman numeral -> weight of being there at all, by mode
PALETTE = {
    "major": {"I": 1.0, "IV": .75, "V": .85, "vi": .35, "ii": .3},
    "lydian": {"I": 1.0, "II": .5, "V": .7, "vi": .3},
    "mixolydian": {"I": 1.0, "bVII": .9, "IV": .6, "v": .3},
    "minor": {"i": 1.0, "iv": .6, "V": .55, "bVII": .8, "bVI": .45, "bIII": .5},
    "dorian": {"i": 1.0, "bVII": .95, "IV": .6, "bIII": .45},
    "phrygian": {"i": 1.0, "bII": .6, "bVII": .6, "iv": .5},
}
FRIENDS = {("V", "I"): .5, ("IV", "I"): .3, ("IV", "V"): .3, ("ii", "V"): .4, ("I", "IV"): .2,
           ("I", "V"): .2, ("vi", "IV"): .2, ("vi", "ii"): .2, ("V", "i"): .5, ("bVII", "i"): .4,
           ("bVII", "I"): .4, ("iv", "V"): .3, ("bVI", "bVII"): .3, ("i", "bVII"): .2}
PLAYERS = {True: [24, 46, 24, 0, 46, 15, 20, 42], False: [24, 25, 24, 0, 25, 46, 21]}


def find(line, tonic, mode, span, end):
    """A chord for each span of the tune: list of (root, quality)."""
    names = list(PALETTE[mode])
    chords = [theory.parse_roman(n, tonic) for n in names]
    tones = [theory.chord_tones(c) for c in chords]
    count = -(-end // span)
    best, back = [], []
    for i in range(count):
        heard = [0.0] * 12
        for start, length, _, pitch, _ in line:
            overlap = min(start + length, (i + 1) * span) - max(start, i * span)
            if overlap > 0:
                heard[pitch % 12] += overlap / span * (1.5 if start == i * span else 1)
        row, link = [], []
        for c, name in enumerate(names):
            fit = sum(w if p in tones[c] else -0.7 * w for p, w in enumerate(heard))
            fit += 0.3 * heard[chords[c][0]] + 0.45 * PALETTE[mode][name]
            if i in (count - 1, count - 2) and c == 0:
                fit += 0.8
            if not best:
                row.append(fit + (0.5 if c == 0 else 0))
                link.append(0)
                continue
            stay = 0.25 if i % 2 else 0.0
            came = [b + FRIENDS.get((names[j], name), stay if j == c else 0)
                    for j, b in enumerate(best[-1])]
            at = max(range(len(came)), key=came.__getitem__)
            row.append(fit + came[at])
            link.append(at)
        best.append(row)
        back.append(link)
    at = max(range(len(names)), key=best[-1].__getitem__)
    out = []
    for i in range(count - 1, -1, -1):
        out.append(chords[at])
        at = back[i][at]
    return out[::-1]


def voicing(chord, low):
    """Bass note and three notes above it."""
    root = low + (chord[0] - low) % 12
    upper = sorted({root + 12 + (t if t < 7 else t - 12 if t > 8 else t)
                    for t in theory.TONES[chord[1]][:3]})
    return root, upper


def pattern(rng, metre, slow):
    """What is struck where in one bar: (position, "b" bass, "f" fifth, "c" chord, 0.. a chord
    note; length), positions in ticks."""
    if metre in ("6/8", "12/8", "9/8"):
        beats = int(metre.split("/")[0]) // 3
        if slow or rng.random() < 0.3:
            one = [(0, "b", 720), (240, 0, 480), (480, 1, 240)]
        elif rng.random() < 0.6:
            one = [(0, "b", 480), (480, "c", 240)]
        else:
            one = [(0, "b", 240), (240, "c", 240), (480, "c", 240)]
        return [(b * 720 + at, "f" if what == "b" and b % 2 and not slow else what, length)
                for b in range(beats) for at, what, length in one]
    if metre in ("3/4", "3/8"):
        unit = 480 if metre == "3/4" else 240
        if slow and rng.random() < 0.5:
            return [(0, "b", 3 * unit)] + [(i * unit // 2, (i - 1) % 3, unit) for i in range(1, 6)]
        return [(0, "b", unit), (unit, "c", unit), (2 * unit, "c", unit)]
    quarters = 4 * int(metre.split("/")[0]) // int(metre.split("/")[1])
    if slow:
        return [(q * 480 + h, "b" if q % 2 == 0 and h == 0 else (q * 2 + h // 240 - 1) % 3, 480)
                for q in range(quarters) for h in (0, 240)]
    if quarters == 2:
        return [(0, "b", 240), (240, "c", 240), (480, "f", 240), (720, "c", 240)]
    return [(q * 480, ("b" if q % 4 == 0 else "f") if q % 2 == 0 else "c", 480)
            for q in range(quarters)]


def under(rng, line, tonic, mode, metre, slow, lead):
    """Notes of a second player under the tune."""
    top, bottom = map(int, metre.split("/"))
    bar = 4 * smf.PPQ * top // bottom
    if metre not in ("6/8", "9/8", "12/8", "3/4", "3/8", "2/4", "4/4", "2/2"):
        return []
    end = max(s + d for s, d, *_ in line)
    beat = 720 if bottom == 8 and top > 3 else bar // 2 if metre not in ("3/4", "3/8") else bar
    span = beat if metre != "12/8" else 1440
    chords = find(line, tonic, mode, span, end)
    player = rng.choice([p for p in PLAYERS[slow] if p != lead])
    if player == 42:  # a cello holds the roots
        return drone(chords, span, player)
    low = 40 if player in (24, 25) else 41
    first = min(s for s, *_ in line)
    figure, out = pattern(rng, metre, slow), []
    bars = -(-end // bar)
    for b in range(bars):
        for at, what, length in figure:
            start = b * bar + at
            if start < first - first % bar + (bar if first % bar else 0) or start >= end:
                continue
            chord = chords[min(start // span, len(chords) - 1)]
            root, upper = voicing(chord, low)
            last = b == bars - 1
            if last and at > 0:
                continue
            length = bar if last else length
            loud = 64 + (6 if at == 0 else 0) + rng.randint(-3, 3)
            if what == "b" or what == "f":
                fifth = root + 7 if root + 7 <= low + 12 else root - 5
                pitch = fifth if what == "f" and fifth >= low else root
                out.append((start, length, player, pitch, loud))
                if last:
                    out += [(start, length, player, p, loud - 8) for p in upper]
            elif what == "c":
                out += [(start, length, player, p, loud - 8) for p in upper]
            else:
                out.append((start, length, player, upper[what % len(upper)], loud - 8))
    return out


def drone(chords, span, player):
    out = []
    for i, chord in enumerate(chords):
        pitch = 40 + (chord[0] - 40) % 12
        if out and out[-1][3] == pitch and out[-1][1] < 4 * span:
            out[-1] = out[-1][:1] + (out[-1][1] + span,) + out[-1][2:]
        else:
            out.append((i * span, span, player, pitch, 66))
    return out
