#include "cmd_tok.h"
static int run(int argc, char **argv) { (void)argc; (void)argv; return 1; }
const ds_command dstok_train = {.prog = "dstok", .name = "train", .summary = "x", .run = run};
