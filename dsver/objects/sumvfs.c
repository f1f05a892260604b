/* sumvfs.c - see sumvfs.h. */
#include "sumvfs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "hash.h"
#include "io.h"
#include "sharing.h"

#define SUM_BYTES 8
#define PAGE DS_SUMVFS_PAGE

typedef struct sum_file {
    sqlite3_file base;
    sqlite3_file *real; /* lies behind this struct in the same allocation */
} sum_file;

static sqlite3_vfs *real_of(sqlite3_vfs *v)
{
    return v->pAppData;
}
static sqlite3_file *file_of(sqlite3_file *f)
{
    return ((sum_file *)(void *)f)->real;
}

static uint64_t page_sum(const uint8_t *page, uint64_t number)
{
    return ds_xxh64(page, PAGE - SUM_BYTES) ^ (number + 1) * 0x9e3779b97f4a7c15u;
}

static bool is_page(int n, sqlite3_int64 off)
{
    return n == PAGE && off % PAGE == 0;
}

static bool page_good(const uint8_t *page, sqlite3_int64 off)
{
    return ds_get_u64(page + PAGE - SUM_BYTES) == page_sum(page, (uint64_t)off / PAGE);
}

/* ---- files ---- */

static int f_close(sqlite3_file *f)
{
    sqlite3_file *r = file_of(f);
    int rc = r->pMethods ? r->pMethods->xClose(r) : SQLITE_OK;
    f->pMethods = NULL;
    return rc;
}

static int f_read(sqlite3_file *f, void *p, int n, sqlite3_int64 off)
{
    int rc = file_of(f)->pMethods->xRead(file_of(f), p, n, off);
    if (rc == SQLITE_OK && is_page(n, off) && !page_good(p, off))
        return SQLITE_IOERR_DATA;
    return rc;
}

static int f_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 off)
{
    uint8_t page[PAGE];
    if (is_page(n, off)) {
        memcpy(page, p, PAGE - SUM_BYTES);
        ds_set_u64(page + PAGE - SUM_BYTES, page_sum(page, (uint64_t)off / PAGE));
        p = page;
    }
    return file_of(f)->pMethods->xWrite(file_of(f), p, n, off);
}

static int f_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    return file_of(f)->pMethods->xTruncate(file_of(f), n);
}
static int f_sync(sqlite3_file *f, int flags)
{
    return file_of(f)->pMethods->xSync(file_of(f), flags);
}
static int f_size(sqlite3_file *f, sqlite3_int64 *n)
{
    return file_of(f)->pMethods->xFileSize(file_of(f), n);
}
static int f_lock(sqlite3_file *f, int k)
{
    return file_of(f)->pMethods->xLock(file_of(f), k);
}
static int f_unlock(sqlite3_file *f, int k)
{
    return file_of(f)->pMethods->xUnlock(file_of(f), k);
}
static int f_reserved(sqlite3_file *f, int *r)
{
    return file_of(f)->pMethods->xCheckReservedLock(file_of(f), r);
}
static int f_control(sqlite3_file *f, int op, void *arg)
{
    return file_of(f)->pMethods->xFileControl(file_of(f), op, arg);
}
static int f_sector(sqlite3_file *f)
{
    return file_of(f)->pMethods->xSectorSize(file_of(f));
}
static int f_device(sqlite3_file *f)
{
    return file_of(f)->pMethods->xDeviceCharacteristics(file_of(f));
}
static int f_shm_map(sqlite3_file *f, int i, int size, int extend, void volatile **pp)
{
    return file_of(f)->pMethods->xShmMap(file_of(f), i, size, extend, pp);
}
static int f_shm_lock(sqlite3_file *f, int off, int n, int flags)
{
    return file_of(f)->pMethods->xShmLock(file_of(f), off, n, flags);
}
static void f_shm_barrier(sqlite3_file *f)
{
    file_of(f)->pMethods->xShmBarrier(file_of(f));
}
static int f_shm_unmap(sqlite3_file *f, int del)
{
    return file_of(f)->pMethods->xShmUnmap(file_of(f), del);
}

/* Version 2: no memory mapping, which would go around f_read. */
static const sqlite3_io_methods sum_methods = {
    .iVersion = 2,
    .xClose = f_close,
    .xRead = f_read,
    .xWrite = f_write,
    .xTruncate = f_truncate,
    .xSync = f_sync,
    .xFileSize = f_size,
    .xLock = f_lock,
    .xUnlock = f_unlock,
    .xCheckReservedLock = f_reserved,
    .xFileControl = f_control,
    .xSectorSize = f_sector,
    .xDeviceCharacteristics = f_device,
    .xShmMap = f_shm_map,
    .xShmLock = f_shm_lock,
    .xShmBarrier = f_shm_barrier,
    .xShmUnmap = f_shm_unmap,
};

/* ---- the VFS ---- */

