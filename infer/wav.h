/* wav: MIDI to sound through the FluidSynth program, if it is installed. */
#ifndef MOTET_WAV_H
#define MOTET_WAV_H

#include <stddef.h>

#include "kernels/core/status.h"

/* Renders a MIDI file's bytes to a WAV file. soundfont NULL: the first of Debian's usual ones.
 * Written beside the target and renamed: on failure an old file stays. MOTET_E_UNSUPPORTED, with
 * the line that installs it, if FluidSynth or a soundfont is missing; MOTET_E_IO where the target
 * cannot be written or the soundfont not be read, MOTET_E_DATA if it is none. */
motet_status motet_wav_write(const char *path, const unsigned char *midi, size_t size,
                             const char *soundfont);

#endif
