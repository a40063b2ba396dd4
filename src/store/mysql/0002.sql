-- The column for what the JSON type does not keep, where 0.1 made the tables, and the procedures.
-- Somebody may not alter tables who may make them, so they are altered only where that is needed.
SET @convo = (SELECT IF(COUNT(*) = 0, 'ALTER TABLE {p}events ADD COLUMN exact LONGTEXT AFTER extra', 'DO 0')
	FROM information_schema.columns WHERE table_schema = DATABASE()
		AND table_name = '{p}events' AND column_name = 'exact');
PREPARE convo FROM @convo;
EXECUTE convo;
DEALLOCATE PREPARE convo;

SET @convo = (SELECT IF(COUNT(*) = 0, 'ALTER TABLE {p}state ADD COLUMN exact LONGTEXT AFTER value', 'DO 0')
	FROM information_schema.columns WHERE table_schema = DATABASE()
		AND table_name = '{p}state' AND column_name = 'exact');
PREPARE convo FROM @convo;
EXECUTE convo;
DEALLOCATE PREPARE convo;

DROP PROCEDURE IF EXISTS {p}restore;
DROP PROCEDURE IF EXISTS {p}state_set;
DROP PROCEDURE IF EXISTS {p}state_list;

-- The procedures are one operation each, so that it takes one round trip and is one transaction.
-- They answer with a row of a convo_code. What comes in lists is packed: p_data holds all texts one
-- after the other, and an index says where each begins (from 1; 0 for NULL) and how long it is, in
-- nine digits each. One more digit tells of a JSON text whether the JSON type keeps it: 0 it does, 1
-- its text is kept beside it, 2 its text is kept in place of it.

-- Apply the changes of p_changes to one scope, whose row the caller holds. A change is the scope in
-- one digit, its event in nine, the places of its name and its value, and whether the value is kept.
-- p_fresh has a '1' for each event whose changes count.
DROP PROCEDURE IF EXISTS {p}change;

DELIMITER $$
CREATE PROCEDURE {p}change(p_kind TINYINT, p_owner BIGINT, INOUT p_bytes BIGINT, p_max BIGINT,
	p_fresh VARBINARY(1000), p_changes LONGBLOB, p_data LONGBLOB)
	MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
	DECLARE v_at INT DEFAULT 1;
	DECLARE v_old, v_new BIGINT;
	DECLARE v_name VARBINARY(255);
	DECLARE v_value, v_exact LONGTEXT CHARACTER SET utf8mb4;
	DECLARE v_keep CHAR(1);
	WHILE v_at < LENGTH(p_changes) DO
		IF SUBSTR(p_changes, v_at, 1) = p_kind
				AND SUBSTR(p_fresh, SUBSTR(p_changes, v_at + 1, 9) + 1, 1) = '1' THEN
			SET v_name = SUBSTR(p_data, SUBSTR(p_changes, v_at + 10, 9),
				SUBSTR(p_changes, v_at + 19, 9));
			SET v_value = CONVERT(SUBSTR(p_data,
				NULLIF(SUBSTR(p_changes, v_at + 28, 9), '000000000'),
				SUBSTR(p_changes, v_at + 37, 9)) USING utf8mb4);
			SET v_old = 0;
			SELECT bytes INTO v_old FROM {p}state
				WHERE scope = p_kind AND owner = p_owner AND name = v_name;
			IF v_value IS NULL THEN
				SET v_new = 0;
				DELETE FROM {p}state WHERE scope = p_kind AND owner = p_owner AND name = v_name;
			ELSE
				SET v_new = LENGTH(v_name) + LENGTH(v_value);
				SET v_keep = SUBSTR(p_changes, v_at + 46, 1);
				SET v_exact = IF(v_keep = '0', NULL, v_value), v_value = IF(v_keep = '2', 'null', v_value);
				INSERT INTO {p}state (scope, owner, name, value, exact, bytes)
					VALUES (p_kind, p_owner, v_name, v_value, v_exact, v_new)
					ON DUPLICATE KEY UPDATE value = v_value, exact = v_exact, bytes = v_new;
			END IF;
			SET p_bytes = p_bytes + v_new - v_old;
		END IF;
		SET v_at = v_at + 47;
	END WHILE;
	IF p_bytes > p_max THEN
		SIGNAL SQLSTATE 'CV003' SET MYSQL_ERRNO = 1644, MESSAGE_TEXT = p_kind;
	END IF;
END $$
DELIMITER ;

-- Apply changes to the scopes of a user and an app.
DROP PROCEDURE IF EXISTS {p}change_shared;

