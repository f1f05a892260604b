/* pseudonames.c - see pseudonames.h. */
#include "pseudonames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "io.h"
#include "json.h"
#include "rmtree.h"

#define MAP_MAX ((size_t)1 << 30)

int ds_pseudonames_begin(char **dir, char **map, ds_err *err)
{
    int rc = ds_temp_folder(dir, "dsver", err);
    if (rc)
        return rc;
    if (asprintf(map, "%s/names", *dir) < 0) {
        *map = NULL;
        return ds_fail_nomem(err);
    }
    return 0;
}

/* One line of the map: {"source":PSEUDONYM,"name":NAME,...}. */
static int look_for(char **words, const char *line, size_t len, ds_err *err)
{
    json_t *j = NULL;
    int rc = ds_json_parse(&j, line, len, "names of sources", err);
    const char *source = json_string_value(json_object_get(j, "source")),
               *name = json_string_value(json_object_get(j, "name"));
    char *at = !rc && source && name ? strstr(*words, source) : NULL, *more = NULL;
    if (at && asprintf(&more, "%.*s%s (%s)%s", (int)(at - *words), *words, source, name,
                       at + strlen(source)) < 0) {
        more = NULL;
        rc = ds_fail_nomem(err);
    }
    if (more) {
        free(*words);
        *words = more;
    }
    json_decref(j);
    return rc;
}

int ds_pseudonames_say(char **words, const char *map, ds_err *err)
{
    ds_buf all = {0};
    int rc = ds_path_exists(map) ? ds_read_file(&all, map, MAP_MAX, err) : 0;
    for (size_t at = 0; !rc && at < all.len;) {
        const char *line = (const char *)all.data + at, *end = memchr(line, '\n', all.len - at);
        const size_t len = end ? (size_t)(end - line) : all.len - at;
        rc = look_for(words, line, len, err);
        at += len + 1;
    }
    ds_buf_fini(&all);
    return rc;
}

void ds_pseudonames_end(char *dir, char *map)
{
    if (dir)
        ds_remove_tree(dir);
    free(dir);
    free(map);
}
