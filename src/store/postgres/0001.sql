CREATE TABLE {p}meta (
	name text PRIMARY KEY,
	value text NOT NULL
);

-- A life of a session. life: 0 it lives, 1 it is in the trash, 2 it is dead and waits to be
-- cleaned away. Times are in microseconds since 1970, 0 for never.
CREATE TABLE {p}sessions (
	no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	app text COLLATE "C" NOT NULL,
	"user" text COLLATE "C" NOT NULL,
	session text COLLATE "C" NOT NULL,
	generation uuid NOT NULL,
	title text NOT NULL,
	life smallint NOT NULL,
	-- Its place in the list it is in: when it was last written to, or deleted.
	position bigint NOT NULL,
	created_us bigint NOT NULL,
	updated_us bigint NOT NULL,
	expires_us bigint NOT NULL,
	deleted_us bigint NOT NULL,
	purge_us bigint NOT NULL,
	-- When cleaning has to look at it, or earlier.
	due_us bigint NOT NULL,
	-- It shows first_seq to last_seq; from kept_seq on they are stored.
	kept_seq bigint NOT NULL,
	first_seq bigint NOT NULL,
	last_seq bigint NOT NULL,
	last_time_ms bigint NOT NULL,
	state_bytes bigint NOT NULL
);

CREATE UNIQUE INDEX {p}sessions_name ON {p}sessions (app, "user", session) WHERE life = 0;

CREATE INDEX {p}sessions_list ON {p}sessions (app, "user", position, no) WHERE life = 0;

CREATE INDEX {p}sessions_trash ON {p}sessions (app, "user", position, no) WHERE life = 1;

CREATE INDEX {p}sessions_trash_name ON {p}sessions (app, "user", session, position, no)
	WHERE life = 1;

CREATE INDEX {p}sessions_due ON {p}sessions (due_us) WHERE due_us > 0;

-- session is the no of its session. There is no foreign key: who adds events holds the session's
-- row, and cleaning removes the row last.
CREATE TABLE {p}events (
	session bigint NOT NULL,
	seq bigint NOT NULL,
	id uuid NOT NULL,
	time_ms bigint NOT NULL,
	status smallint NOT NULL,
	role text NOT NULL,
	author text NOT NULL,
	turn text,
	model text,
	finish_reason text,
	error text,
	message jsonb NOT NULL,
	usage jsonb,
	state jsonb,
	extra jsonb,
	PRIMARY KEY (session, seq),
	UNIQUE (session, id)
);

-- What user and app state belongs to; the user is '' for the app's.
CREATE TABLE {p}scopes (
	no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	app text COLLATE "C" NOT NULL,
	"user" text COLLATE "C" NOT NULL,
	state_bytes bigint NOT NULL,
	UNIQUE (app, "user")
);

-- State by scope: 1 of a session, 2 of a user, 4 of an app. owner is the no of the session or scope;
-- bytes is what the name counts against the limit of its scope.
CREATE TABLE {p}state (
	scope smallint NOT NULL,
	owner bigint NOT NULL,
	name text COLLATE "C" NOT NULL,
	value jsonb NOT NULL,
	bytes bigint NOT NULL,
	PRIMARY KEY (scope, owner, name)
);

-- The functions are one operation each, so that it takes one round trip while each of its
-- statements sees what the writer it waited for has committed. They return a convo_code.

-- Apply changes to one scope, for a name the last one; the value NULL removes it. The caller holds
-- the row that counts the scope's bytes; returns what they are now.
CREATE FUNCTION {p}change(p_kind smallint, p_owner bigint, p_bytes bigint, p_max bigint,
	p_scopes smallint[], p_names text[], p_values text[]) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	v_names text[];
	v_values text[];
	v_bytes bigint;
