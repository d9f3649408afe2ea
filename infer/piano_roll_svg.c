#include <stdlib.h>
#include <string.h>

#include "data/instrument.h"
#include "infer/piano_roll.h"

enum { LEFT = 48, TOP = 64, ROW = 7, DRUM_ROWS = 6, LEGEND = 20 };

static const char *const palette[] = {"#2d6cdf", "#d9480f", "#2b8a3e", "#9c36b5", "#0c8599",
                                      "#e67700", "#c2255c", "#5f3dc4", "#495057", "#74b816"};

/* Geometry of a page: x of a tick, y of a pitch. */
typedef struct svg_page {
    double beat; /* width of a quarter */
    int lowest, highest;
} svg_page;

static double x_of(const svg_page *page, int32_t ticks) {
    return LEFT + page->beat * ticks / MOTET_TICKS_PER_QUARTER;
}

static double y_of(const svg_page *page, const motet_note *note) {
    if (note->program == MOTET_PROGRAM_DRUMS) /* a band of its own below */
        return TOP + ROW * (page->highest - page->lowest + 2 + note->pitch % DRUM_ROWS);
    return TOP + ROW * (page->highest - note->pitch);
}

static void write_text(FILE *out, const char *text) {
    for (; *text; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        default:
            /* XML has neither control characters nor U+FFFE and U+FFFF. */
            if (!strncmp(text, "\xef\xbf\xbe", 3) || !strncmp(text, "\xef\xbf\xbf", 3))
                text += 2;
            else if ((unsigned char)*text >= 0x20)
                fputc(*text, out);
        }
    }
}

static void write_bars(FILE *out, const svg_page *page, const motet_score *score,
                       const motet_analysis *analysis, double bottom) {
    for (int32_t i = 0; i < score->bar_count; i++) {
        double x = x_of(page, score->bars[i].start_ticks);
        fprintf(out,
                "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%.0f\" stroke=\"#ced4da\"/>\n"
                "<text x=\"%.1f\" y=\"%d\" fill=\"#868e96\">%d</text>\n",
                x, TOP, x, bottom, x + 2, TOP - 18, i + 1);
        char chord[16];
        if (analysis->bars[i].chord == MOTET_CHORD_NONE) continue;
        motet_chord_name(analysis->bars[i].chord, chord, sizeof chord);
        fprintf(out, "<text x=\"%.1f\" y=\"%d\" font-weight=\"bold\">", x + 2, TOP - 5);
        write_text(out, chord);
        fputs("</text>\n", out);
    }
}

static void write_page(FILE *out, const motet_score *score, const motet_analysis *analysis) {
    svg_page page = {.beat = 22, .lowest = 127, .highest = 0};
    int drums = 0, colours[MOTET_PROGRAMS], used = 0;
    for (int p = 0; p < MOTET_PROGRAMS; p++) {
        colours[p] = used % (int)(sizeof palette / sizeof *palette);
        if (analysis->programs[p].notes == 0) continue;
        used++;
        if (p == MOTET_PROGRAM_DRUMS) {
            drums = 1;
            continue;
        }
        if (analysis->programs[p].lowest < page.lowest) page.lowest = analysis->programs[p].lowest;
        if (analysis->programs[p].highest > page.highest)
            page.highest = analysis->programs[p].highest;
    }
    if (page.lowest > page.highest) page.lowest = page.highest = 60;
    int rows = page.highest - page.lowest + 1 + (drums ? DRUM_ROWS + 1 : 0);
    double bottom = TOP + ROW * rows, width = x_of(&page, motet_score_ticks(score)) + 16;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "font-family=\"sans-serif\" font-size=\"11\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n<title>",
            width, bottom + LEGEND * (used + 1));
    write_text(out, score->title);
    fprintf(out, "</title>\n<text x=\"%d\" y=\"20\" font-size=\"15\">", LEFT);
    write_text(out, score->title);
    fputs("</text>\n", out);
    for (int pitch = page.lowest; pitch <= page.highest; pitch++)
        if (pitch % 12 == 0)
            fprintf(out,
                    "<line x1=\"%d\" y1=\"%d\" x2=\"%.0f\" y2=\"%d\" stroke=\"#e9ecef\"/>\n"
                    "<text x=\"14\" y=\"%d\" fill=\"#868e96\">C%d</text>\n",
                    LEFT, TOP + ROW * (page.highest - pitch + 1), width - 16,
                    TOP + ROW * (page.highest - pitch + 1), TOP + ROW * (page.highest - pitch + 1),
                    pitch / 12 - 1);
    write_bars(out, &page, score, analysis, bottom);
    for (int32_t i = 0; i < score->note_count; i++) {
        const motet_note *note = &score->notes[i];
        double length = page.beat * note->duration_ticks / MOTET_TICKS_PER_QUARTER - 0.8;
        fprintf(out,
                "<rect x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"%d\" rx=\"1.5\" fill=\"%s\" "
                "fill-opacity=\"%.2f\"/>\n",
                x_of(&page, note->start_ticks), y_of(&page, note), length > 1 ? length : 1, ROW - 1,
                palette[colours[note->program]], 0.45 + 0.55 * note->velocity / 127.0);
    }
    double y = bottom + LEGEND;
    for (int p = 0; p < MOTET_PROGRAMS; p++) {
        if (analysis->programs[p].notes == 0) continue;
        fprintf(out,
                "<rect x=\"%d\" y=\"%.0f\" width=\"10\" height=\"10\" fill=\"%s\"/>\n"
                "<text x=\"%d\" y=\"%.0f\">%s, %d notes</text>\n",
                LEFT, y - 9, palette[colours[p]], LEFT + 16, y, motet_program_name(p),
                analysis->programs[p].notes);
        y += LEGEND;
    }
    fputs("</svg>\n", out);
}

motet_status motet_piano_roll_svg(char **svg, const motet_score *score,
                                  const motet_analysis *analysis) {
    size_t size;
    *svg = NULL;
    FILE *out = open_memstream(svg, &size);
    if (!out) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the piano roll");
    write_page(out, score, analysis);
    int failed = ferror(out);
    if (fclose(out) != 0 || failed) {
        free(*svg);
        *svg = NULL;
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the piano roll");
    }
    return MOTET_OK;
}
