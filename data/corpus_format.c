#include "data/corpus_format.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "data/sha256.h"

const motet_column motet_corpus_arrays[MOTET_ARRAYS] = {
    {"/events", 0, 'b', sizeof(motet_event)},
    {"/offsets", 0, 'q', 1},
    {"/caption_bytes", 0, 'b', 1},
    {"/caption_offsets", 0, 'q', 1},
    {"/piece_captions", 0, 'q', 1},
};

#define COLUMN(member, type, width) \
    { "/meta/" #member, offsetof(motet_piece, member), type, width }
const motet_column motet_corpus_columns[MOTET_COLUMNS] = {
    COLUMN(tempo_bpm, 'f', 1), COLUMN(bars, 'w', 1),      COLUMN(notes, 'w', 1),
    COLUMN(key, 'b', 1),       COLUMN(metre, 'b', 1),     COLUMN(density, 'b', 1),
    COLUMN(split, 'b', 1),     COLUMN(source, 'h', 1),    COLUMN(programs, 'b', 17),
    COLUMN(group, 'q', 1),     COLUMN(note_hash, 'q', 1),
};

_Static_assert(sizeof(motet_event) == 8, "an event is a row of eight bytes");
_Static_assert(sizeof(((motet_piece *)0)->programs) == 17, "one bit a program");

hid_t motet_column_native(const motet_column *column) {
    switch (column->type) {
    case 'f':
        return H5T_NATIVE_FLOAT;
    case 'b':
        return H5T_NATIVE_UINT8;
    case 'h':
        return H5T_NATIVE_UINT16;
    case 'w':
        return H5T_NATIVE_UINT32;
    default:
        return H5T_NATIVE_UINT64;
    }
}

hid_t motet_column_stored(const motet_column *column) {
    switch (column->type) {
    case 'f':
        return H5T_IEEE_F32LE;
    case 'b':
        return H5T_STD_U8LE;
    case 'h':
        return H5T_STD_U16LE;
    case 'w':
        return H5T_STD_U32LE;
    default:
        return H5T_STD_U64LE;
    }
}

size_t motet_column_bytes(const motet_column *column) {
    size_t one = column->type == 'b' ? 1 : column->type == 'h' ? 2 : column->type == 'q' ? 8 : 4;
    return one * column->width;
}

void motet_corpus_tables_hash(char hex[MOTET_CORPUS_TABLES_HEX]) {
    static const int32_t SIZES[] = {
        MOTET_TICKS_PER_QUARTER,
        MOTET_EVENT_TYPES,
        MOTET_METRES,
        MOTET_TEMPOS,
        MOTET_CHORDS,
        MOTET_SECTIONS,
        MOTET_ECHOES,
        MOTET_DENSITIES,
        MOTET_POSITIONS,
        MOTET_PROGRAMS,
        MOTET_PITCHES,
        MOTET_DURATIONS,
        MOTET_VELOCITIES,
    };
    char text[2048];
    int used = 0;
#define ADD(...) used += snprintf(text + used, sizeof text - (size_t)used, __VA_ARGS__)
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++)
        ADD("%d,", SIZES[i]);
    for (int i = 0; i < MOTET_METRES; i++) {
        int numerator, denominator;
        motet_metre_at(i, &numerator, &denominator);
        ADD("%d/%d,", numerator, denominator);
    }
    for (int i = 0; i < MOTET_DURATIONS; i++)
        ADD("%d,", motet_duration_ticks(i));
    for (int i = 0; i < MOTET_ECHOES; i++)
        ADD("%d,", motet_echo_bars(i));
    for (int i = 0; i < MOTET_DENSITIES; i++)
        ADD("%d,", motet_density_notes_min(i));
    /* Tempos are real numbers: hundredths of a bpm are the same on every machine. */
    for (int i = 0; i < MOTET_TEMPOS; i++)
        ADD("%.2f,", motet_tempo_bpm(i));
#undef ADD
    unsigned char digest[MOTET_SHA256_BYTES];
    char full[MOTET_SHA256_HEX];
    motet_sha256 hash;
    motet_sha256_init(&hash);
    motet_sha256_update(&hash, text, (size_t)used);
    motet_sha256_final(digest, &hash);
    motet_sha256_hex(full, digest);
    memcpy(hex, full, MOTET_CORPUS_TABLES_HEX - 1);
    hex[MOTET_CORPUS_TABLES_HEX - 1] = 0;
}

void motet_corpus_quiet(void) {
    H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/* Keeps the innermost description and any errno that a driver wrote into one. */
typedef struct innermost {
    char text[160];
    int error;
} innermost;

static herr_t keep_innermost(unsigned n, const H5E_error2_t *error, void *user) {
    innermost *kept = user;
    (void)n;
    if (!error->desc) return 0;
    snprintf(kept->text, sizeof kept->text, "%s", error->desc);
    const char *number = strstr(error->desc, "errno = ");
    if (number) sscanf(number, "errno = %d", &kept->error);
    return 0;
}

motet_status motet_corpus_fail(motet_status code, const char *path, const char *what) {
    innermost kept = {.text = "no reason given"};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_innermost, &kept);
    H5Eclear2(H5E_DEFAULT);
    if (kept.error)
        return MOTET_FAIL(MOTET_E_IO, "%s: cannot %s: %s", path, what, strerror(kept.error));
    return MOTET_FAIL(code, "%s: cannot %s (HDF5: %s)", path, what, kept.text);
}
