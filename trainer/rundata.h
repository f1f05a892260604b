/* rundata.h - the datasets that a run has open: those that it trains on, as its description tells
 * them, and those that it evaluates on. What is opened is the trainer's.
 */
#ifndef DS_RUNDATA_H
#define DS_RUNDATA_H

#include "trainer.h"

/* Of the model's tokenizer, all of them. A run that is gone on with, or computed again, leaves out
 * what it left out. */
int ds_rundata_open(ds_trainer *t, ds_err *err);
/* Evaluation changes no weight, but where it may stop a run it is part of what came out: the rule,
 * and the roots of the records that it looks at. */
int ds_rundata_early_stop(ds_trainer *t, ds_err *err);
void ds_rundata_close(ds_trainer *t); /* also of one that was not opened */

#endif
