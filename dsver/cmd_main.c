/* cmd_main.c - dsver: the table of its commands. */
#include "opt.h"

extern const ds_command ds_ver_init, ds_ver_commit, ds_ver_log, ds_ver_show, ds_ver_ls, ds_ver_cat,
    ds_ver_stamp, ds_ver_fsck, ds_ver_reindex, ds_ver_gc, ds_ver_config, ds_ver_audit, ds_ver_seen,
    ds_ver_batch, ds_ver_diff, ds_ver_branch, ds_ver_tag, ds_ver_reset, ds_ver_blame, ds_ver_merge,
    ds_ver_revert, ds_ver_remote, ds_ver_push, ds_ver_fetch, ds_ver_pull, ds_ver_clone,
    ds_ver_forget, ds_ver_checkout, ds_ver_repair, ds_ver_oplog, ds_ver_verify, ds_ver_pin,
    ds_ver_unpin, ds_ver_stats, ds_ver_sql, ds_ver_rebuild, ds_ver_prefetch, ds_ver_du,
    ds_ver_status;

int main(int argc, char **argv)
{
    static const ds_command *const commands[] = {
        &ds_ver_init,   &ds_ver_commit, &ds_ver_log,     &ds_ver_show,     &ds_ver_ls,
        &ds_ver_du,     &ds_ver_cat,    &ds_ver_diff,    &ds_ver_status,   &ds_ver_merge,
        &ds_ver_revert, &ds_ver_blame,  &ds_ver_branch,  &ds_ver_tag,      &ds_ver_reset,
        &ds_ver_stamp,  &ds_ver_fsck,   &ds_ver_reindex, &ds_ver_gc,       &ds_ver_config,
        &ds_ver_audit,  &ds_ver_seen,   &ds_ver_batch,   &ds_ver_remote,   &ds_ver_push,
        &ds_ver_fetch,  &ds_ver_pull,   &ds_ver_clone,   &ds_ver_forget,   &ds_ver_checkout,
        &ds_ver_repair, &ds_ver_oplog,  &ds_ver_verify,  &ds_ver_pin,      &ds_ver_unpin,
        &ds_ver_stats,  &ds_ver_sql,    &ds_ver_rebuild, &ds_ver_prefetch, NULL,
    };
    return ds_program_main("dsver", "versions of datasets: content-addressed, checked, kept in git",
                           commands, argc, argv);
}
