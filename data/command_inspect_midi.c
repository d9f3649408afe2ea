#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/analysis.h"
#include "data/command.h"
#include "data/instrument.h"
#include "data/midi_read.h"

/* Sections in order with their lengths in bars: "A8 B8 A8". */
static void spell_form(char *text, int size, const motet_analysis *a) {
    int used = 0;
    text[0] = 0;
    for (int32_t i = 0; i < a->bar_count && used < size - 16;) {
        int32_t first = i;
        int section = a->bars[i].section;
        while (i < a->bar_count && a->bars[i].section == section)
            i++;
        used += snprintf(text + used, (size_t)(size - used), "%s%c%d", used ? " " : "",
                         section == MOTET_SECTION_NONE ? '-' : 'A' + section, i - first);
    }
}

static void spell_chords(char *text, int size, const motet_analysis *a, int bars) {
    int used = 0;
    text[0] = 0;
    for (int32_t i = 0; i < a->bar_count && i < bars && used < size - 20; i++) {
        char name[16] = "-";
        if (a->bars[i].chord != MOTET_CHORD_NONE)
            motet_chord_name(a->bars[i].chord, name, sizeof name);
        used += snprintf(text + used, (size_t)(size - used), "%s%s", used ? " | " : "", name);
    }
}

static void print_text(const char *path, const motet_score *s, const motet_analysis *a,
                       const motet_midi_report *r) {
    char form[400], chords[400];
    spell_form(form, sizeof form, a);
    spell_chords(chords, sizeof chords, a, 16);
    printf("%s%s%s\n", path, s->title[0] ? ": " : "", s->title);
    printf("  tempo       %.1f bpm (%s)%s\n", a->tempo_bpm, a->tempo_word,
           s->tempo_count > 1 ? ", changing" : "");
    printf("  metre       %d/%d\n", a->metre_numerator, a->metre_denominator);
    printf("  key         %s (clearness %.2f, %.0f %% of the time outside it)\n",
           motet_key_name(a->key), (double)a->key_clearness, 100.0 * (double)a->out_of_key_share);
    printf("  length      %d bars, %d notes, %.1f s\n", s->bar_count, s->note_count, a->seconds);
    printf("  density     %.1f notes a bar (level %d), %.1f at once; %.0f %% of the bars silent\n",
           (double)a->notes_per_bar, a->density, (double)a->polyphony,
           100.0 * (double)a->silent_share);
    printf("  repetition  %.0f %% of the bars echo an earlier one\n",
           100.0 * (double)a->repeated_share);
    printf("  form        %s\n  chords      %s\n", form, chords);
    printf("  instruments\n");
    for (int p = 0; p < MOTET_PROGRAMS; p++)
        if (a->programs[p].notes)
            printf("    %3d %-24s %6d notes, pitches %d..%d\n", p + 1, motet_program_name(p),
                   a->programs[p].notes, a->programs[p].lowest, a->programs[p].highest);
    printf("  file        %d tracks, %d repaired, %d bytes skipped%s%s\n", r->tracks,
           r->tracks_repaired, r->bytes_skipped, r->first_repair[0] ? ": " : "", r->first_repair);
    printf("              notes: %d hanging, %d overlapping, %d merged, %d pedalled; %d metres "
           "split, pickup %d ticks\n",
           r->notes_hanging, r->notes_overlapping, r->notes_merged, r->notes_pedalled,
           r->metres_split, r->pickup_ticks);
}

static json_t *make_json(const char *path, const motet_score *s, const motet_analysis *a,
                         const motet_midi_report *r) {
    char form[400], metre[16];
    spell_form(form, sizeof form, a);
    snprintf(metre, sizeof metre, "%d/%d", a->metre_numerator, a->metre_denominator);
    json_t *programs = json_array(), *bars = json_array();
    for (int p = 0; p < MOTET_PROGRAMS; p++)
        if (a->programs[p].notes)
            json_array_append_new(
                programs, json_pack("{s:i,s:s,s:i,s:i,s:i}", "program", p, "name",
                                    motet_program_name(p), "notes", a->programs[p].notes, "lowest",
                                    a->programs[p].lowest, "highest", a->programs[p].highest));
    for (int32_t i = 0; i < a->bar_count; i++) {
        char chord[16];
        motet_chord_name(a->bars[i].chord, chord, sizeof chord);
        json_array_append_new(
            bars, json_pack("{s:s,s:i,s:i,s:i}", "chord", chord, "section", a->bars[i].section,
                            "echo", motet_echo_bars(a->bars[i].echo), "notes", a->bars[i].notes));
    }
    json_t *repairs = json_pack(
        "{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:s}", "tracks", r->tracks, "tracks_repaired",
        r->tracks_repaired, "bytes_skipped", r->bytes_skipped, "notes_hanging", r->notes_hanging,
        "notes_overlapping", r->notes_overlapping, "notes_merged", r->notes_merged,
        "notes_pedalled", r->notes_pedalled, "metres_split", r->metres_split, "pickup_ticks",
        r->pickup_ticks, "first_repair", r->first_repair);
    return json_pack(
        "{s:s,s:s,s:f,s:s,s:i,s:s,s:s,s:f,s:f,s:i,s:i,s:f,s:f,s:i,s:f,s:f,s:f,s:s,"
        "s:o,s:o,s:o}",
        "file", path, "title", s->title, "tempo_bpm", a->tempo_bpm, "tempo_word", a->tempo_word,
        "tempo_changes", s->tempo_count - 1, "metre", metre, "key", motet_key_name(a->key),
        "key_clearness", (double)a->key_clearness, "out_of_key_share", (double)a->out_of_key_share,
        "bars", s->bar_count, "notes", s->note_count, "seconds", a->seconds, "notes_per_bar",
        (double)a->notes_per_bar, "density", a->density, "polyphony", (double)a->polyphony,
        "silent_share", (double)a->silent_share, "repeated_share", (double)a->repeated_share,
        "form", form, "programs", programs, "bar_list", bars, "reading", repairs);
}

motet_status motet_inspect_midi(const char *path, int json) {
    motet_score score = {0};
    motet_midi_report report = {0};
    motet_analysis analysis = {0};
    motet_status status = motet_midi_read_file(&score, &report, path);
    if (status == MOTET_OK) status = motet_analyse(&analysis, &score);
    if (status == MOTET_OK && !json) print_text(path, &score, &analysis, &report);
    if (status == MOTET_OK && json) {
        json_t *object = make_json(path, &score, &analysis, &report);
        if (!object || json_dumpf(object, stdout, JSON_INDENT(2)))
            status = MOTET_FAIL(MOTET_E_DATA, "%s: its title or name is not UTF-8", path);
        else
            putchar('\n');
        json_decref(object);
    }
    motet_analysis_free(&analysis);
    motet_score_free(&score);
    return status;
}
