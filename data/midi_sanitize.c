#include "data/midi_sanitize.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/midi_chunk.h"
#include "data/midi_conductor.h"

#define MAX_TRACK_EVENTS 500000000
#define NAME_BYTES 120 /* libsmf loses what follows a meta event of 128 or more */

typedef struct sanitizer {
    const unsigned char *bytes;
    size_t size;
    const char *name;
    motet_midi_report *report;
    motet_chunk_buffer body; /* the tracks without the conductor */
    motet_conductor conductor;
    int64_t time_limit; /* in the file's ticks */
    int64_t events;
    int32_t tracks_out;
    int has_key;
    /* of the track being read */
    int track_repaired, named;
    size_t track_start; /* in body, of its chunk header */
    int64_t written_time;
} sanitizer;

static uint32_t big_endian(const unsigned char *p, int bytes) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}

static motet_status put_event(sanitizer *s, int64_t time, const void *bytes, size_t count) {
    MOTET_TRY(motet_chunk_delta(&s->body, time - s->written_time));
    s->written_time = time;
    return motet_chunk_put(&s->body, bytes, count);
}

/* ---- repairs --------------------------------------------------------------------------------- */

static void repair(sanitizer *s, size_t offset, const char *what) {
    motet_midi_report *report = s->report;
    if (!s->track_repaired && report->tracks) report->tracks_repaired++;
    s->track_repaired = 1;
    if (report->first_repair[0]) return;
    if (report->tracks)
        snprintf(report->first_repair, sizeof report->first_repair, "track %d: %s at byte %zu",
                 (int)report->tracks, what, offset);
    else
        snprintf(report->first_repair, sizeof report->first_repair, "%s at byte %zu", what, offset);
}

