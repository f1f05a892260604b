/* cmd_push.c - dsver push, fetch and pull. */
#include <stdlib.h>
#include <string.h>

#include "cmd_sync.h"
#include "cmd_verb.h"
#include "sig.h"

static int run_push(int argc, char **argv);
static int run_fetch(int argc, char **argv);
static int run_pull(int argc, char **argv);

extern const ds_command ds_ver_push, ds_ver_fetch, ds_ver_pull;
const ds_command ds_ver_push = {
    .prog = "dsver",
    .name = "push",
    .summary = "send versions to a remote",
    .operands = "[REMOTE [DATASET[@BRANCH]...]]",
    .max_operands = -1,
    .example = "dsver push origin docs",
    .description =
        "Sends the branches, tags and training runs of the datasets named, or of all, with "
        "what the remote lacks of their data: pieces are compared by their addresses, so that "
        "a repacked store sends nothing twice. Data goes first, then the refs, all or none "
        "(2,000 at a time where there are more), each only if it is still where it was: two "
        "who push at the same time lose nothing. A branch that has moved on at the remote in "
        "another way is refused; --force overwrites it.\n\n"
        "What dsver forget erased here goes along, and its bytes leave the remote's packs. "
        "When records were erased there that this store has not heard of, nothing is sent: "
        "dsver fetch first.\n\n"
        "REMOTE is a name of dsver remote; without one it is origin, or the only one there is. "
        "The first push makes what is not there yet; a remote in a folder that was there "
        "before and is gone, as when a disk is not mounted, is made anew by --force only, and "
        "packs that are gone while the catalog is there are sent anew by --all only. A push "
        "that was killed goes on where it was when it is begun again, in an object store also "
        "within a pack.\n\n"
        "--delete deletes branches and tags there, those named, all or none. A branch that is "
        "not where this store last saw it is refused, as is a tag that is another here, one of "
        "which nothing is known here, and the last branch of a dataset; --force deletes these "
        "too. What is here stays: a branch of this store goes there again with the next push "
        "of its dataset unless dsver branch -d deletes it here too. Data stays there until "
        "dsver gc --remote, and what DATASET@REMOTE/BRANCH was at stays here until the time of "
        "grace of dsver gc is over.\n\n"
        "A push compares what the remote says it has, and does not read it: bytes that rot "
        "there are found by those who fetch. --read-data reads all packs back and heals them "
        "from here, as long as all that versions there need of them is here.",
    .run = run_push,
};
const ds_command ds_ver_fetch = {
    .prog = "dsver",
    .name = "fetch",
    .summary = "bring versions from a remote",
    .operands = "[REMOTE [DATASET[@BRANCH]...]]",
    .max_operands = -1,
    .example = "dsver fetch origin && dsver diff docs docs@origin/main",
    .description =
        "Brings the branches of the datasets named, or of all, as DATASET@REMOTE/BRANCH, and tags "
        "and training runs under their own names, with what is missing here of their data. Every "
        "pack is checked against its name and every other piece against its address as it comes; "
        "refs move last. Branches of this store stay where they are: see dsver pull. A branch that "
        "was put back or rewritten at the remote is warned of, and what it was at is kept here "
        "until gc's time of grace is over. Records that were erased at the remote are erased here, "
        "from all versions and packs; first, what is to be read then is compared with what is "
        "here. An erasure that changes anything else is refused, with exit 12 and nothing taken "
        "over: put the remote's refs/dsver/erased back. A new or lazy clone has nothing to compare "
        "with, see dsver verify --erasures.\n\n"
        "--prune forgets each DATASET@REMOTE/BRANCH, of the datasets named or of all, that the "
        "remote has no more, and keeps what it was at until gc's time of grace is over; "
        "branches of this store and tags stay.",
    .run = run_fetch,
};
const ds_command ds_ver_pull = {
    .prog = "dsver",
    .name = "pull",
    .summary = "bring versions from a remote and move branches on to them",
    .operands = "[REMOTE [DATASET[@BRANCH]...]]",
    .max_operands = -1,
    .example = "dsver pull origin docs",
    .description =
        "As dsver fetch; then branches of this store go on to where the remote's are, "
        "and those that are not here yet are made. A branch that has gone on here in "
        "another way stays, and it exits with 1: dsver merge joins the two. A branch "
        "that the remote has no more stays here as it is, if it is here; --prune forgets "
        "where it was there.",
    .run = run_pull,
};

typedef struct sync_args {
    sync_words words;
    const char *store, *reason;
    bool del;
    ds_sync_opts o;
} sync_args;

