/* adapterpattern.c - see adapterpattern.h. */
#include "adapterpattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <math.h>
#include <pcre2.h>
#include <string.h>

#include "buf.h"
#include "try.h"

#define STEPS 1000000   /* of matching a name */
#define HEAP (4u << 10) /* KiB */

static int wrong(const char *what, const char *pattern, int code, ds_err *err)
{
    PCRE2_UCHAR text[128] = "";

    pcre2_get_error_message(code, text, sizeof text);
    return ds_fail(err, DS_FAIL, "%s: the expression '%.80s': %s", what, pattern,
                   (const char *)text);
}

/* *yes: does the expression match the name? */
static int matches(bool *yes, const char *pattern, const char *name, const char *what, ds_err *err)
{
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_match_data *found = pcre2_match_data_create(1, NULL);
    pcre2_code *re = NULL;
    PCRE2_SIZE at;
    ds_buf b = {0};
    int code = 0, rc = limits && found && !ds_buf_printf(&b, "(?:.*\\.)?(?:%s)$", pattern)
                           ? 0
                           : ds_fail_nomem(err);

    if (!rc && !(re = pcre2_compile(b.data, b.len, PCRE2_ANCHORED, &code, &at, NULL)))
        rc = wrong(what, pattern, code, err);
    if (!rc) {
        pcre2_set_match_limit(limits, STEPS);
        pcre2_set_heap_limit(limits, HEAP);
        code = pcre2_match(re, (PCRE2_SPTR)name, strlen(name), 0, 0, found, limits);
        *yes = code >= 0;
        if (code < 0 && code != PCRE2_ERROR_NOMATCH)
            rc = wrong(what, pattern, code, err);
    }
    pcre2_code_free(re);
    pcre2_match_data_free(found);
    pcre2_match_context_free(limits);
    ds_buf_fini(&b);
    return rc;
}

int ds_adapter_number(double *out, const json_t *patterns, const char *what, const char *module,
                      double otherwise, ds_err *err)
{
    json_t *all = (json_t *)(uintptr_t)patterns, *v; /* which is not changed */
    const char *key;

    *out = otherwise;
    json_object_foreach(all, key, v)
    {
        const double x = json_number_value(v);
        bool yes = false;
        if (!(x > 0) || !isfinite(x))
            return ds_fail(err, DS_FAIL, "%s: of '%.80s' it has no number above 0", what, key);
        TRY(matches(&yes, key, module, what, err));
        if (yes) {
            *out = x;
            return 0;
        }
    }
    return 0;
}
