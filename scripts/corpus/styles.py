"""What the groove library does not say: genre, plausible tempi, harmony and instruments by style.
Standard library only.
"""

import re

# pattern on "library/file", genre, beats a minute (low, high), harmony family, instrument family
STYLES = [(re.compile(p), *rest) for p, *rest in [
    (r"jazz-54", "jazz in five", 120, 176, "jazz", "jazz"),
    (r"fastjazzwaltz", "fast jazz waltz", 160, 220, "jazz", "jazz"),
    (r"modernjazzwaltz", "modern jazz waltz", 100, 160, "jazz", "jazz"),
    (r"jazzwaltz", "jazz waltz", 100, 170, "jazz", "jazz"),
    (r"vienesewaltz", "Viennese waltz", 140, 184, "classical", "classical"),
    (r"frenchwaltz", "musette waltz", 120, 190, "folk", "musette"),
    (r"countrywaltz", "country waltz", 90, 140, "folk", "country"),
    (r"broadwaywaltz", "Broadway waltz", 100, 150, "jazz", "classical"),
    (r"latinwaltz", "Latin waltz", 100, 150, "latin", "latin"),
    (r"rockwaltz", "rock waltz", 90, 140, "pop", "pop"),
    (r"popwaltz", "pop waltz", 90, 140, "pop", "pop"),
    (r"fastwaltz", "fast waltz", 150, 200, "folk", "classical"),
    (r"arpeggiowaltz", "arpeggio waltz", 80, 132, "classical", "classical"),
    (r"waltz", "waltz", 84, 150, "folk", "classical"),
    (r"68march", "6/8 march", 100, 126, "folk", "march"),
    (r"68swing", "6/8 swing", 60, 96, "jazz", "jazz"),
    (r"afro-cuban", "Afro-Cuban", 80, 120, "latin", "latin"),
    (r"arpeggio68", "arpeggio ballad", 40, 72, "classical", "classical"),
    (r"68ballad|ballad68", "6/8 ballad", 44, 70, "pop", "ballad"),
    (r"blues68", "6/8 blues", 50, 84, "blues", "blues"),
    (r"arpeggio44", "arpeggio piece", 66, 120, "classical", "classical"),
    (r"ballad128", "12/8 ballad", 50, 76, "pop", "ballad"),
    (r"blues128", "12/8 blues", 54, 84, "blues", "blues"),
    (r"rock-128", "12/8 rock", 60, 96, "pop", "rock"),
    (r"50srock|60srock|twist|twi$|K50s", "rock and roll", 130, 180, "blues", "rock"),
    (r"heavymetal|metal", "metal", 110, 170, "modal", "rock"),
    (r"slowrock", "slow rock", 60, 90, "pop", "ballad"),
    (r"folkrock", "folk rock", 96, 136, "folk", "folk"),
    (r"jazzrock|fusion", "jazz fusion", 90, 132, "modal", "jazz"),
    (r"softrock", "soft rock", 84, 120, "pop", "pop"),
    (r"w-rock|rock", "rock", 100, 150, "pop", "rock"),
    (r"punk", "punk rock", 150, 190, "pop", "rock"),
    (r"bossa", "bossa nova", 110, 150, "jazz", "latin"),
    (r"samba", "samba", 150, 210, "latin", "latin"),
    (r"mambo", "mambo", 150, 200, "latin", "latin"),
    (r"salsa", "salsa", 150, 210, "latin", "latin"),
    (r"son$", "son", 110, 160, "latin", "latin"),
    (r"merengue", "merengue", 120, 160, "latin", "latin"),
    (r"chacha", "cha-cha", 108, 128, "latin", "latin"),
    (r"rhumba", "rumba", 96, 132, "latin", "latin"),
    (r"beguine", "beguine", 96, 130, "jazz", "latin"),
    (r"bolero", "bolero", 76, 108, "latin", "latin"),
    (r"tango", "tango", 108, 132, "latin", "tango"),
    (r"calypso", "calypso", 110, 150, "folk", "calypso"),
    (r"quando", "Latin pop", 110, 140, "latin", "latin"),
    (r"cubanguitar", "Cuban guitar", 100, 140, "latin", "latin"),
    (r"desert", "desert ballad", 80, 120, "modal", "world"),
    (r"ska", "ska", 130, 168, "pop", "pop"),
    (r"reggae", "reggae", 66, 92, "pop", "pop"),
    (r"bluegrass", "bluegrass", 110, 150, "folk", "country"),
    (r"zydeco", "zydeco", 110, 150, "folk", "country"),
    (r"hillcountry|western|cntry|slowcountry|2beatp", "country", 88, 132, "folk", "country"),
    (r"countryblues", "country blues", 80, 116, "blues", "country"),
    (r"countryswing|jazzcountry", "country swing", 110, 160, "folk", "country"),
    (r"slowblues", "slow blues", 50, 80, "blues", "blues"),
    (r"fastblues", "fast blues", 130, 180, "blues", "blues"),
    (r"bluefolk", "blue folk", 80, 120, "blues", "folk"),
    (r"blues", "blues", 80, 130, "blues", "blues"),
    (r"bo[gu]gie|boggiewoggie|shuffleboggie", "boogie-woogie", 120, 170, "blues", "blues"),
    (r"shuffle", "shuffle", 96, 140, "blues", "blues"),
    (r"bigband|basie", "big band", 96, 190, "jazz", "bigband"),
    (r"charleston", "charleston", 160, 220, "jazz", "jazz"),
    (r"dixie", "dixieland", 140, 210, "jazz", "bigband"),
    (r"ragtime", "ragtime", 80, 120, "classical", "ragtime"),
    (r"foxtrot|quickstep|softshoe|polkafox", "foxtrot", 110, 190, "jazz", "classical"),
    (r"jive", "jive", 140, 180, "blues", "rock"),
    (r"gypsyjazz", "gypsy jazz", 140, 220, "jazz", "gypsy"),
    (r"slowjazz|mellowjazz|evansish|nitejazz", "slow jazz", 60, 96, "jazz", "jazz"),
    (r"bebop", "bebop", 160, 220, "jazz", "jazz"),
    (r"swing", "swing", 110, 180, "jazz", "jazz"),
    (r"jazz", "jazz", 96, 180, "jazz", "jazz"),
    (r"polka", "polka", 104, 132, "folk", "musette"),
    (r"march", "march", 100, 124, "folk", "march"),
    (r"hymn", "hymn", 66, 100, "classical", "hymn"),
    (r"spiritual", "spiritual", 66, 108, "folk", "hymn"),
    (r"lullaby", "lullaby", 60, 88, "folk", "lullaby"),
    (r"stringballad", "string ballad", 60, 88, "classical", "classical"),
    (r"folkballad|guitarballad", "folk ballad", 66, 104, "folk", "folk"),
    (r"folk", "folk", 90, 140, "folk", "folk"),
    (r"serenade", "serenade", 66, 100, "classical", "classical"),
    (r"broadway|showtune|strut", "show tune", 84, 150, "jazz", "classical"),
    (r"ballad|slow16beat", "ballad", 58, 84, "pop", "ballad"),
    (r"trance|rave|techno", "techno", 124, 146, "modal", "electronic"),
    (r"house", "house", 118, 130, "modal", "electronic"),
    (r"dance|dnb|eurobeat|boneym", "dance", 112, 136, "pop", "electronic"),
    (r"hip-?hop|trip", "hip hop", 76, 100, "modal", "electronic"),
    (r"ambient", "ambient", 60, 90, "modal", "electronic"),
    (r"disco", "disco", 110, 128, "pop", "pop"),
    (r"funk|highfive", "funk", 92, 118, "modal", "funk"),
    (r"soul|motown|r\+b|rb", "soul", 76, 116, "pop", "funk"),
    (r"afro|latin", "Latin", 100, 140, "latin", "latin"),
    (r"16beat", "sixteen-beat pop", 72, 104, "pop", "pop"),
    (r"8beat", "eight-beat pop", 96, 132, "pop", "pop"),
    (r"", "pop", 90, 130, "pop", "pop"),
]]