static int check_delete(const sync_args *a, ds_err *err)
{
    if (a->o.n == 0)
        return ds_fail(err, DS_USAGE, "--delete wants a remote and what is to be deleted there");
    if (a->o.all)
        return ds_fail(err, DS_USAGE, "--delete sends nothing: without --all and --read-data");
    for (size_t i = 0; i < a->o.n; i++) {
        const char *at = strchr(a->o.what[i], '@');
        if (!at || at == a->o.what[i] || !at[1])
            return ds_fail(err, DS_USAGE, "--delete wants DATASET@BRANCH or DATASET@TAG, not '%s'",
                           a->o.what[i]);
    }
    return 0;
}

static int pull(ds_link *l, sync_args *a, ds_synced *out, ds_err *err)
{
    ds_synced moved = {.refs = 0};
    int rc = ds_sync_fetch(out, l, &a->o, err);
    rc = rc ? rc : ds_sync_branches(&moved, l, &a->o, err);
    out->refs += moved.refs;
    out->rejected += moved.rejected;
    return rc;
}

static int act(const ds_command *cmd, ds_link *l, sync_args *a, ds_synced *out, ds_err *err)
{
    a->o.lazy = l->conf.lazy && !a->o.all;
    if (a->del)
        return ds_sync_delete(out, l, &a->o, err);
    if (cmd == &ds_ver_push)
        return ds_sync_push(out, l, &a->o, err);
    return cmd == &ds_ver_fetch ? ds_sync_fetch(out, l, &a->o, err) : pull(l, a, out, err);
}

static int run(const ds_command *cmd, sync_args *a, const ds_opt *opts, int argc, char **argv)
{
    char **operands;
    int n, status = ds_opt_begin(cmd, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_store s = {0};
    ds_link l = {.store = NULL};
    ds_synced done = {.refs = 0};
    ds_sig_setup();
    a->words.what = cmd->name;
    a->o.fn = sync_say_ref;
    a->o.ctx = &a->words;
    a->o.what = operands + 1;
    a->o.n = n > 1 ? (size_t)(n - 1) : 0;
    a->words.dry_run = a->o.dry_run;
    a->o.all = a->o.all || a->o.reread;
    int rc = ds_store_open(&s, a->store, DS_OBJ_WRITE, &err);
    rc = rc ? rc : ds_store_act(&s, cmd->name, NULL, a->reason, &err);
    rc = rc || !a->del ? rc : check_delete(a, &err);
    rc = rc ? rc : sync_check_remote(cmd, &s, n > 0 ? operands[0] : NULL, &err);
    rc = rc ? rc : ds_link_open(&l, &s, n > 0 ? operands[0] : NULL, &err);
    rc = rc ? rc : act(cmd, &l, a, &done, &err);
    if (!rc)
        sync_say_end(&a->words, &done);
    ds_link_close(&l);
    ds_store_close(&s);
    status = ds_command_end(cmd, &err, a->words.json);
    ds_sig_reraise();
    return status;
}

#define SYNC_FORCE(text) OPT_FLAG('f', "force", a.o.force, text)
#define SYNC_ALL                                                                                   \
    OPT_FLAG(0, "all", a.o.all, "look for every piece of every version, not only of new ones")

static int run_push(int argc, char **argv)
{
    sync_args a = {.store = NULL};
    const ds_opt opts[] = {
        SYNC_FORCE("move branches and tags of the remote also where that leaves versions behind; "
                   "with --delete, also those that were moved meanwhile and a dataset's last"),
        OPT_FLAG('d', "delete", a.del, "delete the branches and tags named, at the remote"),
        OPT_FLAG('n', "dry-run", a.o.dry_run, "only tell which refs would move"),
        SYNC_ALL,
        OPT_FLAG(0, "read-data", a.o.reread,
                 "as --all, and read back every pack that lies there: what is damaged is sent anew "
                 "(with -n only told of, exit 12)"),
        VERB_QUIET(a.words.quiet),
        VERB_REASON(a.reason),
        VERB_STORE(a.store),
        VERB_JSON(a.words.json),
        OPT_END,
    };
    return run(&ds_ver_push, &a, opts, argc, argv);
}

/* fetch and pull: the same options, and run() tells them apart by the command. */
static int run_bring(const ds_command *command, int argc, char **argv)
{
    sync_args a = {.store = NULL};
    const ds_opt opts[] = {
        SYNC_FORCE("take the remote's tags and runs where they are others"),
        OPT_FLAG('p', "prune", a.o.prune,
                 "forget DATASET@REMOTE/BRANCH where the remote has that branch no more"),
        SYNC_ALL,
        VERB_QUIET(a.words.quiet),
        VERB_REASON(a.reason),
        VERB_STORE(a.store),
        VERB_JSON(a.words.json),
        OPT_END,
    };
    return run(command, &a, opts, argc, argv);
}

static int run_fetch(int argc, char **argv)
{
    return run_bring(&ds_ver_fetch, argc, argv);
}

static int run_pull(int argc, char **argv)
{
    return run_bring(&ds_ver_pull, argc, argv);
}
