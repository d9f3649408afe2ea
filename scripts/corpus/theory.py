"""Keys, chords and chord charts: what a song's harmony is made of. Standard library only.

A chart is a list of bars; a bar is a list of one or two chords; a chord is (root, quality) with
root 0..11 and quality a suffix that mma understands.
"""

import re

TONES = {
    "": (0, 4, 7), "m": (0, 3, 7), "7": (0, 4, 7, 10), "M7": (0, 4, 7, 11), "m7": (0, 3, 7, 10),
    "6": (0, 4, 7, 9), "m6": (0, 3, 7, 9), "dim3": (0, 3, 6), "m7b5": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9), "sus4": (0, 5, 7), "9": (0, 4, 7, 10), "M9": (0, 4, 7, 11),
    "m9": (0, 3, 7, 10), "aug": (0, 4, 8),
}
DEGREES = {"I": 0, "II": 2, "III": 4, "IV": 5, "V": 7, "VI": 9, "VII": 11}
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10), "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10), "blues": (0, 2, 3, 4, 7, 9, 10),
    "pentatonic": (0, 2, 4, 7, 9), "minor pentatonic": (0, 3, 5, 7, 10),
}
SHARP_ROOTS = "C C# D D# E F F# G G# A A# B".split()
FLAT_ROOTS = "C Db D Eb E F Gb G Ab A Bb B".split()
MAJOR_KEYS = "C Db D Eb E F F# G Ab A Bb B".split()
MINOR_KEYS = "C C# D Eb E F F# G G# A Bb B".split()
MAJOR_SHARPS = (0, -5, 2, -3, 4, -1, 6, 1, -4, 3, -2, 5)


def key_name(tonic, minor):
    return (MINOR_KEYS if minor else MAJOR_KEYS)[tonic] + (" minor" if minor else " major")


def key_sharps(tonic, minor):
    if minor and tonic == 3:
        return -6  # E flat minor, not D sharp minor
    return MAJOR_SHARPS[(tonic + 3) % 12 if minor else tonic]


def chord_name(chord, sharps):
    return (SHARP_ROOTS if sharps >= 0 else FLAT_ROOTS)[chord[0]] + chord[1]


def chord_tones(chord):
    return {(chord[0] + t) % 12 for t in TONES[chord[1]]}


def parse_roman(text, tonic):
    """"bVII", "ii7", "V7", "viio" -> chord. Lower case is minor, o diminished, h half."""
    found = re.fullmatch(r"([b#]?)([iIvV]+)(.*)", text)
    accidental, roman, suffix = found.groups()
    root = DEGREES[roman.upper()] + {"": 0, "b": -1, "#": 1}[accidental]
    quality = suffix
    if suffix == "o":
        quality = "dim3"
    elif suffix == "h":
        quality = "m7b5"
    elif roman.islower():
        quality = "m" + suffix
    return (tonic + root) % 12, quality


