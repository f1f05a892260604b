/* try.h - what fails in a function that holds nothing ends it. */
#ifndef DS_TRY_H
#define DS_TRY_H

#define TRY(call)                                                                                  \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        if (rc_)                                                                                   \
            return rc_;                                                                            \
    } while (0)

#endif