static void skip(sanitizer *s, size_t count) {
    int32_t *skipped = &s->report->bytes_skipped;
    *skipped = count > (size_t)(INT32_MAX - *skipped) ? INT32_MAX : *skipped + (int32_t)count;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int has_word(const sanitizer *s, size_t at, const char *word) {
    return at <= s->size && s->size - at >= 4 && memcmp(s->bytes + at, word, 4) == 0;
}

/* Whether a chunk, or the end of the file, can be at this offset. */
static int chunk_may_start(const sanitizer *s, size_t at) {
    if (at > s->size) return 0;
    if (s->size - at < 8 || has_word(s, at, "MTrk") || has_word(s, at, "MThd")) return 1;
    for (size_t i = 0; i < 4; i++)
        if (s->bytes[at + i] < 0x20 || s->bytes[at + i] > 0x7e) return 0;
    return big_endian(s->bytes + at + 4, 4) <= s->size - at - 8;
}

/* A variable-length quantity at *at, before limit; 0 if it is cut off. Saturates. */
static int read_quantity(sanitizer *s, uint64_t *value, size_t *at, size_t limit) {
    size_t first = *at;
    *value = 0;
    while (*at < limit) {
        unsigned byte = s->bytes[(*at)++];
        *value = *value > UINT32_MAX ? *value : *value << 7 | (byte & 0x7f);
        if (byte & 0x80) continue;
        if (*at - first > 4) repair(s, first, "a number of more than four bytes");
        return 1;
    }
    return 0;
}

/* Keeps the meta events that mean something here. type and data[0..length) are inside the file. */
static motet_status read_meta(sanitizer *s, int64_t time, unsigned char type,
                              const unsigned char *data, uint64_t length) {
    unsigned char meta[5] = {type};
    if (time > s->time_limit) return MOTET_OK;
    if (type == 0x03 && !s->named && length > 0 && time == 0) {
        unsigned char text[3 + NAME_BYTES] = {0xff, 0x03};
        text[2] = (unsigned char)(length < NAME_BYTES ? length : NAME_BYTES);
        memcpy(text + 3, data, text[2]);
        s->named = 1;
        return put_event(s, time, text, 3u + text[2]);
    }
    if (type == 0x51 && length >= 3 && big_endian(data, 3) > 0) {
        memcpy(meta + 1, data, 3);
        return motet_conductor_add(&s->conductor, time, meta, 3);
    }
    if (type == 0x58 && length >= 2 && data[0] >= 1 && data[1] <= 6) {
        memcpy(meta + 1, (unsigned char[]){data[0], data[1], 24, 8}, 4);
        return motet_conductor_add(&s->conductor, time, meta, 4);
    }
    if (type == 0x59 && length >= 2 && !s->has_key && data[1] <= 1 &&
        (data[0] <= 7 || data[0] >= 0xf9)) {
        s->has_key = 1;
        memcpy(meta + 1, data, 2);
        return motet_conductor_add(&s->conductor, time, meta, 2);
    }
    return MOTET_OK;
}

static motet_status keep_channel_event(sanitizer *s, int64_t time, size_t offset,
                                       const unsigned char event[3]) {
    int kind = event[0] >> 4, note_on = kind == 9 && event[2] > 0;
    if (kind != 8 && kind != 9 && kind != 0xc &&
        !(kind == 0xb && (event[1] == 64 || event[1] == 120 || event[1] == 123)))
        return MOTET_OK;
    if (time > s->time_limit) {
        if (note_on)
            return MOTET_FAIL(MOTET_E_DATA,
                              "%s: a note at byte %zu is more than %d quarters after the start",
                              s->name, offset, MOTET_MIDI_MAX_QUARTERS);
        time = s->time_limit; /* what only ends notes may end them there */
    }
    if (++s->events > MOTET_MIDI_MAX_EVENTS)
        return MOTET_FAIL(MOTET_E_DATA, "%s: more than %d events, at byte %zu", s->name,
                          MOTET_MIDI_MAX_EVENTS, offset);
    return put_event(s, time, event, kind == 0xc ? 2 : 3);
}

/* A system exclusive event or escape: F0 or F7, a length, and bytes. Some writers leave the length
 * out, so that the data run to F7. at is behind the status byte. */
static size_t skip_sysex(sanitizer *s, size_t at, size_t limit) {
    uint64_t length;
    size_t data = at;
    if (read_quantity(s, &length, &data, limit) && length <= limit - data) return data + length;
    const unsigned char *end = memchr(s->bytes + at, 0xf7, limit - at);
    if (end) {
        repair(s, at, "a system exclusive event with a wrong length");
        return (size_t)(end - s->bytes) + 1;
    }
    repair(s, at, "a system exclusive event that is cut off");
    skip(s, limit - at);
    return limit;
}

/* Reads the data bytes of a channel message. A byte above 127 is taken for a wrong value and not
 * for the next status, since programs write pitch -3, unless it begins End Of Track. */
enum { WRONG_DATA = -1, CUT_BY_END = -2 };
static int read_data(const sanitizer *s, unsigned char message[3], size_t *at, size_t limit) {
    int count = (message[0] >> 4) == 0xc || (message[0] >> 4) == 0xd ? 1 : 2;
    unsigned char all = 0;
    for (int i = 1; i <= count; i++) {
        if (*at == limit) return WRONG_DATA;
        if (limit - *at >= 3 && memcmp(s->bytes + *at, "\xff\x2f", 3) == 0) return CUT_BY_END;
        message[i] = s->bytes[(*at)++];
        all |= message[i];
    }
    return all & 0x80 ? WRONG_DATA : 0;
}

/* Reads events from at to End Of Track or limit; the offset behind them goes to *end. Unless the
 * limit is trusted, a track header ends the track too. */
static motet_status read_events(sanitizer *s, size_t *end, size_t at, size_t limit, int trusted) {
    int64_t time = 0;
    unsigned char status = 0; /* running status; it survives meta events, as many writers think */
    while (at < limit) {
        if (!trusted && has_word(s, at, "MTrk")) break;
        uint64_t delta;
        size_t event = at;
        if (!read_quantity(s, &delta, &at, limit) || at == limit) {
            repair(s, event, "cut off in an event");
            skip(s, limit - event);
            *end = limit;
            return MOTET_OK;
        }
        time = time + (int64_t)delta > INT64_MAX / 2 ? INT64_MAX / 2 : time + (int64_t)delta;
    resync:
        event = at;
        unsigned char first = s->bytes[at];
        if (first == 0xff) {
            uint64_t length;
            at += 2;
            if (at >= limit || !read_quantity(s, &length, &at, limit) || length > limit - at) {
                if (at <= limit && s->bytes[event + 1] == 0x2f) break; /* its length is lost */
                repair(s, event, "cut off in a meta event");
                skip(s, limit - event);
                *end = limit;
                return MOTET_OK;
            }
            if (s->bytes[event + 1] == 0x2f) {
                *end = at + length;
                return MOTET_OK;
            }
            MOTET_TRY(read_meta(s, time, s->bytes[event + 1], s->bytes + at, length));
            at += length;
            continue;
        }
        if (first == 0xf0 || first == 0xf7) {
            at = skip_sysex(s, at + 1, limit);
            continue;
        }
        if (first > 0xf0) { /* system common and real-time: not allowed here, without meaning */
            repair(s, event, "a system event outside of an escape");
            at += first == 0xf2 ? 3 : first == 0xf1 || first == 0xf3 ? 2 : 1;
            if (at > limit) at = limit;
            skip(s, at - event);
            continue;
        }
        if (first >= 0x80) {
            status = first;
            at++;
        } else if (!status) {
            repair(s, event, "data without a status byte");
            skip(s, 1);
            at++;
            continue;
        }
        unsigned char message[3] = {status, 0, 0};
        int found = read_data(s, message, &at, limit);
        if (found < 0) {
            repair(s, event, "a message with a wrong data byte or cut off");
            skip(s, at - event);
            if (found == CUT_BY_END) goto resync;
            continue;
        }
        MOTET_TRY(keep_channel_event(s, time, event, message));
    }
    repair(s, at < limit ? at : limit, "no End Of Track");
    *end = at < limit ? at : limit;
    return MOTET_OK;
}

/* Reads the track chunk at at; the offset of what follows it goes to *next. */
static motet_status read_track(sanitizer *s, size_t *next, size_t at) {
    size_t stated = big_endian(s->bytes + at + 4, 4), start = at + 8;
    int trusted = stated <= s->size - start && chunk_may_start(s, start + stated);
    size_t limit = trusted ? start + stated : s->size, end;
    s->report->tracks++;
    s->track_repaired = s->named = 0;
    s->written_time = 0;
    MOTET_TRY(motet_chunk_begin(&s->body, &s->track_start));
    MOTET_TRY(read_events(s, &end, start, limit, trusted));
    if (trusted && end < limit && has_word(s, end, "MTrk")) {
        repair(s, at + 4, "a wrong chunk length"); /* it spans several tracks */
    } else if (trusted && end < limit) {
        skip(s, limit - end);
        end = limit;
    } else if (!trusted && end != start + stated) {
        repair(s, at + 4,
               stated > s->size - start ? "a chunk longer than the file" : "a wrong chunk length");
    }
    *next = end;
    if (s->body.size == s->track_start + 8 && s->report->tracks > 1) {
        s->body.size = s->track_start; /* nothing in it */
        return MOTET_OK;
    }
    if (++s->tracks_out > MOTET_MIDI_MAX_TRACKS)
        return MOTET_FAIL(MOTET_E_DATA, "%s: more than %d tracks, at byte %zu", s->name,
                          MOTET_MIDI_MAX_TRACKS, at);
    return motet_chunk_end(&s->body, s->track_start, 0);
}

/* Finds MThd and reads it; the offset of the first chunk goes to *first. */
static motet_status read_header(sanitizer *s, size_t *first, uint32_t *division) {
    const unsigned char *found = s->size ? memmem(s->bytes, s->size, "MThd", 4) : NULL;
    if (!found)
        return MOTET_FAIL(MOTET_E_DATA, "%s: no MIDI header (MThd) in its %zu bytes", s->name,
                          s->size);
    size_t at = (size_t)(found - s->bytes);
    if (at && !(at == 20 && has_word(s, 0, "RIFF") && has_word(s, 8, "RMID"))) {
        repair(s, 0, "other material before MThd");
        skip(s, at);
    }
    if (s->size - at < 14)
        return MOTET_FAIL(MOTET_E_DATA, "%s: cut off at byte %zu, within the MIDI header", s->name,
                          s->size);
    size_t length = big_endian(found + 4, 4);
    uint32_t format = big_endian(found + 8, 2);
    *division = big_endian(found + 12, 2);
    if (format == 2)
        return MOTET_FAIL(MOTET_E_DATA,
                          "%s: format 2 (independent patterns) at byte %zu is not one piece of "
                          "music; save it as format 1",
                          s->name, at + 8);
    if (format > 2) repair(s, at + 8, "an unknown format");
    if (*division & 0x8000)
        return MOTET_FAIL(MOTET_E_DATA,
                          "%s: time in SMPTE frames at byte %zu has no beats; save it with ticks "
                          "per quarter",
                          s->name, at + 12);
    if (*division == 0) {
        repair(s, at + 12, "a division of 0");
        *division = 480;
    }
    *first = at + 14;
    if (length == 6) return MOTET_OK;
    if (length > 6 && length <= s->size - at - 8 && chunk_may_start(s, at + 8 + length))
        *first = at + 8 + length; /* a longer header is allowed */
    else
        repair(s, at + 4, "a wrong header length");
    return MOTET_OK;
}

static motet_status assemble(sanitizer *s, motet_chunk_buffer *out, uint32_t division) {
    unsigned tracks = (unsigned)s->tracks_out + 1;
    unsigned char header[14] = "MThd\0\0\0\6\0\1";
    header[10] = (unsigned char)(tracks >> 8), header[11] = (unsigned char)tracks;
    header[12] = (unsigned char)(division >> 8), header[13] = (unsigned char)division;
    MOTET_TRY(motet_chunk_put(out, header, sizeof header));
    MOTET_TRY(motet_conductor_write(out, &s->conductor));
    MOTET_TRY(motet_chunk_put(out, s->body.bytes, s->body.size));
    if (out->size > INT_MAX)
        return MOTET_FAIL(MOTET_E_DATA, "%s: more than 2 GiB of events", s->name);
    return MOTET_OK;
}

static motet_status sanitize(sanitizer *s, motet_chunk_buffer *out) {
    size_t at = 0;
    uint32_t division = 0;
    MOTET_TRY(read_header(s, &at, &division));
    s->time_limit = (int64_t)MOTET_MIDI_MAX_QUARTERS * division;
    if (s->time_limit > INT32_MAX - 1) s->time_limit = INT32_MAX - 1;
    while (at < s->size && s->size - at >= 8 && !has_word(s, at, "MThd")) {
        if (has_word(s, at, "MTrk")) {
            MOTET_TRY(read_track(s, &at, at));
            continue;
        }
        size_t next = at + 8 + (size_t)big_endian(s->bytes + at + 4, 4);
        if (!chunk_may_start(s, at) || !chunk_may_start(s, next)) {
            const unsigned char *found = memmem(s->bytes + at, s->size - at, "MTrk", 4);
            next = found ? (size_t)(found - s->bytes) : s->size;
        }
        skip(s, next - at);
        at = next;
    }
    if (at < s->size) skip(s, s->size - at);
    if (!s->report->tracks)
        return MOTET_FAIL(MOTET_E_DATA, "%s: no track (MTrk) behind the header, up to byte %zu",
                          s->name, s->size);
    /* libsmf looks at every track for every event: a bound on its time. */
    if (s->events * s->tracks_out > MAX_TRACK_EVENTS)
        return MOTET_FAIL(MOTET_E_DATA, "%s: %lld events in %d tracks are too many, up to byte %zu",
                          s->name, (long long)s->events, (int)s->tracks_out, s->size);
    uint32_t found = s->conductor.count;
    motet_conductor_tidy(&s->conductor, 500000000 / (s->events + 1));
    if (s->conductor.thinned && !s->report->first_repair[0])
        snprintf(s->report->first_repair, sizeof s->report->first_repair,
                 "%u changes of tempo and metre thinned to %u", found, s->conductor.count);
    return assemble(s, out, division);
}

motet_status motet_midi_sanitize(unsigned char **clean, size_t *clean_size,
                                 motet_midi_report *report, const unsigned char *bytes, size_t size,
                                 const char *name) {
    sanitizer s = {.bytes = bytes, .size = size, .name = name, .report = report};
    motet_chunk_buffer out = {0};
    motet_status status = sanitize(&s, &out);
    free(s.body.bytes);
    free(s.conductor.events);
    if (status != MOTET_OK) {
        free(out.bytes);
        return status;
    }
    *clean = out.bytes;
    *clean_size = out.size;
    return MOTET_OK;
}
