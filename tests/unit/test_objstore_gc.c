/* The object layer over time: garbage, small packs, several processes, crashes and failing disks.
 */
#include "obj_help.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"

static unsigned count_files(const char *store, const char *folder)
{
    char p[1024];
    unsigned n = 0;
    snprintf(p, sizeof p, "%s/%s", store, folder);
    DIR *d = opendir(p);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* Marks ids[from..to) and sweeps. */
static ds_gcstats collect(ds_objstore *s, const ds_sha *ids, unsigned from, unsigned to,
                          bool dry_run)
{
    ds_objgc *gc = NULL;
    ds_gcstats st;
    bool known = false;
    OK(ds_objgc_begin(&gc, s, false, err));
    for (unsigned i = from; i < to; i++) {
        OK(ds_objgc_mark(gc, &ids[i], &known, err));
        assert_true(known);
    }
    OK(ds_objgc_condemn(gc, dry_run, err));
    if (!dry_run)
        OK(ds_objgc_shut(gc, false, err));
    OK(ds_objgc_sweep(gc, dry_run, &st, err));
    ds_objgc_end(gc);
    return st;
}

static void dead_packs_go_live_bases_stay(void **state)
{
    (void)state;
    char path[512];
    ds_sha ids[80];
    ds_objstore *s = obj_store("gc", path);
    for (unsigned v = 0; v < 3; v++)
        obj_put_range(s, v * 20, v * 20 + 20, ids);
    obj_put_other(s, ids + 60);
    char *before = obj_dump(s, true);
    ds_gcstats st = collect(s, ids, 0, 80, false); /* all live */
    assert_int_equal(st.dead, 0);
    assert_int_equal(st.packs_deleted + st.packs_rewritten + st.packs_written, 0);
    char *after = obj_dump(s, true);
    assert_string_equal(before, after);
    free(after);
    st = collect(s, ids, 40, 60, true); /* the last version: deltas */
    assert_int_equal(st.pieces, 80);
    assert_in_range(st.live, 21, 60);
    after = obj_dump(s, true);
    assert_string_equal(before, after);
    free(after);
    free(before);
    st = collect(s, ids, 40, 60, false);
    obj_expect_range(s, 40, 60, ids);
    assert_true(st.bytes_after < st.bytes_before);
    assert_false(ds_objstore_has(s, &ids[70]));
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    OK(ds_objstore_reindex(path, NULL, NULL, NULL,
                           err)); /* a second store handle's view is not used here */
    ds_objstore_close(s);
    OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
    obj_expect_range(s, 40, 60, ids);
    st = collect(s, ids, 0, 0, false); /* nothing is live */
    assert_int_equal(st.live, 0);
    assert_int_equal(st.bytes_after, 0);
    assert_int_equal(count_files(path, "packs"), 0);
    assert_false(ds_objstore_has(s, &ids[50]));
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    obj_put_range(s, 0, 20, ids); /* and it can be used again */
    obj_expect_range(s, 0, 20, ids);
    ds_objstore_close(s);
}

static void half_dead_packs_are_rewritten(void **state)
{
    (void)state;
    char path[512];
    ds_sha ids[40];
    ds_objstore *s = obj_store("half", path), *reader = NULL;
    obj_put_range(s, 0, 20, ids);
    OK(ds_objstore_open(&reader, path, DS_OBJ_READ, err));
    obj_expect_range(reader, 0, 1, ids);
    ds_gcstats st = collect(s, ids, 15, 20, false);
    assert_int_equal(st.packs_rewritten, 1);
    assert_int_equal(st.packs_written, 1);
    assert_int_equal(st.dead, 15);
    assert_int_equal(count_files(path, "packs"), 1);
    obj_expect_range(s, 15, 20, ids);
    obj_expect_range(reader, 15, 20, ids); /* finds them at their new place */
    assert_false(ds_objstore_has(reader, &ids[0]));
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    char *live = obj_dump(s, true);
    ds_objstore_close(reader);
    ds_objstore_close(s);
    OK(ds_objstore_reindex(path, NULL, NULL, NULL, err));
    OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
    char *again = obj_dump(s, true);
    assert_string_equal(live, again);
    free(live);
    free(again);
    ds_objstore_close(s);
}

static void small_packs_are_gathered(void **state)
{
    (void)state;
    char path[512];
    ds_sha ids[70];
    ds_objstore *s = obj_store("small", path), *reader = NULL;
    for (unsigned i = 0; i < 70; i++)
        obj_put_range(s, i, i + 1, ids);
    assert_int_equal(count_files(path, "packs"), 70);
    OK(ds_objstore_open(&reader, path, DS_OBJ_READ, err));
    obj_expect_range(reader, 0, 70, ids);
    const ds_gcstats st = collect(s, ids, 0, 70, false);
    assert_int_equal(st.packs_rewritten, 70);
    assert_int_equal(st.packs_written, 1);
    assert_int_equal(st.dead, 0);
    assert_int_equal(count_files(path, "packs"), 1);
    obj_expect_range(s, 0, 70, ids);
    obj_expect_range(reader, 0, 70, ids);
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    ds_objstore_close(reader);
    ds_objstore_close(s);
}

/* What becomes needed between the two marks: a piece of a condemned pack, and the base of a piece
 * that a writer makes meanwhile. */
static void what_becomes_needed_meanwhile_stays(void **state)
{
    (void)state;
    char path[512];
    ds_sha ids[80];
    ds_objgc *gc = NULL;
    ds_gcstats st;
    ds_objstore *s = obj_store("revive", path);
    obj_put_range(s, 0, 20, ids);
    obj_put_other(s, ids + 60);
    OK(ds_objgc_begin(&gc, s, false, err));
    OK(ds_objgc_condemn(gc, false, err)); /* all of it */
    obj_put_range(s, 20, 40, ids);        /* deltas against what was condemned */
    OK(ds_objgc_shut(gc, false, err));
    OK(ds_objgc_mark(gc, &ids[65], NULL, err));
    OK(ds_objgc_sweep(gc, false, &st, err));
    ds_objgc_end(gc);
    obj_expect_range(s, 20, 40, ids);
    assert_true(ds_objstore_has(s, &ids[65]));
    assert_false(ds_objstore_has(s, &ids[66]));
    assert_in_range(st.revived, 2, 21);
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    char *before = obj_dump(s, true);
    ds_objstore_close(s);
    OK(ds_objstore_reindex(path, NULL, NULL, NULL, err));
    OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
    char *after = obj_dump(s, true);
    assert_string_equal(before, after);
    free(before);
    free(after);
    ds_objstore_close(s);
}

/* One dead piece is reason enough when nothing dead may stay. */
static void purging_leaves_nothing_dead(void **state)
{
    (void)state;
    char path[512];
    ds_sha ids[20];
    ds_objgc *gc = NULL;
    ds_gcstats st;
    ds_objstore *s = obj_store("purge", path);
    obj_put_other(s, ids);
    uint64_t stored;
    OK(ds_objgc_begin(&gc, s, false, err));
    ds_objgc_purge(gc);
    OK(ds_objgc_shut(gc, false, err));
    for (unsigned i = 1; i < 20; i++)
        OK(ds_objgc_mark(gc, &ids[i], NULL, err));
    OK(ds_objgc_detach(gc, 1, &stored, err)); /* what was stored against the one that goes */
    OK(ds_objgc_condemn(gc, false, err));
    OK(ds_objgc_sweep(gc, false, &st, err));
    ds_objgc_end(gc);
    assert_in_range(st.packs_rewritten, 1, 2);
    assert_false(ds_objstore_has(s, &ids[0]));
    for (unsigned i = 1; i < 20; i++)
        assert_true(ds_objstore_has(s, &ids[i]));
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    ds_objstore_close(s);
}

/* Piece i of a chain, half of it like the one before, or of what else there is, half like the
 * first. */
static void chained(ds_buf *b, unsigned i, unsigned every)
{
    const unsigned like = i % every ? 0 : i / every, own = i % every ? 1000 + i : i / every + 1;

    ds_buf_reset(b);
    for (unsigned k = 0; k < 6; k++)
        obj_line(b, 6 * like + k, 90);
    for (unsigned k = 0; k < 6; k++)
        obj_line(b, 6 * own + k, 90);
}

/* What is stored anew, one piece after the other, is never built on itself: not directly, and not
 * by way of pieces that are still to be stored anew. The first piece goes, on which all are built.
 * When a piece of the chain has its turn, those before it are stored anew already, so that nothing
 * that goes is below it; it is the one most like itself, and then the one after it. */
static void renewing_makes_no_rings(void **state)
{
    (void)state;
    enum { EVERY = 70, ALL = 12 * EVERY };
    for (int threads = 1; threads <= 2; threads++) {
        char path[512];
        ds_sha ids[ALL];
        ds_buf b = {0};
        ds_objgc *gc = NULL;
        ds_objtx *tx = NULL;
        ds_gcstats st;
        uint64_t stored;
        ds_objstore *s = obj_store(threads == 1 ? "rings" : "rings of two", path);
        for (unsigned i = 0; i < ALL; i++) {
            if (i % EVERY < 2) { /* may be built on all before */
                OK(tx ? ds_objtx_finish(tx, NULL, err) : 0);
                OK(ds_objtx_begin(&tx, s, 1, err));
            }
            chained(&b, i, EVERY);
            ids[i] = obj_put(tx, b.data, b.len);
        }
        OK(ds_objtx_finish(tx, NULL, err));
        OK(ds_objgc_begin(&gc, s, false, err));
        ds_objgc_purge(gc);
        OK(ds_objgc_shut(gc, false, err));
        for (unsigned i = 1; i < ALL; i++)
            OK(ds_objgc_mark(gc, &ids[i], NULL, err));
        OK(ds_objgc_detach(gc, threads, &stored, err));
        assert_in_range(stored, ALL / 2, ALL - 1);
        OK(ds_objgc_condemn(gc, false, err));
        OK(ds_objgc_sweep(gc, false, &st, err));
        ds_objgc_end(gc);
        ds_objstore_close(s); /* with all that it knew of pieces */
        OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
        assert_false(ds_objstore_has(s, &ids[0]));
        assert_int_equal(obj_scrub(s, true, NULL), 0);
        for (unsigned i = 1; i < ALL; i++) {
            chained(&b, i, EVERY);
            obj_expect(s, &ids[i], b.data, b.len);
        }
        ds_buf_fini(&b);
        ds_objstore_close(s);
    }
}

static void locks(void **state)
{
    (void)state;
    char path[512];
    ds_objstore *s = obj_store("locks", path), *other = NULL;
    ds_objgc *gc = NULL, *again = NULL;
    ds_objtx *tx = NULL;
    OK(ds_objstore_open(&other, path, DS_OBJ_WRITE, err));
    OK(ds_objtx_begin(&tx, s, 1, err));
    OK(ds_objgc_begin(&gc, other, false, err));
    assert_int_equal(ds_objgc_begin(&again, s, false, NULL), DS_LOCKED); /* one at a time */
    OK(ds_objgc_condemn(gc, false, err));
    assert_int_equal(ds_objgc_sweep(gc, false, NULL, NULL), DS_FAIL);
    assert_int_equal(ds_objgc_shut(gc, false, NULL), DS_LOCKED);
    ds_objgc_end(gc);
    assert_int_equal(ds_objgc_begin(&gc, s, true, NULL), DS_LOCKED); /* would wait for itself */
    OK(ds_objstore_hold(s, err));
    OK(ds_objtx_finish(tx, NULL, err));
    OK(ds_objgc_begin(&gc, other, false, err));
    assert_int_equal(ds_objgc_shut(gc, false, NULL), DS_LOCKED);
    ds_objstore_release(s);
    OK(ds_objgc_shut(gc, false, err));
    ds_objgc_end(gc);
    ds_objstore_close(other);
    ds_objstore_close(s);
}

/* What a child does ends in _exit: no test machinery runs twice. */
static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return status;
}

