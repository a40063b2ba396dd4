/*
 * convo: conversations with language models, kept in a store.
 */
#ifndef CONVO_CONVO_H
#define CONVO_CONVO_H

#include <convo/backend.h>
#include <convo/call.h>
#include <convo/err.h>
#include <convo/event.h>
#include <convo/lease.h>
#include <convo/model.h>
#include <convo/place.h>
#include <convo/runner.h>
#include <convo/session.h>
#include <convo/store.h>
#include <convo/text.h>
#include <convo/trace.h>
#include <convo/version.h>
#include <convo/watch.h>

#endif
