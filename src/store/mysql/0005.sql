-- Drafts of many turns as one transaction: those of a program, once a second.

-- Save drafts as {p}draft() of 0004.sql does. p_list has 223 bytes of each: whether there is one (0: its
-- lease alone is prolonged), the lease, the id, how long it holds in 19 digits, how many bytes are there in 9;
-- then of app, user, session, role, author, turn, model, extra and what is new where in p_data it begins (0:
-- NULL) and its length, in 9 digits each. codes has a digit of each: 0 for one that was saved. What became
-- of another one {p}draft() tells. Rows are read as they are, since others may have written them since the
-- first of them was locked.
DROP PROCEDURE IF EXISTS {p}drafts;

DELIMITER $$
CREATE PROCEDURE {p}drafts(p_now BIGINT, p_list LONGBLOB, p_data LONGBLOB)
	MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
	DECLARE v_at INT DEFAULT 1;
	DECLARE v_no, v_us, v_pos, v_until, v_len, v_last, v_cut BIGINT;
	DECLARE v_code INT;
	DECLARE v_said CHAR(1);
	DECLARE v_app, v_user, v_session VARBINARY(255);
	DECLARE v_lease, v_id, v_held, v_draft BINARY(16);
	DECLARE v_role, v_author, v_turn, v_model, v_extra, v_part LONGBLOB;
	DECLARE v_codes VARBINARY(1000) DEFAULT '';
	DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN
		ROLLBACK;
		RESIGNAL;
	END;
	START TRANSACTION;
	WHILE v_at < LENGTH(p_list) DO
		SET v_no = NULL, v_held = NULL, v_draft = NULL, v_until = 0, v_len = 0;
		SET v_said = SUBSTR(p_list, v_at, 1), v_lease = SUBSTR(p_list, v_at + 1, 16),
			v_id = SUBSTR(p_list, v_at + 17, 16), v_us = SUBSTR(p_list, v_at + 33, 19),
			v_pos = SUBSTR(p_list, v_at + 52, 9);
		SET v_app = SUBSTR(p_data, SUBSTR(p_list, v_at + 61, 9), SUBSTR(p_list, v_at + 70, 9)),
			v_user = SUBSTR(p_data, SUBSTR(p_list, v_at + 79, 9), SUBSTR(p_list, v_at + 88, 9)),
			v_session = SUBSTR(p_data, SUBSTR(p_list, v_at + 97, 9), SUBSTR(p_list, v_at + 106, 9));
		SELECT no INTO v_no FROM {p}sessions
			WHERE app = v_app AND user = v_user AND session = v_session AND live = 1
				AND (expires_us = 0 OR expires_us > p_now) FOR UPDATE;
		IF v_no IS NOT NULL THEN
			SELECT lease, until_us, draft, draft_len INTO v_held, v_until, v_draft, v_len
				FROM {p}more WHERE session = v_no FOR UPDATE;
		END IF;
		SET v_code = CASE
			WHEN v_no IS NULL OR v_until = 0 OR NOT (v_held <=> v_lease) THEN 1
			WHEN v_said = '1' AND v_pos > 0 AND (v_len < v_pos OR NOT (v_draft <=> v_id)) THEN 1
			ELSE 0 END;
		IF v_code = 0 AND v_said = '0' THEN
			SET v_until = TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) + v_us;
			UPDATE {p}more SET until_us = v_until WHERE session = v_no;
		ELSEIF v_code = 0 THEN
			SET v_part = SUBSTR(p_data, SUBSTR(p_list, v_at + 205, 9), SUBSTR(p_list, v_at + 214, 9));
			SET v_last = NULL;
			IF v_pos > 0 THEN
				SELECT MAX(pos) INTO v_last FROM {p}drafts WHERE session = v_no;
			END IF;
			IF v_draft IS NOT NULL AND (v_pos = 0 OR v_last >= v_pos) THEN
				DELETE FROM {p}drafts WHERE session = v_no AND pos >= v_pos;
				IF v_pos > 0 THEN
					SELECT MAX(pos) INTO v_last FROM {p}drafts WHERE session = v_no;
				END IF;
			END IF;
			SET v_cut = v_pos - v_last;
			IF v_pos = 0 THEN
				SET v_role = SUBSTR(p_data, NULLIF(SUBSTR(p_list, v_at + 115, 9), '000000000'),
						SUBSTR(p_list, v_at + 124, 9)),
					v_author = SUBSTR(p_data, NULLIF(SUBSTR(p_list, v_at + 133, 9), '000000000'),
						SUBSTR(p_list, v_at + 142, 9)),
					v_turn = SUBSTR(p_data, NULLIF(SUBSTR(p_list, v_at + 151, 9), '000000000'),
						SUBSTR(p_list, v_at + 160, 9)),
					v_model = SUBSTR(p_data, NULLIF(SUBSTR(p_list, v_at + 169, 9), '000000000'),
						SUBSTR(p_list, v_at + 178, 9)),
					v_extra = SUBSTR(p_data, NULLIF(SUBSTR(p_list, v_at + 187, 9), '000000000'),
						SUBSTR(p_list, v_at + 196, 9));
				INSERT INTO {p}drafts (session, pos, role, author, turn, model, extra, part)
					VALUES (v_no, 0, v_role, v_author, v_turn, v_model, v_extra, v_part);
			ELSEIF v_cut + LENGTH(v_part) <= 4096 THEN
				UPDATE {p}drafts SET part = CONCAT(LEFT(part, v_cut), v_part)
					WHERE session = v_no AND pos = v_last;
			ELSE
				UPDATE {p}drafts SET part = LEFT(part, v_cut)
					WHERE session = v_no AND pos = v_last AND LENGTH(part) > v_cut;
				INSERT INTO {p}drafts (session, pos, part) VALUES (v_no, v_pos, v_part);
			END IF;
			SET v_until = TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) + v_us,
				v_len = v_pos + LENGTH(v_part);
			UPDATE {p}more SET until_us = v_until, mark = mark + 1, draft = v_id, draft_len = v_len
				WHERE session = v_no;
		END IF;
		SET v_codes = CONCAT(v_codes, v_code), v_at = v_at + 223;
	END WHILE;
	COMMIT;
	SELECT v_codes AS codes;
END $$
DELIMITER ;

REPLACE INTO {p}meta (name, value) VALUES ('schema', '5');