DELIMITER $$
CREATE PROCEDURE {p}change_shared(p_app VARBINARY(255), p_user VARBINARY(255), p_max BIGINT,
	p_scopes INT, p_fresh VARBINARY(1000), p_changes LONGBLOB, p_data LONGBLOB)
	MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
	DECLARE v_kind INT DEFAULT 2;
	DECLARE v_no, v_bytes BIGINT;
	DECLARE v_user VARBINARY(255);
	WHILE v_kind <= 4 DO
		IF p_scopes & v_kind THEN
			SET v_user = IF(v_kind = 2, p_user, '');
			INSERT INTO {p}scopes (app, user, state_bytes) VALUES (p_app, v_user, 0)
				ON DUPLICATE KEY UPDATE state_bytes = state_bytes;
			SELECT no, state_bytes INTO v_no, v_bytes FROM {p}scopes
				WHERE app = p_app AND user = v_user FOR UPDATE;
			CALL {p}change(v_kind, v_no, v_bytes, p_max, p_fresh, p_changes, p_data);
			UPDATE {p}scopes SET state_bytes = v_bytes WHERE no = v_no;
		END IF;
		SET v_kind = v_kind * 2;
	END WHILE;
END $$
DELIMITER ;

DROP PROCEDURE IF EXISTS {p}create;

DELIMITER $$
CREATE PROCEDURE {p}create(p_app VARBINARY(255), p_user VARBINARY(255),
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
	SELECT no, generation, expires_us INTO v_no, v_generation, v_expires FROM {p}sessions
		WHERE app = p_app AND user = p_user AND session = p_session AND live = 1 FOR UPDATE;
	IF v_no IS NOT NULL AND (v_expires = 0 OR v_expires > p_now) THEN
		COMMIT;
		-- Its own generation: this is a repeat whose first try was carried out.
		SELECT IF(v_generation = p_generation, 0, -5) AS code;
		LEAVE main;
	END IF;
	-- An expired session must not be in the way.
	UPDATE {p}sessions SET life = 2, due_us = 1 WHERE no = v_no;
	INSERT INTO {p}sessions (app, user, session, generation, title, life, position, created_us,
			updated_us, expires_us, deleted_us, purge_us, due_us, kept_seq, first_seq, last_seq,
			last_time_ms, state_bytes)
		VALUES (p_app, p_user, p_session, p_generation, p_title, 0, p_now, p_now, p_now,
			IF(p_ttl > 0, p_now + p_ttl, 0), 0, 0, IF(p_ttl > 0, p_now + p_ttl, 0), 1, 1, 0, 0, 0);
	IF p_scopes & 1 THEN
		SET v_no = LAST_INSERT_ID(), v_bytes = 0;
		CALL {p}change(1, v_no, v_bytes, p_max, '1', p_changes, p_data);
		UPDATE {p}sessions SET state_bytes = v_bytes WHERE no = v_no;
	END IF;
	CALL {p}change_shared(p_app, p_user, p_max, p_scopes, '1', p_changes, p_data);
	COMMIT;
	SELECT 0 AS code;
END $$
DELIMITER ;

-- An event is its id, its status in one digit, whether each of its JSON texts is kept, and the places
-- of its fields. p_after is the last seq expected, -1 for any. code 1: the session has another
-- generation. seqs are those of all events, with a comma after each.
DROP PROCEDURE IF EXISTS {p}append;

DELIMITER $$
CREATE PROCEDURE {p}append(p_app VARBINARY(255), p_user VARBINARY(255),
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
	DECLARE v_keep CHAR(4);
	DECLARE v_role, v_author, v_turn, v_model, v_finish_reason, v_error, v_message, v_usage, v_state,
		v_extra, v_exact LONGTEXT CHARACTER SET utf8mb4;
	DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN
		ROLLBACK;
		RESIGNAL;
	END;
	START TRANSACTION;
	SELECT no, generation, kept_seq, first_seq, last_seq, last_time_ms, state_bytes
		INTO v_no, v_generation, v_kept, v_first, v_last, v_time, v_bytes FROM {p}sessions
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
		SELECT seq INTO v_seq FROM {p}events WHERE session = v_no AND id = v_id;
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
			SET v_status = SUBSTR(p_events, v_at + 16, 1), v_keep = SUBSTR(p_events, v_at + 17, 4);
			SET v_role = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 21, 9), '000000000'),
				SUBSTR(p_events, v_at + 30, 9)) USING utf8mb4);
			SET v_author = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 39, 9), '000000000'),
				SUBSTR(p_events, v_at + 48, 9)) USING utf8mb4);
			SET v_turn = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 57, 9), '000000000'),
				SUBSTR(p_events, v_at + 66, 9)) USING utf8mb4);
			SET v_model = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 75, 9), '000000000'),
				SUBSTR(p_events, v_at + 84, 9)) USING utf8mb4);
			SET v_finish_reason = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 93, 9), '000000000'),
				SUBSTR(p_events, v_at + 102, 9)) USING utf8mb4);
			SET v_error = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 111, 9), '000000000'),
				SUBSTR(p_events, v_at + 120, 9)) USING utf8mb4);
			SET v_message = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 129, 9), '000000000'),
				SUBSTR(p_events, v_at + 138, 9)) USING utf8mb4);
			SET v_usage = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 147, 9), '000000000'),
				SUBSTR(p_events, v_at + 156, 9)) USING utf8mb4);
			SET v_state = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 165, 9), '000000000'),
				SUBSTR(p_events, v_at + 174, 9)) USING utf8mb4);
			SET v_extra = CONVERT(SUBSTR(p_data, NULLIF(SUBSTR(p_events, v_at + 183, 9), '000000000'),
				SUBSTR(p_events, v_at + 192, 9)) USING utf8mb4);
			SET v_exact = NULL;
			IF v_keep <> '0000' THEN
				SET v_exact = CONCAT('{"convo":0',
					IF(SUBSTR(v_keep, 1, 1) > '0', CONCAT(',"message":', v_message), ''),
					IF(SUBSTR(v_keep, 2, 1) > '0', CONCAT(',"usage":', v_usage), ''),
					IF(SUBSTR(v_keep, 3, 1) > '0', CONCAT(',"state":', v_state), ''),
					IF(SUBSTR(v_keep, 4, 1) > '0', CONCAT(',"extra":', v_extra), ''), '}');
				SET v_message = IF(SUBSTR(v_keep, 1, 1) = '2', 'null', v_message),
					v_usage = IF(SUBSTR(v_keep, 2, 1) = '2', 'null', v_usage),
					v_state = IF(SUBSTR(v_keep, 3, 1) = '2', 'null', v_state),
					v_extra = IF(SUBSTR(v_keep, 4, 1) = '2', 'null', v_extra);
			END IF;
			INSERT INTO {p}events (session, seq, id, time_ms, status, {fields}, exact)
				VALUES (v_no, v_seq, v_id, v_time, v_status, v_role, v_author, v_turn, v_model,
					v_finish_reason, v_error, v_message, v_usage, v_state, v_extra, v_exact);
		END IF;
		SET v_seqs = CONCAT(v_seqs, v_seq, ','), v_at = v_at + 201;
	END WHILE;
	SET v_count = v_new - v_last;
	IF v_count > 0 THEN
		IF p_scopes & 1 THEN
			CALL {p}change(1, v_no, v_bytes, p_max, v_fresh, p_changes, p_data);
		END IF;
		IF p_scopes > 1 THEN
			CALL {p}change_shared(p_app, p_user, p_max, p_scopes, v_fresh, p_changes, p_data);
		END IF;
		IF p_limit > 0 THEN
			SET v_first = GREATEST(v_first, v_new - GREATEST(p_limit, v_count) + 1);
			-- A session that was kept without a limit is cut by and by.
			SET v_cut = LEAST(v_first, v_kept + v_count + 10000);
			IF v_cut > v_kept THEN
				DELETE FROM {p}events WHERE session = v_no AND seq >= v_kept AND seq < v_cut;
				SET v_kept = v_cut;
			END IF;
		END IF;
		UPDATE {p}sessions SET position = GREATEST(position, p_now),
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