# Solo instruments: range in which melodies are written.
RANGES = {
    0: (60, 84), 4: (57, 81), 6: (60, 82), 8: (67, 88), 9: (72, 91), 10: (67, 88), 11: (60, 82),
    12: (58, 82), 13: (67, 88), 15: (60, 82), 16: (57, 81), 19: (58, 80), 20: (58, 79),
    21: (60, 83),
    22: (62, 84), 23: (58, 82), 24: (52, 76), 25: (52, 76), 26: (52, 76), 27: (55, 79),
    29: (52, 76),
    30: (52, 76), 32: (36, 57), 40: (60, 86), 41: (52, 76), 42: (43, 67), 43: (38, 58),
    45: (55, 79),
    46: (57, 83), 48: (57, 81), 52: (57, 77), 53: (57, 77), 54: (57, 77), 56: (57, 79),
    57: (46, 67),
    58: (36, 55), 59: (57, 79), 60: (48, 69), 61: (55, 77), 64: (58, 80), 65: (54, 76),
    66: (48, 71),
    67: (43, 63), 68: (60, 82), 69: (53, 74), 70: (43, 65), 71: (54, 80), 72: (74, 96),
    73: (62, 88),
    74: (67, 88), 75: (62, 86), 78: (67, 88), 79: (67, 86), 80: (60, 84), 81: (60, 84),
    104: (55, 76),
    105: (55, 77), 107: (57, 79), 109: (62, 79), 110: (57, 83), 114: (60, 82),
}
# Below these an accompaniment is moved up an octave.
LOWEST = {6: 29, 8: 60, 9: 72, 10: 60, 11: 53, 12: 45, 13: 65, 15: 48, 21: 41, 22: 60, 23: 41,
          24: 40,
          25: 40, 26: 40, 27: 40, 40: 55, 41: 48, 42: 36, 48: 36, 53: 48, 52: 41, 60: 36, 61: 41,
          71: 50, 73: 60, 104: 48, 105: 48, 107: 48}
