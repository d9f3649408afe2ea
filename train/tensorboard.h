/* tensorboard: the numbers of a run as an event file that TensorBoard reads, in the folder
 * tensorboard/ of the run directory. Each start of a trainer writes a file of its own; a resumed
 * one says from which step on older points no longer count.
 *
 * Format: records of length u64, its CRC, the data, its CRC (little-endian; CRC-32C, rotated right
 * by 15 and 0xa282ead8 added: TensorFlow's record_writer.h); the data are protocol buffers, Event
 * of TensorFlow's event.proto with the values of summary.proto.
 */
#ifndef MOTET_TENSORBOARD_H
#define MOTET_TENSORBOARD_H

#include <jansson.h>
#include <stdint.h>

#include "kernels/core/status.h"

typedef struct motet_tensorboard {
    int file; /* -1: none */
    char path[512];
} motet_tensorboard;

/* Makes the folder and a file in it. first_step: points of earlier files from there on are void. */
motet_status motet_tensorboard_open(motet_tensorboard *board, const char *run_path,
                                    int64_t first_step);
void motet_tensorboard_close(motet_tensorboard *board);

/* The numbers of a log line, at its step; nothing if it has none. MOTET_E_IO on a full disk. */
motet_status motet_tensorboard_write(motet_tensorboard *board, const json_t *line);

#endif
