#include "tests/train/harness_corpus.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/core/rng.h"

enum { MOST_EVENTS = 4096 };

static const int programs[] = {0, 40, 73, 24};
static const char *const names[] = {"piano", "violin", "flute", "guitar"};
static const char *const tempo_words[] = {"slow", "walking", "fast"};
static const int tempos[] = {22, 31, 39};

static motet_event event(int type, int a, int b, int c, int d, int e, int f) {
    return (motet_event){
        .type = (uint8_t)type,
        .field = {(uint8_t)a, (uint8_t)b, (uint8_t)c, (uint8_t)d, (uint8_t)e, (uint8_t)f}};
}

/* One bar: a note a beat, the root first. */
static int bar(motet_event *out, motet_rng *rng, int metre, int beats, int tempo, int program) {
    int root = (int)motet_rng_below(rng, 3) * 5 % 12, count = 0;
    out[count++] = event(MOTET_EVENT_BAR, metre, tempo, root, (int)motet_rng_below(rng, 2), 0,
                         motet_density_level(beats));
    for (int b = 0; b < beats; b++) {
        static const int chord_steps[] = {0, 4, 7};
        int pitch = 60 + root + (b == 0 ? 0 : chord_steps[motet_rng_below(rng, 3)]);
        out[count++] = event(MOTET_EVENT_NOTE, 24 * b, program, pitch, 23, 20 + (b == 0), 0);
    }
    return count;
}

static int piece_events(motet_event *events, motet_piece *piece, char *caption, size_t size,
                        int index, int bars) {
    motet_rng rng = motet_rng_make(77, (uint64_t)index);
    int which = (int)motet_rng_below(&rng, 4), speed = (int)motet_rng_below(&rng, 3);
    int waltz = (int)motet_rng_below(&rng, 2), beats = waltz ? 3 : 4, count = 0;
    int metre = motet_metre_index(beats, 4);
    for (int b = 0; b < bars; b++)
        count += bar(events + count, &rng, metre, beats, tempos[speed], programs[which]);
    events[count++] = event(MOTET_EVENT_END, 0, 0, 0, 0, 0, 0);
    *piece = (motet_piece){.tempo_bpm = (float)motet_tempo_bpm(tempos[speed]),
                           .bars = (uint32_t)bars,
                           .notes = (uint32_t)(bars * beats),
                           .key = 0,
                           .metre = (uint8_t)metre,
                           .density = (uint8_t)motet_density_level(beats),
                           .split = index % 5 == 4 ? MOTET_SPLIT_VALID : MOTET_SPLIT_TRAIN,
                           .group = (uint64_t)index,
                           .note_hash = (uint64_t)index + 1};
    piece->programs[programs[which] >> 3] |= (uint8_t)(1 << (programs[which] & 7));
    snprintf(caption, size, "a %s %s for %s", tempo_words[speed], waltz ? "waltz" : "march",
             names[which]);
    return count;
}

void corpus_make(const char *path, int pieces, int bars) {
    static const char *const sources[] = {"synthetic"};
    static motet_event events[MOST_EVENTS];
    motet_corpus_writer *writer;
    assert_true(bars * 5 + 1 <= MOST_EVENTS);
    if (motet_corpus_writer_open(&writer, path, sources, 1, 0) != MOTET_OK)
        fail_msg("%s", motet_error());
    for (int i = 0; i < pieces; i++) {
        motet_piece piece;
        char caption[200];
        const char *captions[] = {caption};
        int count = piece_events(events, &piece, caption, sizeof caption, i, bars);
        if (motet_corpus_append(writer, &piece, events, count, captions, 1) != MOTET_OK)
            fail_msg("%s", motet_error());
    }
    if (motet_corpus_writer_close(writer) != MOTET_OK) fail_msg("%s", motet_error());
}

void corpus_folder_make(char *path, size_t size) {
    const char *base = getenv("TMPDIR");
    snprintf(path, size, "%s/motet-test-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(path)) fail_msg("%s: %m", path);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info, (void)kind, (void)where;
    return remove(path);
}

void corpus_folder_remove(const char *path) {
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
