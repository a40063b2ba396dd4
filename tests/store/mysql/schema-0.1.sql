-- Every statement bears being run again: DDL has no transactions here. The comment tells our table
-- from others while its first row is not there yet.
CREATE TABLE IF NOT EXISTS convo_meta (
	name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
	value VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC COMMENT='convo';
INSERT IGNORE INTO convo_meta (name, value) VALUES ('schema', '0');
-- A life of a session. life: 0 it lives, 1 it is in the trash, 2 it is dead and waits to be
-- cleaned away. Times are in microseconds since 1970, 0 for never. Names are bytes; `live` is NULL
-- unless the session lives, so that a name can live once and be dead many times.
CREATE TABLE IF NOT EXISTS convo_sessions (
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
-- session is the no of its session. There is no foreign key: who adds events holds the session's
-- row, and cleaning removes the row last.
CREATE TABLE IF NOT EXISTS convo_events (
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
	PRIMARY KEY (session, seq),
	UNIQUE KEY id (session, id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
-- What user and app state belongs to; the user is '' for the app's.
CREATE TABLE IF NOT EXISTS convo_scopes (
	no BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
	app VARBINARY(255) NOT NULL,
	user VARBINARY(255) NOT NULL,
	state_bytes BIGINT NOT NULL,
	UNIQUE KEY name (app, user)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;
-- State by scope: 1 of a session, 2 of a user, 4 of an app. owner is the no of the session or scope;
-- bytes is what the name counts against the limit of its scope.
CREATE TABLE IF NOT EXISTS convo_state (
	scope TINYINT NOT NULL,
	owner BIGINT NOT NULL,
	name VARBINARY(255) NOT NULL,
	value JSON NOT NULL,
	bytes BIGINT NOT NULL,
	PRIMARY KEY (scope, owner, name)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
-- The procedures are one operation each, so that it takes one round trip and is one transaction.
-- They answer with a row of a convo_code. What comes in lists is packed: p_data holds all texts one
-- after the other, and an index says where each begins (from 1; 0 for NULL) and how long it is, in
-- nine digits each.

-- Apply the changes of p_changes to one scope, whose row the caller holds. A change is the scope in
-- one digit, its event in nine, the places of its name and its value. p_fresh has a '1' for each
-- event whose changes count.
DROP PROCEDURE IF EXISTS convo_change;
DELIMITER $$
CREATE PROCEDURE convo_change(p_kind TINYINT, p_owner BIGINT, INOUT p_bytes BIGINT, p_max BIGINT,
	p_fresh VARBINARY(1000), p_changes LONGBLOB, p_data LONGBLOB)
	MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
	DECLARE v_at INT DEFAULT 1;
	DECLARE v_old, v_new BIGINT;
	DECLARE v_name VARBINARY(255);
	DECLARE v_value LONGTEXT CHARACTER SET utf8mb4;
	WHILE v_at < LENGTH(p_changes) DO
		IF SUBSTR(p_changes, v_at, 1) = p_kind
				AND SUBSTR(p_fresh, SUBSTR(p_changes, v_at + 1, 9) + 1, 1) = '1' THEN
			SET v_name = SUBSTR(p_data, SUBSTR(p_changes, v_at + 10, 9),
				SUBSTR(p_changes, v_at + 19, 9));
			SET v_value = CONVERT(SUBSTR(p_data,
				NULLIF(SUBSTR(p_changes, v_at + 28, 9), '000000000'),
				SUBSTR(p_changes, v_at + 37, 9)) USING utf8mb4);
			SET v_old = 0;
			SELECT bytes INTO v_old FROM convo_state
				WHERE scope = p_kind AND owner = p_owner AND name = v_name;
			IF v_value IS NULL THEN
				SET v_new = 0;
				DELETE FROM convo_state WHERE scope = p_kind AND owner = p_owner AND name = v_name;
			ELSE
				SET v_new = LENGTH(v_name) + LENGTH(v_value);
				INSERT INTO convo_state (scope, owner, name, value, bytes)
					VALUES (p_kind, p_owner, v_name, v_value, v_new)
					ON DUPLICATE KEY UPDATE value = v_value, bytes = v_new;
			END IF;
			SET p_bytes = p_bytes + v_new - v_old;
		END IF;
		SET v_at = v_at + 46;
	END WHILE;
	IF p_bytes > p_max THEN
		SIGNAL SQLSTATE 'CV003' SET MYSQL_ERRNO = 1644, MESSAGE_TEXT = p_kind;
	END IF;
END $$
DELIMITER ;
-- Apply changes to the scopes of a user and an app.
DROP PROCEDURE IF EXISTS convo_change_shared;
DELIMITER $$
CREATE PROCEDURE convo_change_shared(p_app VARBINARY(255), p_user VARBINARY(255), p_max BIGINT,
	p_scopes INT, p_fresh VARBINARY(1000), p_changes LONGBLOB, p_data LONGBLOB)
	MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
	DECLARE v_kind INT DEFAULT 2;
	DECLARE v_no, v_bytes BIGINT;
	DECLARE v_user VARBINARY(255);
	WHILE v_kind <= 4 DO
		IF p_scopes & v_kind THEN
			SET v_user = IF(v_kind = 2, p_user, '');
			INSERT INTO convo_scopes (app, user, state_bytes) VALUES (p_app, v_user, 0)
				ON DUPLICATE KEY UPDATE state_bytes = state_bytes;
			SELECT no, state_bytes INTO v_no, v_bytes FROM convo_scopes
				WHERE app = p_app AND user = v_user FOR UPDATE;
			CALL convo_change(v_kind, v_no, v_bytes, p_max, p_fresh, p_changes, p_data);
			UPDATE convo_scopes SET state_bytes = v_bytes WHERE no = v_no;
		END IF;
		SET v_kind = v_kind * 2;
	END WHILE;
END $$
DELIMITER ;
DROP PROCEDURE IF EXISTS convo_create;
DELIMITER $$
CREATE PROCEDURE convo_create(p_app VARBINARY(255), p_user VARBINARY(255),
	p_session VARBINARY(255), p_now BIGINT, p_ttl BIGINT, p_max BIGINT, p_generation BINARY(16),
	p_title VARCHAR(255) CHARACTER SET utf8mb4, p_scopes INT, p_changes LONGBLOB, p_data LONGBLOB)
	MODIFIES SQL DATA SQL SECURITY INVOKER
main: BEGIN
	DECLARE v_no, v_expires, v_bytes BIGINT;
	DECLARE v_generation BINARY(16);
	DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN
		ROLLBACK;
		RESIGNAL;
	END;
	START TRANSACTION;
	SELECT no, generation, expires_us INTO v_no, v_generation, v_expires FROM convo_sessions
		WHERE app = p_app AND user = p_user AND session = p_session AND live = 1 FOR UPDATE;
	IF v_no IS NOT NULL AND (v_expires = 0 OR v_expires > p_now) THEN
		COMMIT;
		-- Its own generation: this is a repeat whose first try was carried out.
		SELECT IF(v_generation = p_generation, 0, -5) AS code;
		LEAVE main;
	END IF;
	-- An expired session must not be in the way.
	UPDATE convo_sessions SET life = 2, due_us = 1 WHERE no = v_no;
	INSERT INTO convo_sessions (app, user, session, generation, title, life, position, created_us,
			updated_us, expires_us, deleted_us, purge_us, due_us, kept_seq, first_seq, last_seq,
			last_time_ms, state_bytes)
		VALUES (p_app, p_user, p_session, p_generation, p_title, 0, p_now, p_now, p_now,
			IF(p_ttl > 0, p_now + p_ttl, 0), 0, 0, IF(p_ttl > 0, p_now + p_ttl, 0), 1, 1, 0, 0, 0);
	IF p_scopes & 1 THEN
		SET v_no = LAST_INSERT_ID(), v_bytes = 0;
		CALL convo_change(1, v_no, v_bytes, p_max, '1', p_changes, p_data);
		UPDATE convo_sessions SET state_bytes = v_bytes WHERE no = v_no;
	END IF;
	CALL convo_change_shared(p_app, p_user, p_max, p_scopes, '1', p_changes, p_data);
	COMMIT;
	SELECT 0 AS code;
END $$
DELIMITER ;
-- An event is its id, its status in one digit, and the places of its fields. p_after is the last
-- seq expected, -1 for any. code 1: the session has another generation. seqs are those of all
-- events, with a comma after each.
DROP PROCEDURE IF EXISTS convo_append;
DELIMITER $$
CREATE PROCEDURE convo_append(p_app VARBINARY(255), p_user VARBINARY(255),
	p_session VARBINARY(255), p_now BIGINT, p_ttl BIGINT, p_max BIGINT, p_limit BIGINT,
	p_generation BINARY(16), p_after BIGINT, p_events LONGBLOB, p_scopes INT, p_changes LONGBLOB,
	p_data LONGBLOB)
	MODIFIES SQL DATA SQL SECURITY INVOKER
main: BEGIN
	DECLARE v_at INT DEFAULT 1;
	DECLARE v_no, v_kept, v_first, v_last, v_new, v_time, v_bytes, v_seq, v_count, v_cut BIGINT;
	DECLARE v_generation, v_id BINARY(16);
	DECLARE v_fresh VARBINARY(1000) DEFAULT '';
	DECLARE v_seqs LONGBLOB DEFAULT '';
	DECLARE v_status TINYINT;
	DECLARE v_role, v_author, v_turn, v_model, v_finish_reason, v_error, v_message, v_usage, v_state,
		v_extra LONGTEXT CHARACTER SET utf8mb4;
	DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN
		ROLLBACK;
		RESIGNAL;
	END;
	START TRANSACTION;
	SELECT no, generation, kept_seq, first_seq, last_seq, last_time_ms, state_bytes
		INTO v_no, v_generation, v_kept, v_first, v_last, v_time, v_bytes FROM convo_sessions
		WHERE app = p_app AND user = p_user AND session = p_session AND live = 1
			AND (expires_us = 0 OR expires_us > p_now) FOR UPDATE;
	IF v_no IS NULL OR v_generation <> p_generation THEN
		COMMIT;
		SELECT IF(v_no IS NULL, -4, 1) AS code, v_last AS last_seq, '' AS seqs;
		LEAVE main;
	END IF;
	SET v_new = v_last, v_time = GREATEST(v_time, p_now DIV 1000);
	WHILE v_at < LENGTH(p_events) DO
		SET v_id = SUBSTR(p_events, v_at, 16), v_seq = NULL;
		SELECT seq INTO v_seq FROM convo_events WHERE session = v_no AND id = v_id;
		SET v_fresh = CONCAT(v_fresh, IF(v_seq IS NULL, '1', '0'));
		IF v_seq IS NULL THEN
			IF p_after >= 0 AND p_after <> v_last THEN
				COMMIT;
				SELECT -6 AS code, v_last AS last_seq, '' AS seqs;
				LEAVE main;
			END IF;
			SET v_new = v_new + 1, v_seq = v_new;
			-- A statement is written out with the values of its variables, so it must not name
			-- p_data.
			SET v_status = SUBSTR(p_events, v_at + 16, 1);
			SET v_role = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 17, 9), '000000000'),
				SUBSTR(p_events, v_at + 26, 9)) USING utf8mb4);
			SET v_author = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 35, 9), '000000000'),
				SUBSTR(p_events, v_at + 44, 9)) USING utf8mb4);
			SET v_turn = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 53, 9), '000000000'),
				SUBSTR(p_events, v_at + 62, 9)) USING utf8mb4);
			SET v_model = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 71, 9), '000000000'),
				SUBSTR(p_events, v_at + 80, 9)) USING utf8mb4);
			SET v_finish_reason = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 89, 9), '000000000'),
				SUBSTR(p_events, v_at + 98, 9)) USING utf8mb4);
			SET v_error = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 107, 9), '000000000'),
				SUBSTR(p_events, v_at + 116, 9)) USING utf8mb4);
			SET v_message = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 125, 9), '000000000'),
				SUBSTR(p_events, v_at + 134, 9)) USING utf8mb4);
			SET v_usage = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 143, 9), '000000000'),
				SUBSTR(p_events, v_at + 152, 9)) USING utf8mb4);
			SET v_state = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 161, 9), '000000000'),
				SUBSTR(p_events, v_at + 170, 9)) USING utf8mb4);
			SET v_extra = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 179, 9), '000000000'),
				SUBSTR(p_events, v_at + 188, 9)) USING utf8mb4);
			INSERT INTO convo_events (session, seq, id, time_ms, status, `role`, `author`, `turn`, `model`, `finish_reason`, `error`, `message`, `usage`, `state`, `extra`)
				VALUES (v_no, v_seq, v_id, v_time, v_status, v_role, v_author, v_turn, v_model,
					v_finish_reason, v_error, v_message, v_usage, v_state, v_extra);
		END IF;
		SET v_seqs = CONCAT(v_seqs, v_seq, ','), v_at = v_at + 197;
	END WHILE;
	SET v_count = v_new - v_last;
	IF v_count > 0 THEN
		IF p_scopes & 1 THEN
			CALL convo_change(1, v_no, v_bytes, p_max, v_fresh, p_changes, p_data);
		END IF;
		IF p_scopes > 1 THEN
			CALL convo_change_shared(p_app, p_user, p_max, p_scopes, v_fresh, p_changes, p_data);
		END IF;
		IF p_limit > 0 THEN
			SET v_first = GREATEST(v_first, v_new - GREATEST(p_limit, v_count) + 1);
			-- A session that was kept without a limit is cut by and by.
			SET v_cut = LEAST(v_first, v_kept + v_count + 10000);
			IF v_cut > v_kept THEN
				DELETE FROM convo_events WHERE session = v_no AND seq >= v_kept AND seq < v_cut;
				SET v_kept = v_cut;
			END IF;
		END IF;
		UPDATE convo_sessions SET position = GREATEST(position, p_now),
		updated_us = GREATEST(updated_us, p_now),
		due_us = IF(p_ttl > 0 AND (due_us = 0 OR due_us > p_now + p_ttl), p_now + p_ttl, due_us),
		expires_us = IF(p_ttl > 0, p_now + p_ttl, expires_us),
		kept_seq = v_kept, first_seq = v_first, last_seq = v_new, last_time_ms = v_time,
		state_bytes = v_bytes
			WHERE no = v_no;
	END IF;
	COMMIT;
	SELECT 0 AS code, v_new AS last_seq, v_seqs AS seqs;
