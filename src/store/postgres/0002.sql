-- Since 0.2. What is rare is decided by the programs, which lock the row of a session and write it:
-- its functions go. A load is read with fewer queries.

DROP FUNCTION {p}restore;

DROP FUNCTION {p}state_set;

DROP FUNCTION {p}state_list;

DROP FUNCTION {p}load;

DROP FUNCTION {p}names;

-- One view of a session, as rows of three parts: 0 the session (id is its generation, author its
-- title, role its numbers), 1 a name of state (status is its scope, author its name, message its
-- value), 2 an event; or a row of part 3: there is no such event. A STABLE function sees one moment
-- in all its statements. p_kind is an enum convo_window_kind.
CREATE FUNCTION {p}load(p_app text, p_user text, p_session text, p_now bigint, p_limit bigint,
	p_kind integer, p_n bigint, p_seq bigint, p_id uuid)
	RETURNS TABLE (part smallint, seq bigint, time_ms bigint, id uuid, status smallint, role text,
		author text, turn text, model text, finish_reason text, error text, message jsonb,
		usage jsonb, state jsonb, extra jsonb)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
	s record;
	v_low bigint;
	v_high bigint;
BEGIN
	SELECT t.* INTO s FROM {p}sessions AS t
		WHERE t.app = p_app AND t."user" = p_user AND t.session = p_session AND t.life = 0
			AND (t.expires_us = 0 OR t.expires_us > p_now);
	IF NOT FOUND THEN
		RETURN;
	END IF;
	v_low := s.first_seq;
	v_high := s.last_seq;
	IF p_limit > 0 THEN
		v_low := greatest(v_low, v_high - p_limit + 1);
	END IF;
	IF p_kind = 0 THEN
		v_low := greatest(v_low, v_high - p_n + 1);
	ELSIF p_kind = 1 THEN
		v_low := greatest(v_low, p_seq + 1);
		v_high := least(v_high, v_low + p_n - 1);
	ELSIF p_kind = 2 THEN
		v_high := least(v_high, p_seq - 1);
		v_low := greatest(v_low, v_high - p_n + 1);
	ELSIF p_kind = 3 THEN
		SELECT e.seq INTO p_seq FROM {p}events AS e
			WHERE e.session = s.no AND e.id = p_id AND e.seq >= v_low;
		IF NOT FOUND THEN
			part := 3;
			RETURN NEXT;
			RETURN;
		END IF;
		v_high := least(v_high, p_seq + (p_n - 1) / 2);
		v_low := greatest(v_low, p_seq - (p_n - 1 - (p_n - 1) / 2));
	ELSE
		v_high := 0;
	END IF;
	part := 0;
	seq := 0;
	time_ms := 0;
	id := s.generation;
	status := 0;
	role := concat_ws(' ', s.no, s.life, s.position, s.created_us, s.updated_us, s.expires_us,
		s.deleted_us, s.purge_us, s.due_us, s.kept_seq, s.first_seq, s.last_seq, s.last_time_ms,
		s.state_bytes);
	author := s.title;
	RETURN NEXT;
	-- Most conversations have no state, and to find that out is cheaper than to look for it.
	IF s.state_bytes <> 0 OR EXISTS (SELECT FROM {p}scopes AS o
			WHERE o.app = p_app AND o."user" IN (p_user, '') AND o.state_bytes <> 0) THEN
		RETURN QUERY SELECT 1::smallint, 0::bigint, 0::bigint, NULL::uuid, t.scope, NULL::text,
				t.name, NULL::text, NULL::text, NULL::text, NULL::text, t.value, NULL::jsonb,
				NULL::jsonb, NULL::jsonb
			FROM {p}state AS t WHERE t.scope = 1 AND t.owner = s.no
			UNION ALL SELECT 1::smallint, 0, 0, NULL, t.scope, NULL, t.name, NULL, NULL, NULL, NULL, t.value,
				NULL, NULL, NULL
			FROM {p}scopes AS o JOIN {p}state AS t
				ON t.scope = CASE o."user" WHEN '' THEN 4 ELSE 2 END AND t.owner = o.no
			WHERE o.app = p_app AND o."user" IN (p_user, '');
	END IF;
	RETURN QUERY SELECT 2::smallint, e.seq, e.time_ms, e.id, e.status, {fields}
		FROM {p}events AS e
		WHERE e.session = s.no AND e.seq >= v_low AND e.seq <= v_high;
END $$;

DROP FUNCTION {p}append;

