/* midi_notes: note-ons and note-offs -> notes. */
#include <stdlib.h>
#include <string.h>

#include "data/midi_take.h"

#define DRUM_CHANNEL 9
#define PEDAL_MAX_QUARTERS 16 /* a pedal that is never lifted must not hold notes for ever */
#define NONE (-1)

/* A note being read. Notes of one key form a queue by next: the first on ends at the first off. */
typedef struct raw_note {
    int32_t start, end; /* the file's ticks */
    int32_t next;
    uint16_t track;
    uint8_t program, pitch, velocity;
} raw_note;

typedef struct note_reader {
    const motet_midi_take *take;
    motet_midi_report *report;
    raw_note *notes;
    int32_t count;
    /* [track][channel][pitch]: queues of sounding notes, and programs [track][channel] or NONE */
    int32_t *first, *last;
    int16_t *track_program;
    int32_t *track_end; /* time of the last event of each track */
    /* [channel][pitch]: notes that only the pedal holds */
    int32_t held[16][128];
    uint8_t pedal[16], channel_program[16];
} note_reader;

static size_t key_of(const motet_midi_event *event) {
    return ((size_t)event->track * 16 + (event->status & 15)) * 128 + event->data[0];
}

static void end_by_pedal(note_reader *r, int channel, int pitch, int32_t time) {
    for (int32_t i = r->held[channel][pitch], next; i != NONE; i = next) {
        raw_note *note = &r->notes[i];
        next = note->next;
        int64_t longest = note->start + (int64_t)PEDAL_MAX_QUARTERS * r->take->division;
        int32_t end = time < longest ? time : (int32_t)longest;
        if (end <= note->end) continue;
        note->end = end;
        r->report->notes_pedalled++;
    }
    r->held[channel][pitch] = NONE;
}

static void end_note(note_reader *r, size_t key, int channel, int32_t time) {
    int32_t i = r->first[key];
    if (i == NONE) return; /* an off without an on */
    raw_note *note = &r->notes[i];
    r->first[key] = note->next;
    note->end = time;
    if (!r->pedal[channel]) return;
    note->next = r->held[channel][note->pitch];
    r->held[channel][note->pitch] = i;
}

static void begin_note(note_reader *r, const motet_midi_event *event) {
    int channel = event->status & 15;
    int16_t own = r->track_program[event->track * 16 + channel];
    size_t key = key_of(event);
    end_by_pedal(r, channel, event->data[0], event->time);
    r->notes[r->count] = (raw_note){
        .start = event->time,
        .end = event->time,
        .next = NONE,
        .track = event->track,
        .program = channel == DRUM_CHANNEL ? MOTET_PROGRAM_DRUMS
                   : own != NONE           ? (uint8_t)own
                                           : r->channel_program[channel],
        .pitch = event->data[0],
        .velocity = event->data[1],
    };
    if (r->first[key] == NONE)
        r->first[key] = r->count;
    else
        r->notes[r->last[key]].next = r->count;
    r->last[key] = r->count++;
}

static void control(note_reader *r, const motet_midi_event *event) {
    int channel = event->status & 15;
    if (event->data[0] != 64) { /* all sound off, all notes off: of this track's notes */
        size_t base = ((size_t)event->track * 16 + (size_t)channel) * 128;
        for (size_t pitch = 0; pitch < 128; pitch++)
            while (r->first[base + pitch] != NONE)
                end_note(r, base + pitch, channel, event->time);
        if (event->data[0] == 123) return; /* the pedal outlasts all notes off, not all sound off */
    } else if (channel == DRUM_CHANNEL) {
        return;
    } else {
        r->pedal[channel] = event->data[1] >= 64;
    }
    if (event->data[0] == 120 || !r->pedal[channel])
        for (int pitch = 0; pitch < 128; pitch++)
            end_by_pedal(r, channel, pitch, event->time);
}

static void read_event(note_reader *r, const motet_midi_event *event) {
    int channel = event->status & 15;
    switch (event->status >> 4) {
    case 8:
        end_note(r, key_of(event), channel, event->time);
        break;
    case 9:
        if (event->data[1])
            begin_note(r, event);
        else
            end_note(r, key_of(event), channel, event->time);
        break;
    case 0xb:
        control(r, event);
        break;
    case 0xc:
        r->track_program[event->track * 16 + channel] = event->data[0];
        break;
    }
}