END $$
DELIMITER ;
DROP PROCEDURE IF EXISTS convo_state_set;
DELIMITER $$
CREATE PROCEDURE convo_state_set(p_app VARBINARY(255), p_user VARBINARY(255),
	p_session VARBINARY(255), p_now BIGINT, p_ttl BIGINT, p_max BIGINT, p_scopes INT,
	p_changes LONGBLOB, p_data LONGBLOB)
	MODIFIES SQL DATA SQL SECURITY INVOKER
main: BEGIN
	DECLARE v_no, v_bytes BIGINT;
	DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN
		ROLLBACK;
		RESIGNAL;
	END;
	START TRANSACTION;
	IF p_scopes & 1 THEN
		SELECT no, state_bytes INTO v_no, v_bytes FROM convo_sessions
			WHERE app = p_app AND user = p_user AND session = p_session AND live = 1
				AND (expires_us = 0 OR expires_us > p_now) FOR UPDATE;
		IF v_no IS NULL THEN
			COMMIT;
			SELECT -4 AS code;
			LEAVE main;
		END IF;
		CALL convo_change(1, v_no, v_bytes, p_max, '1', p_changes, p_data);
		UPDATE convo_sessions SET position = GREATEST(position, p_now),
		updated_us = GREATEST(updated_us, p_now),
		due_us = IF(p_ttl > 0 AND (due_us = 0 OR due_us > p_now + p_ttl), p_now + p_ttl, due_us),
		expires_us = IF(p_ttl > 0, p_now + p_ttl, expires_us),
		state_bytes = v_bytes
			WHERE no = v_no;
	END IF;
	CALL convo_change_shared(p_app, p_user, p_max, p_scopes, '1', p_changes, p_data);
	COMMIT;
	SELECT 0 AS code;
