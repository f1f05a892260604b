/* unit.c - see unit.h. */
#include "unit.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

static char dir[4000];

const char *unit_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    if (!dir[0]) {
        snprintf(dir, sizeof dir, "%s/ds-unit.XXXXXX", tmp && *tmp ? tmp : "/tmp");
        assert_non_null(mkdtemp(dir));
    }
    return dir;
}

const char *unit_path(const char *name)
{
    static char path[4][8192];
    static unsigned turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", unit_dir(), name);
    return p;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *w)
{
    (void)st;
    (void)flag;
    (void)w;
    return remove(path);
}

int unit_dir_remove(void **state)
{
    (void)state;
    if (dir[0])
        nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    dir[0] = '\0';
    return 0;
}

char *unit_read(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    size_t size = 1 << 16, n = 0, got;
    char *data = malloc(size);
    assert_non_null(f);
    assert_non_null(data);
    while ((got = fread(data + n, 1, size - n - 1, f)) > 0) {
        n += got;
        if (n + 1 == size) {
            size *= 2;
            data = realloc(data, size);
            assert_non_null(data);
        }
    }
    assert_int_equal(ferror(f), 0);
    fclose(f);
    data[n] = '\0';
    if (len)
        *len = n;
    return data;
}

void unit_write(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}