BEGIN
	SELECT array_agg(d.name), array_agg(d.value),
			p_bytes + coalesce(sum(octet_length(d.name) + octet_length(d.value)), 0)
		INTO v_names, v_values, v_bytes
		FROM (SELECT DISTINCT ON (c.name) c.name, c.value
			FROM unnest(p_scopes, p_names, p_values) WITH ORDINALITY AS c (scope, name, value, place)
			WHERE c.scope = p_kind ORDER BY c.name, c.place DESC) AS d;
	v_bytes := v_bytes - (SELECT coalesce(sum(t.bytes), 0) FROM {p}state AS t
		WHERE t.scope = p_kind AND t.owner = p_owner AND t.name = ANY (v_names));
	IF v_bytes > p_max THEN
		RAISE EXCEPTION 'the state of a scope is limited to % bytes', p_max
			USING ERRCODE = 'CV003', DETAIL = p_kind;
	END IF;
	DELETE FROM {p}state AS t USING unnest(v_names, v_values) AS d (name, value)
		WHERE d.value IS NULL AND t.scope = p_kind AND t.owner = p_owner AND t.name = d.name;
	INSERT INTO {p}state AS t (scope, owner, name, value, bytes)
		SELECT p_kind, p_owner, d.name, d.value::jsonb, octet_length(d.name) + octet_length(d.value)
			FROM unnest(v_names, v_values) AS d (name, value) WHERE d.value IS NOT NULL
		ON CONFLICT (scope, owner, name) DO UPDATE SET value = excluded.value, bytes = excluded.bytes;
	RETURN v_bytes;
END $$;

-- Apply changes to the scopes of a user and an app.
CREATE FUNCTION {p}change_shared(p_app text, p_user text, p_max bigint, p_scopes smallint[],
	p_names text[], p_values text[]) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	v_scope smallint;
	v_no bigint;
	v_bytes bigint;
BEGIN
	FOREACH v_scope IN ARRAY ARRAY[2, 4] LOOP
		CONTINUE WHEN NOT v_scope = ANY (p_scopes);
		INSERT INTO {p}scopes (app, "user", state_bytes)
			VALUES (p_app, CASE v_scope WHEN 2 THEN p_user ELSE '' END, 0)
			ON CONFLICT (app, "user") DO NOTHING;
		SELECT t.no, t.state_bytes INTO STRICT v_no, v_bytes FROM {p}scopes AS t
			WHERE t.app = p_app AND t."user" = CASE v_scope WHEN 2 THEN p_user ELSE '' END
			FOR UPDATE;
		v_bytes := {p}change(v_scope, v_no, v_bytes, p_max, p_scopes, p_names, p_values);
		UPDATE {p}scopes AS t SET state_bytes = v_bytes WHERE t.no = v_no;
	END LOOP;
END $$;

CREATE FUNCTION {p}create(p_app text, p_user text, p_session text, p_now bigint, p_ttl bigint,
	p_max bigint, p_generation uuid, p_title text, p_scopes smallint[], p_names text[],
	p_values text[]) RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	v_no bigint;
	v_expires bigint := CASE WHEN p_ttl > 0 THEN p_now + p_ttl ELSE 0 END;
BEGIN
	FOR v_try IN 1..2 LOOP
		INSERT INTO {p}sessions (app, "user", session, generation, title, life, position,
				created_us, updated_us, expires_us, deleted_us, purge_us, due_us,
				kept_seq, first_seq, last_seq, last_time_ms, state_bytes)
			VALUES (p_app, p_user, p_session, p_generation, p_title, 0, p_now,
				p_now, p_now, v_expires, 0, 0, v_expires, 1, 1, 0, 0, 0)
			ON CONFLICT (app, "user", session) WHERE life = 0 DO NOTHING
			RETURNING no INTO v_no;
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
	RETURN 0;
END $$;

-- p_after is the last seq expected, -1 for any. code 1: the session has another generation. seqs is NULL when all events are new: then they are
-- the last ones up to last_seq.
CREATE FUNCTION {p}append(p_app text, p_user text, p_session text, p_now bigint, p_ttl bigint,
	p_max bigint, p_limit bigint, p_generation uuid, p_after bigint,
	p_id uuid[], p_status smallint[], p_role text[], p_author text[], p_turn text[],
	p_model text[], p_finish_reason text[], p_error text[], p_message jsonb[], p_usage jsonb[],
	p_state jsonb[], p_extra jsonb[], p_event integer[], p_scopes smallint[], p_names text[],
	p_values text[], OUT code integer, OUT last_seq bigint, OUT seqs bigint[])
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
		SELECT array_agg(e.seq ORDER BY d.place) INTO seqs
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

