/* dsr_shards.c - see dsr_shards.h. */
#include "dsr_shards.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"

static bool is_shard(const char *name)
{
    size_t len = strlen(name);
    return len > 10 && memcmp(name, "shard-", 6) == 0 && strcmp(name + len - 4, ".dsr") == 0;
}

/* They are numbered from 0: whatever is missing in between was lost. */
static int check_numbers(const ds_strlist *paths, size_t first, const char *dir, ds_err *err)
{
    for (size_t i = first; i < paths->n; i++) {
        const char *name = paths->v[i] + strlen(dir) + 1 + 6;
        uint64_t no;
        if (!ds_digits_next(&name, &no) || strcmp(name, ".dsr") != 0)
            return ds_fail(err, DS_FAIL, "%s: not a shard name: it is shard-NUMBER.dsr",
                           paths->v[i]);
        if (no != i - first)
            return ds_fail(err, DS_CORRUPT, "%s: shard %zu is missing", dir, i - first);
    }
    return 0;
}

static int add_folder(ds_strlist *paths, const char *dir, ds_err *err)
{
    const size_t first = paths->n;
    ds_strlist names = {0};
    char *path;
    int rc = ds_strlist_folder(&names, dir, err);
    for (size_t i = 0; rc == 0 && i < names.n; i++)
        if (is_shard(names.v[i]))
            rc = ds_strlist_take(paths, asprintf(&path, "%s/%s", dir, names.v[i]) < 0 ? NULL : path,
                                 err);
    if (rc == 0 && paths->n == first)
        rc = ds_fail(err, DS_FAIL, "%s: a folder without shard-*.dsr files", dir);
    ds_strlist_fini(&names);
    return rc ? rc : check_numbers(paths, first, dir, err);
}

int ds_shards_operand(ds_strlist *paths, const char *operand, ds_err *err)
{
    struct stat st;
    bool folder = strcmp(operand, "-") != 0 && stat(operand, &st) == 0 && S_ISDIR(st.st_mode);
    return folder ? add_folder(paths, operand, err) : ds_strlist_add(paths, operand, err);
}