static int v_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    if (!(flags & SQLITE_OPEN_MAIN_DB))
        return real_of(v)->xOpen(real_of(v), name, f, flags, out_flags);
    sum_file *s = (sum_file *)(void *)f;
    memset(s, 0, sizeof *s);
    s->real = (sqlite3_file *)(void *)(s + 1);
    memset(s->real, 0, (size_t)real_of(v)->szOsFile);
    int rc = real_of(v)->xOpen(real_of(v), name, s->real, flags, out_flags);
    /* SQLite calls xClose exactly when pMethods is set, also after a failed open. */
    f->pMethods = s->real->pMethods ? &sum_methods : NULL;
    return rc;
}
static int v_delete(sqlite3_vfs *v, const char *name, int sync)
{
    return real_of(v)->xDelete(real_of(v), name, sync);
}
static int v_access(sqlite3_vfs *v, const char *name, int flags, int *out)
{
    return real_of(v)->xAccess(real_of(v), name, flags, out);
}
static int v_path(sqlite3_vfs *v, const char *name, int n, char *out)
{
    return real_of(v)->xFullPathname(real_of(v), name, n, out);
}
static int v_random(sqlite3_vfs *v, int n, char *out)
{
    return real_of(v)->xRandomness(real_of(v), n, out);
}
static int v_sleep(sqlite3_vfs *v, int us)
{
    return real_of(v)->xSleep(real_of(v), us);
}
static int v_time(sqlite3_vfs *v, double *t)
{
    return real_of(v)->xCurrentTime(real_of(v), t);
}
static int v_error(sqlite3_vfs *v, int n, char *out)
{
    return real_of(v)->xGetLastError(real_of(v), n, out);
}
static int v_time64(sqlite3_vfs *v, sqlite3_int64 *t)
{
    return real_of(v)->xCurrentTimeInt64(real_of(v), t);
}

static sqlite3_vfs sum_vfs = {
    .iVersion = 2,
    .zName = DS_SUMVFS,
    .xOpen = v_open,
    .xDelete = v_delete,
    .xAccess = v_access,
    .xFullPathname = v_path,
    .xRandomness = v_random,
    .xSleep = v_sleep,
    .xCurrentTime = v_time,
    .xGetLastError = v_error,
    .xCurrentTimeInt64 = v_time64,
};
static int register_rc = SQLITE_ERROR;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void register_once(void)
{
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    if (!real || real->iVersion < 2)
        return;
    sum_vfs.szOsFile = (int)sizeof(sum_file) + real->szOsFile;
    sum_vfs.mxPathname = real->mxPathname;
    sum_vfs.pAppData = real;
    register_rc = sqlite3_vfs_register(&sum_vfs, 0);
}

/* ---- databases ---- */

int ds_sumdb_fail(sqlite3 *db, int rc, const char *path, const char *doing, ds_err *err)
{
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return ds_fail_nomem(err);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ds_fail(err, DS_LOCKED, "%s: %s: another process holds it", path, doing);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
        return ds_fail(err, DS_CORRUPT, "%s: damaged (%s, while %s): run `dsver reindex`", path,
                       sqlite3_errstr(rc), doing);
    default:
        break;
    }
    if (rc == SQLITE_IOERR_DATA || rc == SQLITE_IOERR_SHORT_READ || rc == SQLITE_IOERR_CORRUPTFS)
        return ds_fail(err, DS_CORRUPT,
                       "%s: a page's checksum is wrong (while %s): run `dsver reindex`", path,
                       doing);
    const int why = db ? sqlite3_system_errno(db) : 0;
    if ((rc & 0xff) == SQLITE_FULL)
        return ds_fail(err, DS_NOROOM, "%s: %s: %s", path, doing, sqlite3_errstr(rc));
    if (why)
        return ds_fail_errno(err, why, "%s: %s: %s", path, doing, sqlite3_errstr(rc));
    return ds_fail(err, DS_IO, "%s: %s: %s", path, doing,
                   db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
}

/* 1 when the database is empty: page size and reserved bytes can still be set. */
static int db_is_new(sqlite3 *db, bool *fresh)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA page_count", -1, &st, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
        *fresh = rc == SQLITE_ROW && sqlite3_column_int64(st, 0) == 0;
        rc = rc == SQLITE_ROW ? SQLITE_OK : rc;
    }
    int end = sqlite3_finalize(st);
    return rc == SQLITE_OK ? end : rc;
}

/* SQLite is told in a URI that a file does not change. */
static int still_uri(ds_buf *uri, const char *path)
{
    int rc = ds_buf_puts(uri, "file:");
    for (const char *p = path; !rc && *p; p++)
        rc = strchr("%?#", *p) ? ds_buf_printf(uri, "%%%02x", (unsigned char)*p)
                               : ds_buf_putc(uri, (uint8_t)*p);
    return rc ? rc : ds_buf_puts(uri, "?immutable=1");
}

