-- Appends of many callers as one: what costs a statement for each in append() costs three for all of
-- them here. It is for plain appends to sessions that differ: no changes of state. Of the jobs, in the
-- order in which their sessions are to be locked, only those are carried out and answered for that are
-- as expected; the others, and all of them if an event was there before, are for append() to judge.
-- p_after is the last seq expected, -1 for any; p_count is how many events a job has. The events
-- follow: each with its job and its number in it, from 1.
CREATE FUNCTION {p}append_many(p_ttl bigint, p_limit bigint, p_app text[], p_user text[],
	p_session text[], p_now bigint[], p_generation uuid[], p_after bigint[], p_count bigint[],
	p_job bigint[], p_nth bigint[], p_id uuid[], p_status smallint[], p_role text[], p_author text[],
	p_turn text[], p_model text[], p_finish_reason text[], p_error text[], p_message jsonb[],
	p_usage jsonb[], p_state jsonb[], p_extra jsonb[])
	RETURNS TABLE (job bigint, last_seq bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	v_job bigint[];
	v_no bigint[];
	v_now bigint[];
	v_last bigint[];
	v_new bigint[];
	v_time bigint[];
	v_old bigint[];
	v_kept bigint[];
	v_first bigint[];
BEGIN
	SELECT array_agg(q.place), array_agg(q.no), array_agg(q.now), array_agg(q.last_seq),
			array_agg(q.last_seq + q.count), array_agg(greatest(q.last_time_ms, q.now / 1000)),
			array_agg(q.kept_seq), array_agg(q.first_seq)
		INTO v_job, v_no, v_now, v_last, v_new, v_time, v_old, v_first
		FROM (SELECT k.place, k.now, k.count, t.no, t.last_seq, t.last_time_ms, t.kept_seq, t.first_seq
			FROM unnest(p_app, p_user, p_session, p_now, p_generation, p_after, p_count)
				WITH ORDINALITY AS k (app, owner, session, now, generation, after, count, place)
			JOIN {p}sessions AS t ON t.app = k.app AND t."user" = k.owner
				AND t.session = k.session AND t.life = 0
			WHERE (t.expires_us = 0 OR t.expires_us > k.now) AND (k.generation IS NULL OR k.generation = t.generation)
				AND (k.after < 0 OR k.after = t.last_seq)
				AND t.kept_seq BETWEEN 1 AND t.first_seq
				AND t.last_seq BETWEEN t.first_seq - 1 AND 4503599627370496
				AND t.last_time_ms BETWEEN 0 AND 4503599627370496
			ORDER BY k.place
			FOR NO KEY UPDATE OF t) AS q;
	INSERT INTO {p}events (session, seq, id, time_ms, status, {fields})
		SELECT s.no, s.last + e.nth, e.id, s.time, e.status, {fields}
		FROM unnest(p_job, p_nth, p_id, p_status, p_role, p_author, p_turn, p_model,
				p_finish_reason, p_error, p_message, p_usage, p_state, p_extra)
			AS e (job, nth, id, status, {fields})
		JOIN unnest(v_job, v_no, v_last, v_time) AS s (job, no, last, time) ON s.job = e.job;
	v_kept := v_old;
	IF p_limit > 0 THEN
		-- A session that was kept without a limit is cut by and by.
		SELECT array_agg(f.first ORDER BY f.place),
				array_agg(greatest(f.old, least(f.first, f.old + f.added + 10000)) ORDER BY f.place)
			INTO v_first, v_kept
			FROM (SELECT s.place, s.old, s.new - s.last AS added,
					greatest(s.first, s.new - greatest(p_limit, s.new - s.last) + 1) AS first
				FROM unnest(v_first, v_old, v_last, v_new) WITH ORDINALITY
					AS s (first, old, last, new, place)) AS f;
		DELETE FROM {p}events AS e USING unnest(v_no, v_old, v_kept) AS d (no, old, kept)
			WHERE d.kept > d.old AND e.session = d.no AND e.seq >= d.old AND e.seq < d.kept;
	END IF;
	UPDATE {p}sessions AS t SET position = greatest(t.position, s.now),
			updated_us = greatest(t.updated_us, s.now),
			expires_us = CASE WHEN p_ttl > 0 THEN s.now + p_ttl ELSE t.expires_us END,
			due_us = CASE WHEN p_ttl > 0 AND (t.due_us = 0 OR t.due_us > s.now + p_ttl)
				THEN s.now + p_ttl ELSE t.due_us END,
			kept_seq = s.kept, first_seq = s.first, last_seq = s.new, last_time_ms = s.time
		FROM unnest(v_no, v_now, v_kept, v_first, v_new, v_time) AS s (no, now, kept, first, new, time)
		WHERE t.no = s.no;
	RETURN QUERY SELECT s.job, s.new FROM unnest(v_job, v_new) AS s (job, new);
END $$;

-- A server that has not yet counted a table takes the index of the list to be as good for finding one
-- name as that of the names, and goes over all sessions of a user. Nothing but a list says it so.
DROP INDEX {p}sessions_list;

CREATE INDEX {p}sessions_list ON {p}sessions (app, "user", position, no) WHERE life + 0 = 0;

UPDATE {p}meta SET value = '3' WHERE name = 'schema';
