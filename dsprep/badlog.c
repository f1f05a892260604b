/* badlog.c - see badlog.h. */
#include "badlog.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "jsonrow.h"
#include "term.h"
#include "utf8.h"

#define PRINT_MAX 20
#define BYTES_MAX (1u << 20)
/* Types that are counted by name: servers make some up, and a stream's end has its limit. */
#define TYPES_MAX 1000

const char *const ds_onerror_names[] = {"fail", "skip", "quarantine", NULL};

int ds_badlog_open(ds_badlog *b, enum ds_onerror mode, const char *path, ds_err *err)
{
    *b = (ds_badlog){.mode = mode, .file = {.fd = -1}};
    if ((mode == DS_ONERROR_QUARANTINE) != (path != NULL))
        return ds_fail(err, DS_USAGE,
                       path ? "--quarantine FILE wants --on-error=quarantine"
                            : "--on-error=quarantine wants --quarantine FILE");
    if (!path)
        return 0;
    /* What is wrong with a record may be that it holds what it should not. */
    int rc = ds_atomic_open(&b->file, path, 0600, err);
    b->open = rc == 0;
    return rc ? rc : ds_out_init(&b->out, b->file.fd, path, err);
}

/* A string literal of what may not be UTF-8 to its end: messages are cut somewhere. */
static int put_string(ds_buf *b, const char *s)
{
    return ds_json_str(b, s, ds_utf8_check((const uint8_t *)s, strlen(s)));
}

static int put_line(ds_badlog *b, const ds_textproblem *p, ds_err *err)
{
    ds_buf *l = &b->line;
    size_t n = p->nbytes < BYTES_MAX ? p->nbytes : BYTES_MAX;
    int rc = 0;
    l->len = 0;
    rc |= ds_buf_puts(l, "{\"source\":");
    rc |= put_string(l, p->source);
    rc |= ds_buf_puts(l, ",\"reason\":");
    rc |= put_string(l, p->reason);
    rc |= ds_buf_puts(l, ",\"message\":");
    rc |= put_string(l, p->why);
    if (p->located)
        rc |= ds_buf_printf(l, ",\"offset\":%" PRIu64 ",\"length\":%" PRIu64 ",\"at\":%" PRIu64,
                            p->offset, p->len, p->at);
    if (p->bytes) {
        rc |= ds_buf_puts(l, ",\"bytes\":\"");
        rc |= ds_base64(l, p->bytes, n);
        rc |= ds_buf_puts(l, n < p->len ? "\",\"truncated\":true" : "\"");
    }
    rc |= ds_buf_puts(l, "}\n");
    return rc ? ds_fail_nomem(err) : ds_out_put(&b->out, l->data, l->len, err);
}

/* The exit status is told by the same table whether an input is passed to a stage or to these: that
 * the system would not read it, or that its bytes are not what they were, is not that something is
 * wrong in it. */
static int code_of(const ds_textproblem *p)
{
    return strcmp(p->reason, "unreadable") == 0        ? DS_IO
           : strcmp(p->reason, "damaged archive") == 0 ? DS_CORRUPT
                                                       : DS_FAIL;
}

static int describe(const ds_badlog *b, const ds_textproblem *p, ds_err *to)
{
    const char *hint = b->mode == DS_ONERROR_FAIL ? " (--on-error=skip goes on)" : "";
    if (p->located)
        return ds_fail(to, code_of(p), "%s: offset %" PRIu64 ": %s%s", p->source, p->at, p->why,
                       hint);
    return ds_fail(to, code_of(p), "%s: %s%s", p->source, p->why, hint);
}

static int by_reason(const void *reason, const void *counted)
{
    return strcmp(reason, ((const ds_reason *)counted)->reason);
}

/* What a type is counted as. */
static const char *counted_as(const ds_counts *c, const char *reason)
{
    return c->nheld < TYPES_MAX ||
                   bsearch(reason, c->held, c->nheld, sizeof *c->held, by_reason) != NULL
               ? reason
               : "other types" DS_NO_TEXT;
}

/* What holds no text is no fault of the input: it is counted, and told of by its type. */
static int hold(ds_badlog *b, const ds_textproblem *p, ds_err *err)
{
    ds_textproblem it = *p;
    it.bytes = NULL;
    b->held++;
    b->textless++;
    int rc = ds_counts_add(&b->counts, false, counted_as(&b->counts, p->reason), 1, err);
    return rc || !b->open ? rc : put_line(b, &it, err);
}

int ds_badlog_add(ds_badlog *b, const ds_textproblem *p, ds_err *err)
{
    if (p->fate == DS_FATE_HELD)
        return hold(b, p, err);
    if (b->mode == DS_ONERROR_FAIL)
        return describe(b, p, err);
    if (b->printed < PRINT_MAX) {
        ds_err line = {0};
        describe(b, p, &line);
        ds_warn("%s", line.msg);
    } else if (b->printed == PRINT_MAX) {
        ds_warn("further problems are counted, not printed");
    }
    b->printed++;
    if (p->lost)
        b->failed++;
    else
        b->held++;
    int rc = ds_counts_add(&b->counts, p->lost, p->reason, 1, err);
    return rc || !b->open ? rc : put_line(b, p, err);
}

int ds_badlog_end(ds_badlog *b, ds_err *err)
{
    if (!b->open)
        return 0;
    int rc = ds_out_flush(&b->out, err);
    return rc ? rc : ds_atomic_commit(&b->file, err);
}

void ds_badlog_fini(ds_badlog *b)
{
    ds_counts_fini(&b->counts);
    ds_out_fini(&b->out);
    ds_buf_fini(&b->line);
    if (b->open)
        ds_atomic_abort(&b->file);
    b->open = false;
}
