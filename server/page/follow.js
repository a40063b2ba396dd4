/*
 * Following: what happens in the open conversation, on whatever device, as it happens. The stream is taken up again
 * when it is lost, from the last event that came by it. A page that nobody sees lets go of it: a browser has few
 * connections to one server.
 */

const FIRST_WAIT_MS = 400;
const MOST_WAIT_MS = 8000;
const SAY_LOST_MS = 1200; // before that, a loss is not worth a word
const HIDDEN_MS = 60000;

const follow = {
	control: null,
	round: 0,

	begin(id, session) {
		this.stop();
		this.id = id;
		this.seq = session.last_seq;
		this.generation = session.generation;
		this.run(this.round);
	},

	stop() {
		this.round++;
		this.control?.abort();
		this.control = null;
		clearTimeout(this.lost_timer);
		this.lost = false;
	},

	/** Begin the stream anew: whoever comes in mid-answer is told all of it so far. */
	again() {
		this.wake?.();
		this.control?.abort();
	},

	async run(round) {
		let wait = FIRST_WAIT_MS;
		while (round === this.round) {
			try {
				await this.read(round, () => {
					wait = FIRST_WAIT_MS;
					this.say_found();
				});
			} catch (error) {
				if (round !== this.round || this.stays_away(error))
					return;
			}
			if (round !== this.round)
				return;
			if (document.hidden)
				await this.until_seen();
			this.say_lost();
			await Promise.race([sleep(wait), new Promise((done) => { this.wake = done; })]);
			wait = Math.min(wait * 2, MOST_WAIT_MS);
		}
	},

	/** Whether trying again is of no use. */
	stays_away(error) {
		if (error.status === 404) {
			chat.say_line('This conversation is not there any more.', 'New conversation', () => { location.hash = '#/'; });
			return true;
		}
		return error.status === 400 || error.status === 401 || error.status === 403;
	},

	async read(round, opened) {
		this.control = new AbortController();
		const path = session_path(this.id, `/follow?generation=${encodeURIComponent(this.generation)}`);
		const stream = ask_events('GET', path, {
			signal: this.control.signal, headers: { 'Last-Event-ID': String(this.seq) }, opened,
		});
		for await (const event of stream) {
			if (round !== this.round)
				return;
			if (event.id !== null)
				this.seq = Number(event.id);
			this.take(event);
		}
	},

	take({ name, data }) {
		if (this.troubled && name !== 'error')
			chat.say_line('');
		this.troubled = name === 'error';
		switch (name) {
		case 'session':
			this.take_session(data);
			break;
		case 'event':
			chat.add_event(data);
			break;
		case 'delta':
			chat.add_delta(data, false);
			break;
		case 'reset':
			/* Another life of the same id: all that is shown was of the one before. */
			chat.open(chat.id);
			break;
		case 'gone':
			chat.say_line('This conversation was moved to the trash or deleted.', 'New conversation', () => { location.hash = '#/'; });
			list.refresh();
			break;
		case 'error':
			chat.say_line(words_of(new Refusal(0, data.error?.code, data.error?.message ?? 'Something failed')), 'Try again',
				() => this.again());
			break;
		}
	},

	take_session(session) {
		const before = chat.session;
		chat.say_line('');
		chat.set_session(session);
		if (session.held_ms > 0) {
			if (!chat.busy())
				chat.begin_live(null);
			chat.expect_sign();
		} else {
			chat.expect_end();
		}
		if (before && before.held_ms > 0 && !(session.held_ms > 0))
			list.put(session);
	},

	say_lost() {
		if (this.lost)
			return;
		this.lost = true;
		clearTimeout(this.lost_timer);
		this.lost_timer = setTimeout(() => chat.say_line('The connection is lost. Trying again…', 'Now', () => this.wake?.()), SAY_LOST_MS);
	},

	say_found() {
		clearTimeout(this.lost_timer);
		if (this.lost)
			chat.say_line('');
		this.lost = false;
	},

	until_seen() {
		return new Promise((done) => {
			const seen = () => {
				if (document.hidden)
					return;
				document.removeEventListener('visibilitychange', seen);
				done();
			};
			document.addEventListener('visibilitychange', seen);
		});
	},

	watch_page() {
		let timer = 0;
		document.addEventListener('visibilitychange', () => {
			clearTimeout(timer);
			if (document.hidden)
				timer = setTimeout(() => this.control?.abort(), HIDDEN_MS);
		});
		window.addEventListener('online', () => this.wake?.());
	},
};