/* Ends what still sounds at the end of its track, but not before it was a quarter long. */
static void end_hanging(note_reader *r) {
    int32_t end = 0;
    for (size_t key = 0; key < (size_t)r->take->tracks * 16 * 128; key++)
        for (int32_t i = r->first[key]; i != NONE; i = r->notes[i].next) {
            raw_note *note = &r->notes[i];
            int64_t least = (int64_t)note->start + r->take->division;
            if (least > INT32_MAX) least = INT32_MAX;
            note->end = r->track_end[note->track];
            if (note->end < least) note->end = (int32_t)least;
            r->report->notes_hanging++;
        }
    for (int32_t i = 0; i < r->take->tracks; i++)
        if (r->track_end[i] > end) end = r->track_end[i];
    for (int channel = 0; channel < 16; channel++)
        for (int pitch = 0; pitch < 128; pitch++)
            end_by_pedal(r, channel, pitch, end);
}

static void read_events(note_reader *r) {
    const motet_midi_event *events = r->take->events;
    for (int32_t i = 0, group = 0; i < r->take->event_count; i++) {
        /* Programs of a channel hold for every track from the start of their tick on. */
        for (; group < r->take->event_count && events[group].time <= events[i].time; group++)
            if (events[group].status >> 4 == 0xc)
                r->channel_program[events[group].status & 15] = events[group].data[0];
        r->track_end[events[i].track] = events[i].time;
        read_event(r, &events[i]);
    }
    end_hanging(r);
}

/* Notes of one program and pitch end where the next begins: a MIDI channel could not say more. */
static void cut_overlaps(motet_score *score, motet_midi_report *report) {
    int32_t last[129][128];
    memset(last, 0xff, sizeof last);
    for (int32_t i = 0; i < score->note_count; i++) {
        motet_note *note = &score->notes[i];
        int32_t *before = &last[note->program][note->pitch];
        if (*before != NONE) {
            motet_note *sounding = &score->notes[*before];
            int32_t room = note->start_ticks - sounding->start_ticks;
            if (sounding->duration_ticks > room) {
                sounding->duration_ticks = room;
                report->notes_overlapping++;
            }
        }
        *before = i;
    }
}

static motet_status to_grid(motet_score *score, motet_midi_report *report, const note_reader *r) {
    int32_t division = r->take->division;
    score->notes = malloc((size_t)(r->count ? r->count : 1) * sizeof *score->notes);
    if (!score->notes) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d notes", (int)r->count);
    for (int32_t i = 0; i < r->count; i++) {
        const raw_note *raw = &r->notes[i];
        int32_t start = motet_midi_grid_ticks(raw->start, division);
        int32_t length = motet_midi_grid_ticks(raw->end, division) - start;
        score->notes[i] =
            (motet_note){start, length > 0 ? length : 1, raw->program, raw->pitch, raw->velocity};
    }
    score->note_count = r->count;
    motet_score_sort(score);
    report->notes_merged += r->count - score->note_count;
    cut_overlaps(score, report);
    return MOTET_OK;
}

motet_status motet_midi_notes(motet_score *score, motet_midi_report *report,
                              const motet_midi_take *take) {
    note_reader r = {.take = take, .report = report};
    size_t keys = (size_t)take->tracks * 16 * 128, ons = 0;
    for (int32_t i = 0; i < take->event_count; i++)
        ons += take->events[i].status >> 4 == 9 && take->events[i].data[1];
    r.notes = malloc((ons + 1) * sizeof *r.notes);
    r.first = malloc((keys + 1) * sizeof *r.first);
    r.last = malloc((keys + 1) * sizeof *r.last);
    r.track_program = malloc(((size_t)take->tracks * 16 + 1) * sizeof *r.track_program);
    r.track_end = calloc((size_t)take->tracks + 1, sizeof *r.track_end);
    motet_status status;
    if (r.notes && r.first && r.last && r.track_program && r.track_end) {
        memset(r.first, 0xff, keys * sizeof *r.first);
        memset(r.track_program, 0xff, (size_t)take->tracks * 16 * sizeof *r.track_program);
        memset(r.held, 0xff, sizeof r.held);
        read_events(&r);
        status = to_grid(score, report, &r);
    } else {
        status = MOTET_FAIL(MOTET_E_MEMORY, "no memory for %zu notes", ons);
    }
    free(r.notes);
    free(r.first);
    free(r.last);
    free(r.track_program);
    free(r.track_end);
    return status;
}