-- p_after is the last seq expected, -1 for any. code 1: the session has another generation. seqs is
-- NULL when all events are new: then they are the last ones up to last_seq.
CREATE FUNCTION {p}append(p_app text, p_user text, p_session text, p_now bigint, p_ttl bigint,
	p_max bigint, p_limit bigint, p_generation uuid, p_after bigint,
	p_id uuid[], p_status smallint[], p_role text[], p_author text[], p_turn text[],
	p_model text[], p_finish_reason text[], p_error text[], p_message jsonb[], p_usage jsonb[],
	p_state jsonb[], p_extra jsonb[], p_event integer[], p_scopes smallint[], p_names text[],
	p_values text[], OUT code integer, OUT last_seq bigint, OUT seqs text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	s record;
	v_known uuid[];
	v_count bigint;
	v_kept bigint;
	v_time bigint;
BEGIN
	SELECT t.no, t.generation, t.kept_seq, t.first_seq, t.last_seq, t.last_time_ms, t.state_bytes
		INTO s FROM {p}sessions AS t
		WHERE t.app = p_app AND t."user" = p_user AND t.session = p_session AND t.life = 0
			AND (t.expires_us = 0 OR t.expires_us > p_now)
		FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		code := -4;
		RETURN;
	END IF;
	last_seq := s.last_seq;
	-- What no convo wrote: the database is damaged.
	IF (s.kept_seq BETWEEN 1 AND s.first_seq AND s.last_seq BETWEEN s.first_seq - 1 AND 4503599627370496)
			IS NOT TRUE OR (s.state_bytes BETWEEN 0 AND 1000000000) IS NOT TRUE
			OR (s.last_time_ms BETWEEN 0 AND 4503599627370496) IS NOT TRUE THEN
		code := -8;
		RETURN;
	END IF;
	IF s.generation <> p_generation THEN
		code := 1;
		RETURN;
	END IF;
	SELECT array_agg(e.id) INTO v_known FROM {p}events AS e
		WHERE e.session = s.no AND e.id = ANY (p_id);
	v_count := cardinality(p_id) - coalesce(cardinality(v_known), 0);
	IF v_count > 0 AND p_after >= 0 AND p_after <> s.last_seq THEN
		code := -6;
		RETURN;
	END IF;
	v_time := greatest(s.last_time_ms, p_now / 1000);
	FOR i IN 1..cardinality(p_id) LOOP
		CONTINUE WHEN p_id[i] = ANY (v_known);
		last_seq := last_seq + 1;
		INSERT INTO {p}events (session, seq, id, time_ms, status, {fields})
			VALUES (s.no, last_seq, p_id[i], v_time, p_status[i], p_role[i], p_author[i],
				p_turn[i], p_model[i], p_finish_reason[i], p_error[i], p_message[i],
				p_usage[i], p_state[i], p_extra[i]);
	END LOOP;
	IF v_known IS NOT NULL THEN
		SELECT string_agg(e.seq::text, ' ' ORDER BY d.place) INTO seqs
			FROM unnest(p_id) WITH ORDINALITY AS d (id, place)
			JOIN {p}events AS e ON e.session = s.no AND e.id = d.id;
		-- Of events that were there the changes have been applied.
		SELECT array_agg(c.scope ORDER BY c.place), array_agg(c.name ORDER BY c.place),
				array_agg(c.value ORDER BY c.place)
			INTO p_scopes, p_names, p_values
			FROM unnest(p_event, p_scopes, p_names, p_values)
				WITH ORDINALITY AS c (event, scope, name, value, place)
			WHERE p_id[c.event + 1] <> ALL (v_known);
	END IF;
	code := 0;
	IF v_count = 0 THEN
		RETURN;
	END IF;
	IF 1 = ANY (p_scopes) THEN
		s.state_bytes := {p}change(1::smallint, s.no, s.state_bytes, p_max, p_scopes, p_names,
			p_values);
	END IF;
	IF p_scopes && ARRAY[2, 4]::smallint[] THEN
		PERFORM {p}change_shared(p_app, p_user, p_max, p_scopes, p_names, p_values);
	END IF;
	IF p_limit > 0 THEN
		s.first_seq := greatest(s.first_seq, last_seq - greatest(p_limit, v_count) + 1);
		-- A session that was kept without a limit is cut by and by.
		v_kept := least(s.first_seq, s.kept_seq + v_count + 10000);
		IF v_kept > s.kept_seq THEN
			DELETE FROM {p}events AS e
				WHERE e.session = s.no AND e.seq >= s.kept_seq AND e.seq < v_kept;
			s.kept_seq := v_kept;
		END IF;
	END IF;
	UPDATE {p}sessions AS t SET position = greatest(t.position, p_now),
			updated_us = greatest(t.updated_us, p_now),
			expires_us = CASE WHEN p_ttl > 0 THEN p_now + p_ttl ELSE t.expires_us END,
			due_us = CASE WHEN p_ttl > 0 AND (t.due_us = 0 OR t.due_us > p_now + p_ttl)
				THEN p_now + p_ttl ELSE t.due_us END,
			kept_seq = s.kept_seq, first_seq = s.first_seq,
			last_seq = s.last_seq + v_count, last_time_ms = v_time,
			state_bytes = s.state_bytes
		WHERE t.no = s.no;
END $$;

UPDATE {p}meta SET value = '2' WHERE name = 'schema';
