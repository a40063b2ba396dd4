/*
 * `convo serve`, `convo key` and `convo stats` are a program of their own, convo-serve, so that the chat loads neither
 * the HTTP library nor that of hashes.
 */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

/** Become it: it stands beside this program, or in the folder for such. Says when it does not. @return an exit code */
int serve_run(char **argv);

#endif
