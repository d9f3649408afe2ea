#include "data/midi_read.h"

#include <stdlib.h>
#include <string.h>

#include "data/file.h"
#include "data/midi_sanitize.h"
#include "data/midi_smf.h"
#include "data/midi_take.h"

#define MAX_FILE_BYTES ((size_t)64 << 20)

static int key_from_signature(const unsigned char *data) {
    int sharps = (signed char)data[0], major = ((sharps * 7) % 12 + 12) % 12;
    return data[1] ? 12 + (major + 9) % 12 : major;
}

/* Takes one event of the conductor track. Both lists have room for all of its events. */
static void take_conductor(motet_midi_take *take, motet_score *score, const smf_event_t *event) {
    const unsigned char *data = event->midi_buffer;
    int32_t tick = motet_midi_grid_ticks(event->time_pulses, take->division);
    if (data[0] != 0xff) return;
    if (data[1] == 0x51) {
        double bpm = 60e6 / (double)(data[3] << 16 | data[4] << 8 | data[5]);
        motet_tempo *tempos = score->tempos, tempo = {tick, CLAMP(bpm, 4.0, 1000.0)};
        if (score->tempo_count && tempos[score->tempo_count - 1].start_ticks == tick)
            score->tempo_count--;
        if (!score->tempo_count || tempos[score->tempo_count - 1].bpm != tempo.bpm)
            tempos[score->tempo_count++] = tempo;
    } else if (data[1] == 0x58) {
        motet_metre_change metre = {tick, data[3], 1 << data[4]};
        if (take->metres[take->metre_count - 1].start_ticks == tick) take->metre_count--;
        take->metres[take->metre_count++] = metre;
    } else if (data[1] == 0x59) {
        score->key = (uint8_t)key_from_signature(data + 3);
    }
}

static void take_title(motet_score *score, smf_track_t *track, int others_have_notes) {
    char title[sizeof score->title] = "";
    int has_notes = 0;
    for (int i = 1; i <= track->number_of_events; i++) {
        const smf_event_t *event = smf_track_get_event_by_number(track, i);
        const unsigned char *data = event->midi_buffer;
        if (data[0] == 0xff && data[1] == 0x03)
            motet_midi_text(title, sizeof title, data + 3, data[2]);
        has_notes |= data[0] >> 4 == 9;
    }
    /* The name of one part among several is that part's. */
    if ((!has_notes || !others_have_notes) && motet_midi_text_is_title(title))
        memcpy(score->title, title, sizeof title);
}

static motet_status fill_take(motet_midi_take *take, motet_score *score, smf_t *smf) {
    int64_t total = 0;
    int others_have_notes = 0;
    for (int i = 1; i <= smf->number_of_tracks; i++) {
        smf_track_t *track = smf_get_track_by_number(smf, i);
        total += track->number_of_events;
        for (int k = 1; i > 2 && !others_have_notes && k <= track->number_of_events; k++)
            others_have_notes = smf_track_get_event_by_number(track, k)->midi_buffer[0] >> 4 == 9;
    }
    smf_track_t *conductor = smf_get_track_by_number(smf, 1);
    size_t changes = (size_t)conductor->number_of_events + 2;
    take->tracks = smf->number_of_tracks;
    take->division = smf->ppqn;
    take->events = malloc((size_t)(total + 1) * sizeof *take->events);
    take->metres = malloc(changes * sizeof *take->metres);
    score->tempos = malloc(changes * sizeof *score->tempos);
    if (!take->events || !take->metres || !score->tempos)
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %lld events", (long long)total);
    score->key = MOTET_NO_KEY;
    score->tempos[score->tempo_count++] = (motet_tempo){0, 120};
    take->metres[take->metre_count++] = (motet_metre_change){0, 4, 4};
    for (int k = 1; k <= conductor->number_of_events; k++)
        take_conductor(take, score, smf_track_get_event_by_number(conductor, k));
    if (smf->number_of_tracks > 1)
        take_title(score, smf_get_track_by_number(smf, 2), others_have_notes);

    smf_rewind(smf);
    for (smf_event_t *event; (event = smf_get_next_event(smf));) {
        const unsigned char *data = event->midi_buffer;
        if (data[0] >= 0xf0) continue;
        take->events[take->event_count++] = (motet_midi_event){
            event->time_pulses,
            (uint16_t)(event->track_number - 1),
            data[0],
            {data[1], event->midi_buffer_length > 2 ? data[2] : 0},
        };
    }
    return MOTET_OK;
}

static motet_status read_clean(motet_score *score, motet_midi_report *report,
                               const unsigned char *clean, size_t size, const char *name) {
    motet_smf_silence();
    smf_t *smf = smf_load_from_memory(clean, (int)size);
    if (!smf) return MOTET_FAIL(MOTET_E_DATA, "%s: libsmf cannot read it, even repaired", name);
    motet_midi_take take = {0};
    motet_status status = fill_take(&take, score, smf);
    motet_smf_delete(smf);
    if (status == MOTET_OK) status = motet_midi_notes(score, report, &take);
    if (status == MOTET_OK && score->note_count == 0)
        status =
            MOTET_FAIL(MOTET_E_DATA, "%s: no notes in its %d tracks", name, (int)report->tracks);
    if (status == MOTET_OK) status = motet_midi_bars(score, report, &take, name);
    free(take.events);
    free(take.metres);
    return status;
}

motet_status motet_midi_read(motet_score *score, motet_midi_report *report,
                             const unsigned char *bytes, size_t size, const char *name) {
    motet_midi_report unused;
    if (!report) report = &unused;
    memset(report, 0, sizeof *report);
    memset(score, 0, sizeof *score);
    unsigned char *clean;
    size_t clean_size;
    MOTET_TRY(motet_midi_sanitize(&clean, &clean_size, report, bytes, size, name));
    motet_status status = read_clean(score, report, clean, clean_size, name);
    free(clean);
    if (status != MOTET_OK) motet_score_free(score);
    return status;
}

motet_status motet_midi_read_file(motet_score *score, motet_midi_report *report, const char *path) {
    unsigned char *bytes;
    size_t size;
    memset(score, 0, sizeof *score);
    MOTET_TRY(motet_file_read(&bytes, &size, path, MAX_FILE_BYTES));
    motet_status status = motet_midi_read(score, report, bytes, size, path);
    free(bytes);
    return status;
}
