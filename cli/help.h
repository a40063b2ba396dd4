/*
 * What the program tells about itself: to people, and to shells that complete words.
 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

/** Print -help on stdout. @return an exit code. */
int help_print(void);

/**
 * Print words on stdout, one a line: "flags", "stores" (what -session can name), "schemas" (what
 * `convo schema` can name), or "backends": name, scheme, title and variables of all that are known,
 * a tab between them. @return an exit code.
 */
int help_complete(const char *what);

#endif
