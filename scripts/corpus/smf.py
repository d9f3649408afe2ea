"""Standard MIDI Files, as little as the corpus scripts need. Standard library only.

A note is a tuple (start, duration, program, pitch, velocity) in ticks of 480 a quarter; program 128
is the drum kit. Files are written as format 1: a conductor track, then one track per program.
"""

import struct

PPQ = 480
DRUMS = 128
NAMES = {
    0: "piano", 1: "bright piano", 2: "electric grand piano", 3: "honky-tonk piano",
    4: "electric piano", 5: "FM piano", 6: "harpsichord", 7: "clavinet", 8: "celesta",
    9: "glockenspiel", 10: "music box", 11: "vibraphone", 12: "marimba", 13: "xylophone",
    14: "tubular bells", 15: "dulcimer", 16: "organ", 17: "percussive organ", 18: "rock organ",
    19: "church organ", 20: "reed organ", 21: "accordion", 22: "harmonica", 23: "bandoneon",
    24: "nylon guitar", 25: "steel guitar", 26: "jazz guitar", 27: "clean guitar",
    28: "muted guitar", 29: "overdriven guitar", 30: "distortion guitar", 31: "guitar harmonics",
    32: "double bass",
    33: "electric bass", 34: "picked bass", 35: "fretless bass", 36: "slap bass",
    37: "slap bass", 38: "synth bass", 39: "synth bass", 40: "violin", 41: "viola", 42: "cello",
    43: "contrabass",
    44: "tremolo strings", 45: "pizzicato strings", 46: "harp", 47: "timpani", 48: "strings",
    49: "slow strings", 50: "synth strings", 51: "synth strings", 52: "choir", 53: "voice",
    54: "synth voice",
    56: "trumpet", 57: "trombone", 58: "tuba", 59: "muted trumpet", 60: "french horn",
    61: "brass", 64: "soprano sax", 65: "alto sax", 66: "tenor sax", 67: "baritone sax",
    68: "oboe", 69: "english horn", 70: "bassoon", 71: "clarinet", 72: "piccolo", 73: "flute",
    74: "recorder", 75: "pan flute", 78: "whistle", 79: "ocarina", 80: "square lead",
    81: "saw lead", 88: "fantasia pad", 89: "warm pad", 91: "choir pad", 104: "sitar",
    105: "banjo", 106: "shamisen", 107: "koto", 109: "bagpipe", 110: "fiddle",
    114: "steel drums", 128: "drums",
}


class BadMidi(ValueError):
    pass


def name_of(program):
    return NAMES.get(program, "program %d" % (program + 1))


def _varlen(data, i):
    value = 0
    for _ in range(4):
        byte = data[i]
        i += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, i
    raise BadMidi("variable-length number longer than 4 bytes")


def tracks(data):
    """Yields (index, start, end) of each MTrk body in the file's bytes."""
    if data[:4] != b"MThd":
        raise BadMidi("no MThd at byte 0")
    i = 8 + struct.unpack(">I", data[4:8])[0]
    index = 0
    while i + 8 <= len(data):
        size = struct.unpack(">I", data[i + 4:i + 8])[0]
        if data[i:i + 4] == b"MTrk":
            yield index, i + 8, min(i + 8 + size, len(data))
            index += 1
        i += 8 + size


def events(data, start, end):
    """Yields (tick, status, first data byte's offset, body) of one track; body excludes status."""
    i, tick, status = start, 0, 0
    while i < end:
        delta, i = _varlen(data, i)
        tick += delta
        if data[i] & 0x80:
            status = data[i]
            i += 1
        if status == 0xFF:
            kind = data[i]
            size, i = _varlen(data, i + 1)
            yield tick, status, i, bytes([kind]) + data[i:i + size]
            i += size
        elif status in (0xF0, 0xF7):
            size, i = _varlen(data, i)
            i += size
        elif status >= 0x80:
            size = 1 if status & 0xF0 in (0xC0, 0xD0) else 2
            yield tick, status, i, data[i:i + size]
            i += size
        else:
            raise BadMidi("data byte without a status at byte %d" % i)


