-- Leases, drafts and forks. What they need is in tables of their own, so that nobody has to have the right
-- to alter one, and beside {p}append() and {p}load(), which programs of before go on calling.

-- What a session may have beside its row; most have none. lease is whose it is, or was last, until
-- until_us by the server's clock; 0: it has ended, or there never was one. mark rises with each lease that
-- begins or ends and each draft. draft is the id that the answer will have, draft_len the bytes of its
-- message so far; NULL: there is none. Of what it is a fork: NULL, of none.
CREATE TABLE IF NOT EXISTS {p}more (
	session BIGINT NOT NULL PRIMARY KEY,
	lease BINARY(16) NOT NULL,
	until_us BIGINT NOT NULL,
	mark BIGINT NOT NULL,
	draft BINARY(16),
	draft_len BIGINT NOT NULL,
	fork_session VARBINARY(255),
	fork_generation BINARY(16),
	fork_seq BIGINT NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

-- A draft in pieces: the bytes of its message from pos on. Its other fields stand in the first. They are
-- bytes all of them, so that a piece may end within a character.
CREATE TABLE IF NOT EXISTS {p}drafts (
	session BIGINT NOT NULL,
	pos BIGINT NOT NULL,
	role LONGBLOB,
	author LONGBLOB,
	turn LONGBLOB,
	model LONGBLOB,
	extra LONGBLOB,
	part LONGBLOB NOT NULL,
	PRIMARY KEY (session, pos)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

-- {p}append() with a lease: p_what is an enum convo_hold, p_us how long it holds, p_draft and p_len the
-- draft that the event is (else NULL). code 2: the lease is not held, 3: a draft is in the way; left_us is
-- how much longer another one holds it. The time of the server is read once the row is locked.
DROP PROCEDURE IF EXISTS {p}hold;

DELIMITER $$
CREATE PROCEDURE {p}hold(p_app VARBINARY(255), p_user VARBINARY(255),
	p_session VARBINARY(255), p_now BIGINT, p_ttl BIGINT, p_max BIGINT, p_limit BIGINT,
	p_generation BINARY(16), p_after BIGINT, p_events LONGBLOB, p_scopes INT, p_changes LONGBLOB,
	p_data LONGBLOB, p_what INT, p_lease BINARY(16), p_us BIGINT, p_draft BINARY(16), p_len BIGINT)
	MODIFIES SQL DATA SQL SECURITY INVOKER
main: BEGIN
	DECLARE v_at, v_event INT DEFAULT 1;
	DECLARE v_no, v_kept, v_first, v_last, v_new, v_time, v_bytes, v_seq, v_count, v_cut BIGINT;
	DECLARE v_generation, v_id BINARY(16);
	DECLARE v_lease, v_draft BINARY(16);
	DECLARE v_until, v_clock, v_left, v_len, v_code BIGINT DEFAULT 0;
	DECLARE v_ours, v_changed INT;
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
		SELECT IF(v_no IS NULL, -4, 1) AS code, v_last AS last_seq, '' AS seqs, 0 AS left_us;
		LEAVE main;
	END IF;
	SET v_new = v_last, v_time = GREATEST(v_time, p_now DIV 1000);
	WHILE v_at < LENGTH(p_events) DO
		SET v_id = SUBSTR(p_events, v_at, 16), v_seq = NULL;
		SELECT seq INTO v_seq FROM {p}events WHERE session = v_no AND id = v_id;
		SET v_fresh = CONCAT(v_fresh, IF(v_seq IS NULL, '1', '0'));
		IF v_seq IS NULL THEN
			SET v_new = v_new + 1, v_seq = v_new;
		END IF;
		SET v_seqs = CONCAT(v_seqs, v_seq, ','), v_at = v_at + 201;
	END WHILE;
	SET v_count = v_new - v_last;
	SELECT lease, until_us, draft, draft_len INTO v_lease, v_until, v_draft, v_len FROM {p}more
		WHERE session = v_no;
	SET v_clock = TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6));
	SET v_left = GREATEST(v_until - v_clock, 0), v_ours = (v_lease <=> p_lease);
	-- Who repeats what was carried out finds the lease his own and the event stored.
	SET v_code = CASE
		WHEN p_what = 4 THEN IF(v_ours AND v_until > 0, 0, 2)
		WHEN p_what = 5 THEN IF(v_ours AND (v_until > 0 OR v_count = 0), 0, 2)
		WHEN v_ours AND (p_draft IS NULL OR v_count = 0) THEN 0
		WHEN p_what = 1 AND v_left > 0 THEN -17
		WHEN v_draft <=> p_draft AND (p_draft IS NULL OR v_len = p_len) THEN 0
		ELSE 3 END;
	IF v_code = 0 AND v_count > 0 AND p_after >= 0 AND p_after <> v_last THEN
		SET v_code = -6;
	END IF;
	IF v_code <> 0 THEN
		COMMIT;
		SELECT v_code AS code, v_last AS last_seq, '' AS seqs, v_left AS left_us;
		LEAVE main;
	END IF;
	SET v_at = 1, v_seq = v_last;
	WHILE v_at < LENGTH(p_events) DO
		IF SUBSTR(v_fresh, v_event, 1) = '1' THEN
			SET v_seq = v_seq + 1;
			-- A statement is written out with the values of its variables, so it must not name
			-- p_data.
			SET v_id = SUBSTR(p_events, v_at, 16);
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
		SET v_event = v_event + 1, v_at = v_at + 201;
	END WHILE;
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
	SET v_changed = IF(v_ours AND (v_until > 0) = (p_what <> 5), 0, 1);
	IF v_draft IS NOT NULL AND (p_what = 5 OR p_draft IS NOT NULL) THEN
		DELETE FROM {p}drafts WHERE session = v_no;
		SET v_draft = NULL, v_len = 0, v_changed = 1;
	END IF;
	SET v_until = IF(p_what = 5, 0, v_clock + p_us);
	IF v_lease IS NULL THEN
		INSERT INTO {p}more (session, lease, until_us, mark, draft_len, fork_seq)
			VALUES (v_no, p_lease, v_until, 1, 0, 0);
	ELSE
		UPDATE {p}more SET lease = p_lease, until_us = v_until, mark = mark + v_changed,
			draft = v_draft, draft_len = v_len WHERE session = v_no;
	END IF;
	COMMIT;
	SELECT 0 AS code, v_new AS last_seq, v_seqs AS seqs, 0 AS left_us;