MELODY = {
    "jazz": [65, 66, 64, 56, 59, 71, 11, 26, 73, 0, 40, 57, 22],
    "bigband": [56, 57, 66, 65, 71, 59, 61],
    "latin": [73, 24, 56, 66, 40, 0, 59, 75, 21, 71, 64, 12, 53],
    "tango": [23, 40, 21, 0, 71, 42], "calypso": [114, 12, 73, 65, 56],
    "musette": [21, 71, 40, 73, 23, 26], "gypsy": [40, 26, 71, 21, 110],
    "country": [110, 105, 22, 25, 40, 73, 21],
    "folk": [73, 40, 25, 24, 74, 22, 78, 75, 42, 46, 15, 53],
    "classical": [40, 42, 73, 68, 71, 0, 46, 70, 60, 41, 74, 6, 69, 48, 52],
    "lullaby": [10, 8, 73, 46, 53, 24, 71, 40, 79, 42],
    "hymn": [52, 19, 40, 56, 68, 42, 20, 60, 53],
    "march": [72, 56, 71, 73, 57, 60, 61], "ragtime": [0, 71, 56, 40, 57],
    "ballad": [0, 73, 66, 65, 40, 24, 42, 68, 53, 11, 4, 27, 60],
    "pop": [0, 73, 27, 65, 4, 22, 40, 54, 16, 53, 71, 80, 25],
    "rock": [29, 30, 27, 66, 16, 0, 65, 22],
    "blues": [26, 66, 22, 65, 56, 16, 0, 27, 71, 59], "funk": [66, 65, 56, 4, 27, 16, 61],
    "electronic": [80, 81, 4, 54, 11, 13, 73, 0], "world": [104, 73, 75, 24, 68, 107, 15, 40],
}
ACOUSTIC = {"folk", "classical", "lullaby", "hymn", "country", "tango", "musette", "gypsy",
            "ragtime",
            "ballad", "jazz", "latin", "world", "march", "blues", "calypso", "pop", "bigband",
            "funk"}
