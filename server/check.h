/*
 * `convo serve -check`: what the server would do, told without doing it.
 */
#ifndef SERVER_CHECK_H
#define SERVER_CHECK_H

#include "app/settings.h"
#include "core/service.h"
#include "flags.h"
#include "http/listen.h"

/**
 * Say on stdout what was found, once all but the server is open. The store is asked for an answer, models are
 * not.
 *
 * @param listener what it would listen on; all-zero: that could not be tried
 * @return 0 or an exit code
 */
int check_run(const struct serve_flags *flags, const struct settings *settings,
	      const struct service *service, const struct http_listener *listener);

#endif
