/*
 * `convo key`: the keys of a store, added, listed and revoked by its administrator.
 */
#ifndef SERVER_KEY_H
#define SERVER_KEY_H

/** Run it; argv[0] is "key". @return an exit code */
int key_run(int argc, char **argv);

#endif
