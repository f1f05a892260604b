/* rmtree.h - a folder goes, with all that is in it. */
#ifndef DS_RMTREE_H
#define DS_RMTREE_H

/* As far as it can; links are removed, not followed. Nothing there is fine. */
void ds_remove_tree(const char *path);

#endif