def read(data):
    """Returns (division, notes, tracks' names, metas). A note is (start, duration, program, pitch,
    velocity, track); metas are (tick, type, bytes)."""
    division = struct.unpack(">H", data[12:14])[0]
    notes, names, metas = [], {}, []
    for index, start, end in tracks(data):
        program, sounding = [0] * 16, {}
        for tick, status, _, body in events(data, start, end):
            channel, kind = status & 15, status & 0xF0
            if status == 0xFF:
                metas.append((tick, body[0], body[1:]))
                if body[0] == 3:
                    names[index] = body[1:].decode("utf-8", "replace")
            elif kind == 0xC0:
                program[channel] = body[0]
            elif kind == 0x90 and body[1]:
                voice = DRUMS if channel == 9 else program[channel]
                sounding.setdefault((channel, body[0]), []).append((tick, voice, body[1]))
            elif kind in (0x80, 0x90) and sounding.get((channel, body[0])):
                on, voice, velocity = sounding[channel, body[0]].pop(0)
                notes.append((on, max(1, tick - on), voice, body[0], velocity, index))
    return division, notes, names, metas


def tidy(notes):
    """Sorted, unique in (start, program, pitch); a repeated pitch ends before it sounds again."""
    best = {}
    for start, length, program, pitch, velocity in notes:
        key = start, program, pitch
        old = best.get(key, (0, 0))
        best[key] = max(length, old[0]), max(velocity, old[1])
    out, last = [], {}
    for start, program, pitch in sorted(best):
        length, velocity = best[start, program, pitch]
        before = last.get((program, pitch))
        if before is not None and out[before][0] + out[before][1] > start:
            was = out[before]
            out[before] = (was[0], start - was[0]) + was[2:]
        last[program, pitch] = len(out)
        out.append((start, length, program, pitch, velocity))
    return out


def _number(value):
    out = [value & 0x7F]
    while value > 0x7F:
        value >>= 7
        out.append(value & 0x7F | 0x80)
    return bytes(reversed(out))


def _chunk(timed):
    out, now = bytearray(), 0
    for tick, _, message in sorted(timed, key=lambda e: e[:2]):
        out += _number(tick - now) + message
        now = tick
    out += b"\0\xff\x2f\0"
    return b"MTrk" + struct.pack(">I", len(out)) + bytes(out)


def _meta(kind, body):
    return b"\xff" + bytes([kind]) + _number(len(body)) + body


def write(notes, metres, tempos, key=None, title=""):
    """Bytes of a file. metres: (tick, numerator, denominator); tempos: (tick, quarters a minute);
    key: (sharps, minor) or None."""
    notes = tidy(notes)
    head = [(0, 0, _meta(3, title.encode("utf-8")[:120].decode("utf-8", "ignore").encode()))]
    for tick, numerator, denominator in metres:
        power = denominator.bit_length() - 1
        clock = 36 if denominator == 8 and numerator % 3 == 0 else 96 // denominator
        head.append((tick, 1, _meta(0x58, bytes([numerator, power, clock, 8]))))
    for tick, bpm in tempos:
        head.append((tick, 2, _meta(0x51, round(60e6 / bpm).to_bytes(3, "big"))))
    if key:
        head.append((0, 1, _meta(0x59, struct.pack("bB", *key))))
    chunks = [_chunk(head)]
    channels = [c for c in range(16) if c != 9]
    programs = sorted({n[2] for n in notes})
    if len([p for p in programs if p != DRUMS]) > len(channels):
        raise BadMidi("more than 15 programs")
    for program in programs:
        channel = 9 if program == DRUMS else channels.pop(0)
        timed = [(0, 0, _meta(3, name_of(program).encode()))]
        timed.append((0, 1, bytes([0xC0 | channel, 0 if program == DRUMS else program])))
        for start, length, voice, pitch, velocity in notes:
            if voice == program:
                timed.append((start, 3, bytes([0x90 | channel, pitch, velocity])))
                timed.append((start + length, 2, bytes([0x80 | channel, pitch, 64])))
        chunks.append(_chunk(timed))
    return b"MThd" + struct.pack(">IHHH", 6, 1, len(chunks), PPQ) + b"".join(chunks)
