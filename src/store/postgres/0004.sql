-- Since 0.3. Turns hold sessions and save drafts (R1 to R5); sessions are forked (S6), watched (W1 to W3)
-- and weighed (E2). Programs of the version before go on with the functions that they know.

-- Of what a session is a fork; NULL: of none.
ALTER TABLE {p}sessions ADD COLUMN fork_session text, ADD COLUMN fork_generation uuid,
	ADD COLUMN fork_seq bigint;

-- What a session has of a lease, once it was held; session is its no. What a draft changes is beside
-- the session's row, which is in many indexes, and in no index itself.
CREATE TABLE {p}turns (
	session bigint PRIMARY KEY,
	lease uuid NOT NULL,
	-- By the server's clock; NULL: it has ended.
	until timestamptz,
	-- How often one was taken or ended, or a draft saved.
	changes bigint NOT NULL,
	-- The id of the draft, or NULL, its bytes, and where the last of its pieces begins, and began.
	draft uuid,
	draft_len bigint NOT NULL,
	draft_pos bigint NOT NULL,
	draft_was bigint NOT NULL
) WITH (fillfactor = 50);

-- The pieces of a draft's message, each from a byte of it to where the next one begins. With the first
-- is what else the draft holds.
CREATE TABLE {p}drafts (
	session bigint NOT NULL,
	pos bigint NOT NULL,
	piece bytea NOT NULL,
	role text,
	author text,
	turn text,
	model text,
	extra jsonb,
	PRIMARY KEY (session, pos)
);

-- Connections that listen, each on a channel with its number, and for which sessions. Whoever writes
-- looks here whether to tell. Nothing of it outlives the server.
CREATE UNLOGGED TABLE {p}ears (
	no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	until timestamptz NOT NULL
);

CREATE UNLOGGED TABLE {p}watchers (
	app text COLLATE "C" NOT NULL,
	"user" text COLLATE "C" NOT NULL,
	session text COLLATE "C" NOT NULL,
	ear bigint NOT NULL,
	-- What the ear is told.
	tag bigint NOT NULL,
	PRIMARY KEY (app, "user", session, ear)
);

CREATE INDEX {p}watchers_ear ON {p}watchers (ear);

-- Tell those who listen for a session.
CREATE FUNCTION {p}tell(p_app text, p_user text, p_session text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_notify(lower('{p}ear_') || e.no, w.tag::text)
		FROM {p}watchers AS w JOIN {p}ears AS e ON e.no = w.ear
		WHERE w.app = p_app AND w."user" = p_user AND w.session = p_session
			AND e.until > clock_timestamp();
END $$;

-- Remove ears that are gone, which have not said so.
CREATE FUNCTION {p}ears_clean() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM {p}ears AS e WHERE e.until < clock_timestamp()) THEN
		WITH gone AS (DELETE FROM {p}ears AS e WHERE e.no IN
				(SELECT o.no FROM {p}ears AS o WHERE o.until < clock_timestamp()
					FOR UPDATE SKIP LOCKED)
				RETURNING e.no)
			DELETE FROM {p}watchers AS w USING gone WHERE w.ear = gone.no;
	END IF;
END $$;

-- Let an ear listen for so long more. -4: it has been taken for gone.
CREATE FUNCTION {p}ear_stay(p_ear bigint, p_ms bigint) RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
	UPDATE {p}ears AS e SET until = clock_timestamp() + p_ms * interval '1 millisecond'
		WHERE e.no = p_ear;
	IF NOT FOUND THEN
		RETURN -4;
	END IF;
	PERFORM {p}ears_clean();
	RETURN 0;
END $$;

-- Begin, or without tags end, to listen for sessions. -4: it has been taken for gone.
CREATE FUNCTION {p}ear_set(p_ear bigint, p_app text[], p_user text[], p_session text[], p_tag bigint[])
	RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM {p}ears AS e WHERE e.no = p_ear FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN -4;
	END IF;
	IF cardinality(p_tag) > 0 THEN
		INSERT INTO {p}watchers (app, "user", session, ear, tag)
			SELECT k.app, k.owner, k.session, p_ear, k.tag
			FROM unnest(p_app, p_user, p_session, p_tag) AS k (app, owner, session, tag)
			ON CONFLICT (app, "user", session, ear) DO NOTHING;
	ELSE
		DELETE FROM {p}watchers AS w
			USING unnest(p_app, p_user, p_session) AS k (app, owner, session)
			WHERE w.app = k.app AND w."user" = k.owner AND w.session = k.session
				AND w.ear = p_ear;
	END IF;
	RETURN 0;