/* SQLite makes a database 0644 whatever the umask allows, so a group could not write it; what lies
 * beside it gets its permissions from it. Not by open(): to close a file lets go of the locks that
 * another connection of this process has on it. Where it cannot be made SQLite says so. */
static void make_file(const char *path, int flags)
{
    if ((flags & SQLITE_OPEN_CREATE) && *path && strcmp(path, ":memory:") != 0 &&
        mknod(path, S_IFREG | 0666, 0) == 0)
        (void)ds_sharing_path(path);
}

int ds_sumdb_open(sqlite3 **out, const char *path, int flags, ds_err *err)
{
    ds_buf uri = {0};
    bool still = flags & SQLITE_OPEN_READONLY;
    *out = NULL;
    if (still && (still_uri(&uri, path) || !ds_buf_cstr(&uri))) {
        ds_buf_fini(&uri);
        return ds_fail_nomem(err);
    }
    pthread_once(&once, register_once);
    if (register_rc != SQLITE_OK) {
        ds_buf_fini(&uri);
        return ds_fail(err, DS_FAIL, "%s: SQLite's file layer cannot be extended", path);
    }
    sqlite3 *db = NULL;
    bool fresh = false;
    int reserve = SUM_BYTES;
    make_file(path, flags);
    int rc = still ? sqlite3_open_v2(ds_buf_cstr(&uri), &db, flags | SQLITE_OPEN_URI, DS_SUMVFS)
                   : sqlite3_open_v2(path, &db, flags, DS_SUMVFS);
    ds_buf_fini(&uri);
    if (rc == SQLITE_CANTOPEN) {
        ds_fail(err, DS_CORRUPT, "%s: cannot be opened: run `dsver reindex`", path);
        sqlite3_close(db);
        return DS_CORRUPT;
    }
    if (rc == SQLITE_OK) {
        sqlite3_extended_result_codes(db, 1);
        rc = sqlite3_busy_timeout(db, 60000);
    }
    if (rc == SQLITE_OK)
        rc = db_is_new(db, &fresh);
    if (rc == SQLITE_OK && fresh && (flags & SQLITE_OPEN_CREATE)) {
        rc = sqlite3_exec(db, "PRAGMA page_size=4096", NULL, NULL, NULL);
        if (rc == SQLITE_OK)
            rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve);
        if (rc == SQLITE_OK)
            rc = sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(
            db, "PRAGMA synchronous=NORMAL; PRAGMA mmap_size=0; PRAGMA cell_size_check=ON", NULL,
            NULL, NULL);
    if (rc == SQLITE_OK) {
        reserve = -1;
        rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve);
        if (rc == SQLITE_OK && reserve != SUM_BYTES)
            rc = SQLITE_NOTADB;
    }
    if (rc != SQLITE_OK) {
        int code = ds_sumdb_fail(db, rc, path, "opening", err);
        sqlite3_close(db);
        return code;
    }
    *out = db;
    return 0;
}

void ds_sumdb_remove(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    ds_buf b = {0};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        ds_buf_reset(&b);
        if (ds_buf_printf(&b, "%s%s", path, ends[i]) == 0 && ds_buf_cstr(&b))
            (void)ds_io_active->unlink(ds_buf_cstr(&b));
    }
    ds_buf_fini(&b);
}

/* A checkpoint may be writing the page just now: a wrong sum counts when it stays. */
static int read_page(sqlite3_file *f, uint64_t off)
{
    uint8_t page[PAGE];
    int rc = SQLITE_OK;
    for (int i = 0; i < 3; i++) {
        rc = f->pMethods->xRead(f, page, PAGE, (sqlite3_int64)off);
        if (rc != SQLITE_IOERR_DATA)
            break;
    }
    return rc;
}

int ds_sumdb_check(sqlite3 *db, const char *path, uint64_t *bad, ds_err *err)
{
    sqlite3_file *f = NULL;
    sqlite3_int64 size = 0;
    *bad = UINT64_MAX;
    /* What lies in the WAL belongs into the file first; a busy database is checked as it is. */
    (void)sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &f);
    if (rc == SQLITE_OK && (!f || !f->pMethods)) /* a temporary one, which has no file yet */
        return 0;
    if (rc == SQLITE_OK)
        rc = f->pMethods->xFileSize(f, &size);
    for (sqlite3_int64 off = 0; rc == SQLITE_OK && off < size; off += PAGE) {
        rc = read_page(f, (uint64_t)off);
        if (rc == SQLITE_IOERR_DATA || rc == SQLITE_IOERR_SHORT_READ) {
            *bad = (uint64_t)off;
            return 0;
        }
    }
    return rc == SQLITE_OK ? 0 : ds_sumdb_fail(db, rc, path, "reading", err);
}
