/*
 * Telling the service manager how it goes (sd_notify(3)), without its library.
 */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H

/** Say "READY=1" or the like. Nothing happens where nobody wants to know. */
void notify_say(const char *state);

#endif
