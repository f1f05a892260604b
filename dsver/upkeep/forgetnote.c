/* forgetnote.c - see forget_priv.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "forget_priv.h"
#include "json.h"
#include "overlay.h"
#include "person.h"
#include "revision.h"
#include "tombstone.h"
#include "plural.h"

/* ---- the statement ---- */

static int put_taints(const ds_forgetting *f, ds_buf *b)
{
    int rc = ds_buf_puts(b, ",\n \"runs\": [");
    for (size_t i = 0; !rc && i < f->out->ntaints; i++) {
        const ds_taint *t = &f->out->taints[i];
        rc = ds_buf_puts(b, i ? ",\n  {\"run\": " : "\n  {\"run\": ");
        rc = rc ? rc : ds_json_str(b, t->run, strlen(t->run));
        rc = rc ? rc : ds_buf_printf(b, ", \"digest\": \"%s\"", t->digest);
        if (t->absent) {
            rc = rc ? rc : ds_buf_puts(b, ", \"absent\": ");
            rc = rc ? rc : ds_json_str(b, t->absent, strlen(t->absent));
            rc = rc ? rc : ds_buf_putc(b, '}');
            continue;
        }
        if (t->abandoned)
            rc = rc ? rc : ds_buf_printf(b, ", \"abandoned\": %" PRIu64, t->abandoned);
        rc = rc ? rc : ds_buf_printf(b, ", \"step\": %" PRIu64 ", \"checkpoints\": [", t->step);
        for (size_t k = 0; !rc && k < t->checkpoints.len / sizeof(uint64_t); k++)
            rc = ds_buf_printf(b, "%s%" PRIu64, k ? ", " : "",
                               ((const uint64_t *)(const void *)t->checkpoints.data)[k]);
        rc = rc ? rc : ds_buf_puts(b, "]}");
    }
    return rc ? rc : ds_buf_puts(b, "]");
}

static int put_versions(const ds_forgetting *f, ds_buf *b)
{
    int rc = ds_buf_puts(b, ",\n \"versions\": [");
    for (size_t i = 0; !rc && i < f->nversions; i++)
        rc = ds_buf_printf(b, "%s\n  {\"commit\": \"%s\", \"records\": %zu}", i ? "," : "",
                           git_oid_tostr_s(&f->versions[i].commit),
                           f->versions[i].ordinals.len / sizeof(uint64_t));
    return rc ? rc : ds_buf_puts(b, "]");
}

static int make_statement(const ds_forgetting *f, ds_buf *b, const char *actor, const char *date,
                          ds_err *err)
{
    ds_sha sum;
    char hex[65], mark[DS_TOMBSTONE_MARK + 1];
    int rc = ds_sha_bytes(&sum, f->lines.data, f->lines.len, err);
    if (rc)
        return rc;
    ds_sha_hex(hex, &sum);
    ds_tombstone_mark(mark, f->salt);
    rc = ds_buf_puts(b, "{\"type\": \"dsver.erasure\", \"format\": 1,\n \"actor\": ");
    rc = rc ? rc : ds_json_str(b, actor, strlen(actor));
    rc = rc ? rc : ds_buf_puts(b, ",\n \"reason\": ");
    rc = rc ? rc : ds_json_str(b, f->o->reason, strlen(f->o->reason));
    rc = rc ? rc
            : ds_buf_printf(b,
                            ",\n \"date\": \"%s\",\n \"records\": %" PRIu64 ", \"rows\": %" PRIu64
                            ", \"blocks\": %" PRIu64 ", \"sources\": %" PRIu64
                            ",\n \"overlay\": \"sha256:%s\",\n \"tombstones\": \"%s\"",
                            date, f->out->records, f->out->rows, f->out->blocks, f->out->sources,
                            hex, mark);
    rc = rc ? rc : put_versions(f, b);
    rc = rc ? rc : put_taints(f, b);
    rc = rc ? rc : ds_buf_puts(b, "}\n");
    return rc ? ds_fail_nomem(err) : ds_sha_bytes(&f->out->statement, b->data, b->len, err);
}

int ds_forget_publish(ds_forgetting *f, ds_err *err)
{
    ds_person who = {0};
    ds_signer *signer = NULL;
    ds_buf text = {0}, message = {0}, gone = {0};
    char date[32], *actor = NULL;
    const int64_t now = (int64_t)time(NULL);
    ds_date_text(date, now);
    int rc = ds_person_find(&who, f->store->dir, f->o->author, err);
    rc = rc ? rc : ds_person_text(&actor, &who, err);
    rc = rc ? rc : ds_signer_find(&signer, f->store->dir, f->o->sign, false, actor, err);
    if (!rc && (ds_buf_printf(&message, "erased %" PRIu64 " record%s\n\n%s", f->out->records,
                              ds_s(f->out->records), f->o->reason) ||
                !ds_buf_cstr(&message)))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : make_statement(f, &text, actor, date, err);
    const ds_note_new by = {.message = (const char *)message.data,
                            .name = (const char *)who.name.data,
                            .mail = (const char *)who.mail.data,
                            .time = now,
                            .signer = signer};
    const ds_erasure e = {.lines = &f->lines, .rows = &f->told, .gone = &gone, .statement = &text};
    const ds_forgetpage *pages = (const ds_forgetpage *)(const void *)f->pages.data;
    bool bad = ds_buf_put(&gone, f->avoid.data, f->avoid.len) != 0;
    for (size_t i = 0; i < f->pages.len / sizeof *pages; i++)
        bad = bad || ds_buf_put(&gone, &pages[i].piece, sizeof pages[i].piece);
    rc = !rc && bad ? ds_fail_nomem(err) : rc;
    rc = rc ? rc : ds_overlay_publish(f->store->cat, &e, &by, err);
    ds_signer_free(signer);
    ds_person_fini(&who);
    ds_buf_fini(&text);
    ds_buf_fini(&message);
    ds_buf_fini(&gone);
    free(actor);
    return rc;
}
