/* dsr_jsoncheck.h - is it one minified JSON value, as json columns demand? (docs/dsr-format.md,
 * section 3.2)
 *
 * Walks the bytes once, keeps nothing but a bit per level. `spool`, when given, is released behind
 * the walk; `base` is where p lies in it.
 */
#ifndef DS_DSR_JSONCHECK_H
#define DS_DSR_JSONCHECK_H

#include "spool.h"

#define DS_JSON_DEPTH 128

/* NULL when all is well; else what is wrong, at *at. */
const char *ds_jsoncheck(const uint8_t *p, size_t len, ds_spool *spool, size_t base, size_t *at);

#endif