END $$;

CREATE FUNCTION {p}ear_end(p_ear bigint) RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM {p}watchers AS w WHERE w.ear = p_ear;
	DELETE FROM {p}ears AS e WHERE e.no = p_ear;
	RETURN 0;
END $$;

-- As before, and who listens is told.
CREATE OR REPLACE FUNCTION {p}create(p_app text, p_user text, p_session text, p_now bigint, p_ttl bigint,
	p_max bigint, p_generation uuid, p_title text, p_scopes smallint[], p_names text[],
	p_values text[]) RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	v_no bigint;
	v_watched boolean;
	v_expires bigint := CASE WHEN p_ttl > 0 THEN p_now + p_ttl ELSE 0 END;
BEGIN
	FOR v_try IN 1..2 LOOP
		INSERT INTO {p}sessions (app, "user", session, generation, title, life, position,
				created_us, updated_us, expires_us, deleted_us, purge_us, due_us,
				kept_seq, first_seq, last_seq, last_time_ms, state_bytes)
			VALUES (p_app, p_user, p_session, p_generation, p_title, 0, p_now,
				p_now, p_now, v_expires, 0, 0, v_expires, 1, 1, 0, 0, 0)
			ON CONFLICT (app, "user", session) WHERE life = 0 DO NOTHING
			RETURNING no, EXISTS (SELECT FROM {p}watchers AS w WHERE w.app = p_app AND w."user" = p_user
				AND w.session = p_session) INTO v_no, v_watched;
		EXIT WHEN v_no IS NOT NULL;
		-- An expired session must not be in the way.
		UPDATE {p}sessions AS t SET life = 2, due_us = 1
			WHERE t.app = p_app AND t."user" = p_user AND t.session = p_session AND t.life = 0
				AND t.expires_us > 0 AND t.expires_us <= p_now;
	END LOOP;
	IF v_no IS NULL THEN
		-- Its own generation: this is a repeat whose first try was carried out.
		RETURN CASE WHEN EXISTS (SELECT FROM {p}sessions AS t WHERE t.app = p_app
			AND t."user" = p_user AND t.session = p_session AND t.life = 0
			AND t.generation = p_generation) THEN 0 ELSE -5 END;
	END IF;
	IF 1 = ANY (p_scopes) THEN
		UPDATE {p}sessions AS t
			SET state_bytes = {p}change(1::smallint, v_no, 0, p_max, p_scopes, p_names, p_values)
			WHERE t.no = v_no;
	END IF;
	IF p_scopes && ARRAY[2, 4]::smallint[] THEN
		PERFORM {p}change_shared(p_app, p_user, p_max, p_scopes, p_names, p_values);
	END IF;
	IF v_watched THEN
		PERFORM {p}tell(p_app, p_user, p_session);
	END IF;
	RETURN 0;
END $$;

CREATE OR REPLACE FUNCTION {p}append(p_app text, p_user text, p_session text, p_now bigint, p_ttl bigint,
	p_max bigint, p_limit bigint, p_generation uuid, p_after bigint,
	p_id uuid[], p_status smallint[], p_role text[], p_author text[], p_turn text[],
	p_model text[], p_finish_reason text[], p_error text[], p_message jsonb[], p_usage jsonb[],
	p_state jsonb[], p_extra jsonb[], p_event integer[], p_scopes smallint[], p_names text[],
	p_values text[], OUT code integer, OUT last_seq bigint, OUT seqs text)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	s record;
	v_known uuid[];
	v_count bigint;
	v_kept bigint;
	v_time bigint;
	v_watched boolean;
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
		WHERE t.no = s.no
		RETURNING EXISTS (SELECT FROM {p}watchers AS w WHERE w.app = p_app AND w."user" = p_user
				AND w.session = p_session) INTO v_watched;
	IF v_watched THEN
		PERFORM {p}tell(p_app, p_user, p_session);
	END IF;
END $$;

