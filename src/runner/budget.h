/*
 * How many tokens a request may have, and what an estimate of tokens is worth: from what was asked for,
 * what is known of the model, and what the session's last answer tells.
 */
#ifndef RUNNER_BUDGET_H
#define RUNNER_BUDGET_H

#include <convo/session.h>

/** How much of a conversation goes along. All-zero: everything. */
struct context_limits {
	size_t messages; /* most messages of history, the question included; 0: no bound */
	size_t tokens;   /* most tokens of the whole request; 0: no bound */
	size_t window;   /* most that the model takes, its answer's among them; 0: unknown */
	size_t answer;   /* most tokens of the answer, if that was asked for; else 0 */
	size_t again;    /* most tokens of a request that was refused as too long; 0: it was not */
};

/** What is known of a model's counting. All-zero: nothing. */
struct context_rate {
	double factor; /* tokens counted for each estimated; 0: unknown */
	bool exact;    /* this very request told it: the session knows no better */
};

/** What comes of it. */
struct budget {
	double factor;  /* tokens counted for each estimated: 1 where nothing is known */
	double fixed;   /* and what is counted beside that: a template */
	bool measured;  /* an answer or a refusal has told the factor */
	size_t tokens;  /* most tokens of the request; 0: no bound */
	bool by_window; /* the model's window is that bound */
};

void cv_budget_make(struct budget *out, const struct context_limits *limits,
		    const struct context_rate *rate, const convo_session *session);

/** The tokens that an estimate stands for. */
double cv_budget_tokens(const struct budget *budget, double estimate);

/**
 * The factor that a request teaches: what was counted for each token of its estimate. Short ones teach
 * little, for much of them is what a template adds.
 */
double cv_budget_factor(double counted, double estimate);

/** The most messages before a question that the limits can let pass; SIZE_MAX: no bound. */
size_t cv_budget_reach(const struct context_limits *limits);

#endif
