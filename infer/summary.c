#include "infer/summary.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <langinfo.h>

#include "data/instrument.h"
#include "infer/piano_roll.h"

static int columns_of(FILE *stream) {
    const char *text = getenv("COLUMNS");
    int columns = text ? (int)strtol(text, NULL, 10) : 80;
    (void)stream;
    return columns < 40 ? 38 : columns > 80 ? 78 : columns - 2;
}

static void print_roll(FILE *stream, const motet_take *take) {
    int unicode = !strcmp(nl_langinfo(CODESET), "UTF-8");
    int colour = isatty(fileno(stream)) && !getenv("NO_COLOR");
    motet_piano_roll_print(stream, &take->score, columns_of(stream) - 2, unicode ? 7 : 10, unicode,
                           colour);
}

void motet_summary_print(FILE *stream, const motet_take *take, const char *file) {
    const motet_score *score = &take->score;
    const motet_analysis *analysis = &take->analysis;
    const motet_plan *plan = &take->plan;
    fprintf(stream, "%s\n", *score->title ? score->title : "motet");
    print_roll(stream, take);
    fprintf(stream, "  bars        %d of %d/%d%s, %d min %02d s\n", score->bar_count,
            analysis->metre_numerator, analysis->metre_denominator,
            plan->metre >= 0 ? "" : " (chosen)", (int)analysis->seconds / 60,
            (int)analysis->seconds % 60);
    fprintf(stream, "  key         %s\n", motet_key_name(plan->key));
    fprintf(stream, "  tempo       %.4g bpm, %s%s\n", analysis->tempo_bpm, analysis->tempo_word,
            plan->tempo_bpm > 0 ? "" : " (chosen)");
    int shown = 0;
    for (int p = 0; p < MOTET_PROGRAMS; p++) {
        if (analysis->programs[p].notes == 0) continue;
        if (++shown <= 6)
            fprintf(stream, "  %-11s %s, %d notes\n", shown == 1 ? "instruments" : "",
                    motet_program_name(p), analysis->programs[p].notes);
    }
    if (shown > 6) fprintf(stream, "              and %d more\n", shown - 6);
    fprintf(stream, "  notes       %d\n", score->note_count);
    if (take->stats.prompt_truncated)
        fprintf(stream, "  prompt      only the first %d tokens were heard\n",
                take->stats.prompt_tokens);
    fprintf(stream, "  seed        %llu\n", (unsigned long long)take->request->seed);
    fprintf(stream, "  written     %s, in %.2f s\n", file ? file : "to standard output",
            take->stats.encode_seconds + take->stats.generate_seconds);
}

void motet_summary_json(FILE *stream, const motet_take *take, const char *file) {
    const motet_score *score = &take->score;
    const motet_analysis *analysis = &take->analysis;
    const motet_generation_stats *stats = &take->stats;
    char metre[32];
    snprintf(metre, sizeof metre, "%d/%d", analysis->metre_numerator, analysis->metre_denominator);
    json_t *programs = json_array();
    for (int p = 0; p < MOTET_PROGRAMS; p++)
        if (analysis->programs[p].notes > 0)
            json_array_append_new(programs, json_pack("{s:i, s:s, s:i}", "program", p, "name",
                                                      motet_program_name(p), "notes",
                                                      analysis->programs[p].notes));
    json_t *asked = json_array();
    for (int i = 0; i < take->plan.controls.program_count; i++)
        json_array_append_new(asked, json_integer(take->plan.controls.programs[i]));
    json_t *controls =
        json_pack("{s:i, s:i, s:s, s:i, s:i, s:o}", "tempo_bin", take->plan.controls.tempo, "metre",
                  take->plan.controls.metre, "key", motet_key_name(take->plan.key), "bars",
                  take->plan.bars, "density", take->plan.controls.density, "programs", asked);
    json_t *drawing = json_pack(
        "{s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "events", (json_int_t)stats->events, "fields_drawn",
        (json_int_t)stats->drawn_fields, "events_rejected", (json_int_t)stats->rejected,
        "events_forced", (json_int_t)stats->forced, "legal_mass",
        stats->legal_mass / (double)(stats->accepted_fields ? stats->accepted_fields : 1),
        "encode_seconds", stats->encode_seconds, "generate_seconds", stats->generate_seconds);
    json_t *all = json_pack(
        "{s:s, s:s?, s:I, s:i, s:s, s:s, s:s, s:f, s:f, s:i, s:o, s:o, s:o, s:s}", "prompt",
        take->request->prompt, "file", file, "seed", (json_int_t)take->request->seed, "bars",
        score->bar_count, "metre", metre, "key", motet_key_name(take->plan.key), "key_heard",
        motet_key_name(analysis->key), "tempo_bpm", analysis->tempo_bpm, "seconds",
        analysis->seconds, "notes", score->note_count, "instruments", programs, "controls",
        controls, "drawing", drawing, "model", take->model_hash);
    if (all) {
        json_dumpf(all, stream, JSON_INDENT(2));
        fputc('\n', stream);
    }
    json_decref(all);
}