# Accompanying instruments of small ensembles, and a few pairs that everybody knows.
CHORDING = {
    "jazz": [0, 26, 4, 11, 16], "latin": [24, 0, 25, 21, 46], "folk": [24, 25, 0, 46, 15, 105, 20],
    "country": [25, 105, 0, 24], "classical": [0, 46, 24, 6, 48, 0], "lullaby": [0, 46, 24, 8, 10],
    "hymn": [19, 0, 20, 16], "musette": [21, 0, 26], "tango": [0, 23, 24, 21],
    "gypsy": [26, 24, 25],
    "march": [0, 61, 20], "ragtime": [0, 3], "electronic": [4, 89, 88, 0], "rock": [27, 25, 0, 16],
    "blues": [0, 25, 26, 16, 4], "world": [24, 46, 15, 104, 107],
}
BASSES = {
    "jazz": [32, 32, 35], "bigband": [32], "classical": [42, 43, 32, 70], "folk": [32, 42, 43],
    "lullaby": [42, 32], "hymn": [43, 42, 58], "march": [58, 58, 57], "electronic": [38, 39, 33],
    "musette": [32, 58], "tango": [32, 43, 42], "gypsy": [32], "country": [32, 33],
    "ragtime": [58, 32],
}
PAIRS = [
    (73, 24), (40, 0), (42, 0), (71, 0), (73, 46), (68, 0), (66, 0), (56, 19), (40, 24), (74, 6),
    (60, 0), (70, 0), (41, 0), (73, 0), (42, 24), (22, 25), (53, 0), (52, 19), (75, 24), (110, 25),
    (110, 105), (64, 0), (65, 26), (11, 0), (21, 24), (46, 48), (71, 24), (69, 46), (57, 0),
    (40, 46),
    (24, 24), (0, 0), (56, 0), (78, 46), (68, 6), (40, 6), (25, 25), (12, 12), (42, 46), (10, 8),
]
SOLOS = [0, 0, 0, 0, 24, 24, 46, 6, 16, 19, 21, 8, 12, 25, 4, 20, 11, 15, 10]

# Remapped colours for tracks of a full groove.
SUSTAINED = [48, 49, 52, 53, 50, 89, 19, 20, 61, 60, 91]


def of(stem):
    """(genre, low, high, harmony, instruments) of a style file."""
    for pattern, *rest in STYLES:
        if pattern.search(stem):
            return tuple(rest)
    raise AssertionError("the last pattern matches all")


def mood(rng, genre, minor, pulse, busy):
    """A mood by mode, pulse (felt beats a minute) and genre."""
    dreamy = genre in ("ambient", "lullaby", "arpeggio ballad", "arpeggio piece", "desert ballad")
    if dreamy:
        return rng.choice(["dreamy", "calm", "gentle", "peaceful", "soothing"] if not minor else
                          ["mysterious", "dreamy", "wistful", "melancholic"])
    if genre in ("metal", "punk rock", "techno", "rock"):
        return rng.choice(["energetic", "driving", "powerful", "intense"] +
                          (["dark", "aggressive"] if minor else ["upbeat", "bright"]))
    if genre in ("hymn", "spiritual", "march", "6/8 march"):
        return rng.choice(["solemn", "serious"] if minor else ["solemn", "noble", "proud"]
                          if pulse < 100 else ["festive", "proud", "bright", "cheerful"])
    if pulse < 76:
        return rng.choice(["sad", "melancholic", "sorrowful", "dark", "wistful", "tender"] if minor
                          else ["calm", "gentle", "romantic", "peaceful", "tender", "relaxed",
                                  "warm"])
    if pulse < 112:
        return rng.choice(["melancholic", "nostalgic", "serious", "mysterious", "moody"] if minor
                          else ["relaxed", "warm", "pleasant", "easygoing", "friendly", "hopeful"])
    if pulse < 144:
        return rng.choice(["dramatic", "restless", "passionate", "tense", "mysterious"] if minor
                          else ["cheerful", "happy", "lively", "bright", "upbeat", "playful"])
    return rng.choice(["dramatic", "passionate", "fiery", "restless", "driving"] if minor
                      else ["lively", "joyful", "energetic", "exuberant", "cheerful", "playful"])
