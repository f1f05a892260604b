/* cmd_format.c - see cmd_format.h. */
#include "cmd_format.h"

#include <string.h>
#include <sys/stat.h>

#include "crc32c.h"
#include "fmtin.h"
#include "packmark.h"
#include "term.h"
#include "utf8.h"

enum { LOOK = 512 };

/* By what a file of the format begins with; NULL: by nothing that tells. Text is JSON where it
 * begins with an object or an array; a table may begin with anything. */
static const char *marked_as(const uint8_t *p, size_t n)
{
    static const struct {
        const char *mark;
        size_t len;
        const char *format;
    } marks[] = {{"PAR1", 4, "parquet"},
                 {"ARROW1", 6, "arrow"},
                 {"\x93NUMPY", 6, "npy"},
                 {"\x88\xd8\x34\x01", 4, "llmc"},  /* 20240520 */
                 {"\xa1\xd9\x34\x01", 4, "llmc"}}; /* 20240801 */
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (n >= marks[i].len && memcmp(p, marks[i].mark, marks[i].len) == 0)
            return marks[i].format;
    if (ds_packmark_sniff(p, n) == DS_PACK_TAR)
        return "webdataset";
    if (n >= 12 && ds_get_u32(p + 8) == ds_crc32c_mask(ds_crc32c(0, p, 8)))
        return "tfrecord";
    const size_t mark = ds_utf8_mark(p, n);
    p += mark, n -= mark;
    while (n > 0 && ds_ascii_white(*p))
        p++, n--;
    return n > 0 && (*p == '{' || *p == '[') ? "jsonl" : NULL;
}

/* What can be opened once more to be read is looked into, unpacked where it is packed. */
static const ds_format *looked_into(const char *path)
{
    const bool standard = strcmp(path, "-") == 0;
    const ds_fmtread how = {.path = standard ? "/dev/stdin" : path, .name = path};
    ds_fmtin in = {.fd = -1};
    ds_err ignored = {0};
    struct stat st;
    const char *format = NULL;
    if (stat(how.path, &st) != 0 || !S_ISREG(st.st_mode))
        return NULL;
    if (ds_fmtin_open(&in, &how, &ignored) == 0 && ds_fmtin_want(&in, LOOK, &ignored) == 0)
        format = marked_as(ds_fmtin_at(&in), ds_fmtin_have(&in));
    ds_fmtin_close(&in);
    const ds_format *f = format ? ds_format_find(format) : NULL;
    if (f)
        ds_warn("%s: read as %s, by how it begins", standard ? "standard input" : path, format);
    return f;
}

int ds_format_named(const ds_format **f, const char *name, const char *path, ds_err *err)
{
    struct stat st;
    const bool folder = path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    *f = name ? ds_format_find(name) : path ? ds_format_of(path) : NULL;
    if (!*f && !name && folder)
        *f = ds_format_of_folder(path);
    else if (!*f && !name && path)
        *f = looked_into(path);
    if (*f)
        return 0;
    return name ? ds_fail(err, DS_USAGE, "--format %s: it is one of " DS_FORMAT_NAMES, name)
                : ds_fail(err, DS_USAGE, "--format is needed: " DS_FORMAT_NAMES);
}
