/*
 * Saying something and being answered: the composer, a turn's stream, stop, ask again, forks. What was typed is kept
 * by this browser for each conversation until the server has it.
 */

const TITLE_LETTERS = 60;

// ---- the composer ----------------------------------------------------------------------

const composer = {
	name: () => `draft.${page.me?.app}/${page.me?.user}/${chat.id ?? ''}`,

	load() {
		const input = $('input');
		input.value = local.get(this.name()) ?? '';
		this.say_problem('');
		this.fit();
		if (!matchMedia('(pointer: coarse)').matches && !document.activeElement?.closest('#side'))
			input.focus();
	},

	keep() {
		local.set(this.name(), $('input').value);
	},

	set(text) {
		$('input').value = text;
		this.keep();
		this.fit();
	},

	/** As high as its text, up to what the style allows. */
	fit() {
		const input = $('input');
		input.style.height = 'auto';
		input.style.height = `${input.scrollHeight}px`;
	},

	say_problem(text) {
		set_text($('problem'), text);
		$('problem').hidden = !text;
	},

	begin() {
		const input = $('input');
		new ResizeObserver(() => document.documentElement.style.setProperty('--composer', `${$('composer').offsetHeight}px`))
			.observe($('composer'));
		input.addEventListener('input', () => {
			this.keep();
			this.fit();
		});
		input.addEventListener('keydown', (event) => {
			if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229)
				return;
			event.preventDefault();
			this.send();
		});
		$('composer').addEventListener('submit', (event) => {
			event.preventDefault();
			this.send();
		});
		$('stop').addEventListener('click', stop);
		if (!page.me.rights.includes('chat')) {
			input.disabled = true;
			$('send').disabled = true;
			input.placeholder = 'This key may read, and not write';
		}
	},

	send() {
		const text = $('input').value.trim();
		if (!text)
			return;
		if (chat.busy()) {
			this.say_problem('An answer is being given. Escape stops it.');
			return;
		}
		say(text);
	},
};

// ---- a turn ----------------------------------------------------------------------------

let turn_control = null; // of the stream that is read

/** Stop listening to a turn. It goes on: whoever leaves stops nothing. */
function leave_turn() {
	turn_control?.abort();
	turn_control = null;
}

function first_words(text) {
	const line = text.split('\n').find((one) => one.trim()) ?? '';
	const letters = [...line.trim()];
	return letters.length > TITLE_LETTERS ? `${letters.slice(0, TITLE_LETTERS - 1).join('')}…` : letters.join('');
}

/** Make the conversation that begins here. Said again after a failure, it is the same one. */
async function make_session(text) {
	const round = chat.round;
	chat.made ??= uuid();
	const id = chat.made;
	let session;
	try {
		session = await ask('POST', '/sessions', { body: { id, title: first_words(text) } });
	} catch (error) {
		if (error.status !== 409)
			throw error;
		session = (await ask('GET', session_path(id, '?last=0&state=false'))).session;
	}
	if (round !== chat.round)
		return false;
	local.set(composer.name(), null);
	chat.made = null;
	chat.id = id;
	local.set(composer.name(), text);
	history.pushState(null, '', address_of(id));
	chat.set_session(session);
	list.put(session);
	follow.begin(id, session);
	return true;
}

/** Say a text. What is repeated after a failure has the turn that it had: it is not said twice. */
async function say(text) {
	const again = chat.failed?.text === text ? chat.failed.turn : null;
	const turn = again ?? uuid();
	composer.say_problem('');
	chat.failed = { turn, text };
	show_question(turn, text);
	$('input').value = '';
	composer.fit();
	scroll.to_end();
	const round = chat.round;
	const begun = { yes: false };
	try {
		if (chat.id === null && !(await make_session(text)))
			return;
		await answer(turn, text, begun);
	} catch (error) {
		if (round === chat.round)
			turn_failed(error, turn, text, begun.yes);
	}
}

function show_question(turn, text) {
	if (chat.views.some((view) => view.role === 'user' && view.turn === turn))
		return; // it is stored, and asked again
	const view = new MessageView('user', actions);
	view.turn = turn;
	view.node.classList.add('pending');
	view.set_text(text);
	chat.pending = view;
	chat.place(view, Infinity);
	chat.show_state();
}

/** Ask, and take the stream of the answer. */
async function answer(turn, text, begun) {
	const { round } = chat;
	leave_turn();
	const control = turn_control = new AbortController();
	const live = chat.begin_live(turn);
	live.own = true;
	const body = { text, turn, ...models.chosen() };
	try {
		const stream = ask_events('POST', session_path(chat.id, '/turns'), { body, signal: control.signal, patient: true });
		for await (const { name, data } of stream) {
			if (round !== chat.round)
				return;
			if (take_turn(name, data, live, begun))
				return;
		}
		throw new TypeError('the stream ended early');
	} finally {
		live.own = false;
	}
}

