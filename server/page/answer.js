/*
 * An answer that is being given: its pieces, by where they begin, drawn once a frame.
 */

const utf8_length = (text) => new TextEncoder().encode(text).length;

class LiveAnswer {
	constructor(turn, view) {
		this.turn = turn;
		this.view = view;
		this.own = false; // its turn's own stream tells it; else the one that is followed
		this.over = false; // nobody is giving it any more, and it is not stored
		this.text = { said: '', bytes: 0 };
		this.thinking = { said: '', bytes: 0 };
		this.frame = 0;
	}

	/** Add a piece. @return false when there is a hole before it */
	add({ pos, text, kind }) {
		if (kind === 'tool_call' || typeof text !== 'string')
			return true;
		const part = kind === 'reasoning' ? this.thinking : this.text;
		const length = utf8_length(text);
		if (pos === 0) {
			part.said = text;
			part.bytes = length;
		} else if (pos === part.bytes) {
			part.said += text;
			part.bytes += length;
		} else {
			return pos + length <= part.bytes;
		}
		this.draw_soon();
		return true;
	}

	draw_soon() {
		this.frame ||= requestAnimationFrame(() => this.draw());
	}

	draw() {
		this.frame = 0;
		if (this.view.event)
			return; // it is stored by now
		if (this.thinking.said)
			this.view.set_thinking(this.thinking.said);
		this.view.set_text(this.text.said);
	}

	end(problem) {
		this.over = true;
		this.draw();
		this.view.set_live(false);
		this.view.set_problem(problem);
	}
}