END $$
DELIMITER ;
-- One view of the names of some scopes, or with p_name of that one: after a row with the scope 0,
-- unless a session is needed and absent.
DROP PROCEDURE IF EXISTS convo_state_list;
DELIMITER $$
CREATE PROCEDURE convo_state_list(p_app VARBINARY(255), p_user VARBINARY(255),
	p_session VARBINARY(255), p_now BIGINT, p_scopes INT, p_name VARBINARY(255))
	READS SQL DATA SQL SECURITY INVOKER
main: BEGIN
	DECLARE v_no BIGINT;
	DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN
		ROLLBACK;
		RESIGNAL;
	END;
	SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
	START TRANSACTION WITH CONSISTENT SNAPSHOT;
	SELECT no INTO v_no FROM convo_sessions
		WHERE app = p_app AND user = p_user AND session = p_session AND live = 1
			AND (expires_us = 0 OR expires_us > p_now);
	IF v_no IS NOT NULL OR NOT p_scopes & 1 THEN
		SELECT 0 AS scope, '' AS name, '' AS value;
		SELECT t.scope, t.name, t.value FROM convo_state AS t
			WHERE p_scopes & 1 AND t.scope = 1 AND t.owner = v_no
				AND (p_name IS NULL OR t.name = p_name)
		UNION ALL SELECT t.scope, t.name, t.value FROM convo_scopes AS o JOIN convo_state AS t
			ON t.owner = o.no AND t.scope = IF(o.user = '', 4, 2)
			WHERE o.app = p_app AND o.user IN (p_user, '') AND p_scopes & t.scope
				AND (p_name IS NULL OR t.name = p_name);
	END IF;
	COMMIT;
