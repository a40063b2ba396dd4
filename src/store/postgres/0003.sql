-- Appends of many callers as one: what costs a statement for each in append() costs three for all of
-- them here. It is for plain appends to sessions that differ: no changes of state. Of the jobs, in the
-- order in which their sessions are to be locked, only those are carried out and answered for that are
-- as expected; the others, and all of them if an event was there before, are for append() to judge.
-- Its plans are made once, and are loops over indexes, as they are best at any size of the tables: not those
-- that look well while the tables are small, nor made anew for each number of jobs.
-- p_after is the last seq expected, -1 for any; p_count is how many events a job has. The events
-- follow: each with its job and its number in it, from 1.
CREATE FUNCTION {p}append_many(p_ttl bigint, p_limit bigint, p_app text[], p_user text[],
	p_session text[], p_now bigint[], p_generation uuid[], p_after bigint[], p_count bigint[],
	p_job bigint[], p_nth bigint[], p_id uuid[], p_status smallint[], p_role text[], p_author text[],
	p_turn text[], p_model text[], p_finish_reason text[], p_error text[], p_message jsonb[],
	p_usage jsonb[], p_state jsonb[], p_extra jsonb[])
	RETURNS TABLE (job bigint, last_seq bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off
	SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
	v_no bigint[];
	v_last bigint[];
	v_time bigint[];
	v_old bigint[];
	v_kept bigint[];
	v_first bigint[];
BEGIN
	-- Of a job that is not as expected the session's number stays NULL.
	SELECT array_agg(q.no), array_agg(q.last), array_agg(q.time), array_agg(q.first),
			array_agg(q.kept), array_agg(least(q.first, q.kept + q.count + 10000))
		INTO v_no, v_last, v_time, v_first, v_old, v_kept
		FROM (SELECT t.no, t.last, t.time, t.first, t.kept, k.count
			FROM unnest(p_app, p_user, p_session, p_now, p_generation, p_after, p_count)
				WITH ORDINALITY AS k (app, owner, session, now, generation, after, count, place)
			LEFT JOIN LATERAL (SELECT CASE WHEN coalesce(k.generation = s.generation, true)
						AND (k.after < 0 OR k.after = s.last_seq)
						AND s.kept_seq BETWEEN 1 AND s.first_seq
						AND s.last_seq BETWEEN s.first_seq - 1 AND 4503599627370496
						AND s.last_time_ms BETWEEN 0 AND 4503599627370496
						AND s.state_bytes BETWEEN 0 AND 1000000000 THEN s.no END AS no,
					s.last_seq AS last, greatest(s.last_time_ms, k.now / 1000) AS time,
					CASE WHEN p_limit > 0 THEN greatest(s.first_seq,
							s.last_seq + k.count - greatest(p_limit, k.count) + 1)
						ELSE s.first_seq END AS first,
					s.kept_seq AS kept
				FROM {p}sessions AS s
				WHERE s.app = k.app AND s."user" = k.owner AND s.session = k.session
					AND s.life = 0 AND (s.expires_us = 0 OR s.expires_us > k.now)
				FOR NO KEY UPDATE) AS t ON true
			ORDER BY k.place) AS q;
	INSERT INTO {p}events (session, seq, id, time_ms, status, {fields})
		SELECT v_no[e.job], v_last[e.job] + e.nth, e.id, v_time[e.job], e.status, {fields}
		FROM unnest(p_job, p_nth, p_id, p_status, p_role, p_author, p_turn, p_model,
				p_finish_reason, p_error, p_message, p_usage, p_state, p_extra)
			AS e (job, nth, id, status, {fields})
		WHERE v_no[e.job] IS NOT NULL;
	IF p_limit > 0 THEN
		-- A session that was kept without a limit is cut by and by.
		DELETE FROM {p}events AS e USING unnest(v_no, v_old, v_kept) AS d (no, old, kept)
			WHERE d.kept > d.old AND e.session = d.no AND e.seq >= d.old AND e.seq < d.kept;
	ELSE
		v_kept := v_old;
	END IF;
	UPDATE {p}sessions AS t SET position = greatest(t.position, s.now),
			updated_us = greatest(t.updated_us, s.now),
			expires_us = CASE WHEN p_ttl > 0 THEN s.now + p_ttl ELSE t.expires_us END,
			due_us = CASE WHEN p_ttl > 0 AND (t.due_us = 0 OR t.due_us > s.now + p_ttl)
				THEN s.now + p_ttl ELSE t.due_us END,
			kept_seq = s.kept, first_seq = s.first, last_seq = s.last + s.count,
			last_time_ms = s.time
		FROM unnest(v_no, p_now, v_kept, v_first, v_last, p_count, v_time)
			AS s (no, now, kept, first, last, count, time)
		WHERE t.no = s.no;
	RETURN QUERY SELECT s.job, s.last + s.count
		FROM unnest(v_no, v_last, p_count) WITH ORDINALITY AS s (no, last, count, job)
		WHERE s.no IS NOT NULL;
END $$;

-- A server that has not yet counted a table takes the index of the list to be as good for finding one
-- name as that of the names, and goes over all sessions of a user. Nothing but a list says it so.
DROP INDEX {p}sessions_list;

CREATE INDEX {p}sessions_list ON {p}sessions (app, "user", position, no) WHERE life + 0 = 0;

ALTER FUNCTION {p}append SET plan_cache_mode = force_generic_plan;

UPDATE {p}meta SET value = '3' WHERE name = 'schema';
