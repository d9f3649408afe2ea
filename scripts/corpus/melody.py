"""Melodies over a chord chart: rhythms that come back, motifs that are bent to the chords, phrases
that breathe and end. Standard library only.

Time is in ticks of 480 a quarter. A metre is given as the lengths of its beats ([480] * 4,
[720, 720], [480, 480, 720], ...).
"""

import theory

Q = 480
# Rhythm cells: (onset, length) over one or more beats, in fractions of the cell, by busyness.
SIMPLE = {
    1: [  # one beat: weight slow, medium, busy; cell in quarters
        (5, 6, 3, [(0, 1)]),
        (1, 6, 7, [(0, .5), (.5, .5)]),
        (1, 2, 2, [(0, .75), (.75, .25)]),
        (0, .3, 3, [(0, .25), (.25, .25), (.5, .25), (.75, .25)]),
        (0, .7, 3, [(0, .5), (.5, .25), (.75, .25)]),
        (0, .5, 2, [(0, .25), (.25, .25), (.5, .5)]),
        (.3, .8, 1, [(.5, .5)]),
        (0, .3, .6, [(0, 1 / 3), (1 / 3, 1 / 3), (2 / 3, 1 / 3)]),
        (0, .1, .6, [(.25, .25), (.5, .25), (.75, .25)]),
    ],
    2: [  # two beats
        (9, 3, 1, [(0, 2)]),
        (3, 5, 3, [(0, 1.5), (1.5, .5)]),
        (.5, 2, 3, [(0, .5), (.5, 1), (1.5, .5)]),
        (1, 1, .5, [(1, 1)]),
        (.2, .7, .8, [(0, .5), (.5, 1.5)]),
        (0, .5, .6, [(0, .75), (.75, .75), (1.5, .5)]),
    ],
    3: [(5, 1, .2, [(0, 3)]), (2, 1, .2, [(0, 2), (2, 1)]), (1, .7, .2, [(0, 2.5), (2.5, .5)])],
    4: [(3, .3, 0, [(0, 4)]), (2, .4, 0, [(0, 3), (3, 1)])],
}
COMPOUND = {  # a beat is a dotted quarter; lengths in beats
    1: [
        (4, 3, 1, [(0, 1)]),
        (3, 6, 3, [(0, 2 / 3), (2 / 3, 1 / 3)]),
        (1, 5, 9, [(0, 1 / 3), (1 / 3, 1 / 3), (2 / 3, 1 / 3)]),
        (.2, .8, 1, [(0, 1 / 3), (1 / 3, 2 / 3)]),
        (.3, 1, 1.3, [(0, .5), (.5, 1 / 6), (2 / 3, 1 / 3)]),
        (0, .2, .8, [(0, 1 / 3), (1 / 3, 1 / 6), (.5, 1 / 6), (2 / 3, 1 / 3)]),
        (.2, .5, .6, [(1 / 3, 1 / 3), (2 / 3, 1 / 3)]),
    ],
    2: [
        (6, 1.5, .3, [(0, 2)]),
        (2, 2, .5, [(0, 5 / 3), (5 / 3, 1 / 3)]),
        (1, 1, .3, [(0, 4 / 3), (4 / 3, 2 / 3)]),
    ],
}


def rhythm(rng, beats, busy):
    """One bar: a list of (onset, length) in ticks."""
    at, out, i = 0, [], 0
    while i < len(beats):
        cells = COMPOUND if beats[i] == 720 else SIMPLE
        same = 1
        while i + same < len(beats) and beats[i + same] == beats[i]:
            same += 1
        choices = [(c[busy], n, c[3]) for n, group in cells.items() if n <= same
                   and not (n == 2 and i % 2 and len(beats) == 4) for c in group]
        _, n, cell = rng.choices(choices, [c[0] for c in choices])[0]
        out += [(at + round(o * beats[i]), round(d * beats[i])) for o, d in cell]
        at += sum(beats[i:i + n])
        i += n
    if not out or out[0][0] > sum(beats) // 2:
        return [(0, sum(beats))]
    return out


