/* accounts.h - what a command says at its end: what went in, what came out, and what did not.
 *
 * All on standard error. A held record was left out or put aside; a part of the input that failed
 * holds nobody knows how many.
 */
#ifndef DS_ACCOUNTS_H
#define DS_ACCOUNTS_H

#include "badlog.h"

#include <jansson.h>

/* "dsprep text: 3 input = 3 output + 0 held + 0 failed"; the line is not ended. */
void ds_accounts_say(const char *command, uint64_t output, const ds_badlog *bad);
/* The same as an object, by the reasons that `counts` has. NULL without memory. */
json_t *ds_accounts_json(const char *command, uint64_t output, const ds_badlog *bad,
                         const ds_counts *counts);
/* Counts by reason. NULL without memory. */
json_t *ds_accounts_reasons(const ds_reason *v, size_t n);
/* An object as a line of JSON; takes it over. NULL: it says that memory was lacking. */
void ds_accounts_print(json_t *o);

#endif
