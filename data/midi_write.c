#include "data/midi_write.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <smf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/analysis.h"
#include "data/file.h"
#include "data/instrument.h"
#include "data/midi_smf.h"
#include "data/midi_take.h"

#define DRUM_CHANNEL 9
#define MELODIC_CHANNELS 15
#define TEXT_BYTES 127 /* the longest that libsmf writes */
#define PULSES (MOTET_MIDI_PPQ / MOTET_TICKS_PER_QUARTER)
#define MAX_TICKS (INT32_MAX / PULSES / 2)

/* Adds an event; the track owns it. Events must come in order of time. */
static motet_status add(smf_track_t *track, int32_t ticks, const void *bytes, int count) {
    smf_event_t *event = smf_event_new_from_pointer((void *)(uintptr_t)bytes, count);
    if (!event) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a MIDI event");
    smf_track_add_event_pulses(track, event, ticks * PULSES);
    return MOTET_OK;
}

static motet_status add_text(smf_track_t *track, int type, const char *text, size_t length) {
    unsigned char bytes[3 + TEXT_BYTES] = {0xff, (unsigned char)type, (unsigned char)length};
    memcpy(bytes + 3, text, length);
    return add(track, 0, bytes, (int)length + 3);
}

static motet_status add_track(smf_track_t **track, smf_t *smf) {
    *track = smf_track_new();
    if (!*track) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a MIDI track");
    smf_add_track(smf, *track);
    return MOTET_OK;
}

static motet_status end_track(smf_track_t *track, int32_t end) {
    if (smf_track_add_eot_pulses(track, end * PULSES))
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a MIDI event");
    return MOTET_OK;
}

/* ---- conductor ------------------------------------------------------------------------------- */

static motet_status add_texts(smf_track_t *track, const motet_midi_texts *texts) {
    for (int i = 0; texts && i < texts->count; i++)
        for (const char *text = texts->lines[i]; *text;) {
            size_t piece = motet_midi_text_cut(text, TEXT_BYTES);
            MOTET_TRY(add_text(track, 0x01, text, piece));
            text += piece;
        }
    return MOTET_OK;
}

static motet_status add_metre(smf_track_t *track, const motet_bar *bar) {
    int power = 0;
    while (1 << power < bar->denominator)
        power++;
    /* Clocks (24 a quarter) of the metronome: the written beat, or three of them in compound time.
     */
    int beat = 96 / bar->denominator;
    if (bar->denominator >= 8 && bar->numerator % 3 == 0) beat *= 3;
    unsigned char bytes[] = {
        0xff, 0x58, 4, bar->numerator, (unsigned char)power, (unsigned char)beat, 8};
    return add(track, bar->start_ticks, bytes, sizeof bytes);
}

static motet_status add_tempo(smf_track_t *track, const motet_tempo *tempo) {
    long micros = lround(60e6 / tempo->bpm);
    if (micros > 0xffffff) micros = 0xffffff;
    if (micros < 1) micros = 1;
    unsigned char bytes[] = {0xff,
                             0x51,
                             3,
                             (unsigned char)(micros >> 16),
                             (unsigned char)(micros >> 8),
                             (unsigned char)micros};
    return add(track, tempo->start_ticks, bytes, sizeof bytes);
}

static motet_status add_conductor(smf_t *smf, const motet_score *score,
                                  const motet_midi_texts *texts, int32_t end) {
    smf_track_t *track;
    MOTET_TRY(add_track(&track, smf));
    if (score->title[0])
        MOTET_TRY(
            add_text(track, 0x03, score->title, motet_midi_text_cut(score->title, TEXT_BYTES)));
    MOTET_TRY(add_texts(track, texts));
    if (score->key < 24) {
        unsigned char bytes[] = {0xff, 0x59, 2, (unsigned char)motet_key_signature(score->key),
                                 score->key >= 12};
        MOTET_TRY(add(track, 0, bytes, sizeof bytes));
    }
    /* Metres and tempos merged by time: adding out of order makes libsmf sort the whole map. */
    int32_t bar = 0, tempo = 0;
    while (bar < score->bar_count || tempo < score->tempo_count) {
        if (bar < score->bar_count &&
            (tempo == score->tempo_count ||
             score->bars[bar].start_ticks <= score->tempos[tempo].start_ticks)) {
            const motet_bar *this = &score->bars[bar], *last = this - 1;
            if (bar == 0 || this->numerator != last->numerator ||
                this->denominator != last->denominator)
                MOTET_TRY(add_metre(track, this));
            bar++;
        } else {
            MOTET_TRY(add_tempo(track, &score->tempos[tempo++]));
        }
    }
    return end_track(track, end);
}