END $$
DELIMITER ;
-- One view of a session, as rows of three kinds, which the first column tells: 0 the session, 1 a
-- name of state, 2 an event. p_kind is an enum convo_window_kind.
DROP PROCEDURE IF EXISTS convo_load;
DELIMITER $$
CREATE PROCEDURE convo_load(p_app VARBINARY(255), p_user VARBINARY(255),
	p_session VARBINARY(255), p_now BIGINT, p_limit BIGINT, p_kind INT, p_n BIGINT, p_seq BIGINT,
	p_id BINARY(16))
	READS SQL DATA SQL SECURITY INVOKER
main: BEGIN
	DECLARE v_no, v_low, v_high, v_seq BIGINT;
	DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN
		ROLLBACK;
		RESIGNAL;
	END;
	SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
	START TRANSACTION WITH CONSISTENT SNAPSHOT;
	SELECT no, GREATEST(first_seq, IF(p_limit > 0, last_seq - p_limit + 1, 1)), last_seq
		INTO v_no, v_low, v_high FROM convo_sessions
		WHERE app = p_app AND user = p_user AND session = p_session AND live = 1
			AND (expires_us = 0 OR expires_us > p_now);
	IF p_kind = 0 THEN
		SET v_low = GREATEST(v_low, v_high - p_n + 1);
	ELSEIF p_kind = 1 THEN
		SET v_low = GREATEST(v_low, p_seq + 1), v_high = LEAST(v_high, v_low + p_n - 1);
	ELSEIF p_kind = 2 THEN
		SET v_high = LEAST(v_high, p_seq - 1), v_low = GREATEST(v_low, v_high - p_n + 1);
	ELSEIF p_kind = 3 THEN
		SELECT seq INTO v_seq FROM convo_events WHERE session = v_no AND id = p_id AND seq >= v_low;
		SET v_high = LEAST(v_high, v_seq + (p_n - 1) DIV 2),
			v_low = GREATEST(v_low, v_seq - (p_n - 1 - (p_n - 1) DIV 2));
	ELSE
		SET v_high = 0;
	END IF;
	IF v_no IS NULL OR (p_kind = 3 AND v_seq IS NULL) THEN
		COMMIT;
		LEAVE main;
	END IF;
	SELECT 0 AS part, session, title, generation, created_us, updated_us, expires_us, deleted_us,
		first_seq, last_seq, position, no FROM convo_sessions WHERE no = v_no;
	SELECT 1 AS part, t.scope, t.name, t.value FROM convo_state AS t
		WHERE t.scope = 1 AND t.owner = v_no
	UNION ALL SELECT 1 AS part, t.scope, t.name, t.value FROM convo_scopes AS o JOIN convo_state AS t
		ON t.owner = o.no AND t.scope = IF(o.user = '', 4, 2)
		WHERE o.app = p_app AND o.user IN (p_user, '');
	SELECT 2 AS part, seq, time_ms, id, status, `role`, `author`, `turn`, `model`, `finish_reason`, `error`, `message`, `usage`, `state`, `extra` FROM convo_events
		WHERE session = v_no AND seq >= v_low AND seq <= v_high ORDER BY seq;
	COMMIT;
