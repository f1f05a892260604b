/* operand.c - see operand.h. */
#include "operand.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dsverask.h"
#include "io.h"
#include "json.h"

/* ---- versions ---- */

/* Which commit and root: said once, so that all readings are of the same. */
static int look_up(ds_operand *o, ds_err *err)
{
    const char *const words[] = {"show", "--json", "--", o->text};
    ds_buf text = {0};
    json_t *j = NULL;
    ds_err why = {0};
    int rc = ds_ask_text(&text, words, 4, o->text, &why);
    if (rc)
        rc = ds_is_io(rc)
                 ? ds_fail(err, rc, "%s: no such file, and %s", o->text, why.msg)
                 : ds_fail(err, DS_FAIL,
                           "no such file, and dsver finds no version of that name: %s", why.msg);
    if (rc == 0)
        rc = ds_json_parse(&j, text.data, text.len, "dsver show", err);
    const char *commit = json_string_value(json_object_get(j, "commit")),
               *root = json_string_value(json_object_get(j, "root"));
    const size_t name = strcspn(o->text, "@~");
    if (rc == 0 && (!commit || !root))
        rc = ds_fail(err, DS_FAIL, "%s: dsver does not say its commit and root", o->text);
    if (rc == 0 && (asprintf(&o->version, "%.*s@%s", (int)name, o->text, commit) < 0 ||
                    asprintf(&o->root, "%s%s", strchr(root, ':') ? "" : "sha256:", root) < 0))
        rc = ds_fail_nomem(err);
    json_decref(j);
    ds_buf_fini(&text);
    return rc;
}

/* ---- the operand ---- */

int ds_operand_find(ds_operand *o, const char *text, bool again, ds_err *err)
{
    struct stat st;
    const size_t n = strlen(text);
    *o = (ds_operand){.text = text};
    const bool file = strcmp(text, "-") == 0 || strchr(text, '/') || stat(text, &st) == 0 ||
                      (n > 4 && strcmp(text + n - 4, ".dsr") == 0);
    if (!file)
        return look_up(o, err);
    char *operand = strdup(text);
    int rc = !operand ? ds_fail_nomem(err) : again ? ds_twice_open(&o->twice, &operand, 1, err) : 0;
    free(operand);
    return rc;
}

int ds_operand_open(ds_operand *o, ds_instream **in, ds_err *err)
{
    char path[32], *operand = path;
    int fd = -1, rc = 0;
    if (!o->version) {
        operand = o->twice.n ? o->twice.paths[0] : (char *)(uintptr_t)o->text; /* only read */
        return ds_instream_open(in, &operand, 1, err);
    }
    const char *const words[] = {"cat", "-j1", "--", o->version};
    rc = ds_ask_start(&o->pid, &fd, words, 4, err);
    if (rc)
        return rc;
    (void)snprintf(path, sizeof path, "/dev/fd/%d", fd);
    rc = ds_instream_open(in, &operand, 1, err);
    if (rc)
        ds_err_prefix(err, "%s", o->text);
    close(fd);
    if (rc)
        (void)ds_ask_end(&o->pid, false, o->version, NULL);
    return rc;
}

int ds_operand_close(ds_operand *o, ds_instream *in, bool whole, ds_err *err)
{
    ds_instream_free(in); /* its writer, if it still writes, is told by SIGPIPE */
    return ds_ask_end(&o->pid, whole, o->version, err);
}

int ds_operand_name(char **name, const ds_operand *o, ds_err *err)
{
    if (strcmp(o->text, "-") == 0) {
        *name = strdup("standard-input");
    } else if (o->version) {
        *name = strndup(o->text, strcspn(o->text, "@~"));
    } else {
        size_t n = ds_path_len(o->text);
        const char *slash = memrchr(o->text, '/', n), *from = slash ? slash + 1 : o->text;
        n -= (size_t)(from - o->text);
        *name = strndup(from, n > 4 && memcmp(from + n - 4, ".dsr", 4) == 0 ? n - 4 : n);
    }
    return *name ? 0 : ds_fail_nomem(err);
}

void ds_operand_fini(ds_operand *o)
{
    (void)ds_ask_end(&o->pid, false, NULL, NULL);
    free(o->version);
    free(o->root);
    ds_twice_fini(&o->twice);
    *o = (ds_operand){0};
}
