-- Cleaning that met a conflict told of nothing that it had removed before.

-- One step of cleaning: at most p_rows rows go, each session in a transaction of its own.
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
			IF v_left > 0 THEN
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

REPLACE INTO {p}meta (name, value) VALUES ('schema', '3');
