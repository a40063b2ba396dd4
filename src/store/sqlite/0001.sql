-- "cnvo": whose file this is.
PRAGMA application_id = 1668183663;

CREATE TABLE {p}meta (
	name TEXT PRIMARY KEY NOT NULL,
	value TEXT NOT NULL
) WITHOUT ROWID;

-- A life of a session. life: 0 it lives, 1 it is in the trash, 2 it is dead and waits to be
-- cleaned away. Times are in microseconds, 0 for never.
CREATE TABLE {p}sessions (
	no INTEGER PRIMARY KEY,
	app TEXT NOT NULL,
	user TEXT NOT NULL,
	session TEXT NOT NULL,
	generation BLOB NOT NULL,
	title TEXT NOT NULL,
	life INTEGER NOT NULL,
	-- Its place in the list it is in: when it was last written to, or deleted.
	position INTEGER NOT NULL,
	created_us INTEGER NOT NULL,
	updated_us INTEGER NOT NULL,
	expires_us INTEGER NOT NULL,
	deleted_us INTEGER NOT NULL,
	purge_us INTEGER NOT NULL,
	-- When cleaning has to look at it, or earlier.
	due_us INTEGER NOT NULL,
	-- It shows first_seq to last_seq; from kept_seq on they are stored.
	kept_seq INTEGER NOT NULL,
	first_seq INTEGER NOT NULL,
	last_seq INTEGER NOT NULL,
	last_time_ms INTEGER NOT NULL,
	state_bytes INTEGER NOT NULL
);

CREATE UNIQUE INDEX {p}sessions_name ON {p}sessions (app, user, session) WHERE life = 0;

CREATE INDEX {p}sessions_list ON {p}sessions (app, user, position) WHERE life = 0;

CREATE INDEX {p}sessions_trash ON {p}sessions (app, user, position) WHERE life = 1;

CREATE INDEX {p}sessions_trash_name ON {p}sessions (app, user, session, position) WHERE life = 1;

CREATE INDEX {p}sessions_due ON {p}sessions (due_us) WHERE due_us > 0;

-- Events lie in the order they came, whatever their session: appends to many sessions that share
-- a transaction then share pages, too.
CREATE TABLE {p}events (
	no INTEGER PRIMARY KEY,
	session INTEGER NOT NULL,
	seq INTEGER NOT NULL,
	id BLOB NOT NULL,
	time_ms INTEGER NOT NULL,
	status INTEGER NOT NULL,
	role TEXT NOT NULL,
	author TEXT NOT NULL,
	turn TEXT,
	model TEXT,
	finish_reason TEXT,
	error TEXT,
	message TEXT NOT NULL,
	usage TEXT,
	state TEXT,
	extra TEXT
);

CREATE UNIQUE INDEX {p}events_seq ON {p}events (session, seq);

-- The id first: ids that are made one after the other end up on one page.
CREATE UNIQUE INDEX {p}events_id ON {p}events (id, session);

-- What user and app state belongs to; the user is '' for the app's.
CREATE TABLE {p}scopes (
	no INTEGER PRIMARY KEY,
	app TEXT NOT NULL,
	user TEXT NOT NULL,
	state_bytes INTEGER NOT NULL,
	UNIQUE (app, user)
);

-- State by scope: 1 of a session, 2 of a user, 4 of an app. owner is the no of the session or scope.
-- Values are not part of an index: SQLite reads a whole entry to compare its key.
CREATE TABLE {p}state (
	no INTEGER PRIMARY KEY,
	scope INTEGER NOT NULL,
	owner INTEGER NOT NULL,
	name TEXT NOT NULL,
	value TEXT NOT NULL
);

CREATE UNIQUE INDEX {p}state_name ON {p}state (scope, owner, name);

INSERT INTO {p}meta (name, value) VALUES ('schema', '1');
