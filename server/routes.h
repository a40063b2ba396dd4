/*
 * Which routes there are, for tests that must not forget one.
 */
#ifndef SERVER_ROUTES_H
#define SERVER_ROUTES_H

/** Print each on stdout: method, path, rights, with tabs between. @return 0 or an exit code */
int routes_print(void);

#endif
