/* fuzz_filecache.c - what a store knows of files (docs/store-format.md, "Files"), as a bad disk or
 * somebody else may leave it. The first byte of the input says whether magic, number and checksum
 * are made right first. What is told by it is put again, beside what it does not know, and is found
 * again afterwards. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filecache.h"
#include "rmtree.h"
#include "storefind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static const ds_storeid store = {{7}};
static const ds_sha block = {"the content of a block of files"};
static const ds_filestamp stamp = {1, 2, 3, 4, 5};
/* In the order of a walk. */
static const struct {
    uint64_t input;
    const char *name;
} files[] = {{1, "a"}, {1, "a/b"}, {1, "a/b/\xff"}, {1, "a b"}, {1, "c"}, {2, ""}, {2, "a"}};
enum { FILES = sizeof files / sizeof *files };

static char *folder, path[1024];

static void remove_folder(void)
{
    ds_remove_tree(folder);
    free(folder);
}

static ds_filecache *open_cache(void)
{
    ds_filecache *c = NULL;
    ds_err err = {0};

    require(ds_filecache_open(&c, folder, &store, &folder, 1, &err) == 0);
    return c;
}

static void keep(ds_filecache *c)
{
    ds_err err = {0};

    require(ds_filecache_keep(c, &err) == 0);
    ds_filecache_free(c);
}

/* The name of the file that is there once something was kept. */
static void begin(void)
{
    char dir[600];
    struct dirent *e;
    ds_err err = {0};

    require(ds_temp_folder(&folder, "fuzz", &err) == 0 && atexit(remove_folder) == 0);
    keep(open_cache());
    snprintf(dir, sizeof dir, "%s/" DS_STORE_FILES, folder);
    DIR *d = opendir(dir);
    require(d != NULL);
    while ((e = readdir(d)))
        if (*e->d_name != '.')
            snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
    closedir(d);
    require(*path);
}

static void mend(uint8_t *p, size_t n)
{
    enum { HEAD = 8 + 16, TAIL = 1 + 16 };

    if (n < HEAD + TAIL)
        return;
    memcpy(p, "DSFILES1", 8);
    memcpy(p + 8, store.b, sizeof store.b);
    p[n - TAIL] = 0;
    const ds_x128 sum = ds_xxh128(p, n - 16);
    memcpy(p + n - 16, sum.b, sizeof sum.b);
}

/* What is known stays, and what is not is put: so a second time all of it is known. */
static void pass(bool again)
{
    ds_filecache *c = open_cache();
    ds_refs refs = {0};
    ds_err err = {0};
    size_t n;

    for (size_t i = 0; i < FILES; i++) {
        ds_filefact fact = {block, i};
        const bool known = ds_filecache_find(c, files[i].input, files[i].name, &stamp, &fact);
        require(known || !again);
        require(ds_filecache_put(c, files[i].input, files[i].name, &stamp, &fact, &err) == 0);
    }
    const int known = ds_filecache_chunk(c, &block, &refs, &err);
    require(known == 1 || (known == 0 && !again));
    const ds_pieceref *p = ds_refs_pieces(&refs, &n);
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += p[i].len;
    require(bytes == refs.len);
    if (!known)
        require(ds_refs_piece(&refs, &block, 9) == 0);
    require(ds_filecache_put_chunk(c, &block, &refs, &err) == 0);
    ds_refs_fini(&refs);
    keep(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (!folder)
        begin();
    if (len < 1)
        return 0;
    uint8_t *p = malloc(len);
    require(p != NULL);
    memcpy(p, data + 1, len - 1);
    if (data[0] & 1)
        mend(p, len - 1);
    FILE *f = fopen(path, "wb");
    require(f && fwrite(p, 1, len - 1, f) == len - 1 && fclose(f) == 0);
    free(p);
    pass(false);
    pass(true);
    return 0;
}
