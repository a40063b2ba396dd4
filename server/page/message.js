/*
 * One message on the page: what it shows, and what can be done with it. A view is filled again and again while an
 * answer grows, and stays the same element when the answer is stored.
 */

const IMAGE = /^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/;

const STOPPED = 'Stopped.';

/** A message's text, its parts joined. */
function text_of(message) {
	const content = message?.content;
	if (typeof content === 'string')
		return content;
	if (!Array.isArray(content))
		return '';
	return content.map((part) => part?.text ?? part?.refusal ?? '').filter((text) => typeof text === 'string').join('\n\n');
}

/** The pictures in a message, as data; those that are elsewhere are not loaded. */
function images_of(message) {
	const content = Array.isArray(message?.content) ? message.content : [];
	return content.map((part) => part?.image_url?.url).filter((url) => typeof url === 'string' && IMAGE.test(url));
}

function calls_of(message) {
	const calls = Array.isArray(message?.tool_calls) ? message.tool_calls : [];
	return calls.map((call) => ({ name: call?.function?.name ?? '', text: call?.function?.arguments ?? '' }));
}

/** Something that is opened when it is wanted: thinking, calls of tools and their outputs. */
function make_fold(label, text) {
	return el('details', { class: 'fold' }, el('summary', { text: label }), el('pre', { text }));
}

class MessageView {
	/** @param act what its buttons do: {retry, fork, edit}, each called with the view */
	constructor(role, act) {
		const spoken = { user: 'You said', assistant: 'The answer', tool: 'A tool said' }[role] ?? role;
		this.role = role;
		this.body = el('div', { class: 'text' });
		this.markdown = role === 'assistant' ? new Markdown(this.body) : null;
		this.folds = el('div', { class: 'folds' });
		this.images = el('div', { class: 'images' });
		this.problem = el('p', { class: 'problem', hidden: true });
		this.meta = el('span', { class: 'meta' });
		this.retry = role === 'assistant' && el('button', {
			type: 'button', class: 'quiet retry', title: 'Ask again', 'aria-label': 'Ask again', onclick: () => act.retry(this),
		}, shape('retry'));
		this.foot = el('div', { class: 'foot' },
			this.retry || null,
			this.copy = tool('copy', 'Copy the text', () => copy_text(this.text, this.copy)),
			this.fork = role === 'user' ? tool('rename', 'Say it otherwise, in a fork', () => act.edit(this))
				: tool('fork', 'Fork: go on from here in another conversation', () => act.fork(this)),
			this.meta);
		this.node = el('li', { class: `message ${role}` }, el('span', { class: 'unseen', text: `${spoken}:` }),
			el('div', { class: 'bubble' }, this.folds, this.images, this.body, this.problem), this.foot);
		this.text = '';
		this.seq = Infinity; // it is the last one, until it is stored
		this.turn = null;
	}

	set_text(text) {
		this.text = text;
		if (this.markdown)
			this.markdown.set(text);
		else
			set_text(this.body, text);
	}

	set_live(live) {
		this.node.classList.toggle('live', live);
		this.node.setAttribute('aria-busy', String(live));
	}

	set_problem(text) {
		this.problem.hidden = !text;
		this.problem.classList.toggle('calm', text === STOPPED);
		set_text(this.problem, text ?? '');
	}

	set_thinking(text) {
		if (text && !this.thinking) {
			this.thinking = make_fold('Thinking', '');
			this.folds.prepend(this.thinking);
		}
		if (this.thinking)
			set_text(this.thinking.querySelector('pre'), text);
	}

	/** What is stored. */
	set_event(event) {
		const { message } = event;
		this.seq = event.seq;
		this.turn = event.turn ?? null;
		this.event = event;
		this.set_live(false);
		this.node.dataset.seq = event.seq;
		if (this.role === 'tool') {
			this.folds.replaceChildren(make_fold('What a tool said', text_of(message)));
			this.text = text_of(message);
		} else {
			this.set_text(text_of(message));
			this.set_thinking(message?.reasoning_content ?? message?.reasoning ?? this.thinking?.querySelector('pre').textContent ?? '');
			this.folds.replaceChildren(...(this.thinking ? [this.thinking] : []),
				...calls_of(message).map((call) => make_fold(`Calls ${call.name}`, call.text)));
		}
		this.images.replaceChildren(...images_of(message).map((src) => el('img', { src, alt: 'a picture' })));
		this.set_problem(this.trouble(event));
		set_text(this.meta, this.meta_of(event));
		this.meta.title = when(event.time_ms);
	}

	trouble(event) {
		if (event.status === 'failed')
			return `It failed: ${event.error || 'the model gave no answer'}`;
		if (event.status === 'interrupted')
			return event.error && event.error !== 'stopped' ? `Interrupted: ${event.error}` : STOPPED;
		return event.finish_reason === 'length' ? 'The answer is cut: it reached its limit.' : '';
	}

	meta_of(event) {
		const parts = [];
		if (event.model)
			parts.push(event.model);
		if (event.usage?.completion_tokens > 0)
			parts.push(`${event.usage.completion_tokens} tokens`);
		parts.push(new Date(event.time_ms).toLocaleTimeString([], { timeStyle: 'short' }));
		return parts.join(' · ');
	}
}