def ending(rng, beats, full):
    """The bar that closes a phrase: few notes, the last one long, sometimes air behind it."""
    total = sum(beats)
    lead = [] if full or len(beats) < 2 or rng.random() < 0.35 else [(0, beats[0])]
    if lead and rng.random() < 0.5:
        half = beats[0] // 2 if beats[0] == 480 else beats[0] * 2 // 3
        lead = [(0, half), (half, beats[0] - half)]
    start = lead[-1][0] + lead[-1][1] if lead else 0
    air = beats[-1] if not full and rng.random() < 0.6 and total - start > beats[-1] else 0
    return lead + [(start, total - start - air)]


def steps(rng, count):
    """A contour in scale steps between neighbouring notes: mostly by step, leaps turned back."""
    out, leap = [], 0
    for _ in range(count):
        if leap:
            step = -1 if leap > 0 else 1
            leap = 0
        else:
            step = rng.choices([-1, 1, 0, -2, 2, -3, 3, 4, -4], [28, 28, 10, 10, 10, 3, 4, 4, 2])[0]
            if rng.random() < 0.35 and out and out[-1] in (-1, 1):
                step = out[-1]  # runs keep their direction
            leap = step if abs(step) >= 3 else 0
        out.append(step)
    return out


class Motif:
    """A bar's rhythm and contour; the same motif sounds different over other chords."""

    def __init__(self, rng, beats, busy):
        self.rhythm = rhythm(rng, beats, busy)
        self.steps = steps(rng, len(self.rhythm))


