/*
 * Where one reads in the messages: they stay at their end while they grow, if their reader is there, and do not move
 * else.
 */

const NEAR = 60; // pixels from the end that still are the end

const scroll = {
	at_end: true,
	last_top: 0,

	begin() {
		this.box = $('log');
		this.box.addEventListener('scroll', () => this.on_scroll(), { passive: true });
		const watch = new ResizeObserver(() => this.settle());
		watch.observe($('messages'));
		watch.observe(this.box);
		$('jump').addEventListener('click', () => this.to_end());
	},

	on_scroll() {
		const { scrollTop, scrollHeight, clientHeight } = this.box;
		if (scrollHeight - scrollTop - clientHeight < NEAR)
			this.at_end = true;
		else if (scrollTop < this.last_top)
			this.at_end = false; // upwards: that was the reader, not a text that grew
		this.last_top = scrollTop;
		$('jump').hidden = this.at_end;
		if (scrollTop < 800)
			chat.load_older();
	},

	settle() {
		if (this.at_end)
			this.to_end();
		else
			this.on_scroll();
	},

	to_end() {
		this.at_end = true;
		this.box.scrollTop = this.box.scrollHeight;
		this.last_top = this.box.scrollTop;
		$('jump').hidden = true;
	},

	/** Change what is above, without moving what is read. */
	keeping_place(change) {
		const below = this.box.scrollHeight - this.box.scrollTop;
		change();
		this.box.scrollTop = this.box.scrollHeight - below;
		this.last_top = this.box.scrollTop;
	},
};
