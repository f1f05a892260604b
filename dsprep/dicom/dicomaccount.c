/* dicomaccount.c - see dicomaccount.h. */
#include "dicomaccount.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dicomlate.h"
#include "io.h"
#include "json.h"
#include "term.h"
#include "plural.h"

void ds_dicom_account_fini(ds_dicom_account *a)
{
    dcm_actions_free(a->actions);
    ds_counts_fini(&a->counts);
    ds_dicom_seen_fini(&a->seen);
    memset(a, 0, sizeof *a);
}

/* DIR/REASON/NAME.dcm, with a number behind the name where there is one already. */
static int free_path(ds_buf *path, const char *dir, const char *reason, const char *name,
                     ds_err *err)
{
    for (unsigned n = 1; n < 1000000; n++) {
        ds_buf_reset(path);
        int bad = ds_buf_printf(path, "%s/%s/%s", dir, reason, name);
        if (n > 1)
            bad |= ds_buf_printf(path, "-%u", n);
        if (bad || ds_buf_puts(path, ".dcm") || !ds_buf_cstr(path))
            return ds_fail_nomem(err);
        if (!ds_path_exists((const char *)path->data))
            return 0;
    }
    return ds_fail(err, DS_FAIL, "%s/%s: %s is there too often", dir, reason, name);
}

static int set_aside(const ds_dicom_account *a, const char *dir, const ds_dicom_in *in,
                     const char *reason, ds_err *err)
{
    char name[33];
    ds_atomic to = {.fd = -1};
    ds_buf path = {0};
    int rc = 0;
    ds_dicom_in known = *in;
    if (!dir)
        return 0;
    if (in->answer.len) /* it was not opened so far */
        rc = ds_dicom_late_reopen(&known, err);
    if (rc != 0 || known.fd < 0)
        return rc;
    if (a->key)
        rc = dcm_pseudonym(name, 16, a->key, "source-name", in->name, strlen(in->name), err);
    else
        snprintf(name, sizeof name, "%08" PRIu64, a->inputs);
    if (rc == 0 && (ds_buf_printf(&path, "%s/%s", dir, reason) || !ds_buf_cstr(&path)))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_mkdirs((const char *)path.data, err);
    if (rc == 0)
        rc = free_path(&path, dir, reason, name, err);
    if (rc == 0)
        rc = ds_atomic_open(&to, (const char *)path.data, 0600, err);
    if (rc == 0)
        rc = ds_dicom_in_copy(&known, to.fd, (const char *)path.data, err);
    if (rc == 0)
        rc = ds_atomic_commit(&to, err);
    ds_atomic_abort(&to);
    ds_buf_fini(&path);
    if (known.fd != in->fd)
        close(known.fd);
    return rc;
}

int ds_dicom_account_left_out(ds_dicom_account *a, const ds_dicom_in *in, bool failed,
                              const char *reason, ds_err *err)
{
    *(failed ? &a->failed : &a->held) += 1;
    /* The reason alone: messages of libraries may quote values. Names are the user's own. */
    if (failed && a->on_error == DS_DICOM_FAIL)
        return ds_fail(err, DS_FAIL, "%s: %s", in->name, reason);
    if (failed)
        ds_warn("dicom: %s: %s", in->name, reason);
    else
        ds_info("dicom: %s: held: %s", in->name, reason);
    bool again = !failed && strcmp(reason, DS_DICOM_AGAIN) == 0;
    a->again += again;
    int rc = ds_counts_add(&a->counts, failed, reason, 1, err);
    return rc == 0 && !again ? set_aside(a, failed ? a->quarantine : a->hold, in, reason, err) : rc;
}

int ds_dicom_account_before(ds_dicom_account *a, const ds_dicom_in *in, const ds_dicom_result *r,
                            bool *was, ds_err *err)
{
    enum ds_seen what = DS_SEEN_NEW;
    int rc =
        r->key.len ? ds_dicom_seen_put(&a->seen, r->key.data, r->key.len, &r->sha, &what, err) : 0;
    *was = what != DS_SEEN_NEW;
    return rc == 0 && *was
               ? ds_dicom_account_left_out(
                     a, in, false, what == DS_SEEN_SAME ? DS_DICOM_AGAIN : DS_DICOM_DIFFERS, err)
               : rc;
}

