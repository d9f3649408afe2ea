/* file: whole files in, whole files out.
 *
 * Reading stops at a limit, so that a wrong path cannot fill the memory. Writing never leaves half
 * a file: the bytes go to a temporary file in the same folder, are synced, and replace the old file
 * by rename; after any failure the old file is as it was and the temporary one is gone.
 */
#ifndef MOTET_DATA_FILE_H
#define MOTET_DATA_FILE_H

#include <stddef.h>

#include "kernels/core/status.h"

/* Reads a regular file or pipe to its end. *bytes is malloc'd (the caller frees it), *size long,
 * and followed by a zero byte that is not counted. MOTET_E_IO with path and reason if it cannot be
 * read, is a folder, or holds more than limit bytes. */
motet_status motet_file_read(unsigned char **bytes, size_t *size, const char *path, size_t limit);

/* Makes the file at path hold exactly these bytes, or fails with MOTET_E_IO and changes nothing.
 * The mode of an existing file is kept, a new one gets 0666 less the umask. */
motet_status motet_file_replace(const char *path, const void *bytes, size_t size);

#endif
