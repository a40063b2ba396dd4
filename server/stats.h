/*
 * The command `convo stats`: what the servers on a store counted, in a terminal.
 */
#ifndef SERVER_STATS_H
#define SERVER_STATS_H

/** Run it. `argv` begins with the command's name. @return an exit code */
int stats_run(int argc, char **argv);

#endif
