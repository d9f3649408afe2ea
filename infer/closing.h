/* closing: whether a last bar sounds like an end. Nearly all written music ends on the tonic's
 * triad; a model that draws note by note often forgets to, and the last bar is cheap to draw again.
 */
#ifndef MOTET_CLOSING_H
#define MOTET_CLOSING_H

#include <stdint.h>

#include "data/events.h"

/* notes: the count notes of the last bar, in order. 1 if the last note in the lowest octave is the
 * tonic and the notes that sound on at its end belong to the tonic's triad; also if nothing but
 * drums plays. key: 0..23. */
int motet_closing_is_firm(const motet_event *notes, int64_t count, int key);

#endif
