/* runname.c - see runname.h. */
#include "runname.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"

#define NAME_MAX_LEN 48 /* of a ledger's: 16 digits for each of its numbers */

/* ---- parts of a name, which *s goes behind ---- */

static bool word(const char **s, const char *w)
{
    const size_t n = strlen(w);
    const bool is = strncmp(*s, w, n) == 0;

    *s += is ? n : 0;
    return is;
}

/* As %0*u writes it. */
static bool number(const char **s, ptrdiff_t digits, uint64_t *v)
{
    const char *from = *s;

    return ds_digits_next(s, v) && (*s - from == digits || (*s - from > digits && *from != '0'));
}

/* ---- names ---- */

void ds_checkpoint_name(char out[32], uint64_t step)
{
    snprintf(out, 32, "step-%06" PRIu64, step);
}

bool ds_checkpoint_parse_name(const char *name, uint64_t *step)
{
    return word(&name, "step-") && number(&name, 6, step) && !*name;
}

void ds_ledger_name(char out[48], uint64_t first, uint64_t last)
{
    snprintf(out, NAME_MAX_LEN, "ledger-%06" PRIu64 "-%06" PRIu64 ".dsr", first, last);
}

bool ds_ledger_parse_name(const char *name, uint64_t *first, uint64_t *last)
{
    return strlen(name) < NAME_MAX_LEN && word(&name, "ledger-") && number(&name, 6, first) &&
           word(&name, "-") && number(&name, 6, last) && word(&name, ".dsr") && !*name;
}

void ds_stretch_name(char out[48], uint64_t n, uint64_t from)
{
    snprintf(out, NAME_MAX_LEN, "%04" PRIu64 "-from-%06" PRIu64, n, from);
}

bool ds_stretch_parse_name(const char *name, uint64_t *n, uint64_t *from)
{
    return number(&name, 4, n) && *n && word(&name, "-from-") && number(&name, 6, from) && !*name;
}
