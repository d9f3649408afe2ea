/* fuzz_midi: any bytes through sanitiser, libsmf, grid, writer and back. Whatever is read must be a
 * score as data/score.h promises it, and must come back the same from our own file.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined ... tests/fuzz/fuzz_midi.c
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/events.h"
#include "data/midi_read.h"
#include "data/midi_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds) {
    if (!holds) abort();
}

static void check_score(const motet_score *score) {
    int32_t tick = 0;
    check(score->note_count > 0 && score->bar_count > 0 && score->tempo_count > 0);
    check(score->bar_count <= 10000 && score->tempos[0].start_ticks == 0);
    for (int32_t i = 0; i < score->bar_count; i++) {
        const motet_bar *bar = &score->bars[i];
        check(bar->start_ticks == tick);
        check(motet_metre_index(bar->numerator, bar->denominator) >= 0);
        check(bar->tempo_bpm >= 4 && bar->tempo_bpm <= 1000);
        tick += motet_metre_ticks(bar->numerator, bar->denominator);
    }
    for (int32_t i = 0; i < score->note_count; i++) {
        const motet_note *note = &score->notes[i], *last = note - 1;
        check(note->start_ticks >= 0 && note->start_ticks < tick && note->duration_ticks >= 1);
        check(note->program <= 128 && note->pitch <= 127);
        check(note->velocity >= 1 && note->velocity <= 127);
        check(i == 0 || last->start_ticks < note->start_ticks ||
              (last->start_ticks == note->start_ticks &&
               (last->program < note->program ||
                (last->program == note->program && last->pitch < note->pitch))));
    }
    for (int32_t i = 1; i < score->tempo_count; i++)
        check(score->tempos[i].start_ticks > score->tempos[i - 1].start_ticks);
    check(strnlen(score->title, sizeof score->title) < sizeof score->title);
    check(score->notes[0].start_ticks <
          motet_metre_ticks(score->bars[0].numerator, score->bars[0].denominator));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    motet_score score, again;
    motet_midi_report report;
    if (motet_midi_read(&score, &report, data, size, "fuzz") != MOTET_OK) {
        check(motet_error()[0] != 0);
        return 0;
    }
    check_score(&score);
    unsigned char *bytes;
    size_t count;
    if (motet_midi_write(&bytes, &count, &score, NULL) == MOTET_OK) {
        check(motet_midi_read(&again, &report, bytes, count, "ours") == MOTET_OK);
        check(report.first_repair[0] == 0);
        check_score(&again);
        check(again.note_count == score.note_count && again.bar_count == score.bar_count);
        for (int32_t i = 0; i < score.note_count; i++) {
            const motet_note *a = &score.notes[i], *b = &again.notes[i];
            check(a->start_ticks == b->start_ticks && a->duration_ticks == b->duration_ticks &&
                  a->program == b->program && a->pitch == b->pitch && a->velocity == b->velocity);
        }
        motet_score_free(&again);
        free(bytes);
    }
    motet_score_free(&score);
    return 0;
}
