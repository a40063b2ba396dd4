-- The tables. Every statement bears being run again: DDL has no transactions here. The comment tells
-- our table from others while its first row is not there yet. The column `exact` and the procedures
-- came with 0002.sql, which adds them where they are missing.
CREATE TABLE IF NOT EXISTS {p}meta (
	name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
	value VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC COMMENT='convo';

INSERT IGNORE INTO {p}meta (name, value) VALUES ('schema', '0');

-- A life of a session. life: 0 it lives, 1 it is in the trash, 2 it is dead and waits to be
-- cleaned away. Times are in microseconds since 1970, 0 for never. Names are bytes; `live` is NULL
-- unless the session lives, so that a name can live once and be dead many times.
CREATE TABLE IF NOT EXISTS {p}sessions (
	no BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
	app VARBINARY(255) NOT NULL,
	user VARBINARY(255) NOT NULL,
	session VARBINARY(255) NOT NULL,
	generation BINARY(16) NOT NULL,
	title VARCHAR(255) NOT NULL,
	life TINYINT NOT NULL,
	live TINYINT GENERATED ALWAYS AS (IF(life = 0, 1, NULL)) STORED,
	-- Its place in the list it is in: when it was last written to, or deleted.
	position BIGINT NOT NULL,
	created_us BIGINT NOT NULL,
	updated_us BIGINT NOT NULL,
	expires_us BIGINT NOT NULL,
	deleted_us BIGINT NOT NULL,
	purge_us BIGINT NOT NULL,
	-- When cleaning has to look at it, or earlier.
	due_us BIGINT NOT NULL,
	-- It shows first_seq to last_seq; from kept_seq on they are stored.
	kept_seq BIGINT NOT NULL,
	first_seq BIGINT NOT NULL,
	last_seq BIGINT NOT NULL,
	last_time_ms BIGINT NOT NULL,
	state_bytes BIGINT NOT NULL,
	UNIQUE KEY name (app, user, session, live),
	KEY list (app, user, life, position, no),
	KEY due (due_us)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- session is the no of its session. exact is NULL, or a JSON object as text, with those of message,
-- usage, state and extra that the JSON type may not give back as they were. There is no foreign key: who adds events holds the session's
-- row, and cleaning removes the row last.
CREATE TABLE IF NOT EXISTS {p}events (
	session BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	id BINARY(16) NOT NULL,
	time_ms BIGINT NOT NULL,
	status TINYINT NOT NULL,
	role TEXT NOT NULL,
	author TEXT NOT NULL,
	turn TEXT,
	model TEXT,
	finish_reason TEXT,
	error LONGTEXT,
	message JSON NOT NULL,
	`usage` JSON,
	state JSON,
	extra JSON,
	exact LONGTEXT,
	PRIMARY KEY (session, seq),
	UNIQUE KEY id (session, id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What user and app state belongs to; the user is '' for the app's.
CREATE TABLE IF NOT EXISTS {p}scopes (
	no BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
	app VARBINARY(255) NOT NULL,
	user VARBINARY(255) NOT NULL,
	state_bytes BIGINT NOT NULL,
	UNIQUE KEY name (app, user)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

-- State by scope: 1 of a session, 2 of a user, 4 of an app. owner is the no of the session or scope;
-- bytes is what the name counts against the limit of its scope; exact is the value as text where the
-- JSON type may not give it back.
CREATE TABLE IF NOT EXISTS {p}state (
	scope TINYINT NOT NULL,
	owner BIGINT NOT NULL,
	name VARBINARY(255) NOT NULL,
	value JSON NOT NULL,
	exact LONGTEXT,
	bytes BIGINT NOT NULL,
	PRIMARY KEY (scope, owner, name)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

REPLACE INTO {p}meta (name, value) VALUES ('schema', '1');
