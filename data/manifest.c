#include "data/manifest.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "data/file.h"

#define BYTES_MAX ((size_t)256 << 20)

static motet_status check_text(const char *text, size_t size, const char *path) {
    int64_t line = 1;
    for (size_t at = 0; at < size;) {
        int32_t c;
        utf8proc_ssize_t step = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                                 (utf8proc_ssize_t)(size - at), &c);
        if (step <= 0 || c == 0)
            return MOTET_FAIL(MOTET_E_DATA, "%s: line %lld is not UTF-8 text (byte %zu)", path,
                              (long long)line, at);
        line += c == '\n';
        at += (size_t)step;
    }
    return MOTET_OK;
}

/* Ends the line that starts here; returns the next one, or NULL if this is the last. */
static char *cut_line(char *line) {
    char *end = strchr(line, '\n');
    if (end) *end++ = 0;
    size_t size = strlen(line);
    if (size && line[size - 1] == '\r') line[size - 1] = 0;
    return end;
}

static int cut_cells(char **cells, int most, char *line) {
    int count = 0;
    for (char *p = line; p; count++) {
        if (count < most) cells[count] = p;
        p = strchr(p, '\t');
        if (p) *p++ = 0;
    }
    return count;
}

static motet_status cut_table(motet_manifest *m, const char *path) {
    char *names[MOTET_MANIFEST_COLUMNS], *line = m->text;
    if (!strncmp(line, "\xef\xbb\xbf", 3)) line += 3;
    if (!*line) return MOTET_FAIL(MOTET_E_DATA, "%s: it is empty; it needs a header row", path);
    int64_t lines = 0, number = 1;
    for (const char *p = line; p; p = strchr(p, '\n'), p += p != NULL)
        lines++;
    char *next = cut_line(line);
    m->columns = cut_cells(names, MOTET_MANIFEST_COLUMNS, line);
    if (m->columns > MOTET_MANIFEST_COLUMNS)
        return MOTET_FAIL(MOTET_E_DATA, "%s: %d columns are more than %d", path, m->columns,
                          MOTET_MANIFEST_COLUMNS);
    m->names = malloc((size_t)m->columns * sizeof *m->names);
    m->cells = calloc((size_t)lines * (size_t)m->columns, sizeof *m->cells);
    if (!m->names || !m->cells)
        return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for %lld lines", path, (long long)lines);
    memcpy(m->names, names, (size_t)m->columns * sizeof *names);
    while ((line = next)) {
        next = cut_line(line);
        number++;
        if (!*line) continue;
        char **row = m->cells + m->rows * m->columns;
        int cells = cut_cells(row, m->columns, line);
        if (cells > m->columns)
            return MOTET_FAIL(MOTET_E_DATA, "%s: line %lld has %d cells, the header has %d", path,
                              (long long)number, cells, m->columns);
        m->rows++;
    }
    return MOTET_OK;
}

motet_status motet_manifest_read(motet_manifest *m, const char *path) {
    *m = (motet_manifest){0};
    unsigned char *bytes;
    size_t size;
    MOTET_TRY(motet_file_read(&bytes, &size, path, BYTES_MAX));
    m->text = (char *)bytes;
    motet_status status = check_text(m->text, size, path);
    if (status == MOTET_OK) status = cut_table(m, path);
    if (status != MOTET_OK) motet_manifest_free(m);
    return status;
}

void motet_manifest_free(motet_manifest *m) {
    free(m->text);
    free(m->cells);
    free(m->names);
    *m = (motet_manifest){0};
}

int motet_manifest_column(const motet_manifest *m, const char *name) {
    for (int i = 0; i < m->columns; i++)
        if (!strcmp(m->names[i], name)) return i;
    return -1;
}

const char *motet_manifest_cell(const motet_manifest *m, int64_t row, int column) {
    if (column < 0 || column >= m->columns || row < 0 || row >= m->rows) return NULL;
    const char *cell = m->cells[row * m->columns + column];
    return cell && *cell ? cell : NULL;
}