# Four-bar units by family and mode; two chords of a bar are joined by an underscore. "open" units
# begin or go on, "close" units end a section, "bridge" units begin a contrasting one.
UNITS = {
    ("pop", "major"): {
        "open": ["I V vi IV", "I vi IV V", "I IV V IV", "vi IV I V", "I iii IV V", "I V IV V",
                 "I IV vi V", "I I IV V", "IV V iii vi", "I Vsus4 vi7 IV", "I bVII IV I"],
        "close": ["IV V I I", "ii V I I", "vi ii V I", "IV iv I I", "I V_IV I I", "IV I V I"],
        "bridge": ["IV V I vi", "vi iii IV I", "ii iii IV V", "IV I IV V", "vi V IV V"],
    },
    ("pop", "minor"): {
        "open": ["i bVI bIII bVII", "i iv bVI V", "i bVII bVI bVII", "i i bVI bVII",
                 "i v bVI bVII", "i bIII bVII iv", "i iv bVII bIII", "i bVII bVI V"],
        "close": ["iv V i i", "bVI bVII i i", "iv i V7 i", "bVI V7 i i"],
        "bridge": ["bIII bVII iv bVI", "bVI bVII bIII bIII", "iv bVII bIII bVI", "bVI bIII iv V7"],
    },
    ("folk", "major"): {
        "open": ["I I IV I", "I IV I V", "I V I V", "I I V V", "I IV V I", "I vi IV V",
                 "I ii I V", "I_IV I I V", "I V vi V", "I I ii V7"],
        "close": ["I IV I_V I", "IV I V7 I", "I IV V7 I", "ii V7 I I", "I_IV I_V I I",
                  "vi IV V7 I"],
        "bridge": ["IV IV I I", "V V I V", "vi vi IV V", "IV I IV V", "I V IV V"],
    },
    ("folk", "minor"): {
        "open": ["i i bVII bVII", "i bVII i V", "i iv i V", "i bIII bVII i", "i i iv i",
                 "i bVI bVII i", "i v i bVII"],
        "close": ["i bVII i i", "iv i V7 i", "bVI bVII i i", "i_iv i_V7 i i"],
        "bridge": ["bIII bVII i i", "bIII bIII bVII bVII", "iv iv i i", "bVI bIII bVII V"],
    },
    ("jazz", "major"): {
        "open": ["IM7 vi7 ii7 V7", "IM7 IM7 ii7 V7", "IM7_vi7 ii7_V7 IM7_vi7 ii7_V7",
                 "IM7 IV7 iii7_VI7 ii7_V7", "ii7 V7 IM7 VI7", "IM7 I7 IVM7 iv6",
                 "IM7 iii7_VI7 ii7 V7", "IM7 II7 ii7 V7", "I6 #Idim7 ii7 V7"],
        "close": ["ii7 V7 IM7 I6", "iii7_VI7 ii7_V7 I6 I6", "IVM7 iv6_bVII7 IM7 IM7",
                  "II7 ii7_V7 I6 I6", "iii7 VI7 ii7_V7 I6"],
        "bridge": ["III7 VI7 II7 V7", "v7 I7 IVM7 IVM7", "iv7 bVII7 bIIIM7 bIIIM7",
                   "IVM7 #IVdim7 IM7 VI7", "vi7 II7 ii7 V7"],
    },
    ("jazz", "minor"): {
        "open": ["i6 iih_V7 i6 V7", "iih V7 i7 i7", "i7 iv7 iih V7", "i7 bVIM7 iih V7",
                 "i7 iv7 bVII7 bIIIM7", "i7_iv7 i7_V7 i7_iv7 iih_V7", "i7 bVII7 bVIM7 V7"],
        "close": ["iih V7 i6 i6", "bVI7 V7 i6 i6", "iv7 iih_V7 i6 i6", "bVIM7 iih_V7 i6 i6"],
        "bridge": ["iv7 bVII7 bIIIM7 bVIM7", "bIIIM7 bVIM7 iih V7", "iv7 iv7 i7 i7",
                   "bVIM7 bIIIM7 iv7 V7"],
    },
    ("classical", "major"): {
        "open": ["I V vi iii", "I IV V I", "I ii V7 I", "I vi ii V", "I IV ii V7", "I V7 I V",
                 "I_V I_IV I V", "vi ii V I", "I iii vi ii_V"],
        "close": ["IV I IV V7", "ii V7 I I", "IV_ii V7 I I", "I_IV I_V7 I I", "vi ii_V7 I I",
                  "IV I_V7 I I"],
        "bridge": ["vi III7 vi II7", "V I V V7", "IV I ii VI7", "ii VI7 ii V7", "VI7 ii V7 I"],
    },
    ("classical", "minor"): {
        "open": ["i iv V7 i", "i V7 i V", "i bVI iv V", "i iv bVII bIII", "i iih V7 i",
                 "i_V7 i_iv i V", "i bVII bIII V7"],
        "close": ["iv i V7 i", "bVI iih_V7 i i", "i_iv i_V7 i i", "iv V7 i i", "bIII iv V7 i"],
        "bridge": ["bIII bVII bIII V7", "bVI bIII iv V7", "iv bVII bIII bVI", "I7 iv bVII7 bIII"],
    },
    ("latin", "minor"): {
        "open": ["i bVII bVI V", "i iv V7 i", "i iv i V7", "i i V7 V7", "iv i V7 i",
                 "i bVII bVI V7"],
        "close": ["iv i V7 i", "bVI V7 i i", "iv V7 i i"],
        "bridge": ["bIII bVII bVI V7", "iv iv i i", "bVI bIII V7 V7", "I7 iv bVII7 bIII"],
    },
    ("modal", "minor"): {  # dorian vamps
        "open": ["i7 IV7 i7 IV7", "i7 i7 IV i7", "i IV bVII i", "i bVII IV i"],
        "close": ["i7 IV7 i7 i7", "bVII IV i i"],
        "bridge": ["bIII bVII IV IV", "bVII bVII IV IV"],
    },
    ("modal", "major"): {  # mixolydian vamps
        "open": ["I bVII IV I", "I I bVII bVII", "I bVII I IV", "I v7 I bVII"],
        "close": ["bVII IV I I", "I bVII I I"],
        "bridge": ["IV bVII I I", "v7 bVII IV IV"],
    },
}
UNITS["latin", "major"] = UNITS["pop", "major"]
BLUES = {
    "major": ["I7 I7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7", "I7 IV7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 I7",
              "I7 IV7 I7 I7 IV7 #IVdim7 I7 VI7 ii7 V7 I7_VI7 ii7_V7"],
    "minor": ["i7 i7 i7 i7 iv7 iv7 i7 i7 bVI7 V7 i7 i7", "i7 iv7 i7 i7 iv7 iv7 i7 i7 V7 iv7 i7 V7"],
}
EIGHTS = {  # whole eight-bar schemes worth knowing
    "major": ["I V vi iii IV I IV V", "I I IV I V IV I V", "I III7 vi I7 IV iv I_V I",
              "I IV viio iii vi ii V I", "I I7 IV iv I V7 I I"],
    "minor": ["i iv bVII bIII bVI iih V7 i", "i V7 bVII IV bVI bIII iv V7",
              "i bVII bVI V i bVII bVI V",
              "i v bVI bIII iv i V7 i"],
}


