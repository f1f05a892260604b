/* logbook.c - how far the files of logs were read; see logtail.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "logtail.h"

void ds_logbook_fini(ds_logbook *b)
{
    for (size_t i = 0; i < b->n; i++)
        free(b->v[i].log);
    free(b->v);
    *b = (ds_logbook){0};
}

static int put_part(ds_buf *out, const ds_logpart *p, bool first)
{
    char sha[65];
    ds_sha_hex(sha, &p->sha);
    int rc =
        ds_buf_puts(out, first ? "\n{\"log\":" : ",\n{\"log\":") |
        ds_json_str(out, p->log, strlen(p->log)) |
        ds_buf_printf(out,
                      ",\"bytes\":%" PRIu64 ",\"sha256\":\"%s\",\"done\":%s,\"device\":%" PRIu64
                      ",\"inode\":%" PRIu64,
                      p->taken, sha, p->done ? "true" : "false", p->dev, p->ino);
    if (p->year)
        rc |= ds_buf_printf(out, ",\"year\":%d,\"month\":%d", p->year, p->month);
    return rc | ds_buf_puts(out, "}");
}

int ds_logbook_put(ds_buf *out, const ds_logbook *b, ds_err *err)
{
    size_t done = 0, skip;
    bool first = true;
    for (size_t i = 0; i < b->n; i++)
        done += b->v[i].done && !b->v[i].pipe;
    skip = done > DS_TAIL_KEPT ? done - DS_TAIL_KEPT : 0;
    int rc = ds_buf_puts(out, "{\"format\":1,\"logs\":[");
    for (size_t i = 0; !rc && i < b->n; i++) {
        const ds_logpart *p = &b->v[i];
        if (p->pipe || (p->done && skip > 0)) {
            skip -= !p->pipe;
            continue;
        }
        rc = put_part(out, p, first);
        first = false;
    }
    rc = rc ? rc : ds_buf_puts(out, "]}\n");
    return rc ? ds_fail_nomem(err) : 0;
}

static int64_t number(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return json_is_integer(v) ? json_integer_value(v) : 0;
}

static bool read_part(ds_logpart *p, const json_t *o)
{
    const char *log = json_string_value(json_object_get(o, "log"));
    const char *sha = json_string_value(json_object_get(o, "sha256"));
    const int64_t taken = number(o, "bytes");
    if (!log || !sha || taken < 0 || !ds_sha_parse(&p->sha, sha, strlen(sha)))
        return false;
    p->taken = (uint64_t)taken;
    p->done = json_is_true(json_object_get(o, "done"));
    p->dev = (uint64_t)number(o, "device");
    p->ino = (uint64_t)number(o, "inode");
    p->year = (int)number(o, "year");
    p->month = (int)number(o, "month");
    return (p->log = strdup(log)) != NULL;
}

int ds_logbook_read(ds_logbook *b, const void *p, size_t len, const char *path, ds_err *err)
{
    json_t *o = NULL, *logs, *v;
    size_t i;
    int rc = ds_json_parse(&o, p, len, path, err);
    logs = json_object_get(o, "logs");
    if (!rc && (number(o, "format") != 1 || !json_is_array(logs)))
        rc = ds_fail(err, DS_CORRUPT, "%s: not the state of followed logs", path);
    if (!rc && !(b->v = calloc(json_array_size(logs) + 1, sizeof *b->v)))
        rc = ds_fail_nomem(err);
    b->cap = rc ? 0 : json_array_size(logs) + 1;
    if (!rc)
        json_array_foreach(logs, i, v)
        {
            if (!read_part(&b->v[b->n], v)) {
                rc = ds_fail(err, DS_CORRUPT, "%s: entry %zu is none of a followed log", path,
                             i + 1);
                break;
            }
            b->n++;
        }
    json_decref(o);
    return rc;
}
