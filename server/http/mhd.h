/*
 * The HTTP library, libmicrohttpd: the one file that includes its header.
 */
#ifndef SERVER_HTTP_MHD_H
#define SERVER_HTTP_MHD_H

#include <sys/types.h>

#include <microhttpd.h>

#endif