END $$
DELIMITER ;

-- Save a draft: behind the first p_pos bytes of what there is p_part; with a p_pos of 0 all of it anew.
-- codes as above, -4 for no session. A piece grows up to 4096 bytes, so that a message which grows by
-- little is neither written again as a whole nor in as many pieces as it was saved.
DROP PROCEDURE IF EXISTS {p}draft;

DELIMITER $$
CREATE PROCEDURE {p}draft(p_app VARBINARY(255), p_user VARBINARY(255),
	p_session VARBINARY(255), p_now BIGINT, p_lease BINARY(16), p_us BIGINT, p_id BINARY(16),
	p_pos BIGINT, p_role LONGBLOB, p_author LONGBLOB, p_turn LONGBLOB, p_model LONGBLOB,
	p_extra LONGBLOB, p_part LONGBLOB)
	MODIFIES SQL DATA SQL SECURITY INVOKER
main: BEGIN
	DECLARE v_no, v_last, v_at, v_cut BIGINT;
	DECLARE v_until, v_len, v_code BIGINT DEFAULT 0;
	DECLARE v_lease, v_draft BINARY(16);
	DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN
		ROLLBACK;
		RESIGNAL;
	END;
	START TRANSACTION;
	SELECT no, last_seq INTO v_no, v_last FROM {p}sessions
		WHERE app = p_app AND user = p_user AND session = p_session AND live = 1
			AND (expires_us = 0 OR expires_us > p_now) FOR UPDATE;
	SELECT lease, until_us, draft, draft_len INTO v_lease, v_until, v_draft, v_len FROM {p}more
		WHERE session = v_no;
	SET v_code = CASE
		WHEN v_no IS NULL THEN -4
		WHEN v_until = 0 OR NOT (v_lease <=> p_lease) THEN 2
		WHEN p_pos > 0 AND (v_len < p_pos OR NOT (v_draft <=> p_id)) THEN 3
		ELSE 0 END;
	IF v_code <> 0 THEN
		COMMIT;
		SELECT v_code AS code, v_last AS last_seq;
		LEAVE main;
	END IF;
	IF p_pos = 0 THEN
		IF v_draft IS NOT NULL THEN
			DELETE FROM {p}drafts WHERE session = v_no;
		END IF;
		INSERT INTO {p}drafts (session, pos, role, author, turn, model, extra, part)
			VALUES (v_no, 0, p_role, p_author, p_turn, p_model, p_extra, p_part);
	ELSE
		SELECT MAX(pos) INTO v_at FROM {p}drafts WHERE session = v_no;
		IF v_at >= p_pos THEN
			DELETE FROM {p}drafts WHERE session = v_no AND pos >= p_pos;
			SELECT MAX(pos) INTO v_at FROM {p}drafts WHERE session = v_no;
		END IF;
		SET v_cut = p_pos - v_at;
		IF v_cut + LENGTH(p_part) <= 4096 THEN
			UPDATE {p}drafts SET part = CONCAT(LEFT(part, v_cut), p_part)
				WHERE session = v_no AND pos = v_at;
		ELSE
			UPDATE {p}drafts SET part = LEFT(part, v_cut)
				WHERE session = v_no AND pos = v_at AND LENGTH(part) > v_cut;
			INSERT INTO {p}drafts (session, pos, part) VALUES (v_no, p_pos, p_part);
		END IF;
	END IF;
	SET v_until = TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) + p_us,
		v_len = p_pos + LENGTH(p_part);
	UPDATE {p}more SET until_us = v_until, mark = mark + 1, draft = p_id, draft_len = v_len
		WHERE session = v_no;
	COMMIT;
	SELECT 0 AS code, v_last AS last_seq;
