/* field_codec: events as the model spells them. The model lives in one key: pitches and chord roots
 * are relative to the key's tonic, major and relative minor alike (C major and A minor are shift
 * 0), so that what is learnt in one key holds in all twelve. An event becomes a type and up to six
 * field symbols; drums have pitch symbols of their own.
 */
#ifndef MOTET_FIELD_CODEC_H
#define MOTET_FIELD_CODEC_H

#include "data/events.h"

/* The fields of all event types in the order in which the field decoder draws them. */
enum {
    MOTET_FIELD_TYPE,
    MOTET_FIELD_BAR = 1, /* + MOTET_BAR_METRE ... MOTET_BAR_DENSITY */
    MOTET_FIELD_NOTE = MOTET_FIELD_BAR + MOTET_BAR_FIELDS, /* + MOTET_NOTE_POSITION ... */
    MOTET_FIELDS = MOTET_FIELD_NOTE + MOTET_NOTE_FIELDS
};

#define MOTET_PITCH_SYMBOLS (2 * MOTET_PITCHES) /* 0..127 relative to the key, 128.. drums */

/* Number of symbols of a field, and where it starts in a table that joins all fields. */
int motet_field_size(int field);
int motet_field_offset(int field);
int motet_field_total(void);

/* "type", "metre", ... */
const char *motet_field_name(int field);

/* First field and number of fields of an event type: BAR (1, 6), NOTE (7, 5), others (0, 0). */
void motet_type_fields(int type, int *first, int *count);

/* Semitones that the key stands above C major / A minor, folded to -5..6; 0 for MOTET_NO_KEY. */
int motet_key_shift(int key);

/* Symbols of an event in a key: symbols[0] the type, then its fields; returns their number. A
 * melodic pitch that the shift takes out of 0..127 is folded by octaves. */
int motet_event_symbols(int32_t symbols[7], const motet_event *event, int shift);

/* The inverse. Symbols out of range are the caller's error. A pitch symbol beyond 0..127 once
 * shifted back is folded by octaves, too; generation masks such symbols out. */
void motet_event_from_symbols(motet_event *event, const int32_t symbols[7], int shift);

#endif
