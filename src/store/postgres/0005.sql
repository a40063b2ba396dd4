-- Drafts of many turns as one statement: those of a program, once a second.

-- Save drafts as draft() of 0004.sql does, or where p_id is NULL prolong the lease alone; no lease stands
-- there twice. Returned are the places of those that were saved. Of the others nothing was changed: they are
-- not as expected, or begun anew, or somebody else holds the row at the moment, for whom the others do not
-- wait. They are to be saved by themselves.
CREATE FUNCTION {p}drafts(p_now bigint, p_app text[], p_user text[], p_session text[], p_lease uuid[],
	p_us bigint[], p_id uuid[], p_pos bigint[], p_piece bytea[], p_role text[], p_author text[],
	p_turn text[], p_model text[], p_extra jsonb[]) RETURNS SETOF bigint
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off
	SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
	v_no bigint[];
	v_place bigint[];
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	SELECT array_agg(q.no), array_agg(k.place) INTO v_no, v_place
		FROM unnest(p_app, p_user, p_session, p_lease, p_id, p_pos) WITH ORDINALITY
			AS k (app, owner, session, lease, id, pos, place)
		JOIN LATERAL (SELECT t.no FROM {p}sessions AS t JOIN {p}turns AS h ON h.session = t.no
			WHERE t.app = k.app AND t."user" = k.owner AND t.session = k.session
				AND t.life = 0 AND (t.expires_us = 0 OR t.expires_us > p_now)
				AND h.lease = k.lease AND h.until IS NOT NULL AND CASE
					WHEN k.id IS NULL THEN true
					WHEN k.pos = 0 THEN h.draft IS NULL
					ELSE h.draft = k.id AND h.draft_len >= k.pos AND h.draft_pos < k.pos END
			FOR NO KEY UPDATE OF h SKIP LOCKED) AS q ON true;
	IF v_no IS NULL THEN
		RETURN;
	END IF;
	UPDATE {p}turns AS h SET until = clock_timestamp() + p_us[k.place] * interval '1 microsecond'
		FROM unnest(v_no, v_place) AS k (no, place)
		WHERE h.session = k.no AND p_id[k.place] IS NULL;
	UPDATE {p}turns AS h SET until = clock_timestamp() + p_us[k.place] * interval '1 microsecond',
			changes = h.changes + 1, draft = p_id[k.place],
			draft_len = p_pos[k.place] + octet_length(p_piece[k.place]),
			draft_pos = p_pos[k.place], draft_was = h.draft_pos
		FROM unnest(v_no, v_place) AS k (no, place)
		WHERE h.session = k.no AND p_id[k.place] IS NOT NULL;
	INSERT INTO {p}drafts (session, pos, piece, role, author, turn, model, extra)
		SELECT k.no, p_pos[k.place], p_piece[k.place], p_role[k.place], p_author[k.place],
			p_turn[k.place], p_model[k.place], p_extra[k.place]
		FROM unnest(v_no, v_place) AS k (no, place)
		WHERE p_id[k.place] IS NOT NULL;
	PERFORM {p}tell(w.app, w."user", w.session)
		FROM unnest(v_place) AS k (place)
		JOIN {p}watchers AS w ON w.app = p_app[k.place] AND w."user" = p_user[k.place]
			AND w.session = p_session[k.place]
		WHERE p_id[k.place] IS NOT NULL;
	RETURN QUERY SELECT unnest(v_place);
END $$;

UPDATE {p}meta SET value = '5' WHERE name = 'schema';
