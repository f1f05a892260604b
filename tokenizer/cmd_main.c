/* cmd_main.c - dstok: tokenizers for the command line. */
#include "cmd_tok.h"

int main(int argc, char **argv)
{
    static const ds_command *const commands[] = {
        &dstok_encode, &dstok_decode, &dstok_info, &dstok_stats, &dstok_diff, &dstok_train, NULL};
    return ds_program_main("dstok", "encode, decode, inspect, compare and train BPE tokenizers",
                           commands, argc, argv);
}
