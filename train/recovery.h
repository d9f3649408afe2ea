/* recovery: which checkpoint a run goes on from when nobody looks at it.
 */
#ifndef MOTET_RECOVERY_H
#define MOTET_RECOVERY_H

#include <limits.h>

#include "train/run_directory.h"
#include "train/train_state.h"

/* Path of the checkpoint to go on from: the one that `latest` names if it is whole (manifest,
 * sizes, SHA-256 of its files), otherwise the newest whole one before it; without a usable
 * `latest`, the newest whole one. Each that is damaged is warned of (log.h) and set aside as
 * step-N.damaged. "" if the run has no checkpoint at all. MOTET_E_DATA if it has some and none is
 * whole, MOTET_E_USAGE if they belong to other settings, another encoder or (unless other_corpus)
 * other corpora. */
motet_status motet_recovery_find(char path[PATH_MAX], const motet_run_directory *run,
                                 const motet_state_context *context, int other_corpus);

#endif
