/* ok_help.h - a call that has to return 0: `err` in it stands for an error of its own, which the
 * failed test shows. */
#ifndef DS_OK_HELP_H
#define DS_OK_HELP_H

#include "unit.h"

#include "error.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        ds_err ok_err_ = {0};                                                                      \
        ds_err *err = &ok_err_;                                                                    \
        int ok_rc_ = (call);                                                                       \
        if (ok_rc_ != 0)                                                                           \
            fail_msg("%s: %d: %s", #call, ok_rc_, ok_err_.msg);                                    \
        (void)err;                                                                                 \
    } while (0)

#endif
