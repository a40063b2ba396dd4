/*
 * The conversation that is open: its messages in the order of their seqs, the answer that is being given, older
 * messages as one scrolls up. Events may come twice, by a turn's own stream and by the one that is followed: a
 * seq is taken once.
 */

const WINDOW = 40;
const GRACE_MS = 1500; // from the end of an answer until its event must have come

const chat = {
	id: null, // null: a new one, that is made with its first message
	session: null,
	views: [],
	round: 0,

	clear() {
		this.round++;
		this.session = null;
		this.views = [];
		this.seen = new Set();
		this.undone = new Set();
		this.live = null;
		this.left = new Map(); // by turn: the views of answers that ended without an event, so far
		this.pending = null; // a question's view, until it is stored
		this.made = null; // the id of a new one, while it is being made
		this.failed = null; // {turn, text} that can be asked again as it was
		this.before = false;
		this.first_seq = Infinity;
		this.loading_older = false;
		$('messages').replaceChildren();
		$('older').hidden = true;
		this.say_line('');
		this.show_state();
	},

	busy() {
		return Boolean(this.live && !this.live.over);
	},

	/** Buttons and the like that depend on what goes on. */
	show_state() {
		const busy = this.busy();
		$('messages').classList.toggle('busy', busy);
		$('stop').hidden = !busy;
		$('send').hidden = busy;
		$('empty').hidden = this.views.length > 0 || this.id !== null;
		$('drop').hidden = !this.session;
		set_text($('title'), this.session ? title_of(this.session) : 'New conversation');
		document.title = this.session ? `${title_of(this.session)} – convo` : 'convo';
	},

	/** A line above the messages: how the connection is, that it is gone. */
	say_line(text, label, action) {
		const line = $('line');
		line.replaceChildren(el('span', { text }));
		if (label)
			line.append(el('button', { type: 'button', text: label, onclick: action }));
		line.hidden = !text;
	},

	set_session(session) {
		const renamed = this.session && this.session.title !== session.title;
		this.session = session;
		if (renamed || session.held_ms > 0)
			list.put(session);
		this.show_state();
	},

	/** Open one; null: a new one. */
	async open(id) {
		follow.stop();
		leave_turn();
		this.clear();
		this.id = id;
		composer.load();
		list.draw();
		this.show_state();
		if (id === null)
			return;
		await this.load(this.round);
	},

	async load(round) {
		let window_;
		try {
			window_ = await ask('GET', session_path(this.id, `?last=${WINDOW}&state=false`));
		} catch (error) {
			if (round === this.round)
				this.say_failed(error);
			return;
		}
		if (round !== this.round)
			return;
		this.say_line('');
		this.before = window_.more.before;
		this.set_session(window_.session);
		for (const event of window_.events)
			this.add_event(event);
		this.show_draft(window_.draft);
		models.choose_for(window_.events);
		scroll.to_end();
		this.load_older();
		follow.begin(this.id, window_.session);
	},

	say_failed(error) {
		if (error.status === 404)
			this.say_line('There is no such conversation.', 'New conversation', () => { location.hash = '#/'; });
		else
			this.say_line(`It could not be loaded. ${words_of(error)}`, 'Try again', () => this.open(this.id));
	},

	show_draft(draft) {
		if (!draft && !(this.session.held_ms > 0))
			return;
		const live = this.begin_live(draft?.turn ?? null);
		const text = text_of(draft?.message);
		live.add({ pos: 0, text });
		if (!(this.session.held_ms > 0))
			live.end('Interrupted: its program is gone.');
		this.show_state();
		this.expect_sign();
	},

	// ---- messages ----

	is_shown(event) {
		const { message } = event;
		if (!message || !['user', 'assistant', 'tool'].includes(event.role) || this.undone.has(event.turn))
			return false;
		return Boolean(text_of(message) || images_of(message).length || calls_of(message).length || event.status !== 'complete' ||
			event.role === 'tool');
	},

	add_event(event) {
		if (this.seen.has(event.seq))
			return;
		this.seen.add(event.seq);
		this.first_seq = Math.min(this.first_seq, event.seq);
		if (event.omitted) {
			this.load_omitted(event);
			return;
		}
		if (event.role === 'control') {
			if (event.extra?.undo)
				this.undo(event.extra.undo);
			return;
		}
		if (!this.is_shown(event))
			return;
		const view = this.view_for(event);
		this.place(view, event.seq);
		view.set_event(event);
		this.show_state();
	},

	/** The view that showed it already while it was on its way, or another. */
	view_for(event) {
		if (event.role === 'user' && this.pending && (this.pending.turn === event.turn || !event.turn)) {
			const view = this.pending;
			this.pending = null;
			view.node.classList.remove('pending');
			return view;
		}
		if (event.role === 'assistant' && this.live && (this.live.turn === event.turn || !this.live.turn)) {
			const { view } = this.live;
			this.live = null;
			return view;
		}
		const left = event.role === 'assistant' && this.left.get(event.turn);
		if (left) {
			this.left.delete(event.turn);
			return left;
		}
		return new MessageView(event.role, actions);
	},

	/** Put a view where its seq belongs; Infinity: at the end. */
	place(view, seq) {
		this.take_away(view);
		let at = this.views.length;
		while (at > 0 && this.views[at - 1].seq > seq)
			at--;
		const after = this.views[at]?.node ?? null;
		view.seq = seq;
		this.views.splice(at, 0, view);
		if (view.node.parentNode !== $('messages') || view.node.nextElementSibling !== after)
			$('messages').insertBefore(view.node, after);
	},

	take_away(view) {
		const at = this.views.indexOf(view);
		if (at >= 0)
			this.views.splice(at, 1);
	},

	remove(view) {
		this.take_away(view);
		view.node.remove();
	},

	/** A turn was taken back. */
	undo(turn) {
		this.undone.add(turn);
		for (const view of this.views.filter((one) => one.turn === turn))
			this.remove(view);
		if (this.live?.turn === turn)
			this.live = null;
		this.show_state();
	},

	async load_omitted(event) {
		const round = this.round;
		const around = `?around=${encodeURIComponent(event.id)}&n=1&state=false`;
		const found = await ask('GET', session_path(this.id, around)).catch(() => null);
		const whole = found?.events.find((one) => one.seq === event.seq);
		if (round !== this.round || !whole)
			return;
		this.seen.delete(event.seq);
		this.add_event(whole);
	},

	async load_older() {
		if (!this.before || this.loading_older)
			return;
		const round = this.round;
		this.loading_older = true;
		$('older').hidden = false;
		set_text($('older'), 'Loading older messages…');
		try {
			const before = `?before=${this.first_seq}&n=${WINDOW}&state=false`;
			const found = await ask('GET', session_path(this.id, before));
			if (round !== this.round)
				return;
			this.before = found.more.before && found.events.length > 0;
			scroll.keeping_place(() => {
				$('older').hidden = true;
				/* Newest first: what took turns back stands after them. */
				for (const event of found.events.reverse())
					this.add_event(event);
			});
			this.loading_older = false;
			if (scroll.box.scrollTop < 800)
				this.load_older();
		} catch (error) {
			if (round !== this.round)
				return;
			set_text($('older'), `Older messages could not be loaded. ${words_of(error)}`);
			setTimeout(() => { this.loading_older = false; }, 3000);
		}
	},

	// ---- the answer ----

	begin_live(turn) {
		if (this.live && !this.live.over && (this.live.turn === turn || !this.live.turn || !turn)) {
			this.live.turn ??= turn;
			this.live.view.turn = this.live.turn;
			return this.live;
		}
		if (this.live && this.live.turn === turn)
			this.remove(this.live.view);
		else if (this.live)
			this.left.set(this.live.turn, this.live.view);
		const view = new MessageView('assistant', actions);
		view.turn = turn;
		view.set_live(true);
		this.live = new LiveAnswer(turn, view);
		this.place(view, Infinity);
		this.show_state();
		return this.live;
	},

	/** A piece of an answer, from a turn's own stream or from the one that is followed. */
	add_delta(delta, own) {
		if (this.undone.has(delta.turn) || this.views.some((view) => view.event && view.role === 'assistant' && view.turn === delta.turn))
			return;
		if (this.live?.over && this.live.turn === delta.turn && !(this.session.held_ms > 0)) {
			this.live.add(delta); // what is left of one that nobody gives any more
			return;
		}
		const live = this.begin_live(delta.turn);
		if (live.own && !own)
			return;
		if (!live.add(delta))
			follow.again();
		this.expect_sign();
	},

	/** Nobody holds the session any more: the answer's event comes, or there is none. */
	expect_end() {
		const { live, round } = this;
		if (!live || live.over || live.own)
			return;
		setTimeout(() => {
			if (round === this.round && this.live === live && !live.own && !(this.session.held_ms > 0))
				this.end_live(live, 'Interrupted.');
		}, GRACE_MS);
	},

	/** An answer whose program dies says nothing more: ask when it is not waited for any longer. */
	expect_sign() {
		clearTimeout(this.sign_timer);
		if (this.busy() && !this.live.own && this.session?.held_ms > 0)
			this.sign_timer = setTimeout(() => this.look_for_sign(this.round, this.live), this.session.held_ms + GRACE_MS);
	},

	async look_for_sign(round, live) {
		const found = await ask('GET', session_path(this.id, '?last=0&state=false')).catch(() => null);
		if (round !== this.round || this.live !== live || live.over || live.own)
			return;
		if (found)
			this.set_session(found.session);
		if (found && !(found.session.held_ms > 0))
			this.end_live(live, 'Interrupted: its program is gone.');
		else
			this.expect_sign();
	},

	end_live(live, problem) {
		if (!problem && !live.text.said) {
			this.remove(live.view);
			this.live = null;
		} else {
			live.end(problem);
		}
		this.show_state();
	},
};