END $$
DELIMITER ;

-- {p}load() of what there is now: `more` is NULL, or how much longer the session is held in ten digits,
-- whether there is a draft in one, and if it is a fork the seq up to which in 19 and the source's
-- generation and id. With p_draft the pieces of the draft are the third of four results.
DROP PROCEDURE IF EXISTS {p}read;

DELIMITER $$
CREATE PROCEDURE {p}read(p_app VARBINARY(255), p_user VARBINARY(255),
	p_session VARBINARY(255), p_now BIGINT, p_limit BIGINT, p_kind INT, p_n BIGINT, p_seq BIGINT,
	p_id BINARY(16), p_draft INT)
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
		p_session AS session, v_title AS title,
		(SELECT CONCAT(LPAD(LEAST(GREATEST(m.until_us - TIMESTAMPDIFF(MICROSECOND, '1970-01-01',
				UTC_TIMESTAMP(6)), 0), 9999999999), 10, '0'), m.draft IS NOT NULL,
				IFNULL(CONCAT(LPAD(m.fork_seq, 19, '0'), m.fork_generation, m.fork_session), ''))
			FROM {p}more AS m WHERE m.session = v_no) AS more;
	SELECT t.scope, t.name, IFNULL(t.exact, t.value) AS value FROM {p}state AS t
		WHERE t.scope = 1 AND t.owner = v_no
	UNION ALL SELECT t.scope, t.name, IFNULL(t.exact, t.value) FROM {p}scopes AS o
		JOIN {p}state AS t ON t.owner = o.no AND t.scope = IF(o.user = '', 4, 2)
		WHERE o.app = p_app AND o.user IN (p_user, '');
	IF p_draft THEN
		SELECT m.draft, d.pos, d.role, d.author, d.turn, d.model, d.extra, d.part
			FROM {p}more AS m JOIN {p}drafts AS d ON d.session = m.session
			WHERE m.session = v_no ORDER BY d.pos;
	END IF;
	IF v_low <= v_high THEN
		SELECT seq, time_ms, id, status, {fields}, exact FROM {p}events
			WHERE session = v_no AND seq >= v_low AND seq <= v_high ORDER BY seq;
	END IF;
	COMMIT;
END $$
DELIMITER ;

-- Make a session out of another one. code -4: there is no source, -5: the new name is taken. The source's
-- row is locked against writers while its events and its state are copied.
DROP PROCEDURE IF EXISTS {p}fork;

DELIMITER $$
CREATE PROCEDURE {p}fork(p_app VARBINARY(255), p_user VARBINARY(255),
	p_session VARBINARY(255), p_now BIGINT, p_ttl BIGINT, p_limit BIGINT, p_to VARBINARY(255),
	p_generation BINARY(16), p_upto BIGINT)
	MODIFIES SQL DATA SQL SECURITY INVOKER
