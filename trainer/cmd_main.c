/* cmd_main.c - dstrain: the program's table of commands. */
#include "opt.h"

extern const ds_command ds_train_init, ds_train_finetune, ds_train_eval, ds_train_generate,
    ds_train_merge, ds_train_plan, ds_train_replay, ds_train_selftest, ds_train_report,
    ds_train_classify, ds_train_resize;

int main(int argc, char **argv)
{
    static const ds_command *const commands[] = {
        &ds_train_init,   &ds_train_resize, &ds_train_plan,     &ds_train_finetune,
        &ds_train_replay, &ds_train_eval,   &ds_train_classify, &ds_train_generate,
        &ds_train_merge,  &ds_train_report, &ds_train_selftest, NULL};
    return ds_program_main(
        "dstrain", "fine-tune models on versioned data, with the lineage of every checkpoint",
        commands, argc, argv);
}
