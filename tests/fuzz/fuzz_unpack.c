/* fuzz_unpack.c - archives and compressed files: whatever the bytes, members come out within the
 * limits, or it is said why not. The first byte of the input says how it is read. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { MOST = 1 << 20, MEMBERS = 200 };

static void require(int ok)
{
    if (!ok)
        abort();
}

/* A name that stays below the folder it is restored in. */
static void inside(const char *name)
{
    require(*name != '/' && strcmp(name, "..") != 0 && strncmp(name, "../", 3) != 0);
    require(!strstr(name, "/../"));
    const size_t n = strlen(name);
    require(n < 3 || strcmp(name + n - 3, "/..") != 0);
}

static int content(ds_unpack *u, uint64_t *all, ds_err *err)
{
    uint8_t buf[4096];
    size_t got = sizeof buf;
    int rc = 0;

    while (!rc && got == sizeof buf) {
        rc = ds_unpack_read(u, buf, sizeof buf, &got, err);
        *all += rc ? 0 : got;
        require(rc || *all <= MOST);
    }
    return rc;
}

static void members(ds_unpack *u, bool whole)
{
    ds_member m;
    ds_err err = {0};
    uint64_t all = 0, n = 0, offset, size;
    int rc;

    while ((rc = ds_unpack_next(u, &m, &err)) == 1) {
        require(++n <= MEMBERS);
        require(m.kind == DS_MEMBER_REFUSED ? m.why && *m.why : 1);
        require(m.kind != DS_MEMBER_FOLDER || whole);
        if (m.name && m.kind != DS_MEMBER_REFUSED)
            inside(m.name);
        if (m.kind == DS_MEMBER_FILE && !ds_unpack_place(u, &offset, &size) &&
            (rc = content(u, &all, &err)) != 0)
            break;
    }
    require(rc == 0 || (rc == err.code && *err.msg));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    const uint8_t *p = data + 1;
    const size_t n = len - 1,
                 seen = data[0] & 2 ? n < DS_PACKMARK_SNIFF ? n : DS_PACKMARK_SNIFF : 0;
    const ds_unpack_limits limits = {
        .max_ratio = 20, .max_bytes = MOST, .max_members = MEMBERS, .whole = data[0] & 1};
    ds_unpack *u = NULL;
    ds_err err = {0};
    const int fd = memfd_create("archive", MFD_CLOEXEC);

    require(fd >= 0 && write(fd, p, n) == (ssize_t)n && lseek(fd, (off_t)seen, SEEK_SET) >= 0);
    if (ds_unpack_new(&u, fd, "input", p, seen, ds_packmark_sniff(p, n), &limits, &err))
        require(*err.msg);
    else
        members(u, limits.whole);
    ds_unpack_free(u);
    close(fd);
    return 0;
}
