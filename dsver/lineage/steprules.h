/* steprules.h - what the settings of each step of provenance are as options of the command that
 * made it.
 *
 * Tables, read only; what they cannot say is in stepargs.c.
 */
#ifndef DS_STEPRULES_H
#define DS_STEPRULES_H

/* What becomes of a setting. */
enum ds_how {
    RULE_TEXT,     /* --option=value */
    RULE_GIVEN,    /* the same, but nothing for "" */
    RULE_NUMBER,   /* the same, of an integer; nothing for 0 */
    RULE_REAL,     /* the same, of a number */
    RULE_IF_SET,   /* --option when true */
    RULE_IF_NOT,   /* --option when false */
    RULE_EACH,     /* --option=item for each of a list */
    RULE_JOINED,   /* --option=a,b */
    RULE_SAID,     /* another setting says it */
    RULE_ON_ERROR, /* quarantine is skip: what differs is who keeps the bad records */
    RULE_EOS,
    RULE_CHAT,
    RULE_SPECIAL, /* as IF_NOT, where no template decides it */
    RULE_WITH,
    RULE_RULES,
    RULE_AGAINST,
    RULE_VERSIONS, /* --option=DATASET@COMMIT for each of a list; files are refused */
    RULE_MINHASH,
    RULE_PARTS,
    RULE_COLUMNS,
    RULE_ONE_STREAM, /* of one command each */
};

typedef struct ds_steprule {
    const char *member; /* NULL after the last */
    enum ds_how how;
    const char *option;
} ds_steprule;

/* How a command gets its inputs. */
enum ds_stepinput {
    DS_STEP_STREAM, /* from the step before */
    DS_STEP_FOUND,  /* raw inputs, found again by name and digest before it runs */
    DS_STEP_GIVEN   /* raw inputs as they are named; compared as they are read */
};

typedef struct ds_steprules {
    const char *tool;
    enum ds_stepinput input;
    const ds_steprule *rules;
} ds_steprules;

const ds_steprules *ds_steprules_find(const char *tool); /* NULL: not known */

#endif
