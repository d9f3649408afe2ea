"""What a piece is like, in figures, from the notes of its MIDI file alone (python3-mido reads it)."""
import bisect
import collections
import statistics

import mido

DRUMS = 128
TICKS = 24  # the grid, a quarter
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
NAMES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

Note = collections.namedtuple("Note", "start end program pitch")  # ticks of the grid


def tonic_and_mode(key):
    """(pitch class, is minor) of a name such as 'Bb minor'; None where there is no key."""
    if not key or key[0] not in NAMES:
        return None
    return (NAMES[key[0]] + {"#": 1, "b": -1}.get(key[1], 0)) % 12, "minor" in key


def signature(key):
    """The pitch class of the relative major: keys of one signature share it."""
    known = tonic_and_mode(key)
    return None if known is None else (known[0] + 3 * known[1]) % 12


def read_notes(path):
    """The notes in order, and the starts of the bars, the piece's end last."""
    song, notes, metres, end = mido.MidiFile(path), [], [], 0
    for track in song.tracks:
        time, programs, sounding = 0, collections.Counter(), {}
        for message in track:
            time += message.time
            if message.type == "time_signature":
                ticks = 4 * TICKS * message.numerator // message.denominator
                metres.append((time * TICKS / song.ticks_per_beat, ticks))
            elif message.type == "program_change":
                programs[message.channel] = message.program
            elif message.type in ("note_on", "note_off"):
                key = message.channel, message.note
                if key in sounding:
                    start, program = sounding.pop(key)
                    notes.append(Note(round(start * TICKS / song.ticks_per_beat),
                                      round(time * TICKS / song.ticks_per_beat), program, message.note))
                if message.type == "note_on" and message.velocity:
                    sounding[key] = time, DRUMS if message.channel == 9 else programs[message.channel]
        end = max(end, time * TICKS / song.ticks_per_beat)
    metres = sorted(metres) or [(0, 4 * TICKS)]
    bars, at = [], 0
    while at < end or not bars:
        bars.append(at)
        at += [ticks for start, ticks in metres if start <= at][-1] if metres[0][0] <= at else 4 * TICKS
    return sorted(notes), bars + [at]


def melody_leaps(notes):
    """Intervals of the top line, in semitones: of the highest melodic program's highest notes."""
    pitches = collections.defaultdict(list)
    for note in notes:
        pitches[note.program].append(note.pitch)
    if not pitches:
        return []
    player = max(pitches, key=lambda p: statistics.mean(pitches[p]))
    top = {}
    for note in notes:
        if note.program == player:
            top[note.start] = max(note.pitch, top.get(note.start, 0))
    line = [top[start] for start in sorted(top)]
    return [abs(b - a) for a, b in zip(line, line[1:])]


def out_of_key(notes, key):
    """The share of sounding time outside the key's scale; a minor key's raised sixth and seventh are inside."""
    known = tonic_and_mode(key)
    total = sum(n.end - n.start for n in notes)
    if known is None or total == 0:
        return None
    scale = set(MINOR + (9, 11)) if known[1] else set(MAJOR)
    return sum(n.end - n.start for n in notes if (n.pitch - known[0]) % 12 not in scale) / total


def semitone_clashes(notes):
    """The share of melodic onsets a semitone (or a major seventh, minor ninth) from a note that sounds on."""
    ends, clashes = [], 0
    for note in notes:
        ends = [other for other in ends if other.end > note.start]
        clashes += any(abs(other.pitch - note.pitch) % 12 in (1, 11) for other in ends)
        ends.append(note)
    return clashes / len(notes) if notes else 0


def last_chord(notes, bars):
    """The notes that sound to the end, and the last bass note: of the last bar's lowest octave."""
    if not notes:
        return [], None
    final = max(n.end for n in notes)
    start = bars[bisect.bisect_right(bars, max(n.start for n in notes)) - 1]
    low = min(n.pitch for n in notes if n.start >= start) + 12
    bass = max((n for n in notes if n.start >= start and n.pitch < low), key=lambda n: (n.start, -n.pitch))
    return [n for n in notes if n.end >= final - TICKS // 2], bass


def figures(path, key=None):
    """The figures of a piece by name; None where one has no meaning (drums alone have no key)."""
    notes, bars = read_notes(path)
    melodic = [n for n in notes if n.program != DRUMS]
    content = [[] for _ in bars[:-1]]
    for note in notes:
        bar = min(bisect.bisect_right(bars, note.start) - 1, len(content) - 1)
        content[bar].append((note.start - bars[bar], note.program, note.pitch))
    heard = [frozenset(bar) for bar in content]
    rhythms = [frozenset((start, program) for start, program, _ in bar) for bar in content]
    counts = sorted(map(len, content))
    percent = [counts[min(len(counts) - 1, int(q * len(counts)))] for q in (0.1, 0.5, 0.9)]
    sounding = [b for b in heard if b]
    before = sum(b in heard[:i] for i, b in enumerate(heard) if b)
    again = sum(b in rhythms[:i] for i, b in enumerate(rhythms) if b)
    consecutive = sum(a == b and bool(a) for a, b in zip(heard, heard[1:]))
    longest = run = 1
    for a, b in zip(heard, heard[1:]):
        run = run + 1 if a == b and a else 1
        longest = max(longest, run)
    leaps, known = melody_leaps(melodic), tonic_and_mode(key)
    last, bass = last_chord(melodic, bars)
    ranges = collections.defaultdict(list)
    for note in melodic:
        ranges[note.program].append(note.pitch)
    span = bars[-1] - bars[0]
    return {
        "notes a bar, 10th percentile": percent[0], "notes a bar, median": percent[1],
        "notes a bar, 90th percentile": percent[2], "most notes in a bar": counts[-1],
        "bars over 120 notes": sum(c > 120 for c in counts), "silent bars": counts.count(0) / len(counts),
        "notes sounding at once": sum(n.end - n.start for n in melodic) / span,
        "mean note length, quarters": statistics.mean(n.end - n.start for n in notes) / TICKS if notes else None,
        "notes on a quarter": sum(n.start % TICKS == 0 for n in notes) / len(notes) if notes else None,
        "notes off the 16th and triplet grid":
            sum(n.start % 6 != 0 and n.start % 8 != 0 for n in notes) / len(notes) if notes else None,
        "bars heard before": before / len(sounding) if sounding else None,
        "bars whose rhythm was heard before": again / len(sounding) if sounding else None,
        "bars like the one just before": consecutive / max(1, len(heard) - 1),
        "longest run of one bar": longest,
        "distinct pitches": len({n.pitch for n in melodic}),
        "range of an instrument, semitones":
            statistics.mean(max(p) - min(p) for p in ranges.values()) if ranges else None,
        "sounding time out of key": out_of_key(melodic, key),
        "onsets that clash by a semitone": semitone_clashes(melodic),
        "top line, mean step in semitones": statistics.mean(leaps) if leaps else None,
        "top line, leaps over an octave": sum(leap > 12 for leap in leaps) / len(leaps) if leaps else None,
        "ends on the tonic in the bass":
            float(bass.pitch % 12 == known[0]) if bass and known else None,
        "ends on notes of the tonic triad":
            statistics.mean((n.pitch - known[0]) % 12 in (0, 3 if known[1] else 4, 7) for n in last)
            if last and known else None,
    }


def mean_figures(rows):
    """The mean of each figure over the pieces in which it has a meaning."""
    means = {}
    for name in rows[0]:
        known = [float(row[name]) for row in rows if row[name] is not None]
        means[name] = statistics.mean(known) if known else None
    return means