END $$
DELIMITER ;
DROP PROCEDURE IF EXISTS convo_restore;
DELIMITER $$
CREATE PROCEDURE convo_restore(p_app VARBINARY(255), p_user VARBINARY(255),
	p_session VARBINARY(255), p_now BIGINT, p_ttl BIGINT, p_generation BINARY(16))
	MODIFIES SQL DATA SQL SECURITY INVOKER
main: BEGIN
	DECLARE v_live, v_expires, v_no BIGINT;
	DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN
		ROLLBACK;
		RESIGNAL;
	END;
	START TRANSACTION;
	SELECT no, expires_us INTO v_live, v_expires FROM convo_sessions
		WHERE app = p_app AND user = p_user AND session = p_session AND live = 1 FOR UPDATE;
	SELECT no INTO v_no FROM convo_sessions
		WHERE app = p_app AND user = p_user AND session = p_session AND life = 1
			AND purge_us > p_now AND (p_generation IS NULL OR generation = p_generation)
		ORDER BY position DESC, no DESC LIMIT 1 FOR UPDATE;
	IF v_no IS NULL OR (v_live IS NOT NULL AND (v_expires = 0 OR v_expires > p_now)) THEN
		COMMIT;
		SELECT IF(v_live IS NOT NULL AND (v_expires = 0 OR v_expires > p_now), -5, -4) AS code;
		LEAVE main;
	END IF;
	-- An expired session must not be in the way.
	UPDATE convo_sessions SET life = 2, due_us = 1 WHERE no = v_live;
	-- MySQL assigns from left to right.
	UPDATE convo_sessions SET life = 0, position = p_now, updated_us = GREATEST(updated_us, p_now),
			expires_us = IF(p_ttl > 0, p_now + p_ttl,
				IF(expires_us > 0, expires_us + p_now - deleted_us, 0)),
			due_us = expires_us, deleted_us = 0, purge_us = 0
		WHERE no = v_no;
	COMMIT;
	SELECT 0 AS code;