static int child_puts(const char *path, unsigned from, unsigned to, unsigned step)
{
    ds_objstore *s = NULL;
    ds_err err = {0};
    int rc = ds_objstore_open(&s, path, DS_OBJ_WRITE, &err);
    for (unsigned i = from; rc == 0 && i < to; i += step) {
        ds_objtx *tx = NULL;
        ds_buf b = {0};
        rc = ds_objtx_begin(&tx, s, 2, &err);
        for (unsigned k = i; rc == 0 && k < i + step; k++) {
            ds_piece p = {.kind = 1};
            obj_text(&b, k);
            p.data = b.data;
            p.len = b.len;
            p.sketch = obj_sketch(b.data, b.len);
            rc = ds_sha_tagged(&p.id, DS_PIECE_TAG, b.data, b.len, &err);
            if (rc == 0)
                rc = ds_objtx_put(tx, &p, NULL, &err);
        }
        if (rc == 0)
            rc = ds_objtx_finish(tx, NULL, &err);
        else
            ds_objtx_abort(tx);
        ds_buf_fini(&b);
    }
    ds_objstore_close(s);
    if (rc)
        fprintf(stderr, "child: %s\n", err.msg);
    return rc ? 1 : 0;
}

/* A collection that keeps these, as far as they are there. */
static int child_collects(const char *path, const ds_sha *ids, unsigned n)
{
    ds_objstore *s = NULL;
    ds_objgc *gc = NULL;
    ds_err err = {0};
    int rc = ds_objstore_open(&s, path, DS_OBJ_WRITE, &err);
    rc = rc ? rc : ds_objgc_begin(&gc, s, true, &err);
    for (unsigned i = 0; !rc && i < n; i++)
        rc = ds_objgc_mark(gc, &ids[i], NULL, &err);
    rc = rc ? rc : ds_objgc_condemn(gc, false, &err);
    rc = rc ? rc : ds_objgc_shut(gc, true, &err);
    rc = rc ? rc : ds_objgc_sweep(gc, false, NULL, &err);
    ds_objgc_end(gc);
    ds_objstore_close(s);
    if (rc)
        fprintf(stderr, "gc: %s\n", err.msg);
    return rc ? 1 : 0;
}