CREATE FUNCTION {p}state_set(p_app text, p_user text, p_session text, p_now bigint, p_ttl bigint,
	p_max bigint, p_scopes smallint[], p_names text[], p_values text[]) RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	v_no bigint;
	v_bytes bigint;
BEGIN
	IF 1 = ANY (p_scopes) THEN
		SELECT t.no, t.state_bytes INTO v_no, v_bytes FROM {p}sessions AS t
			WHERE t.app = p_app AND t."user" = p_user AND t.session = p_session AND t.life = 0
				AND (t.expires_us = 0 OR t.expires_us > p_now)
			FOR NO KEY UPDATE;
		IF NOT FOUND THEN
			RETURN -4;
		END IF;
		v_bytes := {p}change(1::smallint, v_no, v_bytes, p_max, p_scopes, p_names, p_values);
		UPDATE {p}sessions AS t SET position = greatest(t.position, p_now),
				updated_us = greatest(t.updated_us, p_now),
				expires_us = CASE WHEN p_ttl > 0 THEN p_now + p_ttl ELSE t.expires_us END,
				due_us = CASE WHEN p_ttl > 0 AND (t.due_us = 0 OR t.due_us > p_now + p_ttl)
					THEN p_now + p_ttl ELSE t.due_us END,
				state_bytes = v_bytes
			WHERE t.no = v_no;
	END IF;
	PERFORM {p}change_shared(p_app, p_user, p_max, p_scopes, p_names, p_values);
	RETURN 0;
END $$;

-- The names of some scopes, or with p_name that one.
CREATE FUNCTION {p}names(p_no bigint, p_app text, p_user text, p_scopes integer, p_name text)
	RETURNS TABLE (scope smallint, name text, value jsonb)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
	IF p_scopes & 1 > 0 THEN
		RETURN QUERY SELECT t.scope, t.name, t.value FROM {p}state AS t
			WHERE t.scope = 1 AND t.owner = p_no AND (p_name IS NULL OR t.name = p_name);
	END IF;
	IF p_scopes & 2 > 0 THEN
		RETURN QUERY SELECT t.scope, t.name, t.value FROM {p}state AS t
			WHERE t.scope = 2 AND (p_name IS NULL OR t.name = p_name) AND t.owner =
				(SELECT o.no FROM {p}scopes AS o WHERE o.app = p_app AND o."user" = p_user);
	END IF;
	IF p_scopes & 4 > 0 THEN
		RETURN QUERY SELECT t.scope, t.name, t.value FROM {p}state AS t
			WHERE t.scope = 4 AND (p_name IS NULL OR t.name = p_name) AND t.owner =
				(SELECT o.no FROM {p}scopes AS o WHERE o.app = p_app AND o."user" = '');
	END IF;
END $$;

-- As names(), after one row with the scope 0 unless a session is needed and absent.
CREATE FUNCTION {p}state_list(p_app text, p_user text, p_session text, p_now bigint,
	p_scopes integer, p_name text) RETURNS TABLE (scope smallint, name text, value jsonb)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
	v_no bigint;
BEGIN
	IF p_scopes & 1 > 0 THEN
		SELECT t.no INTO v_no FROM {p}sessions AS t
			WHERE t.app = p_app AND t."user" = p_user AND t.session = p_session AND t.life = 0
				AND (t.expires_us = 0 OR t.expires_us > p_now);
		IF NOT FOUND THEN
			RETURN;
		END IF;
	END IF;
	RETURN QUERY SELECT 0::smallint, ''::text, NULL::jsonb;
	RETURN QUERY SELECT n.scope, n.name, n.value
		FROM {p}names(v_no, p_app, p_user, p_scopes, p_name) AS n;
END $$;