CREATE OR REPLACE FUNCTION {p}append_many(p_ttl bigint, p_limit bigint, p_app text[], p_user text[],
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
	PERFORM {p}tell(w.app, w."user", w.session)
		FROM unnest(p_app, p_user, p_session, v_no) AS s (app, owner, session, no)
		JOIN {p}watchers AS w
			ON w.app = s.app AND w."user" = s.owner AND w.session = s.session
		WHERE s.no IS NOT NULL;
	RETURN QUERY SELECT s.job, s.last + s.count
		FROM unnest(v_no, v_last, p_count) WITH ORDINALITY AS s (no, last, count, job)
		WHERE s.no IS NOT NULL;
END $$;

-- An append that takes, keeps or ends the lease of its session: p_what is an enum convo_hold. p_draft and
-- its length are of the draft that it stores, NULL for none. code 2: the lease is not held, 3: another
-- one holds it for left_us, 4: a draft is in the way; else as append().
CREATE FUNCTION {p}append_held(p_what bigint, p_lease uuid, p_us bigint, p_draft uuid,
	p_draft_len bigint, p_app text, p_user text, p_session text, p_now bigint, p_ttl bigint,
	p_max bigint, p_limit bigint, p_generation uuid, p_after bigint,
	p_id uuid[], p_status smallint[], p_role text[], p_author text[], p_turn text[],
	p_model text[], p_finish_reason text[], p_error text[], p_message jsonb[], p_usage jsonb[],
	p_state jsonb[], p_extra jsonb[], p_event integer[], p_scopes smallint[], p_names text[],
	p_values text[],
	OUT code integer, OUT last_seq bigint, OUT seqs text, OUT left_us bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	s record;
	v_held record;
	v_found boolean;
	v_ours boolean;
	v_ended boolean;
	v_drop boolean;
	v_change boolean;
	v_until timestamptz;
BEGIN
	SELECT t.no, t.generation, t.last_seq INTO s FROM {p}sessions AS t
		WHERE t.app = p_app AND t."user" = p_user AND t.session = p_session AND t.life = 0
			AND (t.expires_us = 0 OR t.expires_us > p_now)
		FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		code := -4;
		RETURN;
	END IF;
	last_seq := s.last_seq;
	IF s.generation <> p_generation THEN
		code := 1;
		RETURN;
	END IF;
	SELECT h.lease, h.until, h.draft, h.draft_len INTO v_held FROM {p}turns AS h
		WHERE h.session = s.no FOR UPDATE;
	v_found := FOUND;
	v_ours := v_found AND v_held.lease = p_lease;
	v_ended := v_held.until IS NULL;
	code := 2;
	IF p_what >= 4 THEN
		-- A repetition finds it ended, and everything stored.
		IF NOT v_ours OR v_ended AND (p_what = 4 OR EXISTS (SELECT FROM unnest(p_id) AS k (id)
				WHERE NOT EXISTS (SELECT FROM {p}events AS e
					WHERE e.session = s.no AND e.id = k.id))) THEN
			RETURN;
		END IF;
	-- A repetition finds it ours, and the draft that it settles stored.
	ELSIF NOT v_ours OR p_draft IS NOT NULL AND EXISTS (SELECT FROM unnest(p_id) AS k (id)
			WHERE NOT EXISTS (SELECT FROM {p}events AS e
				WHERE e.session = s.no AND e.id = k.id)) THEN
		IF p_what < 3 AND v_held.until > clock_timestamp() THEN
			code := 3;
			left_us := extract(epoch FROM v_held.until - clock_timestamp()) * 1000000;
			RETURN;
		END IF;
		IF v_held.draft IS DISTINCT FROM p_draft
				OR p_draft IS NOT NULL AND v_held.draft_len <> p_draft_len THEN
			code := 4;
			RETURN;
		END IF;
	END IF;
	SELECT a.code, a.last_seq, a.seqs INTO code, last_seq, seqs
		FROM {p}append(p_app, p_user, p_session, p_now, p_ttl, p_max, p_limit, p_generation, p_after, p_id,
			p_status, p_role, p_author, p_turn, p_model, p_finish_reason, p_error, p_message,
			p_usage, p_state, p_extra, p_event, p_scopes, p_names, p_values) AS a;
	IF code <> 0 THEN
		RETURN;
	END IF;
	IF p_what < 5 THEN
		v_until := clock_timestamp() + p_us * interval '1 microsecond';
	END IF;
	v_drop := v_held.draft IS NOT NULL AND (p_what = 5 OR p_draft IS NOT NULL);
	v_change := v_drop OR CASE p_what WHEN 4 THEN false WHEN 5 THEN NOT v_ended
		ELSE v_ended OR NOT v_ours END;
	IF v_found THEN
		UPDATE {p}turns AS h SET lease = p_lease,
				until = v_until, changes = h.changes + v_change::integer,
				draft = CASE WHEN NOT v_drop THEN h.draft END
			WHERE h.session = s.no;
	ELSE
		INSERT INTO {p}turns (session, lease, until, changes, draft_len, draft_pos, draft_was)
			VALUES (s.no, p_lease, v_until, 1, 0, 0, 0);
	END IF;
	IF v_drop THEN
		DELETE FROM {p}drafts AS d WHERE d.session = s.no;
	END IF;
	IF v_change AND EXISTS (SELECT FROM {p}watchers AS w WHERE w.app = p_app AND w."user" = p_user
				AND w.session = p_session) THEN
		PERFORM {p}tell(p_app, p_user, p_session);
	END IF;
END $$;

-- Save a draft: its first p_pos bytes are there already, and then all but the message. Its loss in a crash
-- is borne, so it waits for no disk. code as append_held().
CREATE FUNCTION {p}draft(p_app text, p_user text, p_session text, p_now bigint, p_lease uuid, p_us bigint,
	p_id uuid, p_pos bigint, p_piece bytea, p_role text, p_author text, p_turn text, p_model text,
	p_extra jsonb, OUT code integer, OUT last_seq bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	s record;
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	UPDATE {p}turns AS h SET until = clock_timestamp() + p_us * interval '1 microsecond',
			changes = h.changes + 1, draft = p_id, draft_len = p_pos + octet_length(p_piece),
			draft_pos = p_pos, draft_was = h.draft_pos
		FROM {p}sessions AS t
		WHERE t.app = p_app AND t."user" = p_user AND t.session = p_session AND t.life = 0
			AND (t.expires_us = 0 OR t.expires_us > p_now) AND h.session = t.no
			AND h.lease = p_lease AND h.until IS NOT NULL
			AND (p_pos = 0 OR h.draft = p_id AND h.draft_len >= p_pos)
		RETURNING t.no, t.last_seq, h.draft_was,
			EXISTS (SELECT FROM {p}watchers AS w WHERE w.app = p_app AND w."user" = p_user
				AND w.session = p_session) AS watched INTO s;
	IF NOT FOUND THEN
		SELECT t.last_seq, h.lease, h.until INTO s
			FROM {p}sessions AS t LEFT JOIN {p}turns AS h ON h.session = t.no
			WHERE t.app = p_app AND t."user" = p_user AND t.session = p_session AND t.life = 0
				AND (t.expires_us = 0 OR t.expires_us > p_now);
		code := CASE WHEN NOT FOUND THEN -4
			WHEN p_pos > 0 AND s.lease = p_lease AND s.until IS NOT NULL THEN 4 ELSE 2 END;
		last_seq := s.last_seq;
		RETURN;
	END IF;
	code := 0;
	last_seq := s.last_seq;
	IF p_pos <= s.draft_was THEN
		DELETE FROM {p}drafts AS d WHERE d.session = s.no AND d.pos >= p_pos;
	END IF;
	INSERT INTO {p}drafts (session, pos, piece, role, author, turn, model, extra)
		VALUES (s.no, p_pos, p_piece, p_role, p_author, p_turn, p_model, p_extra);
	IF s.watched THEN
		PERFORM {p}tell(p_app, p_user, p_session);
	END IF;
END $$;

-- As load() of before, with more of the session (time_ms: how much longer it is held in microseconds; turn,
-- model, seq: of what it is a fork) and, if wanted, a row of part 4: the draft (seq: its bytes, error:
-- its message as it was sent).
CREATE FUNCTION {p}read(p_app text, p_user text, p_session text, p_now bigint, p_limit bigint,
	p_kind integer, p_n bigint, p_seq bigint, p_id uuid, p_draft boolean)
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
	SELECT t.*, h.until, h.draft, h.draft_len INTO s
		FROM {p}sessions AS t LEFT JOIN {p}turns AS h ON h.session = t.no
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
	seq := coalesce(s.fork_seq, 0);
	time_ms := coalesce(extract(epoch FROM s.until - clock_timestamp()) * 1000000, 0)::bigint;
	id := s.generation;
	status := 0;
	role := concat_ws(' ', s.no, s.life, s.position, s.created_us, s.updated_us, s.expires_us,
		s.deleted_us, s.purge_us, s.due_us, s.kept_seq, s.first_seq, s.last_seq, s.last_time_ms,
		s.state_bytes);
	author := s.title;
	turn := s.fork_session;
	model := s.fork_generation::text;
	RETURN NEXT;
	IF p_draft AND s.draft IS NOT NULL THEN
		RETURN QUERY SELECT 4::smallint, s.draft_len, 0::bigint, s.draft, 2::smallint, max(p.role),
				max(p.author), max(p.turn), max(p.model), NULL::text,
				convert_from(string_agg(substr(p.piece, 1, p.size), ''::bytea ORDER BY p.pos), 'UTF8'),
				NULL::jsonb, NULL::jsonb, NULL::jsonb, max(p.extra::text)::jsonb
			FROM (SELECT d.*, coalesce(lead(d.pos) OVER (ORDER BY d.pos) - d.pos,
						octet_length(d.piece))::integer AS size
				FROM {p}drafts AS d WHERE d.session = s.no) AS p;
	END IF;
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

-- Another session out of this one's events up to a seq, all of one moment: one statement.
CREATE FUNCTION {p}fork(p_app text, p_user text, p_session text, p_now bigint, p_ttl bigint,
	p_limit bigint, p_to text, p_generation uuid, p_upto bigint) RETURNS integer
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off
	SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
	v_expires bigint := CASE WHEN p_ttl > 0 THEN p_now + p_ttl ELSE 0 END;
	v_found boolean;
	v_made boolean;
BEGIN
	FOR v_try IN 1..2 LOOP
		WITH s AS MATERIALIZED (SELECT t.no, t.generation, t.title, t.state_bytes,
					least(t.last_seq, p_upto) AS high,
					CASE WHEN p_limit > 0 THEN greatest(t.first_seq, t.last_seq - p_limit + 1)
						ELSE t.first_seq END AS low
				FROM {p}sessions AS t
				WHERE t.app = p_app AND t."user" = p_user AND t.session = p_session AND t.life = 0
					AND (t.expires_us = 0 OR t.expires_us > p_now)),
			n AS (INSERT INTO {p}sessions AS t (app, "user", session, generation, title, life,
					position, created_us, updated_us, expires_us, deleted_us, purge_us,
					due_us, kept_seq, first_seq, last_seq, last_time_ms, state_bytes,
					fork_session, fork_generation, fork_seq)
				SELECT p_app, p_user, p_to, p_generation, s.title, 0, p_now, p_now, p_now,
					v_expires, 0, 0, v_expires, least(s.low, s.high + 1),
					least(s.low, s.high + 1), s.high,
					coalesce((SELECT e.time_ms FROM {p}events AS e
						WHERE e.session = s.no AND e.seq = s.high AND s.high >= s.low), 0),
					s.state_bytes, p_session, s.generation, s.high FROM s
				ON CONFLICT (app, "user", session) WHERE life = 0 DO NOTHING
				RETURNING t.no),
			copied AS (INSERT INTO {p}events (session, seq, id, time_ms, status, {fields})
				SELECT n.no, e.seq, e.id, e.time_ms, e.status, {fields} FROM n CROSS JOIN s
				JOIN {p}events AS e
					ON e.session = s.no AND e.seq >= s.low AND e.seq <= s.high),
			named AS (INSERT INTO {p}state (scope, owner, name, value, bytes)
				SELECT 1, n.no, v.name, v.value, v.bytes FROM n CROSS JOIN s
				JOIN {p}state AS v ON v.scope = 1 AND v.owner = s.no)
			SELECT EXISTS (SELECT FROM s), EXISTS (SELECT FROM n) INTO v_found, v_made;
		IF NOT v_found THEN
			RETURN -4;
		END IF;
		EXIT WHEN v_made;
		-- An expired session must not be in the way.
		UPDATE {p}sessions AS t SET life = 2, due_us = 1
			WHERE t.app = p_app AND t."user" = p_user AND t.session = p_to AND t.life = 0
				AND t.expires_us > 0 AND t.expires_us <= p_now;
	END LOOP;
	IF NOT v_made THEN
		-- Its own generation: this is a repeat whose first try was carried out.
		RETURN CASE WHEN EXISTS (SELECT FROM {p}sessions AS t WHERE t.app = p_app
			AND t."user" = p_user AND t.session = p_to AND t.life = 0
			AND t.generation = p_generation) THEN 0 ELSE -5 END;
	END IF;
	PERFORM {p}tell(p_app, p_user, p_to);
	RETURN 0;
END $$;

-- A number for each session that is there, by its place, which changes with whatever happens to it: each
-- write of its row is another transaction's.
CREATE FUNCTION {p}marks(p_now bigint, p_app text[], p_user text[], p_session text[])
	RETURNS TABLE (place bigint, mark bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off
	SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY SELECT k.place,
			hashtextextended(concat_ws(' ', t.no, t.xmin, coalesce(h.changes, 0)), 0)
		FROM unnest(p_app, p_user, p_session) WITH ORDINALITY AS k (app, owner, session, place)
		JOIN {p}sessions AS t ON t.app = k.app AND t."user" = k.owner AND t.session = k.session
			AND t.life = 0 AND (t.expires_us = 0 OR t.expires_us > p_now)
		LEFT JOIN {p}turns AS h ON h.session = t.no;
END $$;

-- The bytes of the messages of sessions together, as they are stored.
CREATE FUNCTION {p}weigh(p_no bigint[], p_generation uuid[], p_first bigint[], p_last bigint[])
	RETURNS bigint
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off
	SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
BEGIN
	RETURN (SELECT coalesce(sum(pg_column_size(e.message)), 0)
		FROM unnest(p_no, p_generation, p_first, p_last) AS k (no, generation, first, last)
		JOIN {p}sessions AS t ON t.no = k.no AND t.generation = k.generation AND t.life = 0
		JOIN {p}events AS e ON e.session = t.no AND e.seq >= k.first AND e.seq <= k.last);
END $$;

-- With what else a session has.
CREATE OR REPLACE FUNCTION {p}clean(p_now bigint, p_rows bigint, OUT removed bigint, OUT more boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	s record;
	v_left bigint := p_rows;
	v_seen integer := 0;
	v_events bigint;
	v_names bigint;
	v_pieces bigint;
BEGIN
	removed := 0;
	PERFORM {p}ears_clean();
	FOR s IN SELECT t.no, t.kept_seq,
				CASE t.life WHEN 0 THEN t.expires_us WHEN 1 THEN t.purge_us ELSE 1 END AS end_us
			FROM {p}sessions AS t WHERE t.due_us > 0 AND t.due_us <= p_now
			ORDER BY t.due_us LIMIT 100 FOR UPDATE SKIP LOCKED LOOP
		v_seen := v_seen + 1;
		IF s.end_us = 0 OR s.end_us > p_now THEN
			UPDATE {p}sessions AS t SET due_us = s.end_us WHERE t.no = s.no;
			CONTINUE;
		END IF;
		DELETE FROM {p}events AS e
			WHERE e.session = s.no AND e.seq >= s.kept_seq AND e.seq < s.kept_seq + v_left;
		GET DIAGNOSTICS v_events = ROW_COUNT;
		DELETE FROM {p}state AS t WHERE t.scope = 1 AND t.owner = s.no AND t.name IN
			(SELECT n.name FROM {p}state AS n WHERE n.scope = 1 AND n.owner = s.no
				LIMIT v_left - v_events);
		GET DIAGNOSTICS v_names = ROW_COUNT;
		-- Without this row nobody adds to a draft.
		DELETE FROM {p}turns AS h WHERE h.session = s.no;
		DELETE FROM {p}drafts AS d WHERE d.session = s.no AND d.pos IN
			(SELECT n.pos FROM {p}drafts AS n WHERE n.session = s.no
				LIMIT v_left - v_events - v_names);
		GET DIAGNOSTICS v_pieces = ROW_COUNT;
		v_left := v_left - v_events - v_names - v_pieces;
		IF v_left <= 0 THEN
			UPDATE {p}sessions AS t SET life = 2, due_us = 1, kept_seq = s.kept_seq + v_events
				WHERE t.no = s.no;
			EXIT;
		END IF;
		DELETE FROM {p}sessions AS t WHERE t.no = s.no;
		removed := removed + 1;
	END LOOP;
	more := v_left <= 0 OR v_seen = 100;
END $$;

UPDATE {p}meta SET value = '4' WHERE name = 'schema';