/** An event of a turn's stream. @return whether it is the last one */
function take_turn(name, data, live, begun) {
	switch (name) {
	case 'turn':
		begun.yes = true;
		composer.keep(); // the server has it
		break;
	case 'delta':
		set_text(live.view.meta, '');
		chat.add_delta(data, true);
		break;
	case 'wait':
		set_text(live.view.meta, `The model is asked again in ${Math.ceil(data.wait_ms / 1000)} s: ${data.reason ?? 'it is busy'}`);
		break;
	case 'busy':
		set_text(live.view.meta, 'Another answer is waited for');
		break;
	case 'event':
		chat.add_event(data);
		break;
	case 'done':
		chat.failed = null;
		if (chat.live === live)
			chat.end_live(live, data.error ?? '');
		list.refresh();
		return true;
	case 'error':
		if (data.error?.code === 'too_slow')
			throw new TypeError('the stream ended early');
		throw new Refusal(data.error?.status ?? 500, data.error?.code, data.error?.message ?? 'The answer failed');
	}
	return false;
}

/** A turn came to no good end: say it where it happened, and lose nothing that was typed. */
async function turn_failed(error, turn, text, begun) {
	const { round } = chat;
	if (begun || await was_stored(turn)) {
		composer.keep();
		if (!(error instanceof Refusal))
			follow.again(); // the connection: the answer goes on, and is followed
		else if (chat.live?.turn === turn)
			chat.end_live(chat.live, words_of(error));
	} else if (round === chat.round) {
		give_back(error, text);
	}
}

/** Whether the server has the question: a model can fail before its stream begins. */
async function was_stored(turn) {
	const { round, id } = chat;
	const found = id === null ? null : await ask('GET', session_path(id, '?last=5&state=false')).catch(() => null);
	if (round !== chat.round || !found?.events.some((event) => event.turn === turn))
		return false;
	found.events.forEach((event) => chat.add_event(event));
	return true;
}

/** Nothing came of it: the words go back to where they were typed. */
function give_back(error, text) {
	for (const view of [chat.live?.view, chat.pending])
		if (view)
			chat.remove(view);
	chat.live = chat.pending = null;
	if (error.status === 409)
		composer.say_problem('Another answer is being given in this conversation.');
	else if (error.status !== 401)
		composer.say_problem(`It was not sent. ${words_of(error)}`);
	composer.set($('input').value ? `${text}\n${$('input').value}` : text);
	chat.show_state();
}

async function stop() {
	const { live } = chat;
	if (!live?.turn || live.over || live.stopping)
		return;
	live.stopping = true;
	try {
		await ask('POST', session_path(chat.id, `/turns/${encodeURIComponent(live.turn)}/cancel`));
	} catch (error) {
		if (chat.live !== live)
			return; // it just ended
		composer.say_problem(error.status === 404 ? 'Another server gives this answer: it cannot be stopped from here.'
			: `It was not stopped. ${words_of(error)}`);
	} finally {
		live.stopping = false;
	}
}

// ---- what messages can do --------------------------------------------------------------

const actions = {
	/** Ask again: as it was if no answer is stored, else after taking the last turn back. */
	async retry(view) {
		if (chat.busy())
			return;
		const { failed, round } = chat;
		if (failed && failed.turn === view.turn && !view.event) {
			chat.remove(view);
			chat.live = null;
			say(failed.text);
			return;
		}
		try {
			const { text } = await ask('POST', session_path(chat.id, '/undo'));
			if (round !== chat.round)
				return;
			if (view.turn)
				chat.undo(view.turn);
			if (text)
				say_kept(text);
		} catch (error) {
			composer.say_problem(`It was not asked again. ${words_of(error)}`);
		}
	},

	async fork(view, upto = view.seq, text = '') {
		if (!Number.isFinite(upto))
			return;
		try {
			const forked = await ask('POST', session_path(chat.id, '/fork'), { body: { upto_seq: upto } });
			local.set(`draft.${page.me.app}/${page.me.user}/${forked.id}`, text);
			list.put(forked);
			location.hash = address_of(forked.id);
			toast('This is the fork. The conversation before is as it was.');
		} catch (error) {
			composer.say_problem(`It was not forked. ${words_of(error)}`);
		}
	},

	/** Go back to before a question, in a fork, with its words in the composer. */
	edit(view) {
		if (view.seq > 1) {
			actions.fork(view, view.seq - 1, view.text);
			return;
		}
		local.set(`draft.${page.me.app}/${page.me.user}/`, view.text);
		location.hash = '#/';
	},
};

/** Say something while what is being typed stays. */
function say_kept(text) {
	const typed = $('input').value;
	say(text);
	composer.set(typed);
}
