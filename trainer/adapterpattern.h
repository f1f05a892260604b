/* adapterpattern.h - what a PEFT config has for some modules and not for others: its rank_pattern
 * and alpha_pattern, objects of regular expressions and numbers.
 *
 * An expression is one of whole names of modules, or of where they end behind a dot; the first that
 * matches counts. It may come from a stranger: matching has limits.
 */
#ifndef DS_ADAPTERPATTERN_H
#define DS_ADAPTERPATTERN_H

#include <jansson.h>

#include "error.h"

/* patterns: NULL, null or an object, called `what`; otherwise: where none of it matches. A number
 * must be more than 0. */
int ds_adapter_number(double *out, const json_t *patterns, const char *what, const char *module,
                      double otherwise, ds_err *err);

#endif
