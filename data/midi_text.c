/* midi_text: text of any make from MIDI files -> a printable line of UTF-8. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

#include "data/instrument.h"
#include "data/midi_take.h"

size_t motet_midi_text_cut(const char *text, size_t limit) {
    size_t length = strnlen(text, limit + 1);
    if (length <= limit) return length;
    size_t cut = limit;
    while (cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
        cut--;
    return cut ? cut : limit; /* not UTF-8: anywhere will do */
}

static int is_utf8(const unsigned char *text, size_t length) {
    for (size_t at = 0; at < length;) {
        utf8proc_int32_t point;
        utf8proc_ssize_t step =
            utf8proc_iterate(text + at, (utf8proc_ssize_t)(length - at), &point);
        if (step <= 0) {
            /* A name is cut off at a number of bytes: a character begun at the end is no proof. */
            return length - at < 4 && at > 0 && text[at] >= 0xc2 && length >= 100;
        }
        at += (size_t)step;
    }
    return 1;
}

static int is_printable(utf8proc_int32_t point) {
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return 0;
    default:
        return point != 0xfffd;
    }
}

void motet_midi_text(char *buffer, size_t size, const unsigned char *text, size_t length) {
    int utf8 = is_utf8(text, length), gap = 0;
    size_t used = 0;
    for (size_t at = 0; at < length;) {
        utf8proc_int32_t point = text[at];
        utf8proc_ssize_t step = 1;
        if (utf8) step = utf8proc_iterate(text + at, (utf8proc_ssize_t)(length - at), &point);
        if (step <= 0) break; /* the cut-off character */
        at += (size_t)step;
        if (point == ' ' || point == 0xa0 || (point >= '\t' && point <= '\r')) {
            gap = used > 0;
            continue;
        }
        if (!is_printable(point)) continue;
        utf8proc_uint8_t bytes[4];
        size_t count = (size_t)utf8proc_encode_char(point, bytes);
        if (used + (size_t)gap + count > size - 1) break;
        if (gap) buffer[used++] = ' ';
        gap = 0;
        memcpy(buffer + used, bytes, count);
        used += count;
    }
    buffer[used] = 0;
}

/* Whether word stands in text alone or followed by other things than letters ("Track 1:"). */
static int names_nothing(const char *text) {
    static const char *const words[] = {
        "untitled",  "unnamed",       "no title",      "track",        "tempo track", "tempo",
        "conductor", "control track", "control",       "master track", "master",      "midi",
        "sequence",  "song",          "new song",      "global",       "score",       "staff",
        "part",      "voice",         "new midi file", "midi out",     "channel",     "instrument",
        "noname",    "sequenced by",  "seq",           "meta",         "metatrack",   "meta track",
        "solo",      "melody",        "chords",        "right hand",   "left hand",   "mma",
        "upper",     "lower",         "untitled song",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);
        if (strncasecmp(text, words[i], length)) continue;
        const char *rest = text + length;
        while (*rest && !isalpha((unsigned char)*rest) && (unsigned char)*rest < 0x80)
            rest++;
        if (!*rest) return 1;
    }
    return 0;
}

int motet_midi_text_is_title(const char *text) {
    int letters = 0;
    for (const char *p = text; *p; p++)
        letters += isalpha((unsigned char)*p) || (unsigned char)*p >= 0x80;
    if (letters < 2 || names_nothing(text)) return 0;
    if (text[0] == '/' || text[0] == '~' || strchr(text, '\\')) return 0; /* a path */
    /* "Violin 2", "Piano, right hand", "Flute (1)": an instrument's name in front of a number or
     * of punctuation. */
    char word[128];
    size_t length = 0;
    while (text[length] && length < sizeof word - 1 &&
           (isalpha((unsigned char)text[length]) || (unsigned char)text[length] >= 0x80 ||
            strchr(" -&'", text[length])))
        length++;
    memcpy(word, text, length);
    while (length && word[length - 1] == ' ')
        length--;
    word[length] = 0;
    return length == 0 || motet_program_parse(word, NULL) < 0;
}
