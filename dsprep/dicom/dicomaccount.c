/* dicomaccount.c - see dicomaccount.h. */
#include "dicomaccount.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "term.h"

void ds_dicom_account_fini(ds_dicom_account *a)
{
    dcm_actions_free(a->actions);
    ds_counts_fini(&a->counts);
    memset(a, 0, sizeof *a);
}

static int set_aside(const ds_dicom_account *a, const ds_dicom_in *in, const char *reason,
                     ds_err *err)
{
    char name[33], from[32];
    ds_buf path = {0};
    int rc = 0;
    if (!a->hold || in->fd < 0)
        return 0;
    if (a->key)
        rc = dcm_pseudonym(name, 16, a->key, "source-name", in->name, strlen(in->name), err);
    else
        snprintf(name, sizeof name, "%08" PRIu64, a->inputs);
    snprintf(from, sizeof from, "/proc/self/fd/%d", in->fd);
    if (rc == 0 && (ds_buf_printf(&path, "%s/%s", a->hold, reason) || !ds_buf_cstr(&path)))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_mkdirs((const char *)path.data, err);
    if (rc == 0 && (ds_buf_printf(&path, "/%s.dcm", name) || !ds_buf_cstr(&path)))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_copy_file(from, (const char *)path.data, 0600, err);
    ds_buf_fini(&path);
    return rc;
}

int ds_dicom_account_left_out(ds_dicom_account *a, const ds_dicom_in *in, bool failed,
                              const char *reason, ds_err *err)
{
    *(failed ? &a->failed : &a->held) += 1;
    /* The reason alone: messages of libraries may quote values. Names are the user's own. */
    if (failed)
        ds_warn("dicom: %s: %s", in->name, reason);
    else
        ds_info("dicom: %s: held: %s", in->name, reason);
    int rc = ds_counts_add(&a->counts, failed, reason, 1, err);
    return rc == 0 && !failed ? set_aside(a, in, reason, err) : rc;
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

int ds_dicom_account_taken(ds_dicom_account *a, const ds_dicom_result *r, ds_err *err)
{
    int rc = a->actions ? 0 : dcm_actions_new(&a->actions, err);
    action_sum sum = {a->actions, err, rc};
    if (rc == 0)
        dcm_actions_each(r->actions, add_action, &sum);
    a->masked += r->masked;
    a->already += r->already;
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
    ds_buf_fini(&in->message);
    memset(in, 0, sizeof *in);
    in->fd = -1;
}
