/* deidreport.c - see deidreport.h. */
#include "deidreport.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

int ds_deid_reasons(ds_buf *b, const char *name, const ds_reason *v, size_t n)
{
    int bad = ds_buf_printf(b, ",\"%s\":{", name);
    for (size_t i = 0; i < n && !bad; i++)
        bad = (i ? ds_buf_putc(b, ',') : 0) | ds_json_str(b, v[i].reason, strlen(v[i].reason)) |
              ds_buf_printf(b, ":%llu", (unsigned long long)v[i].count);
    return bad | ds_buf_putc(b, '}');
}

int ds_deid_report_write(const ds_deid_report *r, const char *path, ds_err *err)
{
    ds_buf b = {0};
    char hex[65];
    ds_sha_hex(hex, dcm_policy_digest(r->policy));
    int bad = ds_buf_printf(&b, "{\"policy\":\"%s\",\"policy_digest\":\"%s\",",
                            dcm_policy_text(r->policy), hex);
    if (r->key)
        bad |= ds_buf_printf(&b, "\"key\":\"%s\",", r->key->id);
    bad |= ds_buf_printf(&b,
                         "\"inputs\":%llu,\"records\":%llu,\"masked\":%llu,"
                         "\"already_deidentified\":%llu,\"surplus_frames\":%llu,"
                         "\"unread_characters\":%llu",
                         (unsigned long long)r->inputs, (unsigned long long)r->counts->records,
                         (unsigned long long)r->masked, (unsigned long long)r->already,
                         (unsigned long long)r->surplus, (unsigned long long)r->unread);
    bad |= ds_deid_reasons(&b, "held", r->counts->held, r->counts->nheld);
    bad |= ds_deid_reasons(&b, "failed", r->counts->failed, r->counts->nfailed);
    int rc = bad | ds_buf_puts(&b, ",\"actions\":") ? ds_fail_nomem(err) : 0;
    if (rc == 0)
        rc = dcm_actions_json(r->actions, &b, err);
    if (rc == 0 && r->proof) {
        rc = ds_buf_puts(&b, ",\"search\":") ? ds_fail_nomem(err) : 0;
        if (rc == 0)
            rc = ds_proof_json(r->proof, &b, err);
    }
    if (rc == 0)
        rc = ds_buf_puts(&b, "}\n") ? ds_fail_nomem(err)
                                    : ds_atomic_write(path, 0644, b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

/* ---- source map ---- */

struct ds_source_map {
    ds_atomic file;
    ds_out out;
    ds_buf line;
};

int ds_source_map_open(ds_source_map **out, const char *path, ds_err *err)
{
    ds_source_map *m = *out = calloc(1, sizeof *m);
    int rc = m ? ds_atomic_open(&m->file, path, 0600, err) : ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_out_init(&m->out, m->file.fd, path, err);
    if (rc != 0) {
        ds_source_map_free(m);
        *out = NULL;
    }
    return rc;
}

int ds_source_map_put(ds_source_map *m, const char *pseudonym, const char *name, size_t len,
                      const ds_sha *sha, ds_err *err)
{
    char hex[65];
    ds_sha_hex(hex, sha);
    ds_buf_reset(&m->line);
    int bad = ds_buf_printf(&m->line, "{\"source\":\"%s\",\"name\":", pseudonym) |
              ds_json_str(&m->line, name, len) |
              ds_buf_printf(&m->line, ",\"sha256\":\"%s\"}\n", hex);
    return bad ? ds_fail_nomem(err) : ds_out_put(&m->out, m->line.data, m->line.len, err);
}

int ds_source_map_end(ds_source_map *m, ds_err *err)
{
    int rc = ds_out_flush(&m->out, err);
    return rc == 0 ? ds_atomic_commit(&m->file, err) : rc;
}

void ds_source_map_free(ds_source_map *m)
{
    if (!m)
        return;
    ds_out_fini(&m->out);
    ds_atomic_abort(&m->file);
    ds_buf_fini(&m->line);
    free(m);
}