-- One view of a session, as rows of three parts: 0 the session (id is its generation, author its
-- title, numbers the rest), 1 a name of state (status is its scope, author its name, message its
-- value), 2 an event. A STABLE function sees one moment in all its statements. p_kind is an enum
-- convo_window_kind.
CREATE FUNCTION {p}load(p_app text, p_user text, p_session text, p_now bigint, p_limit bigint,
	p_kind integer, p_n bigint, p_seq bigint, p_id uuid)
	RETURNS TABLE (part smallint, numbers bigint[], seq bigint, time_ms bigint, id uuid,
		status smallint, role text, author text, turn text, model text, finish_reason text,
		error text, message jsonb, usage jsonb, state jsonb, extra jsonb)
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
			RETURN;
		END IF;
		v_high := least(v_high, p_seq + (p_n - 1) / 2);
		v_low := greatest(v_low, p_seq - (p_n - 1 - (p_n - 1) / 2));
	ELSE
		v_high := 0;
	END IF;
	RETURN QUERY SELECT 0::smallint, ARRAY[s.created_us, s.updated_us, s.expires_us, s.deleted_us,
			s.first_seq, s.last_seq, s.position, s.no], 0::bigint, 0::bigint, s.generation,
		0::smallint, ''::text, s.title, ''::text, ''::text, ''::text, ''::text,
		NULL::jsonb, NULL::jsonb, NULL::jsonb, NULL::jsonb;
	RETURN QUERY SELECT 1::smallint, NULL::bigint[], 0::bigint, 0::bigint, NULL::uuid,
		n.scope, ''::text, n.name, ''::text, ''::text, ''::text, ''::text,
		n.value, NULL::jsonb, NULL::jsonb, NULL::jsonb
		FROM {p}names(s.no, p_app, p_user, 7, NULL) AS n;
	IF v_low <= v_high THEN
		RETURN QUERY SELECT 2::smallint, NULL::bigint[], e.seq, e.time_ms, e.id, e.status, {fields}
			FROM {p}events AS e
			WHERE e.session = s.no AND e.seq >= v_low AND e.seq <= v_high ORDER BY e.seq;
	END IF;
END $$;

CREATE FUNCTION {p}restore(p_app text, p_user text, p_session text, p_now bigint, p_ttl bigint,
	p_generation uuid) RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	v_no bigint;
BEGIN
	IF EXISTS (SELECT FROM {p}sessions AS t
			WHERE t.app = p_app AND t."user" = p_user AND t.session = p_session AND t.life = 0
				AND (t.expires_us = 0 OR t.expires_us > p_now)) THEN
		RETURN -5;
	END IF;
	SELECT t.no INTO v_no FROM {p}sessions AS t
		WHERE t.app = p_app AND t."user" = p_user AND t.session = p_session AND t.life = 1
			AND t.purge_us > p_now AND (p_generation IS NULL OR t.generation = p_generation)
		ORDER BY t.position DESC, t.no DESC LIMIT 1 FOR UPDATE;
	IF NOT FOUND THEN
		RETURN -4;
	END IF;
	-- An expired session must not be in the way.
	UPDATE {p}sessions AS t SET life = 2, due_us = 1
		WHERE t.app = p_app AND t."user" = p_user AND t.session = p_session AND t.life = 0
			AND t.expires_us > 0 AND t.expires_us <= p_now;
	UPDATE {p}sessions AS t SET life = 0, position = p_now,
			updated_us = greatest(t.updated_us, p_now), deleted_us = 0, purge_us = 0,
			expires_us = CASE WHEN p_ttl > 0 THEN p_now + p_ttl WHEN t.expires_us > 0
				THEN t.expires_us + p_now - t.deleted_us ELSE 0 END,
			due_us = CASE WHEN p_ttl > 0 THEN p_now + p_ttl WHEN t.expires_us > 0
				THEN t.expires_us + p_now - t.deleted_us ELSE 0 END
		WHERE t.no = v_no;
	RETURN 0;
EXCEPTION WHEN unique_violation THEN
	RETURN -5;
END $$;

-- One step of cleaning: at most p_rows rows go. Another cleaner's sessions are left to it.
CREATE FUNCTION {p}clean(p_now bigint, p_rows bigint, OUT removed bigint, OUT more boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	s record;
	v_left bigint := p_rows;
	v_seen integer := 0;
	v_events bigint;
	v_names bigint;
BEGIN
	removed := 0;
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
		v_left := v_left - v_events - v_names;
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

INSERT INTO {p}meta (name, value) VALUES ('schema', '1');
