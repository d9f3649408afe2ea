/* midi_sanitize: any bytes -> a Standard MIDI File that a strict reader takes.
 *
 * libsmf aborts or loses music on many files that people have, so nothing reaches it but what this
 * module wrote itself. The output is format 1: a conductor track with all tempos, time signatures
 * and the key signature of the file in order of time, then one track for each track of the input
 * that holds something (the input's first track always: its name may be the title). Tracks hold
 * notes, program changes, the controllers 64 (sustain), 120 and 123 (all off), and one name of at
 * most 120 bytes. Every other event is dropped and its delta time kept. Every status byte is
 * spelled out, every track ends in End Of Track, no delta needs more than four bytes.
 *
 * Repaired, and counted in the report: bytes before MThd, RIFF (RMID) wrapping, alien chunks, wrong
 * chunk lengths and track counts, truncated tails, missing End Of Track, running status across meta
 * and system exclusive events, data bytes without status, cut-off messages, over-long delta times,
 * division 0, bare F7 and system exclusive events of any kind. Time and memory are linear in size.
 */
#ifndef MOTET_DATA_MIDI_SANITIZE_H
#define MOTET_DATA_MIDI_SANITIZE_H

#include "data/midi_read.h"

#define MOTET_MIDI_MAX_EVENTS 4000000 /* kept events of a file */
#define MOTET_MIDI_MAX_TRACKS 1024    /* tracks with something in them */
#define MOTET_MIDI_MAX_QUARTERS 80000 /* 10,000 bars of the longest metre */

/* *clean is malloc'd, *clean_size long. name is for messages. Adds to report, which the caller has
 * zeroed. MOTET_E_DATA with name and byte offset: no MThd, cut off within it, format 2, SMPTE
 * division, no track, a note later than MOTET_MIDI_MAX_QUARTERS, or more than the limits above. */
motet_status motet_midi_sanitize(unsigned char **clean, size_t *clean_size,
                                 motet_midi_report *report, const unsigned char *bytes, size_t size,
                                 const char *name);

#endif
