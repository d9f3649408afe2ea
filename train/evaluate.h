/* evaluate: losses on fixed windows of the validation split, nothing dropped. */
#ifndef MOTET_EVALUATE_H
#define MOTET_EVALUATE_H

#include "train/training.h"

/* Sums over train.eval_batches batches: the same windows each time, whatever train.seed is. The
 * training's batch and input are overwritten, its state is not. MOTET_E_USAGE if the corpora hold
 * nothing out. */
motet_status motet_evaluate(motet_losses *losses, motet_training *training);

#endif
