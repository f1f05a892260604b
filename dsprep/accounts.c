/* accounts.c - see accounts.h. */
#include "accounts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void ds_accounts_say(const char *command, uint64_t output, const ds_badlog *bad)
{
    fprintf(stderr,
            "%s: %" PRIu64 " input = %" PRIu64 " output + %" PRIu64 " held + %" PRIu64 " failed",
            command, output + bad->held + bad->failed, output, bad->held, bad->failed);
}

json_t *ds_accounts_reasons(const ds_reason *v, size_t n)
{
    json_t *o = json_object();
    for (size_t i = 0; o && i < n; i++)
        (void)json_object_set_new(o, v[i].reason, json_integer((json_int_t)v[i].count));
    return o;
}

json_t *ds_accounts_json(const char *command, uint64_t output, const ds_badlog *bad,
                         const ds_counts *counts)
{
    return json_pack("{s:s,s:s,s:I,s:I,s:o,s:o}", "type", "summary", "command", command, "input",
                     (json_int_t)(output + bad->held + bad->failed), "output", (json_int_t)output,
                     "held", ds_accounts_reasons(counts->held, counts->nheld), "failed",
                     ds_accounts_reasons(counts->failed, counts->nfailed));
}

void ds_accounts_print(json_t *o)
{
    char *line = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    fprintf(stderr, "%s\n", line ? line : "{\"type\":\"summary\",\"error\":\"out of memory\"}");
    free(line);
    json_decref(o);
}