/* ---- channels -------------------------------------------------------------------------------- */

/* Which programs sound, and on which channel each is. */
typedef struct channel_plan {
    uint8_t used[129], channel[129], shared[129];
} channel_plan;

/* Whether two programs have notes that sound, or end and begin, at the same time. The notes are in
 * order; one pass keeps the latest end of each. */
static int programs_meet(const motet_score *score, int a, int b) {
    int64_t end[2] = {-1, -1};
    for (int32_t i = 0; i < score->note_count; i++) {
        const motet_note *note = &score->notes[i];
        if (note->program != a && note->program != b) continue;
        int which = note->program == b;
        if (end[!which] >= note->start_ticks) return 1;
        int64_t ends = (int64_t)note->start_ticks + note->duration_ticks;
        if (ends > end[which]) end[which] = ends;
    }
    return 0;
}

static motet_status plan_channels(channel_plan *plan, const motet_score *score) {
    memset(plan, 0, sizeof *plan);
    for (int32_t i = 0; i < score->note_count; i++)
        plan->used[score->notes[i].program] = 1;
    int first[MELODIC_CHANNELS], count = 0, melodic = 0;
    for (int program = 0; program < MOTET_PROGRAM_DRUMS; program++)
        melodic += plan->used[program];
    for (int program = 0; program < MOTET_PROGRAM_DRUMS; program++) {
        if (!plan->used[program]) continue;
        int slot = count;
        if (count == MELODIC_CHANNELS) { /* share with programs that are silent meanwhile */
            for (slot = 0; slot < MELODIC_CHANNELS; slot++) {
                int channel = plan->channel[first[slot]], meets = 0;
                for (int other = 0; other < program && !meets; other++)
                    meets = plan->used[other] && plan->channel[other] == channel &&
                            programs_meet(score, other, program);
                if (!meets) break;
            }
            if (slot == MELODIC_CHANNELS)
                return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                                  "%d instruments are more than the %d channels of a MIDI file can "
                                  "carry at once; use fewer",
                                  melodic, MELODIC_CHANNELS);
            plan->shared[program] = plan->shared[first[slot]] = 1;
            for (int other = 0; other < program; other++)
                if (plan->used[other] && plan->channel[other] == plan->channel[first[slot]])
                    plan->shared[other] = 1;
            plan->channel[program] = plan->channel[first[slot]];
            continue;
        }
        first[count++] = program;
        plan->channel[program] = (uint8_t)(slot < DRUM_CHANNEL ? slot : slot + 1);
    }
    plan->channel[MOTET_PROGRAM_DRUMS] = DRUM_CHANNEL;
    return MOTET_OK;
}

/* ---- notes ----------------------------------------------------------------------------------- */

typedef struct note_edge {
    int32_t ticks;
    uint8_t on, pitch, velocity; /* offs sort before ons */
} note_edge;

static int by_time(const void *left, const void *right) {
    const note_edge *a = left, *b = right;
    if (a->ticks != b->ticks) return a->ticks < b->ticks ? -1 : 1;
    if (a->on != b->on) return a->on - b->on;
    return a->pitch - b->pitch;
}

static motet_status add_notes(smf_track_t *track, note_edge *edges, const motet_score *score,
                              int program, const channel_plan *plan) {
    unsigned char channel = plan->channel[program];
    int32_t count = 0;
    for (int32_t i = 0; i < score->note_count; i++) {
        const motet_note *note = &score->notes[i];
        if (note->program != program) continue;
        int32_t length = note->duration_ticks > 0 ? note->duration_ticks : 1;
        edges[count++] = (note_edge){note->start_ticks, 1, note->pitch, note->velocity};
        edges[count++] = (note_edge){note->start_ticks + length, 0, note->pitch, 64};
    }
    qsort(edges, (size_t)count, sizeof *edges, by_time);
    int sounding = 0;
    unsigned char change[] = {(unsigned char)(0xc0 | channel), (unsigned char)program};
    if (program != MOTET_PROGRAM_DRUMS && !plan->shared[program])
        MOTET_TRY(add(track, 0, change, sizeof change));
    for (int32_t i = 0; i < count; i++) {
        const note_edge *edge = &edges[i];
        /* On a shared channel another program may have been set since this one fell silent. */
        if (plan->shared[program] && edge->on && !sounding)
            MOTET_TRY(add(track, edge->ticks, change, sizeof change));
        sounding += edge->on ? 1 : -1;
        unsigned char bytes[] = {(unsigned char)((edge->on ? 0x90 : 0x80) | channel), edge->pitch,
                                 edge->velocity};
        MOTET_TRY(add(track, edge->ticks, bytes, sizeof bytes));
    }
    return MOTET_OK;
}