END $$
DELIMITER ;
-- One step of cleaning: at most p_rows rows go, each session in a transaction of its own.
DROP PROCEDURE IF EXISTS convo_clean;
DELIMITER $$
CREATE PROCEDURE convo_clean(p_now BIGINT, p_rows BIGINT)
	MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
	DECLARE v_no, v_end, v_kept, v_events BIGINT;
	DECLARE v_left BIGINT DEFAULT p_rows;
	DECLARE v_seen, v_removed INT DEFAULT 0;
	DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN
		ROLLBACK;
		RESIGNAL;
	END;
	sweep: WHILE v_left > 0 AND v_seen < 100 DO
		SET v_no = NULL, v_end = NULL;
		SELECT no INTO v_no FROM convo_sessions WHERE due_us > 0 AND due_us <= p_now
			ORDER BY due_us LIMIT 1;
		IF v_no IS NULL THEN
			LEAVE sweep;
		END IF;
		SET v_seen = v_seen + 1;
		START TRANSACTION;
		-- Another cleaner may have been faster.
		SELECT kept_seq, CASE life WHEN 0 THEN expires_us WHEN 1 THEN purge_us ELSE 1 END
			INTO v_kept, v_end FROM convo_sessions
			WHERE no = v_no AND due_us > 0 AND due_us <= p_now FOR UPDATE;
		IF v_end = 0 OR v_end > p_now THEN
			UPDATE convo_sessions SET due_us = v_end WHERE no = v_no;
		ELSEIF v_end IS NOT NULL THEN
			DELETE FROM convo_events
				WHERE session = v_no AND seq >= v_kept AND seq < v_kept + v_left;
			SET v_events = ROW_COUNT();
			SET v_left = v_left - v_events;
			DELETE FROM convo_state WHERE scope = 1 AND owner = v_no LIMIT v_left;
			SET v_left = v_left - ROW_COUNT();
			IF v_left > 0 THEN
				DELETE FROM convo_sessions WHERE no = v_no;
				SET v_removed = v_removed + 1;
			ELSE
				UPDATE convo_sessions SET life = 2, due_us = 1, kept_seq = v_kept + v_events
					WHERE no = v_no;
			END IF;
		END IF;
		COMMIT;
	END WHILE;
	SELECT v_removed AS removed, v_left <= 0 OR v_seen = 100 AS more;
END $$
DELIMITER ;
REPLACE INTO convo_meta (name, value) VALUES ('schema', '1');
