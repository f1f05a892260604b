/* cmd_cat.c - dsver cat: a version as a record stream. */
#include <string.h>
#include <unistd.h>

#include "cmd_verb.h"
#include "io.h"
#include "pin.h"
#include "readback.h"
#include "revision.h"
#include "sig.h"
#include "term.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_cat;
const ds_command ds_ver_cat = {
    .prog = "dsver",
    .name = "cat",
    .summary = "write a version as a record stream",
    .operands = "[DATASET[@REV]]",
    .max_operands = 1,
    .example = "dsver cat docs@main~1 | dsprep cat",
    .description = "Writes the DSR stream that was committed: its blocks in order, its sources, "
                   "its provenance, and its root in the end "
                   "frame. Every piece is checked against its address, and the root against the "
                   "version's, before the stream "
                   "is ended: one that stays without its end frame is refused by all readers. See "
                   "dsver log -h for REV.",
    .run = run,
};

typedef struct cat {
    const char *store, *output;
    int64_t threads, level;
    const char *what;
} cat;

static int to_file(const cat *c, ds_store *s, const git_oid *id, ds_readback_opts *o, ds_err *err)
{
    ds_atomic file = {.fd = -1};
    ds_out out = {0};
    o->writer.index = true;
    int rc = ds_atomic_open(&file, c->output, 0666, err);
    if (rc)
        return rc;
    rc = ds_out_init(&out, file.fd, c->output, err);
    if (!rc)
        rc = ds_readback_write(&out, s, id, o, err);
    if (!rc)
        rc = ds_out_flush(&out, err);
    ds_out_fini(&out);
    if (!rc)
        rc = ds_atomic_commit(&file, err);
    ds_atomic_abort(&file);
    return rc;
}

static int to_stdout(ds_store *s, const git_oid *id, const ds_readback_opts *o, ds_err *err)
{
    ds_out out = {0};
    int rc = ds_out_init(&out, STDOUT_FILENO, "standard output", err);
    if (!rc)
        rc = ds_readback_write(&out, s, id, o, err);
    if (!rc)
        rc = ds_out_flush(&out, err);
    ds_out_fini(&out);
    return rc;
}

static int cat_version(const cat *c, ds_err *err)
{
    ds_store s = {0};
    ds_revision rev = {0};
    ds_pin pin = {.gate = -1, .fd = -1};
    ds_readback_opts o = {.threads = verb_threads(c->threads), .writer = {.level = (int)c->level}};
    bool file = c->output && strcmp(c->output, "-") != 0;
    int rc = file ? 0
                  : ds_refuse_tty(STDOUT_FILENO,
                                  "pipe it, for example into `dsprep cat`, or use -o FILE", err);
    if (!rc)
        rc = ds_store_open(&s, c->store, DS_OBJ_READ, err);
    if (!rc)
        rc = ds_pin_begin(&pin, &s, err);
    if (!rc)
        rc = ds_revision_find(&rev, &s, c->what, err);
    if (!rc)
        rc = ds_pin_set(&pin, &s, &rev.id, err);
    if (!rc)
        rc = file ? to_file(c, &s, &rev.id, &o, err) : to_stdout(&s, &rev.id, &o, err);
    ds_pin_end(&pin);
    ds_revision_fini(&rev);
    ds_store_close(&s);
    return rc;
}

static int run(int argc, char **argv)
{
    cat c = {0};
    const ds_opt opts[] = {
        OPT_STR('o', "output", c.output, "FILE",
                "write a file with a block index, whole or not at all"),
        OPT_INT('z', "level", c.level, "N", 0, 19, "compress pieces with zstd (default: 0, not)"),
        VERB_THREADS(c.threads),
        VERB_STORE(c.store),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_cat, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    c.what = n > 0 ? operands[0] : NULL;
    ds_sig_setup();
    cat_version(&c, &err);
    status = ds_command_end(&ds_ver_cat, &err, false);
    ds_sig_reraise();
    return status;
}
