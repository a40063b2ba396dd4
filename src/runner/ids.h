/*
 * The ids of a turn's events.
 */
#ifndef RUNNER_IDS_H
#define RUNNER_IDS_H

#include <stdbool.h>

#include <convo/event.h>

/**
 * Whether a turn begins with this event, one that the store shows as the first of its turn: the window
 * that was loaded may begin amid the turn.
 */
bool cv_turn_begins(const struct convo_event *event);

#endif
