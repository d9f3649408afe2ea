#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/build_parts.h"
#include "data/midi_read.h"

uint64_t motet_build_hash(const void *bytes, size_t size, uint64_t start) {
    const unsigned char *p = bytes;
    uint64_t hash = 0xcbf29ce484222325u ^ start;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ p[i]) * 0x100000001b3u;
    hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ hash >> 27) * 0x94d049bb133111ebu;
    return hash ^ hash >> 31;
}

/* Onsets, programs and intervals relative to the first note: equal for copies, transpositions, and
 * other tempos, dynamics and articulations. Drums have no intervals. */
static uint64_t note_hash(const motet_score *score) {
    int root = -1;
    uint64_t hash = (uint64_t)score->note_count;
    for (int32_t i = 0; i < score->note_count && root < 0; i++)
        if (score->notes[i].program != MOTET_PROGRAM_DRUMS) root = score->notes[i].pitch;
    for (int32_t i = 0; i < score->note_count; i++) {
        const motet_note *note = &score->notes[i];
        int drum = note->program == MOTET_PROGRAM_DRUMS;
        int32_t words[3] = {note->start_ticks - score->notes[0].start_ticks, note->program,
                            drum ? note->pitch : note->pitch - root};
        hash = motet_build_hash(words, sizeof words, hash);
    }
    return hash;
}

/* Drops the bars behind the last one whose events fit. Returns whether that was needed. */
static int cut_score(motet_score *score) {
    int32_t bars = 0, notes = 0;
    for (int32_t next = 0; bars < score->bar_count; bars++, notes = next) {
        int32_t end = bars + 1 < score->bar_count ? score->bars[bars + 1].start_ticks : INT32_MAX;
        while (next < score->note_count && score->notes[next].start_ticks < end)
            next++;
        if ((int64_t)bars + 1 + next + 1 > MOTET_BUILD_MAX_EVENTS) break;
    }
    if (bars == score->bar_count) return 0;
    int32_t end = score->bars[bars].start_ticks;
    score->bar_count = bars;
    score->note_count = notes;
    while (score->tempo_count > 1 && score->tempos[score->tempo_count - 1].start_ticks >= end)
        score->tempo_count--;
    return 1;
}

/* The reader's sentence without the path in front and with every number as N, so that a thousand
 * files truncated at a thousand places are one reason. */
static void set_reason(motet_build_result *head, const char *sentence, const char *path) {
    size_t size = strlen(path), used = 0;
    if (!strncmp(sentence, path, size) && sentence[size] == ':') sentence += size + 1;
    while (*sentence == ' ')
        sentence++;
    for (const char *p = sentence; *p && used + 2 < sizeof head->reason; p++) {
        int digit = isdigit((unsigned char)*p) != 0;
        int word = p > sentence && isalnum((unsigned char)p[-1]) && !isdigit((unsigned char)p[-1]);
        if (digit && !word) {
            head->reason[used++] = 'N';
            while (isdigit((unsigned char)p[1]))
                p++;
        } else {
            head->reason[used++] = *p;
        }
    }
    head->reason[used] = 0;
}

static void describe(motet_piece *piece, const motet_score *score, const motet_analysis *analysis) {
    piece->tempo_bpm = (float)analysis->tempo_bpm;
    piece->bars = (uint32_t)score->bar_count;
    piece->notes = (uint32_t)score->note_count;
    piece->key = analysis->key;
    int metre = motet_metre_index(analysis->metre_numerator, analysis->metre_denominator);
    piece->metre = (uint8_t)(metre < 0 ? 0 : metre);
    piece->density = analysis->density;
    for (int p = 0; p < MOTET_PROGRAMS; p++)
        if (analysis->programs[p].notes)
            piece->programs[p >> 3] = (uint8_t)(piece->programs[p >> 3] | 1u << (p & 7));
}

static motet_status write_captions(motet_build_piece *piece, const motet_score *score,
                                   const motet_analysis *analysis, const motet_build_file *file,
                                   const motet_build_options *options) {
    size_t capacity = (size_t)options->variants * MOTET_CAPTION_BYTES, used = 0;
    uint64_t base = motet_build_hash(file->key, strlen(file->key), options->seed);
    piece->captions = malloc(capacity);
    if (!piece->captions) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for captions");
    for (int k = 0; k < options->variants; k++) {
        motet_labels labels = file->labels;
        if (file->caption_count) labels.caption = file->captions[k % file->caption_count];
        char *text = piece->captions + used;
        MOTET_TRY(motet_caption_write(text, score, analysis, &labels, base + (uint64_t)k));
        int again = 0;
        for (const char *p = piece->captions; p < text && !again; p += strlen(p) + 1)
            again = !strcmp(p, text);
        if (again || !*text) continue;
        used += strlen(text) + 1;
        piece->head.caption_count++;
    }
    piece->head.caption_bytes = (int64_t)used;
    if (!used) return MOTET_FAIL(MOTET_E_DATA, "no caption could be written");
    return MOTET_OK;
}

static motet_status spell(motet_build_piece *piece, motet_score *score,
                          const motet_build_file *file, const motet_build_options *options) {
    motet_build_result *head = &piece->head;
    if (file->music_key && score->key == MOTET_NO_KEY)
        score->key = (uint8_t)motet_key_parse(file->music_key);
    motet_score_quantise(score);
    head->cut = cut_score(score);
    if (score->bar_count < MOTET_BUILD_MIN_BARS || score->note_count < MOTET_BUILD_MIN_NOTES)
        return MOTET_FAIL(MOTET_E_DATA, "too short");
    head->piece.note_hash = note_hash(score);
    motet_analysis analysis;
    MOTET_TRY(motet_analyse(&analysis, score));
    describe(&head->piece, score, &analysis);
    motet_status status = motet_events_from_score(&piece->events, &head->event_count, score);
    if (status == MOTET_OK) status = write_captions(piece, score, &analysis, file, options);
    motet_analysis_free(&analysis);
    return status;
}

void motet_build_file_read(motet_build_piece *piece, const motet_build_file *file, int64_t index,
                           const motet_build_options *options) {
    *piece = (motet_build_piece){.head = {.file = index}};
    motet_build_result *head = &piece->head;
    head->piece.source = file->source_index;
    head->piece.group = file->group_hash;
    head->piece.split = file->group_hash % 100 < (uint64_t)options->valid_percent
                            ? MOTET_SPLIT_VALID
                            : MOTET_SPLIT_TRAIN;
    motet_score score = {0};
    motet_midi_report report = {0};
    motet_status status = motet_midi_read_file(&score, &report, file->path);
    if (status == MOTET_OK) status = spell(piece, &score, file, options);
    motet_score_free(&score);
    head->repaired = report.first_repair[0] != 0;
    head->kept = status == MOTET_OK;
    if (!head->kept) {
        set_reason(head, motet_error(), file->path);
        free(piece->events);
        free(piece->captions);
        piece->events = NULL, piece->captions = NULL;
        head->event_count = head->caption_bytes = head->caption_count = 0;
    }
}

void motet_build_piece_free(motet_build_piece *piece) {
    free(piece->events);
    free(piece->captions);
    *piece = (motet_build_piece){0};
}
