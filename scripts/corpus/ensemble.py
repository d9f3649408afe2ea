"""Who plays a song, and how mma's accompaniment becomes theirs. Standard library only.

mma's bars are not always the song's: some grooves count eighths as beats, some songs are in metres
that no groove has and are cut out of longer bars. `Frame` holds that; notes go through it once.
"""

import collections
import re

import smf
import styles
import theory

MMA_QUARTER = 192
GRID = smf.PPQ // 24


BEATS = {"4/4": [480] * 4, "3/4": [480] * 3, "2/4": [480] * 2, "2/2": [480] * 4, "5/4": [480] * 5,
         "6/8": [720] * 2, "9/8": [720] * 3, "12/8": [720] * 4, "7/8": [480, 480, 720]}


class Frame:
    """How mma's bars become the song's: `source` mma beats make one bar of the song, at `scale`."""

    def __init__(self, metre, time):
        self.metre, self.time = metre, time
        self.beats = BEATS[metre]
        self.length = sum(self.beats)
        self.repeat = 1   # mma bars a bar
        self.halves = False
        kept = time       # mma beats of the bar that are heard
        if metre == "5/4" and time == 3:
            self.repeat, kept = 2, 5
        elif metre == "7/8":
            kept = 3.5
        elif metre == "9/8":
            kept = 3
        elif metre == "2/4":
            kept, self.halves = 2, True
        self.kept = kept * MMA_QUARTER
        self.scale = self.length / self.kept

    def lines(self, chart, sharps):
        """The chart as mma's chord lines."""
        def name(chord):
            return theory.chord_name(chord, sharps)
        if self.halves:
            pairs = [chart[i:i + 2] for i in range(0, len(chart), 2)]
            return [" ".join(name(b[0]) + " " + (name(b[1]) if len(b) > 1 else "/") for b in pair)
                    for pair in pairs]
        out = []
        for bar in chart:
            if len(bar) == 1:
                out += [name(bar[0])] * self.repeat
            elif self.repeat == 2:
                out += [name(bar[0]), name(bar[1])]
            else:
                at = {2: 2, 3: 3, 4: 3, 5: 4, 6: 4}[int(self.time)]
                out.append("%s %s@%d" % (name(bar[0]), name(bar[1]), at))
        return out

    def place(self, tick):
        """mma's tick -> the song's tick, or None where the bar was cut."""
        mma_bar = self.time * MMA_QUARTER
        if self.halves:
            bar, inside = divmod(tick, self.kept)
        else:
            bar, inside = divmod(tick, mma_bar * self.repeat)
        if inside >= self.kept:
            return None
        return round(int(bar) * self.length + inside * self.scale)


def grid_of(notes):
    """"triplet", "swing" or "straight", from onsets within the quarter (mma's ticks)."""
    count = collections.Counter(round(n[0] % MMA_QUARTER / 16) % 12 for n in notes)
    third, two, half = count[4], count[8], count[6]
    sixteenth = count[3] + count[9]
    if third + two > 3 * (half + sixteenth) and third > 0.25 * two:
        return "triplet"
    return "swing" if two > 2 * (half + sixteenth) and two > 0 else "straight"


def swung(tick):
    beat, inside = divmod(tick, 480)
    return beat * 480 + {120: 160, 240: 320, 360: 400}.get(inside, inside)


BASS_TRACKS = re.compile(r"Bass|Walk", re.I)
BASS_PROGRAMS = set(range(32, 40)) | {43, 58, 57, 67, 70}


def roles(notes, names):
    """Splits mma's notes by role: {(role, track, program): notes}."""
    out = collections.defaultdict(list)
    for note in notes:
        program, title = note[2], names.get(note[5], "")
        if program == smf.DRUMS:
            role = "drums"
        elif BASS_TRACKS.search(title) and program in BASS_PROGRAMS | {0, 1, 42, 47}:
            role = "bass"
        elif "Sus" in title or program in (48, 49, 50, 51, 52, 53, 54, 88, 89, 90, 91, 94, 95):
            role = "held"
        elif re.search("Arpeggio|Scale", title, re.I):
            role = "arpeggio"
        else:
            role = "chord"
        out[role, note[5], program].append(note)
    return out


def tonal(parts):
    return [k for k in parts if k[0] in ("chord", "arpeggio", "held")]