-- One view of a session, in three results: its row, the names of state, the events; none when it is
-- absent. p_kind is an enum convo_window_kind; without the event of AROUND there are no events.
DROP PROCEDURE IF EXISTS {p}load;

DELIMITER $$
CREATE PROCEDURE {p}load(p_app VARBINARY(255), p_user VARBINARY(255),
	p_session VARBINARY(255), p_now BIGINT, p_limit BIGINT, p_kind INT, p_n BIGINT, p_seq BIGINT,
	p_id BINARY(16))
	READS SQL DATA SQL SECURITY INVOKER
main: BEGIN
	DECLARE v_no, v_low, v_high, v_seq, v_position, v_created, v_updated, v_expires, v_due, v_kept,
		v_first, v_last, v_time, v_bytes BIGINT;
	DECLARE v_generation BINARY(16);
	DECLARE v_title VARCHAR(255) CHARACTER SET utf8mb4;
	DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN
		ROLLBACK;
		RESIGNAL;
	END;
	SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
	START TRANSACTION WITH CONSISTENT SNAPSHOT;
	SELECT no, position, created_us, updated_us, expires_us, due_us, kept_seq, first_seq, last_seq,
			last_time_ms, state_bytes, generation, title
		INTO v_no, v_position, v_created, v_updated, v_expires, v_due, v_kept, v_first, v_last,
			v_time, v_bytes, v_generation, v_title FROM {p}sessions
		WHERE app = p_app AND user = p_user AND session = p_session AND live = 1
			AND (expires_us = 0 OR expires_us > p_now);
	IF v_no IS NULL THEN
		COMMIT;
		LEAVE main;
	END IF;
	SET v_low = GREATEST(v_first, IF(p_limit > 0, v_last - p_limit + 1, 1)), v_high = v_last;
	IF p_kind = 0 THEN
		SET v_low = GREATEST(v_low, v_high - p_n + 1);
	ELSEIF p_kind = 1 THEN
		SET v_low = GREATEST(v_low, p_seq + 1), v_high = LEAST(v_high, v_low + p_n - 1);
	ELSEIF p_kind = 2 THEN
		SET v_high = LEAST(v_high, p_seq - 1), v_low = GREATEST(v_low, v_high - p_n + 1);
	ELSEIF p_kind = 3 THEN
		SELECT seq INTO v_seq FROM {p}events WHERE session = v_no AND id = p_id AND seq >= v_low;
		SET v_high = LEAST(v_high, v_seq + (p_n - 1) DIV 2),
			v_low = GREATEST(v_low, v_seq - (p_n - 1 - (p_n - 1) DIV 2));
	ELSE
		SET v_high = 0;
	END IF;
	SELECT v_no AS no, 0 AS life, v_position AS position, v_created AS created_us,
		v_updated AS updated_us, v_expires AS expires_us, 0 AS deleted_us, 0 AS purge_us,
		v_due AS due_us, v_kept AS kept_seq, v_first AS first_seq, v_last AS last_seq,
		v_time AS last_time_ms, v_bytes AS state_bytes, v_generation AS generation,
		p_session AS session, v_title AS title;
	SELECT t.scope, t.name, IFNULL(t.exact, t.value) AS value FROM {p}state AS t
		WHERE t.scope = 1 AND t.owner = v_no
	UNION ALL SELECT t.scope, t.name, IFNULL(t.exact, t.value) FROM {p}scopes AS o
		JOIN {p}state AS t ON t.owner = o.no AND t.scope = IF(o.user = '', 4, 2)
		WHERE o.app = p_app AND o.user IN (p_user, '');
	IF v_low <= v_high THEN
		SELECT seq, time_ms, id, status, {fields}, exact FROM {p}events
			WHERE session = v_no AND seq >= v_low AND seq <= v_high ORDER BY seq;
	END IF;
	COMMIT;