/* Four processes put overlapping pieces, a fifth collects garbage meanwhile (all is live). */
static void processes_at_once(void **state)
{
    (void)state;
    enum { N = 120 };
    char path[512];
    ds_sha ids[N];
    pid_t pid[5];
    ds_buf b = {0};
    for (unsigned i = 0; i < N; i++) {
        obj_text(&b, i);
        ids[i] = obj_piece(b.data, b.len).id;
    }
    ds_objstore_close(obj_store("procs", path));
    for (unsigned c = 0; c < 5; c++) {
        pid[c] = fork();
        assert_true(pid[c] >= 0);
        if (pid[c] == 0 && c < 4)
            _exit(child_puts(path, c * 20, c * 20 + 60, 10));
        if (pid[c] == 0) {
            int bad = 0;
            for (int i = 0; i < 5 && !bad; i++)
                bad = child_collects(path, ids, N);
            _exit(bad);
        }
    }
    for (unsigned c = 0; c < 5; c++)
        assert_int_equal(wait_for(pid[c]), 0);
    ds_objstore *s = NULL;
    OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
    obj_expect_range(s, 0, N, ids);
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    char *live = obj_dump(s, false);
    ds_objstore_close(s);
    OK(ds_objstore_reindex(path, NULL, NULL, NULL, err));
    OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
    char *again = obj_dump(s, false);
    assert_string_equal(live, again);
    obj_expect_range(s, 0, N, ids);
    ds_gcstats st = collect(s, ids, 0, N, false);
    assert_int_equal(st.dead, 0);
    obj_expect_range(s, 0, N, ids);
    free(live);
    free(again);
    ds_buf_fini(&b);
    ds_objstore_close(s);
}