def cast(rng, parts, family, bars):
    """Chooses who plays. Returns (kind of ensemble, {part: program or None}, melody's program)."""
    lead = rng.choice(styles.MELODY.get(family, styles.MELODY["pop"]))
    chording = styles.CHORDING.get(family, [0, 25, 4])
    basses = styles.BASSES.get(family, [32, 33, 35])
    shape = rng.choices(["full", "combo", "duet", "solo"], [42, 20, 27, 11])[0]
    if family not in styles.ACOUSTIC and shape == "solo":
        shape = "full"
    keep = dict.fromkeys(parts)
    chords = sorted(tonal(parts), key=lambda k: (k[0] == "held", abs(len(parts[k]) / bars - 8)))
    bass = [k for k in parts if k[0] == "bass"]
    if not chords:
        shape = "full"
    if shape == "full":
        for part in parts:
            keep[part] = part[2]
            if part[0] == "held" and rng.random() < 0.5:
                keep[part] = rng.choice(styles.SUSTAINED)
            elif part[0] in ("chord", "arpeggio") and rng.random() < 0.35:
                keep[part] = rng.choice(chording)
            elif part[0] == "bass" and rng.random() < 0.3:
                keep[part] = rng.choice(basses)
            if part[0] == "drums" and rng.random() < 0.25:
                keep[part] = None
    elif shape == "combo":
        keep[chords[0]] = rng.choice(chording) if rng.random() < 0.7 else chords[0][2]
        for part in bass[:1]:
            keep[part] = rng.choice(basses) if rng.random() < 0.6 else part[2]
        if rng.random() < 0.45:
            for part in parts:
                keep[part] = part[2] if part[0] == "drums" else keep[part]
    else:
        if shape == "duet":
            lead, under = rng.choice(styles.PAIRS) if rng.random() < 0.6 else \
                (lead, rng.choice(chording))
        else:
            lead = under = rng.choice(styles.SOLOS)
        keep[chords[0]] = under
        if under not in (8, 10, 48) and rng.random() < 0.85:
            for part in bass[:1]:
                keep[part] = under
    if lead not in styles.RANGES:
        lead = 73
    return shape, keep, lead


def thin(parts, keep, bars, most):
    """Leaves tracks out until a bar has no more than `most` notes on average."""
    def load():
        return sum(len(parts[p]) for p, v in keep.items() if v is not None) / bars
    order = sorted((p for p in keep if keep[p] is not None), key=lambda p: -len(parts[p]))
    for part in order:
        if load() <= most:
            return
        if part[0] != "bass" and sum(v is not None for v in keep.values()) > 1:
            keep[part] = None


def kind_of(shape, programs, drums):
    names = [smf.name_of(p) for p in programs]
    if len(programs) == 1 and not drums:
        return "solo, " + names[0]
    size = {2: "duet", 3: "trio", 4: "quartet", 5: "quintet"}.get(len(programs), "band")
    if drums:
        size, names = "band", names + ["drums"]
    return "%s, %s and %s" % (size, ", ".join(names[:-1]), names[-1])


def accompany(parts, keep, frame, ticks):
    """The kept parts as notes of the song."""
    out = []
    for part, program in keep.items():
        if program is None:
            continue
        low = max(28 if part[0] == "bass" else 40, styles.LOWEST.get(program, 0))
        for start, length, _, pitch, velocity, _ in parts[part]:
            at = frame.place(start)
            if at is None:
                continue
            at = round(at / GRID) * GRID  # strummed chords sound together
            if at >= ticks:
                continue
            if program == smf.DRUMS:
                out.append((at, 60, program, pitch, velocity))
                continue
            while pitch < low:
                pitch += 12
            length = max(60, round(length * frame.scale / GRID) * GRID)
            end = min(at + length, at - at % frame.length + frame.length, ticks)
            out.append((at, max(40, end - at), program, pitch, max(30, round(velocity * 0.86))))
    return out


def hold_last(notes, last, ticks):
    """Lets the last bar ring: what starts on its first beat is held, the rest falls away."""
    out = []
    for start, length, program, pitch, velocity in notes:
        if start < last:
            out.append((start, min(length, last - start), program, pitch, velocity))
        elif start < last + 60:
            out.append((start, 60 if program == smf.DRUMS else ticks - start, program, pitch,
                        velocity))
    return out


def again(rng, notes, song, length):
    """Sections that come back over the same chords come back with the same accompaniment."""
    if rng.random() < 0.35:
        return notes
    source, seen = {}, {}
    for s, letter in enumerate(song["form"]):
        for i in range(song["section"]):
            bar = s * song["section"] + i
            key = letter, i, str(song["chart"][bar])
            source[bar + song["intro"]] = seen.setdefault(key, bar + song["intro"])
    bars = collections.defaultdict(list)
    for note in notes:
        bars[note[0] // length].append(note)
    out = [n for n in notes if n[0] // length < song["intro"]]
    for bar, first in source.items():
        shift = (bar - first) * length
        out += [(n[0] + shift,) + n[1:] for n in bars[first]]
    return out