def bars_of(text, tonic):
    return [[parse_roman(c, tonic) for c in bar.split("_")] for bar in text.split()]


def cadence(bars, tonic, minor, family):
    """Ends the bars on dominant and tonic."""
    tail = "iih_V7 i6" if minor else "ii7_V7 I6"
    if family != "jazz":
        tail = "V7 i" if minor else "V7 I"
    bars[-2:] = bars_of(tail, tonic)


# Forms: letters for sections by number of bars; a section is 4 or 8 bars.
FORMS = {
    8: [("AB", 4), ("AA", 4)],
    12: [("ABA", 4), ("AAB", 4)],
    16: [("AABA", 4), ("AA", 8), ("AB", 8), ("ABAB", 4), ("AABB", 4)],
    20: [("AABBA", 4), ("ABACA", 4)],
    24: [("ABA", 8), ("AAB", 8), ("AABBCA", 4), ("ABACAB", 4)],
    32: [("AABA", 8), ("ABAB", 8), ("AABB", 8), ("ABAC", 8), ("AABACABA", 4)],
}


def chart(rng, tonic, mode, family, bars):
    """Returns (form letters one per section, section length, chart)."""
    minor = mode != "major" and mode != "mixolydian"
    words = "minor" if minor else "major"
    if family == "blues" and bars in (12, 24):
        one = bars_of(rng.choice(BLUES[words]), tonic)
        out = [list(b) for b in one] * (bars // 12)
        cadence(out, tonic, minor, "pop")
        return "A" * (bars // 12), 12, out
    units = UNITS["jazz" if family == "blues" else family, words]
    form, length = rng.choice(FORMS[bars])
    sections = {}
    for letter in sorted(set(form)):
        opening = rng.choice(units["open" if letter == "A" else "bridge"])
        if length == 4:
            made = bars_of(opening, tonic)
        elif family in ("pop", "classical", "folk") and rng.random() < 0.25:
            made = bars_of(rng.choice(EIGHTS[words]), tonic)
        else:
            second = rng.choice(units["close"]) if rng.random() < 0.7 else opening
            made = bars_of(opening, tonic) + bars_of(second, tonic)
        sections[letter] = made
    out = [list(bar) for letter in form for bar in sections[letter]]
    cadence(out, tonic, minor, family)
    return form, length, out