/* ---- the n-th call fails, or is the last of the process ---- */

enum how { KILL, FAIL_EIO, FAIL_ENOSPC, SHORT };
static atomic_int countdown;
static enum how what;

/* True when this call is the one. */
static bool strikes(void)
{
    if (atomic_fetch_sub(&countdown, 1) != 1)
        return false;
    if (what == KILL)
        (void)raise(SIGKILL);
    errno = what == FAIL_ENOSPC ? ENOSPC : EIO;
    return true;
}

static ssize_t bad_write(int fd, const void *p, size_t n)
{
    if (!strikes())
        return write(fd, p, n);
    /* half of it, then the disk is full */
    if (what == SHORT && n > 1) {
        ssize_t half = write(fd, p, n / 2);
        atomic_store(&countdown, 1);
        what = FAIL_ENOSPC;
        return half;
    }
    return -1;
}
static int bad_fsync(int fd)
{
    return strikes() ? -1 : fsync(fd);
}
static int bad_rename(const char *a, const char *b)
{
    return strikes() ? -1 : rename(a, b);
}
static int bad_open(const char *p, int flags, mode_t mode)
{
    return strikes() ? -1 : ds_io_system.open(p, flags, mode);
}
static int bad_close(int fd)
{
    (void)strikes();
    return close(fd);
}