static int say_json(const ds_dicom_account *a, uint64_t records, ds_buf *out)
{
    int bad = ds_buf_printf(out,
                            "{\"type\":\"summary\",\"command\":\"dsprep dicom\",\"inputs\":%" PRIu64
                            ",\"output\":%" PRIu64 ",\"records\":%" PRIu64,
                            a->inputs, a->inputs - a->held - a->failed, records);
    if (a->store)
        bad |= ds_buf_printf(out, ",\"unchanged\":%" PRIu64, a->unchanged);
    return bad | ds_deid_reasons(out, "held", a->counts.held, a->counts.nheld) |
           ds_deid_reasons(out, "failed", a->counts.failed, a->counts.nfailed) |
           ds_buf_puts(out, "}\n");
}

int ds_dicom_account_say(const ds_dicom_account *a, uint64_t records, bool json, ds_buf *out,
                         ds_err *err)
{
    if (json)
        return say_json(a, records, out) ? ds_fail_nomem(err) : 0;
    int bad = ds_buf_printf(out,
                            "dsprep dicom: %" PRIu64 " input = %" PRIu64 " output + %" PRIu64
                            " held + %" PRIu64 " failed; %" PRIu64 " record%s",
                            a->inputs, a->inputs - a->held - a->failed, a->held, a->failed, records,
                            ds_s(records));
    if (a->store)
        bad |= ds_buf_printf(out, ", %" PRIu64 " unchanged", a->unchanged);
    return bad | ds_buf_putc(out, '\n') ? ds_fail_nomem(err) : 0;
}

typedef struct action_sum {
    dcm_actions *into;
    ds_err *err;
    int rc;
} action_sum;

static void add_action(void *p, uint32_t tag, const char *creator, enum dcm_action act, uint64_t n)
{
    action_sum *s = p;
    if (s->rc == 0)
        s->rc = dcm_actions_add(s->into, tag, creator, act, n, s->err);
}

int ds_dicom_account_taken(ds_dicom_account *a, const ds_dicom_in *in, const ds_dicom_result *r,
                           ds_err *err)
{
    int rc = a->actions ? 0 : dcm_actions_new(&a->actions, err);
    action_sum sum = {a->actions, err, rc};
    if (rc == 0)
        dcm_actions_each(r->actions, add_action, &sum);
    a->masked += r->masked;
    a->already += r->already;
    a->surplus += r->surplus;
    a->unread += r->unread;
    if (r->surplus)
        ds_warn("dicom: %s: pixel data of %" PRIu32 " more frames than it says is left out",
                in->name, r->surplus);
    return sum.rc;
}

int ds_dicom_account_source(ds_dicom_account *a, const ds_dicom_in *in, const ds_sha *sha,
                            char room[33], ds_source *src, ds_err *err)
{
    char digest[65];
    size_t len = strlen(in->name);
    *src = (ds_source){.name = in->name, .len = len, .size = in->size, .sha = *sha};
    if (!a->key)
        return 0;
    int rc = dcm_pseudonym(room, 16, a->key, "source-name", in->name, len, err);
    if (rc == 0)
        rc = dcm_pseudonym(digest, 32, a->key, "source-digest", sha->b, sizeof sha->b, err);
    if (rc == 0 && !ds_hex_decode(digest, 64, src->sha.b, sizeof src->sha.b))
        rc = ds_fail(err, DS_FAIL, "a digest that is none");
    if (rc == 0 && a->map)
        rc = ds_source_map_put(a->map, room, in->name, len, sha, err);
    src->name = room;
    src->len = 32;
    return rc;
}

void ds_dicom_in_fini(ds_dicom_in *in)
{
    if (in->fd >= 0)
        close(in->fd);
    free(in->name);
    free(in->path);
    ds_buf_fini(&in->answer);
    ds_buf_fini(&in->message);
    memset(in, 0, sizeof *in);
    in->fd = -1;
}
