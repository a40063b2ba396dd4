/*
 * `convo serve` is a program of its own, convo-serve, so that the chat does not load the HTTP library.
 */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

/** Become it: it stands beside this program, or in the folder for such. Says when it does not. @return an exit code */
int serve_run(char **argv);

#endif