static motet_status check(const motet_score *score) {
    for (int32_t i = 0; i < score->note_count; i++) {
        const motet_note *note = &score->notes[i];
        if (note->program > MOTET_PROGRAM_DRUMS || note->pitch > 127 || note->velocity < 1 ||
            note->velocity > 127 || note->start_ticks < 0 ||
            (int64_t)note->start_ticks + note->duration_ticks > MAX_TICKS)
            return MOTET_FAIL(MOTET_E_USAGE, "note %d of the score is none that MIDI can hold",
                              (int)i);
    }
    if (score->bar_count < 1 || motet_score_ticks(score) > MAX_TICKS)
        return MOTET_FAIL(MOTET_E_USAGE, "a score of %d bars cannot be written as MIDI",
                          (int)score->bar_count);
    for (int32_t i = 0; i < score->tempo_count; i++)
        if (!(score->tempos[i].bpm > 0) || score->tempos[i].start_ticks < 0 ||
            score->tempos[i].start_ticks > MAX_TICKS)
            return MOTET_FAIL(MOTET_E_USAGE, "tempo %d of the score is none that MIDI can hold",
                              (int)i);
    return MOTET_OK;
}

static motet_status fill(smf_t *smf, const motet_score *score, const motet_midi_texts *texts,
                         note_edge *edges) {
    channel_plan plan;
    MOTET_TRY(plan_channels(&plan, score));
    if (smf_set_format(smf, 1) || smf_set_ppqn(smf, MOTET_MIDI_PPQ))
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "libsmf takes no %d ticks a quarter",
                          MOTET_MIDI_PPQ);
    int32_t end = motet_score_ticks(score);
    for (int32_t i = 0; i < score->note_count; i++) {
        int32_t stop = score->notes[i].start_ticks + score->notes[i].duration_ticks;
        if (stop > end) end = stop;
    }
    MOTET_TRY(add_conductor(smf, score, texts, end));
    for (int program = 0; program <= MOTET_PROGRAM_DRUMS; program++) {
        if (!plan.used[program]) continue;
        smf_track_t *track;
        MOTET_TRY(add_track(&track, smf));
        const char *name = motet_program_name(program);
        MOTET_TRY(add_text(track, 0x03, name, strlen(name)));
        MOTET_TRY(add_notes(track, edges, score, program, &plan));
        MOTET_TRY(end_track(track, end));
    }
    return MOTET_OK;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* libsmf saves to a path only: give it that of a file in memory, or of one in the temporary folder
 * where there is no such thing. */
static motet_status save(unsigned char **bytes, size_t *size, smf_t *smf) {
    char path[64];
    int fd = memfd_create("motet", MFD_CLOEXEC), in_memory = fd >= 0;
    if (in_memory) snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (in_memory && access(path, W_OK)) {
        close(fd);
        in_memory = 0;
    }
    if (!in_memory) {
        snprintf(path, sizeof path, "/tmp/motet-XXXXXX");
        fd = mkstemp(path);
        if (fd < 0)
            return MOTET_FAIL(MOTET_E_IO, "%s: cannot make a temporary file: %s", path,
                              strerror(errno));
    }
    motet_status status = MOTET_OK;
    if (smf_save(smf, path))
        status = MOTET_FAIL(MOTET_E_IO, "libsmf cannot write the MIDI file to %s", path);
    if (status == MOTET_OK) status = motet_file_read(bytes, size, path, SIZE_MAX / 4);
    if (!in_memory) unlink(path);
    close(fd);
    return status;
}

motet_status motet_midi_write(unsigned char **bytes, size_t *size, const motet_score *score,
                              const motet_midi_texts *texts) {
    MOTET_TRY(check(score));
    motet_smf_silence();
    smf_t *smf = smf_new();
    note_edge *edges = malloc(((size_t)score->note_count * 2 + 1) * sizeof *edges);
    motet_status status;
    if (smf && edges)
        status = fill(smf, score, texts, edges);
    else
        status = MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d notes", (int)score->note_count);
    if (status == MOTET_OK) status = save(bytes, size, smf);
    free(edges);
    if (smf) motet_smf_delete(smf);
    return status;
}

motet_status motet_midi_write_file(const char *path, const motet_score *score,
                                   const motet_midi_texts *texts) {
    unsigned char *bytes;
    size_t size;
    MOTET_TRY(motet_midi_write(&bytes, &size, score, texts));
    motet_status status = motet_file_replace(path, bytes, size);
    free(bytes);
    return status;
}