main: BEGIN
	DECLARE v_no, v_first, v_last, v_bytes, v_there, v_expires, v_new, v_time, v_code BIGINT;
	DECLARE v_generation, v_taken BINARY(16);
	DECLARE v_title VARCHAR(255) CHARACTER SET utf8mb4;
	DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN
		ROLLBACK;
		RESIGNAL;
	END;
	START TRANSACTION;
	SELECT no, generation, title, first_seq, last_seq, state_bytes
		INTO v_no, v_generation, v_title, v_first, v_last, v_bytes FROM {p}sessions
		WHERE app = p_app AND user = p_user AND session = p_session AND live = 1
			AND (expires_us = 0 OR expires_us > p_now) LOCK IN SHARE MODE;
	SELECT no, generation, expires_us INTO v_there, v_taken, v_expires FROM {p}sessions
		WHERE app = p_app AND user = p_user AND session = p_to AND live = 1 FOR UPDATE;
	-- Its own generation: this is a repeat whose first try was carried out.
	SET v_code = CASE
		WHEN v_taken = p_generation THEN 0
		WHEN v_no IS NULL THEN -4
		WHEN v_there IS NOT NULL AND (v_expires = 0 OR v_expires > p_now) THEN -5
		ELSE 1 END;
	IF v_code <= 0 THEN
		COMMIT;
		SELECT v_code AS code;
		LEAVE main;
	END IF;
	-- An expired session must not be in the way.
	UPDATE {p}sessions SET life = 2, due_us = 1 WHERE no = v_there;
	SET v_first = GREATEST(v_first, IF(p_limit > 0, v_last - p_limit + 1, 1)),
		v_last = LEAST(v_last, p_upto), v_first = LEAST(v_first, v_last + 1), v_time = 0;
	SELECT time_ms INTO v_time FROM {p}events WHERE session = v_no AND seq = v_last AND seq >= v_first;
	INSERT INTO {p}sessions (app, user, session, generation, title, life, position, created_us,
			updated_us, expires_us, deleted_us, purge_us, due_us, kept_seq, first_seq, last_seq,
			last_time_ms, state_bytes)
		VALUES (p_app, p_user, p_to, p_generation, v_title, 0, p_now, p_now, p_now,
			IF(p_ttl > 0, p_now + p_ttl, 0), 0, 0, IF(p_ttl > 0, p_now + p_ttl, 0), v_first,
			v_first, v_last, v_time, v_bytes);
	SET v_new = LAST_INSERT_ID();
	INSERT INTO {p}events (session, seq, id, time_ms, status, {fields}, exact)
		SELECT v_new, seq, id, time_ms, status, {fields}, exact FROM {p}events
			WHERE session = v_no AND seq >= v_first AND seq <= v_last;
	INSERT INTO {p}state (scope, owner, name, value, exact, bytes)
		SELECT 1, v_new, name, value, exact, bytes FROM {p}state WHERE scope = 1 AND owner = v_no;
	INSERT INTO {p}more (session, lease, until_us, mark, draft_len, fork_session, fork_generation,
			fork_seq)
		VALUES (v_new, '', 0, 0, 0, p_session, v_generation, v_last);
	COMMIT;
	SELECT 0 AS code;
END $$
DELIMITER ;

-- The bytes of messages of several sessions: of each its no, the first and the last seq, in 19 digits each.
DROP PROCEDURE IF EXISTS {p}weigh;

DELIMITER $$
CREATE PROCEDURE {p}weigh(p_list LONGBLOB)
	READS SQL DATA SQL SECURITY INVOKER
BEGIN
	DECLARE v_at INT DEFAULT 1;
	DECLARE v_no, v_first, v_last, v_bytes BIGINT;
	DECLARE v_sum BIGINT DEFAULT 0;
	WHILE v_at < LENGTH(p_list) DO
		SET v_no = SUBSTR(p_list, v_at, 19), v_first = SUBSTR(p_list, v_at + 19, 19),
			v_last = SUBSTR(p_list, v_at + 38, 19);
		SELECT SUM(LENGTH(message)) INTO v_bytes FROM {p}events
			WHERE session = v_no AND seq >= v_first AND seq <= v_last;
		SET v_sum = v_sum + IFNULL(v_bytes, 0), v_at = v_at + 57;
	END WHILE;
	SELECT v_sum AS bytes;
END $$
DELIMITER ;

-- One step of cleaning, as in 0003.sql, and what else a session has goes with it.
DROP PROCEDURE IF EXISTS {p}clean;

DELIMITER $$
CREATE PROCEDURE {p}clean(p_now BIGINT, p_rows BIGINT)
	MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
	DECLARE v_no, v_end, v_kept, v_events BIGINT;
	DECLARE v_left BIGINT DEFAULT p_rows;
	DECLARE v_seen, v_removed, v_gone INT DEFAULT 0;
	-- What was removed before something went wrong counts; the next step will meet it again.
	DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN
		ROLLBACK;
		IF v_removed = 0 THEN
			RESIGNAL;
		END IF;
		SELECT v_removed AS removed, 1 AS more;
	END;
	sweep: WHILE v_left > 0 AND v_seen < 100 DO
		SET v_no = NULL, v_end = NULL, v_gone = 0;
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
			DELETE FROM {p}drafts WHERE session = v_no LIMIT v_left;
			SET v_left = v_left - ROW_COUNT();
			IF v_left > 0 THEN
				DELETE FROM {p}more WHERE session = v_no;
				DELETE FROM {p}sessions WHERE no = v_no;
				SET v_gone = 1;
			ELSE
				UPDATE {p}sessions SET life = 2, due_us = 1, kept_seq = v_kept + v_events
					WHERE no = v_no;
			END IF;
		END IF;
		COMMIT;
		SET v_removed = v_removed + v_gone;
	END WHILE;
	SELECT v_removed AS removed, v_left <= 0 OR v_seen = 100 AS more;
END $$
DELIMITER ;

REPLACE INTO {p}meta (name, value) VALUES ('schema', '4');