static void with_faults(ds_io_ops *ops, enum how how, int n)
{
    *ops = ds_io_system;
    ops->write = bad_write;
    ops->fsync = bad_fsync;
    ops->rename = bad_rename;
    ops->open = bad_open;
    ops->close = bad_close;
    what = how;
    atomic_store(&countdown, n);
    ds_io_active = ops;
}

/* After whatever happened to a second commit: the first is whole, nothing is damaged, and the
 * second can be made. */
static void must_recover(const char *path, const ds_sha *ids)
{
    ds_objstore *s = NULL;
    ds_sha more[40];
    OK(ds_objstore_open(&s, path, DS_OBJ_READ, err));
    obj_expect_range(s, 0, 20, ids);
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    ds_objstore_close(s);
    OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
    memcpy(more, ids, 20 * sizeof *ids);
    obj_put_range(s, 20, 40, more);
    obj_expect_range(s, 0, 40, more);
    (void)collect(s, more, 0, 20, false);
    assert_int_equal(count_files(path, "tmp"), 0);
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    obj_expect_range(s, 0, 20, more);
    ds_objstore_close(s);
}

static void killed_at_every_call(void **state)
{
    (void)state;
    char path[512];
    ds_sha ids[20];
    ds_objstore *s = obj_store("kill", path);
    obj_put_range(s, 0, 20, ids);
    ds_objstore_close(s);
    for (int n = 1;; n++) {
        assert_true(n < 200);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            static ds_io_ops ops;
            with_faults(&ops, KILL, n);
            _exit(child_puts(path, 20, 40, 20));
        }
        int status = wait_for(pid);
        must_recover(path, ids);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            assert_true(n > 8);
            break;
        }
        assert_int_equal(WTERMSIG(status), SIGKILL);
    }
}

static void every_call_fails(void **state)
{
    (void)state;
    static const enum how hows[] = {FAIL_EIO, SHORT};
    for (unsigned h = 0; h < 2; h++) {
        char path[512];
        ds_sha ids[20];
        ds_objstore *s = obj_store(h ? "short" : "eio", path);
        ds_buf b = {0};
        obj_put_range(s, 0, 20, ids);
        ds_objstore_close(s);
        for (int n = 1, left = 0; left <= 0; n++) {
            ds_io_ops ops;
            ds_objtx *tx = NULL;
            ds_err why = {0};
            assert_true(n < 200);
            OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
            with_faults(&ops, hows[h], n);
            int rc = ds_objtx_begin(&tx, s, 1, &why);
            for (unsigned i = 20; rc == 0 && i < 40; i++) {
                obj_text(&b, i);
                ds_piece p = obj_piece(b.data, b.len);
                rc = ds_objtx_put(tx, &p, NULL, &why);
            }
            if (rc == 0)
                rc = ds_objtx_finish(tx, NULL, &why);
            else
                ds_objtx_abort(tx);
            ds_io_active = &ds_io_system;
            left = atomic_load(&countdown); /* > 0: nothing failed any more */
            if (rc) {
                assert_true(ds_is_io(why.code));
                assert_true(strlen(why.msg) > 0);
            }
            if (left > 0)
                assert_int_equal(rc, 0);
            ds_objstore_close(s);
            must_recover(path, ids);
        }
        ds_buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dead_packs_go_live_bases_stay),
        cmocka_unit_test(half_dead_packs_are_rewritten),
        cmocka_unit_test(small_packs_are_gathered),
        cmocka_unit_test(what_becomes_needed_meanwhile_stays),
        cmocka_unit_test(purging_leaves_nothing_dead),
        cmocka_unit_test(renewing_makes_no_rings),
        cmocka_unit_test(locks),
        cmocka_unit_test(processes_at_once),
        cmocka_unit_test(killed_at_every_call),
        cmocka_unit_test(every_call_fails),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