def chord_at(bar, beats, onset):
    if len(bar) == 1:
        return bar[0]
    return bar[1] if onset >= sum(beats[:(len(beats) + 1) // 2]) else bar[0]


def near(pitch, classes, low, high, towards=0):
    """The nearest pitch of these classes within the range, on ties the one in that direction."""
    for distance in range(13):
        for sign in ((1, -1) if towards >= 0 else (-1, 1)):
            found = pitch + sign * distance
            if found % 12 in classes and low <= found <= high:
                return found
    return max(low, min(high, pitch))


class Melody:
    """low..high: the instrument's range; scale: pitch classes of the key's scale."""

    def __init__(self, rng, beats, busy, scale, low, high):
        self.rng, self.beats, self.busy, self.scale = rng, beats, busy, scale
        self.low, self.high = low, high
        self.last = (low + high) // 2
        strong, at = {0}, 0
        for i, beat in enumerate(beats):
            if beat == 720 or (i == 2 and len(beats) == 4):
                strong.add(at)
            at += beat
        if len(beats) == 5:
            strong.add(3 * Q)
        self.strong = strong

    def ladder(self, chord):
        """Scale under this chord: chord tones outside the key replace their neighbours."""
        tones = theory.chord_tones(chord)
        alien = tones - self.scale
        dropped = {(a + d) % 12 for a in alien for d in (1, -1)} - tones
        return (self.scale - dropped) | tones

    def walk(self, pitch, step, ladder):
        while step:
            direction = 1 if step > 0 else -1
            found = pitch + direction
            while found % 12 not in ladder:
                found += direction
            if not self.low <= found <= self.high:
                return pitch
            pitch, step = found, step - direction
        return pitch

    def bar(self, motif, chords, aim):
        """Notes (onset, length, pitch) of one bar; aim is where the phrase's arch wants to be."""
        out, pitch, rng = [], self.last, self.rng
        for i, (onset, length) in enumerate(motif.rhythm):
            chord = chord_at(chords, self.beats, onset)
            tones, ladder = theory.chord_tones(chord), self.ladder(chord)
            step = motif.steps[i]
            if i == 0:
                pull = (pitch + aim) // 2 if abs(pitch - aim) > 7 else pitch + step
                pitch = near(pull, tones if rng.random() < 0.85 else ladder, self.low, self.high,
                             aim - pitch)
            else:
                if pitch - aim > 9:
                    step = -abs(step) or -1
                elif aim - pitch > 9:
                    step = abs(step) or 1
                pitch = self.walk(pitch, step, ladder) if step else pitch
                if pitch % 12 not in ladder:
                    pitch = near(pitch, ladder, self.low, self.high, step)
                if onset in self.strong or length >= 1.5 * Q:
                    pitch = near(pitch, tones, self.low, self.high, step)
            out.append((onset, length, pitch))
        self.last = pitch
        return out

    def close(self, chords, full, tonic):
        out, marks = [], ending(self.rng, self.beats, full)
        for i, (onset, length) in enumerate(marks):
            chord = chord_at(chords, self.beats, onset)
            tones = theory.chord_tones(chord)
            if i == len(marks) - 1:
                wanted = {tonic} if full and tonic in tones else tones
                pitch = near(self.last, wanted, self.low, self.high, -1)
            else:
                pitch = near(self.walk(self.last, self.rng.choice([-1, 1, -1]), self.ladder(chord)),
                             tones, self.low, self.high, -1)
            self.last = pitch
            out.append((onset, length, pitch))
        return out

    def vary(self, notes):
        """The same bar with one long note split by a neighbour, or two notes joined."""
        spots = [i for i, n in enumerate(notes) if n[1] in (480, 720, 960) and i + 1 < len(notes)]
        if not spots:
            return notes
        i = self.rng.choice(spots)
        onset, length, pitch = notes[i]
        half = length // 2 if length != 720 else 480
        between = self.walk(pitch, 1 if notes[i + 1][2] >= pitch else -1, self.scale)
        return notes[:i] + [(onset, half, pitch), (onset + half, length - half, between)] \
            + notes[i + 1:]


PLANS = ["abac", "abab", "aabc", "aaba", "abcb", "aabb"]


def compose(rng, beats, busy, scale, low, high, tonic, form, section, bars):
    """A melody over a chart: per bar a list of (onset, length, pitch). Sections with one letter
    are alike; the second half of phrases answers the first with the same motifs."""
    tune = Melody(rng, beats, busy, scale, low, high)
    middle, span = (low + high) / 2, (high - low) / 2
    done, out = {}, []
    for s, letter in enumerate(form):
        start = s * section
        chords = bars[start:start + section]
        last = s == len(form) - 1
        seen = done.get(letter)
        if seen and not last and chords == seen[1] and rng.random() < 0.9:
            notes = [tune.vary(n) if rng.random() < 0.15 else n for n in seen[0]]
            out += notes
            tune.last = next((n[-1][2] for n in reversed(notes) if n), tune.last)
            continue
        contrast = letter != "A"
        level = max(0, min(2, busy + (rng.choice([-1, 1, 0]) if contrast else 0)))
        motifs = {k: Motif(rng, beats, level) for k in "abc"}
        plan = rng.choice(PLANS)
        height = middle + span * rng.uniform(-.2, .2) + (span * .3 if contrast else 0)
        notes = []
        if seen:  # the last time round: the old section, a new close
            notes = list(seen[0][:-2])
            tune.last = next((n[-1][2] for n in reversed(notes) if n), tune.last)
        for i in range(len(notes), section):
            phrase = i % 4
            if i == section - 1:
                notes.append(tune.close(chords[i], last, tonic))
            elif phrase == 3:
                notes.append(tune.close(chords[i], False, tonic))
            else:
                bow = (0, .25, .35, 0)[phrase] * (1 if plan != "aabb" else -1)
                arch = round(height + span * bow)
                motif = motifs[plan[phrase]]
                same = [j for j in range(i) if chords[j] == chords[i] and i - j in (2, 4, 8)
                        and plan[j % 4] == plan[phrase] and j % 4 == phrase % 4]
                if same and rng.random() < 0.7:
                    notes.append(notes[same[-1]])
                    tune.last = notes[-1][-1][2] if notes[-1] else tune.last
                else:
                    notes.append(tune.bar(motif, chords[i], arch))
        if not seen:
            done[letter] = notes, chords
        out += notes
    return out


def harmonise(notes, chord, ladder, low):
    """A second voice under the first: thirds and sixths that fit the chord."""
    out = []
    for onset, length, pitch in notes:
        tones = theory.chord_tones(chord)
        third = pitch - 3
        while third % 12 not in ladder:
            third -= 1
        if length >= 2 * Q and third % 12 not in tones:
            third = near(third, tones, low, pitch - 1, -1)
        if third >= low:
            out.append((onset, length, third))
    return out
