/*
 * Light colour for Markdown as it streams. Every byte of the text is written once, as it came.
 */
#ifndef CLI_TERM_MARKDOWN_H
#define CLI_TERM_MARKDOWN_H

#include <stdbool.h>
#include <stddef.h>

/** Where the text is. All-zero is the beginning of an answer. */
struct markdown {
	bool mid_line;   /* this line has something other than blanks */
	bool fenced;     /* between ``` lines */
	bool fence_line; /* in a ``` line itself */
	bool heading, bold;
	bool code;       /* between single backquotes */
	bool run_starts; /* the run of marks stands at the start of its line */
	char run;        /* the mark a run is made of: '`', '*', '#'; 0: none */
	size_t run_len;
};

/** Show the next piece of text on standard output. */
void markdown_show(struct markdown *md, const char *text, size_t len);

/** The text is over: back to plain. */
void markdown_end(struct markdown *md);

#endif
