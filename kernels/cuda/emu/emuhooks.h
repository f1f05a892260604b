/* emuhooks.h - what tests ask of the emulated device. */
#ifndef DS_EMU_HOOKS_H
#define DS_EMU_HOOKS_H

#ifdef __cplusplus
extern "C" {
#endif
/* Calls that may fail, since the last ds_emu_fail; the one of that number fails (0: none). */
long ds_emu_calls(void);
void ds_emu_fail(long call);
/* How much of anything was not given back; names it on stderr. */
int ds_emu_left(void);
#ifdef __cplusplus
}
#endif
#endif