END $$
DELIMITER ;

-- One step of cleaning: at most p_rows rows go, each session in a transaction of its own.
DROP PROCEDURE IF EXISTS {p}clean;

DELIMITER $$
CREATE PROCEDURE {p}clean(p_now BIGINT, p_rows BIGINT)
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
		SELECT no INTO v_no FROM {p}sessions WHERE due_us > 0 AND due_us <= p_now
			ORDER BY due_us LIMIT 1;
		IF v_no IS NULL THEN
			LEAVE sweep;
		END IF;
		SET v_seen = v_seen + 1;
		START TRANSACTION;
		-- Another cleaner may have been faster.
		SELECT kept_seq, CASE life WHEN 0 THEN expires_us WHEN 1 THEN purge_us ELSE 1 END
			INTO v_kept, v_end FROM {p}sessions
			WHERE no = v_no AND due_us > 0 AND due_us <= p_now FOR UPDATE;
		IF v_end = 0 OR v_end > p_now THEN
			UPDATE {p}sessions SET due_us = v_end WHERE no = v_no;
		ELSEIF v_end IS NOT NULL THEN
			DELETE FROM {p}events
				WHERE session = v_no AND seq >= v_kept AND seq < v_kept + v_left;
			SET v_events = ROW_COUNT();
			SET v_left = v_left - v_events;
			DELETE FROM {p}state WHERE scope = 1 AND owner = v_no LIMIT v_left;
			SET v_left = v_left - ROW_COUNT();
			IF v_left > 0 THEN
				DELETE FROM {p}sessions WHERE no = v_no;
				SET v_removed = v_removed + 1;
			ELSE
				UPDATE {p}sessions SET life = 2, due_us = 1, kept_seq = v_kept + v_events
					WHERE no = v_no;
			END IF;
		END IF;
		COMMIT;
	END WHILE;
	SELECT v_removed AS removed, v_left <= 0 OR v_seen = 100 AS more;
END $$
DELIMITER ;

REPLACE INTO {p}meta (name, value) VALUES ('schema', '2');
