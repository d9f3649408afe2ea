/* manifest: a table in a text file: tab-separated, UTF-8, the first line names the columns. Used
 * for MANIFEST.tsv (labels of the files in a folder) and for lists of captions.
 */
#ifndef MOTET_DATA_MANIFEST_H
#define MOTET_DATA_MANIFEST_H

#include <stdint.h>

#include "kernels/core/status.h"

#define MOTET_MANIFEST_COLUMNS 64

typedef struct motet_manifest {
    char *text;   /* the file, cut into cells */
    char **cells; /* [rows * columns] */
    char **names; /* [columns] */
    int64_t rows; /* without the header */
    int columns;
} motet_manifest;

/* MOTET_E_IO if it cannot be read, MOTET_E_DATA naming file and line if it is empty, not UTF-8, or
 * a row has more cells than the header. Missing cells at a row's end are empty; empty lines are
 * skipped. */
motet_status motet_manifest_read(motet_manifest *manifest, const char *path);
void motet_manifest_free(motet_manifest *manifest);

/* The column of that name, or -1. */
int motet_manifest_column(const motet_manifest *manifest, const char *name);

/* A cell; NULL if it is empty or column is -1. Valid until free. */
const char *motet_manifest_cell(const motet_manifest *manifest, int64_t row, int column);

#endif
