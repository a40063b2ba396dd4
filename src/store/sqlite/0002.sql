-- Who answers in a session. lease: the name of the claim that holds it, or held it last; NULL: there
-- never was one. It holds until held_us (0: it has ended), in microseconds since the machine was
-- started (CLOCK_BOOTTIME), by the start that held_boot tells: whatever the wall clock says.
ALTER TABLE {p}sessions ADD COLUMN lease BLOB;

ALTER TABLE {p}sessions ADD COLUMN held_us INTEGER NOT NULL DEFAULT 0;

ALTER TABLE {p}sessions ADD COLUMN held_boot INTEGER NOT NULL DEFAULT 0;

-- The id of the event that the draft is to become, and the bytes of its message; NULL: no draft.
ALTER TABLE {p}sessions ADD COLUMN draft BLOB;

ALTER TABLE {p}sessions ADD COLUMN draft_bytes INTEGER NOT NULL DEFAULT 0;

-- Rises with whatever happens to the session, for those who watch it.
ALTER TABLE {p}sessions ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;

-- Of which life of which session, and up to which of its events, this one is a fork; NULL: of none.
ALTER TABLE {p}sessions ADD COLUMN fork_session TEXT;

ALTER TABLE {p}sessions ADD COLUMN fork_generation BLOB;

ALTER TABLE {p}sessions ADD COLUMN fork_seq INTEGER NOT NULL DEFAULT 0;

-- Drafts: what else the event will have. session is the no of the session.
CREATE TABLE {p}drafts (
	session INTEGER PRIMARY KEY,
	role TEXT NOT NULL,
	author TEXT NOT NULL,
	turn TEXT,
	model TEXT,
	extra TEXT
);

-- The message of a draft, 3,800 bytes a piece: what is new in it is the end of it.
CREATE TABLE {p}pieces (
	no INTEGER PRIMARY KEY,
	session INTEGER NOT NULL,
	piece INTEGER NOT NULL,
	bytes BLOB NOT NULL
);

CREATE UNIQUE INDEX {p}pieces_place ON {p}pieces (session, piece);

-- Drafts go with their session, also where a program removes it that knows of none.
CREATE TRIGGER {p}sessions_gone AFTER DELETE ON {p}sessions BEGIN
	DELETE FROM {p}drafts WHERE session = OLD.no; DELETE FROM {p}pieces WHERE session = OLD.no; END;

UPDATE {p}meta SET value = '2' WHERE name = 'schema';
