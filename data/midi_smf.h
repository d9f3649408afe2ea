/* midi_smf: what using libsmf safely takes. For the MIDI reader and writer alone. */
#ifndef MOTET_DATA_MIDI_SMF_H
#define MOTET_DATA_MIDI_SMF_H

#include <smf.h>

/* Drops libsmf's own messages, which would go to standard error. Any thread, any number of times.
 */
void motet_smf_silence(void);

/* smf_delete in linear time. */
void motet_smf_delete(smf_t *smf);

#endif
