SELECT pg_catalog.set_config('search_path', '', false);
CREATE TABLE public.agents (
    id text NOT NULL,
    name text,
    team_id text,
    first_seen_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);
CREATE TABLE public.calendar (
    time_zone text NOT NULL,
    day date NOT NULL,
    from_utc timestamp with time zone NOT NULL,
    until_utc timestamp with time zone NOT NULL,
    offset_minutes integer NOT NULL,
    week date NOT NULL,
    month date NOT NULL,
    weekday integer NOT NULL
);
CREATE TABLE public.report_settings (
    id integer NOT NULL,
    time_zone text NOT NULL,
    CONSTRAINT ck_report_settings_one_row CHECK ((id = 1))
);
CREATE TABLE public.sessions (
    id text NOT NULL,
    agent_id text NOT NULL,
    creator_id text,
    name text,
    type text,
    state text,
    created_at timestamp with time zone,
    credit_cost numeric,
    tool_credit_cost numeric,
    flow_credit_cost numeric,
    input_tokens bigint,
    cached_input_tokens bigint,
    cache_write_input_tokens bigint,
    output_tokens bigint,
    reasoning_tokens bigint,
    extra jsonb,
    first_seen_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    missing_since timestamp with time zone,
    as_of timestamp with time zone NOT NULL,
    first_run_id bigint
);
CREATE VIEW public.session_days AS
 SELECT s.id AS session_id,
    a.id AS agent_id,
    s.creator_id,
    s.name,
    s.type,
    s.state,
    s.created_at,
    c.day,
    c.week,
    c.month,
    c.weekday,
    (EXTRACT(hour FROM ((s.created_at AT TIME ZONE 'UTC'::text) + ((c.offset_minutes)::double precision * '00:01:00'::interval))))::integer AS hour,
    s.credit_cost,
    s.tool_credit_cost,
    s.flow_credit_cost,
    s.input_tokens,
    s.cached_input_tokens,
    s.cache_write_input_tokens,
    s.output_tokens,
    s.reasoning_tokens,
    s.missing_since
   FROM ((public.agents a
     CROSS JOIN public.calendar c)
     CROSS JOIN LATERAL ( SELECT s_1.id,
            s_1.agent_id,
            s_1.creator_id,
            s_1.name,
            s_1.type,
            s_1.state,
            s_1.created_at,
            s_1.credit_cost,
            s_1.tool_credit_cost,
            s_1.flow_credit_cost,
            s_1.input_tokens,
            s_1.cached_input_tokens,
            s_1.cache_write_input_tokens,
            s_1.output_tokens,
            s_1.reasoning_tokens,
            s_1.extra,
            s_1.first_seen_at,
            s_1.updated_at,
            s_1.missing_since,
            s_1.as_of
           FROM public.sessions s_1
          WHERE ((s_1.agent_id = a.id) AND (s_1.created_at >= c.from_utc) AND (s_1.created_at < c.until_utc))
         OFFSET 0) s)
  WHERE ((c.time_zone = ( SELECT report_settings.time_zone
           FROM public.report_settings)) AND (c.day >= (((( SELECT min(sessions.created_at) AS min
           FROM public.sessions
          WHERE (sessions.agent_id = a.id)) AT TIME ZONE 'UTC'::text))::date - 1)) AND (c.day <= (((( SELECT max(sessions.created_at) AS max
           FROM public.sessions
          WHERE (sessions.agent_id = a.id)) AT TIME ZONE 'UTC'::text))::date + 1)));
CREATE VIEW public.active_creators AS
 SELECT agent_id,
    month,
    count(*) AS creators,
    count(
        CASE
            WHEN (month = first_month) THEN 1
            ELSE NULL::integer
        END) AS new_creators,
    count(
        CASE
            WHEN (month > first_month) THEN 1
            ELSE NULL::integer
        END) AS returning_creators
   FROM ( SELECT seen.agent_id,
            seen.month,
            min(seen.month) OVER (PARTITION BY seen.agent_id, seen.creator_id) AS first_month
           FROM ( SELECT DISTINCT session_days.agent_id,
                    session_days.creator_id,
                    session_days.month
                   FROM public.session_days
                  WHERE (session_days.creator_id IS NOT NULL)) seen) dated
  GROUP BY agent_id, month;
CREATE VIEW public.agent_days AS
 SELECT agent_id,
    day,
    count(*) AS sessions,
    count(
        CASE
            WHEN (state = 'completed'::text) THEN 1
            ELSE NULL::integer
        END) AS completed,
    count(
        CASE
            WHEN (state = 'failed'::text) THEN 1
            ELSE NULL::integer
        END) AS failed,
    sum(credit_cost) AS credit_cost,
    sum(tool_credit_cost) AS tool_credit_cost,
    sum(flow_credit_cost) AS flow_credit_cost,
    sum(input_tokens) AS input_tokens,
    sum(cached_input_tokens) AS cached_input_tokens,
    sum(cache_write_input_tokens) AS cache_write_input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(reasoning_tokens) AS reasoning_tokens
   FROM public.session_days
  GROUP BY agent_id, day;
CREATE VIEW public.agent_weeks AS
 SELECT agent_id,
    week,
    count(*) AS sessions,
    count(
        CASE
            WHEN (state = 'completed'::text) THEN 1
            ELSE NULL::integer
        END) AS completed,
    count(
        CASE
            WHEN (state = 'failed'::text) THEN 1
            ELSE NULL::integer
        END) AS failed,
    ((count(
        CASE
            WHEN (state = 'failed'::text) THEN 1
            ELSE NULL::integer
        END))::double precision / (NULLIF(count(
        CASE
            WHEN (state = ANY (ARRAY['completed'::text, 'failed'::text])) THEN 1
            ELSE NULL::integer
        END), 0))::double precision) AS failure_rate,
    sum(credit_cost) AS credit_cost,
    sum(
        CASE
            WHEN (state = 'failed'::text) THEN credit_cost
            ELSE NULL::numeric
        END) AS failed_credit_cost
   FROM public.session_days
  GROUP BY agent_id, week;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.bookmarks (
    agent_id text NOT NULL,
    sort_order text NOT NULL,
    at timestamp with time zone NOT NULL,
    cursor text NOT NULL
);
CREATE TABLE public.coverage (
    agent_id text NOT NULL,
    oldest_created_at timestamp with time zone,
    newest_created_at timestamp with time zone NOT NULL,
    proven_at timestamp with time zone,
    below_cursor text,
    below_at timestamp with time zone,
    above_cursor text,
    above_at timestamp with time zone
);
CREATE VIEW public.creator_months AS
 SELECT agent_id,
    creator_id,
    month,
    count(*) AS sessions,
    count(
        CASE
            WHEN (state = 'completed'::text) THEN 1
            ELSE NULL::integer
        END) AS completed,
    count(
        CASE
            WHEN (state = 'failed'::text) THEN 1
            ELSE NULL::integer
        END) AS failed,
    sum(credit_cost) AS credit_cost,
    sum(tool_credit_cost) AS tool_credit_cost,
    sum(flow_credit_cost) AS flow_credit_cost,
    sum(input_tokens) AS input_tokens,
    sum(cached_input_tokens) AS cached_input_tokens,
    sum(cache_write_input_tokens) AS cache_write_input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(reasoning_tokens) AS reasoning_tokens
   FROM public.session_days
  GROUP BY agent_id, creator_id, month;
CREATE TABLE public.creators (
    id text NOT NULL,
    first_name text,
    last_name text,
    email text,
    profile_picture text,
    first_seen_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    as_of timestamp with time zone NOT NULL
);
CREATE TABLE public.database_identity (
    id integer NOT NULL,
    uuid character varying(36) NOT NULL,
    CONSTRAINT ck_database_identity_one_row CHECK ((id = 1))
);
CREATE SEQUENCE public.database_identity_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.database_identity_id_seq OWNED BY public.database_identity.id;
CREATE TABLE public.forgotten (
    pseudonym character varying(64) NOT NULL,
    forgotten_at timestamp with time zone NOT NULL
);
CREATE TABLE public.forgotten_sessions (
    session_id text NOT NULL
);
CREATE VIEW public.hours_of_week AS
 SELECT agent_id,
    week,
    weekday,
    hour,
    count(*) AS sessions,
    count(
        CASE
            WHEN (state = 'completed'::text) THEN 1
            ELSE NULL::integer
        END) AS completed,
    count(
        CASE
            WHEN (state = 'failed'::text) THEN 1
            ELSE NULL::integer
        END) AS failed,
    sum(credit_cost) AS credit_cost
   FROM public.session_days
  GROUP BY agent_id, week, weekday, hour;
CREATE TABLE public.lakes (
    target text NOT NULL,
    as_of timestamp with time zone,
    finished_at timestamp with time zone,
    failed_at timestamp with time zone,
    error text
);
CREATE TABLE public.rejected_records (
    id bigint NOT NULL,
    agent_id text NOT NULL,
    run_id bigint,
    received_at timestamp with time zone NOT NULL,
    payload text NOT NULL,
    payload_sha256 character varying(64) NOT NULL,
    reason text NOT NULL,
    session_id text,
    resolved_at timestamp with time zone
);
CREATE TABLE public.retrievals (
    session_id text NOT NULL,
    retrieved_at timestamp with time zone NOT NULL
);
CREATE VIEW public.session_freshness AS
 SELECT s.id AS session_id,
        CASE
            WHEN (rejected.session_id IS NULL) THEN c.proven_at
            ELSE NULL::timestamp with time zone
        END AS listed_at,
        CASE
            WHEN (rejected.session_id IS NULL) THEN GREATEST(c.proven_at, r.retrieved_at, s.as_of)
            ELSE NULL::timestamp with time zone
        END AS state_confirmed_at
   FROM (((public.sessions s
     LEFT JOIN public.coverage c ON (((c.agent_id = s.agent_id) AND (s.created_at < c.newest_created_at) AND ((c.oldest_created_at IS NULL) OR (s.created_at >= c.oldest_created_at)))))
     LEFT JOIN public.retrievals r ON ((r.session_id = s.id)))
     LEFT JOIN ( SELECT DISTINCT rejected_records.agent_id,
            rejected_records.session_id
           FROM public.rejected_records
          WHERE ((rejected_records.resolved_at IS NULL) AND (rejected_records.session_id IS NOT NULL))) rejected ON (((rejected.agent_id = s.agent_id) AND (rejected.session_id = s.id))));
CREATE TABLE public.state_changes (
    session_id text CONSTRAINT session_states_session_id_not_null NOT NULL,
    state text,
    observed_at timestamp with time zone CONSTRAINT session_states_observed_at_not_null NOT NULL,
    run_id bigint
);
CREATE VIEW public.open_sessions AS
 SELECT s.id AS session_id,
    s.agent_id,
    s.creator_id,
    s.name,
    s.type,
    s.state,
    s.created_at,
    (EXTRACT(epoch FROM (now() - s.created_at)))::double precision AS age_seconds,
    COALESCE(( SELECT max(state_changes.observed_at) AS max
           FROM public.state_changes
          WHERE (state_changes.session_id = s.id)), s.first_seen_at) AS state_observed_at,
    f.state_confirmed_at,
    s.credit_cost
   FROM (public.sessions s
     JOIN public.session_freshness f ON ((f.session_id = s.id)))
  WHERE (((s.state IS NULL) OR (NOT (s.state = ANY (ARRAY['completed'::text, 'failed'::text])))) AND (s.missing_since IS NULL));
CREATE TABLE public.privacy (
    id integer NOT NULL,
    rules text NOT NULL,
    salt text,
    CONSTRAINT ck_privacy_one_row CHECK ((id = 1))
);
CREATE SEQUENCE public.privacy_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.privacy_id_seq OWNED BY public.privacy.id;
CREATE SEQUENCE public.rejected_records_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rejected_records_id_seq OWNED BY public.rejected_records.id;
CREATE SEQUENCE public.report_settings_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.report_settings_id_seq OWNED BY public.report_settings.id;
CREATE TABLE public.session_messages (
    number bigint NOT NULL,
    session_id text NOT NULL,
    "position" bigint NOT NULL,
    id text,
    role text,
    content text,
    created_at timestamp with time zone,
    creator_id text,
    parts jsonb,
    extra jsonb,
    search_text text,
    words tsvector GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, translate(COALESCE(search_text, content), '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~'::text, repeat(' '::text, 32)))) STORED
);
CREATE SEQUENCE public.session_messages_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.session_messages_number_seq OWNED BY public.session_messages.number;
CREATE VIEW public.session_states AS
 SELECT state_changes.session_id,
    state_changes.state,
    state_changes.observed_at,
    state_changes.run_id
   FROM public.state_changes
UNION ALL
 SELECT sessions.id AS session_id,
    sessions.state,
    sessions.first_seen_at AS observed_at,
    sessions.first_run_id AS run_id
   FROM public.sessions
  WHERE (sessions.first_run_id IS NOT NULL);
CREATE VIEW public.state_spans AS
 SELECT session_id,
    agent_id,
    state,
    observed_from,
    observed_until,
    (EXTRACT(epoch FROM (observed_until - observed_from)))::double precision AS seconds,
    is_last
   FROM ( SELECT x.session_id,
            s.agent_id,
            x.state,
            x.observed_at AS observed_from,
            COALESCE(x.next_at, f.state_confirmed_at) AS observed_until,
            (x.next_at IS NULL) AS is_last
           FROM ((( SELECT here.session_id,
                    here.state,
                    here.observed_at,
                    ( SELECT min(later.observed_at) AS min
                           FROM public.state_changes later
                          WHERE ((later.session_id = here.session_id) AND (later.observed_at > here.observed_at))) AS next_at
                   FROM public.state_changes here) x
             JOIN public.sessions s ON ((s.id = x.session_id)))
             JOIN public.session_freshness f ON ((f.session_id = x.session_id)))
        UNION ALL
         SELECT s.id,
            s.agent_id,
            s.state,
            s.first_seen_at,
            f.state_confirmed_at,
            true
           FROM (public.sessions s
             JOIN public.session_freshness f ON ((f.session_id = s.id)))
          WHERE (s.first_run_id IS NOT NULL)) spans;
CREATE TABLE public.suspects (
    agent_id text NOT NULL,
    session_id text NOT NULL,
    suspected_at timestamp with time zone NOT NULL
);
CREATE TABLE public.sync_runs (
    id bigint NOT NULL,
    agent_id text NOT NULL,
    mode text NOT NULL,
    status text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    requests bigint DEFAULT '0'::bigint NOT NULL,
    pages bigint DEFAULT '0'::bigint NOT NULL,
    seen bigint DEFAULT '0'::bigint NOT NULL,
    inserted bigint DEFAULT '0'::bigint NOT NULL,
    updated bigint DEFAULT '0'::bigint NOT NULL,
    unchanged bigint DEFAULT '0'::bigint NOT NULL,
    rejected bigint DEFAULT '0'::bigint NOT NULL,
    missing bigint DEFAULT '0'::bigint NOT NULL,
    watermark_before timestamp with time zone,
    watermark_after timestamp with time zone,
    error text
);
CREATE SEQUENCE public.sync_runs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.sync_runs_id_seq OWNED BY public.sync_runs.id;
CREATE TABLE public.sync_state (
    agent_id text NOT NULL,
    watermark timestamp with time zone,
    last_cursor text,
    last_success_at timestamp with time zone,
    last_reconciled_at timestamp with time zone,
    history_from timestamp with time zone,
    demand_mode text,
    demand_since timestamp with time zone,
    demand_until timestamp with time zone,
    demand_started_at timestamp with time zone,
    lease_holder text,
    lease_expires_at timestamp with time zone,
    fence bigint DEFAULT '0'::bigint NOT NULL,
    saves bigint DEFAULT '0'::bigint NOT NULL,
    next_run_at timestamp with time zone,
    scheduled_by text
);
CREATE TABLE public.transcripts (
    session_id text NOT NULL,
    as_of timestamp with time zone NOT NULL,
    retrieved_at timestamp with time zone,
    messages bigint,
    digest character varying(64),
    retry_at timestamp with time zone,
    error text
);
CREATE VIEW public.type_states AS
 SELECT agent_id,
    type,
    state,
    count(*) AS sessions,
    (count(*) - count(
        CASE
            WHEN ((created_at >= ( SELECT min(calendar.from_utc) AS min
               FROM public.calendar
              WHERE (calendar.time_zone = ( SELECT report_settings.time_zone
                       FROM public.report_settings)))) AND (created_at < ( SELECT max(calendar.until_utc) AS max
               FROM public.calendar
              WHERE (calendar.time_zone = ( SELECT report_settings.time_zone
                       FROM public.report_settings))))) THEN 1
            ELSE NULL::integer
        END)) AS undated,
    count(missing_since) AS missing,
    sum(credit_cost) AS credit_cost,
    sum(tool_credit_cost) AS tool_credit_cost,
    sum(flow_credit_cost) AS flow_credit_cost,
    sum(input_tokens) AS input_tokens,
    sum(cached_input_tokens) AS cached_input_tokens,
    sum(cache_write_input_tokens) AS cache_write_input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(reasoning_tokens) AS reasoning_tokens
   FROM public.sessions
  GROUP BY agent_id, type, state;
ALTER TABLE ONLY public.database_identity ALTER COLUMN id SET DEFAULT nextval('public.database_identity_id_seq'::regclass);
ALTER TABLE ONLY public.privacy ALTER COLUMN id SET DEFAULT nextval('public.privacy_id_seq'::regclass);
ALTER TABLE ONLY public.rejected_records ALTER COLUMN id SET DEFAULT nextval('public.rejected_records_id_seq'::regclass);
ALTER TABLE ONLY public.report_settings ALTER COLUMN id SET DEFAULT nextval('public.report_settings_id_seq'::regclass);
ALTER TABLE ONLY public.session_messages ALTER COLUMN number SET DEFAULT nextval('public.session_messages_number_seq'::regclass);
ALTER TABLE ONLY public.sync_runs ALTER COLUMN id SET DEFAULT nextval('public.sync_runs_id_seq'::regclass);
INSERT INTO public.agents VALUES ('OhWlmEAzQO9dzdn', 'Sales research agent', NULL, '2026-11-25 09:06:47.08703+00', '2026-11-25 09:06:47.120903+00');
INSERT INTO public.agents VALUES ('lVP1dwVMhyKx5xz', 'Support triage', NULL, '2026-11-25 09:06:47.170729+00', '2026-11-25 09:06:47.191933+00');
INSERT INTO public.alembic_version VALUES ('0008');
INSERT INTO public.calendar VALUES ('UTC', '2026-09-01', '2026-09-01 00:00:00+00', '2026-09-02 00:00:00+00', 0, '2026-08-31', '2026-09-01', 2);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-02', '2026-09-02 00:00:00+00', '2026-09-03 00:00:00+00', 0, '2026-08-31', '2026-09-01', 3);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-03', '2026-09-03 00:00:00+00', '2026-09-04 00:00:00+00', 0, '2026-08-31', '2026-09-01', 4);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-04', '2026-09-04 00:00:00+00', '2026-09-05 00:00:00+00', 0, '2026-08-31', '2026-09-01', 5);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-05', '2026-09-05 00:00:00+00', '2026-09-06 00:00:00+00', 0, '2026-08-31', '2026-09-01', 6);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-06', '2026-09-06 00:00:00+00', '2026-09-07 00:00:00+00', 0, '2026-08-31', '2026-09-01', 7);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-07', '2026-09-07 00:00:00+00', '2026-09-08 00:00:00+00', 0, '2026-09-07', '2026-09-01', 1);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-08', '2026-09-08 00:00:00+00', '2026-09-09 00:00:00+00', 0, '2026-09-07', '2026-09-01', 2);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-09', '2026-09-09 00:00:00+00', '2026-09-10 00:00:00+00', 0, '2026-09-07', '2026-09-01', 3);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-10', '2026-09-10 00:00:00+00', '2026-09-11 00:00:00+00', 0, '2026-09-07', '2026-09-01', 4);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-11', '2026-09-11 00:00:00+00', '2026-09-12 00:00:00+00', 0, '2026-09-07', '2026-09-01', 5);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-12', '2026-09-12 00:00:00+00', '2026-09-13 00:00:00+00', 0, '2026-09-07', '2026-09-01', 6);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-13', '2026-09-13 00:00:00+00', '2026-09-14 00:00:00+00', 0, '2026-09-07', '2026-09-01', 7);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-14', '2026-09-14 00:00:00+00', '2026-09-15 00:00:00+00', 0, '2026-09-14', '2026-09-01', 1);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-15', '2026-09-15 00:00:00+00', '2026-09-16 00:00:00+00', 0, '2026-09-14', '2026-09-01', 2);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-16', '2026-09-16 00:00:00+00', '2026-09-17 00:00:00+00', 0, '2026-09-14', '2026-09-01', 3);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-17', '2026-09-17 00:00:00+00', '2026-09-18 00:00:00+00', 0, '2026-09-14', '2026-09-01', 4);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-18', '2026-09-18 00:00:00+00', '2026-09-19 00:00:00+00', 0, '2026-09-14', '2026-09-01', 5);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-19', '2026-09-19 00:00:00+00', '2026-09-20 00:00:00+00', 0, '2026-09-14', '2026-09-01', 6);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-20', '2026-09-20 00:00:00+00', '2026-09-21 00:00:00+00', 0, '2026-09-14', '2026-09-01', 7);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-21', '2026-09-21 00:00:00+00', '2026-09-22 00:00:00+00', 0, '2026-09-21', '2026-09-01', 1);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-22', '2026-09-22 00:00:00+00', '2026-09-23 00:00:00+00', 0, '2026-09-21', '2026-09-01', 2);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-23', '2026-09-23 00:00:00+00', '2026-09-24 00:00:00+00', 0, '2026-09-21', '2026-09-01', 3);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-24', '2026-09-24 00:00:00+00', '2026-09-25 00:00:00+00', 0, '2026-09-21', '2026-09-01', 4);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-25', '2026-09-25 00:00:00+00', '2026-09-26 00:00:00+00', 0, '2026-09-21', '2026-09-01', 5);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-26', '2026-09-26 00:00:00+00', '2026-09-27 00:00:00+00', 0, '2026-09-21', '2026-09-01', 6);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-27', '2026-09-27 00:00:00+00', '2026-09-28 00:00:00+00', 0, '2026-09-21', '2026-09-01', 7);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-28', '2026-09-28 00:00:00+00', '2026-09-29 00:00:00+00', 0, '2026-09-28', '2026-09-01', 1);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-29', '2026-09-29 00:00:00+00', '2026-09-30 00:00:00+00', 0, '2026-09-28', '2026-09-01', 2);
INSERT INTO public.calendar VALUES ('UTC', '2026-09-30', '2026-09-30 00:00:00+00', '2026-10-01 00:00:00+00', 0, '2026-09-28', '2026-09-01', 3);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-01', '2026-10-01 00:00:00+00', '2026-10-02 00:00:00+00', 0, '2026-09-28', '2026-10-01', 4);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-02', '2026-10-02 00:00:00+00', '2026-10-03 00:00:00+00', 0, '2026-09-28', '2026-10-01', 5);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-03', '2026-10-03 00:00:00+00', '2026-10-04 00:00:00+00', 0, '2026-09-28', '2026-10-01', 6);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-04', '2026-10-04 00:00:00+00', '2026-10-05 00:00:00+00', 0, '2026-09-28', '2026-10-01', 7);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-05', '2026-10-05 00:00:00+00', '2026-10-06 00:00:00+00', 0, '2026-10-05', '2026-10-01', 1);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-06', '2026-10-06 00:00:00+00', '2026-10-07 00:00:00+00', 0, '2026-10-05', '2026-10-01', 2);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-07', '2026-10-07 00:00:00+00', '2026-10-08 00:00:00+00', 0, '2026-10-05', '2026-10-01', 3);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-08', '2026-10-08 00:00:00+00', '2026-10-09 00:00:00+00', 0, '2026-10-05', '2026-10-01', 4);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-09', '2026-10-09 00:00:00+00', '2026-10-10 00:00:00+00', 0, '2026-10-05', '2026-10-01', 5);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-10', '2026-10-10 00:00:00+00', '2026-10-11 00:00:00+00', 0, '2026-10-05', '2026-10-01', 6);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-11', '2026-10-11 00:00:00+00', '2026-10-12 00:00:00+00', 0, '2026-10-05', '2026-10-01', 7);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-12', '2026-10-12 00:00:00+00', '2026-10-13 00:00:00+00', 0, '2026-10-12', '2026-10-01', 1);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-13', '2026-10-13 00:00:00+00', '2026-10-14 00:00:00+00', 0, '2026-10-12', '2026-10-01', 2);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-14', '2026-10-14 00:00:00+00', '2026-10-15 00:00:00+00', 0, '2026-10-12', '2026-10-01', 3);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-15', '2026-10-15 00:00:00+00', '2026-10-16 00:00:00+00', 0, '2026-10-12', '2026-10-01', 4);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-16', '2026-10-16 00:00:00+00', '2026-10-17 00:00:00+00', 0, '2026-10-12', '2026-10-01', 5);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-17', '2026-10-17 00:00:00+00', '2026-10-18 00:00:00+00', 0, '2026-10-12', '2026-10-01', 6);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-18', '2026-10-18 00:00:00+00', '2026-10-19 00:00:00+00', 0, '2026-10-12', '2026-10-01', 7);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-19', '2026-10-19 00:00:00+00', '2026-10-20 00:00:00+00', 0, '2026-10-19', '2026-10-01', 1);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-20', '2026-10-20 00:00:00+00', '2026-10-21 00:00:00+00', 0, '2026-10-19', '2026-10-01', 2);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-21', '2026-10-21 00:00:00+00', '2026-10-22 00:00:00+00', 0, '2026-10-19', '2026-10-01', 3);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-22', '2026-10-22 00:00:00+00', '2026-10-23 00:00:00+00', 0, '2026-10-19', '2026-10-01', 4);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-23', '2026-10-23 00:00:00+00', '2026-10-24 00:00:00+00', 0, '2026-10-19', '2026-10-01', 5);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-24', '2026-10-24 00:00:00+00', '2026-10-25 00:00:00+00', 0, '2026-10-19', '2026-10-01', 6);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-25', '2026-10-25 00:00:00+00', '2026-10-26 00:00:00+00', 0, '2026-10-19', '2026-10-01', 7);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-26', '2026-10-26 00:00:00+00', '2026-10-27 00:00:00+00', 0, '2026-10-26', '2026-10-01', 1);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-27', '2026-10-27 00:00:00+00', '2026-10-28 00:00:00+00', 0, '2026-10-26', '2026-10-01', 2);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-28', '2026-10-28 00:00:00+00', '2026-10-29 00:00:00+00', 0, '2026-10-26', '2026-10-01', 3);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-29', '2026-10-29 00:00:00+00', '2026-10-30 00:00:00+00', 0, '2026-10-26', '2026-10-01', 4);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-30', '2026-10-30 00:00:00+00', '2026-10-31 00:00:00+00', 0, '2026-10-26', '2026-10-01', 5);
INSERT INTO public.calendar VALUES ('UTC', '2026-10-31', '2026-10-31 00:00:00+00', '2026-11-01 00:00:00+00', 0, '2026-10-26', '2026-10-01', 6);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-01', '2026-11-01 00:00:00+00', '2026-11-02 00:00:00+00', 0, '2026-10-26', '2026-11-01', 7);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-02', '2026-11-02 00:00:00+00', '2026-11-03 00:00:00+00', 0, '2026-11-02', '2026-11-01', 1);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-03', '2026-11-03 00:00:00+00', '2026-11-04 00:00:00+00', 0, '2026-11-02', '2026-11-01', 2);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-04', '2026-11-04 00:00:00+00', '2026-11-05 00:00:00+00', 0, '2026-11-02', '2026-11-01', 3);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-05', '2026-11-05 00:00:00+00', '2026-11-06 00:00:00+00', 0, '2026-11-02', '2026-11-01', 4);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-06', '2026-11-06 00:00:00+00', '2026-11-07 00:00:00+00', 0, '2026-11-02', '2026-11-01', 5);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-07', '2026-11-07 00:00:00+00', '2026-11-08 00:00:00+00', 0, '2026-11-02', '2026-11-01', 6);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-08', '2026-11-08 00:00:00+00', '2026-11-09 00:00:00+00', 0, '2026-11-02', '2026-11-01', 7);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-09', '2026-11-09 00:00:00+00', '2026-11-10 00:00:00+00', 0, '2026-11-09', '2026-11-01', 1);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-10', '2026-11-10 00:00:00+00', '2026-11-11 00:00:00+00', 0, '2026-11-09', '2026-11-01', 2);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-11', '2026-11-11 00:00:00+00', '2026-11-12 00:00:00+00', 0, '2026-11-09', '2026-11-01', 3);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-12', '2026-11-12 00:00:00+00', '2026-11-13 00:00:00+00', 0, '2026-11-09', '2026-11-01', 4);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-13', '2026-11-13 00:00:00+00', '2026-11-14 00:00:00+00', 0, '2026-11-09', '2026-11-01', 5);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-14', '2026-11-14 00:00:00+00', '2026-11-15 00:00:00+00', 0, '2026-11-09', '2026-11-01', 6);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-15', '2026-11-15 00:00:00+00', '2026-11-16 00:00:00+00', 0, '2026-11-09', '2026-11-01', 7);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-16', '2026-11-16 00:00:00+00', '2026-11-17 00:00:00+00', 0, '2026-11-16', '2026-11-01', 1);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-17', '2026-11-17 00:00:00+00', '2026-11-18 00:00:00+00', 0, '2026-11-16', '2026-11-01', 2);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-18', '2026-11-18 00:00:00+00', '2026-11-19 00:00:00+00', 0, '2026-11-16', '2026-11-01', 3);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-19', '2026-11-19 00:00:00+00', '2026-11-20 00:00:00+00', 0, '2026-11-16', '2026-11-01', 4);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-20', '2026-11-20 00:00:00+00', '2026-11-21 00:00:00+00', 0, '2026-11-16', '2026-11-01', 5);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-21', '2026-11-21 00:00:00+00', '2026-11-22 00:00:00+00', 0, '2026-11-16', '2026-11-01', 6);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-22', '2026-11-22 00:00:00+00', '2026-11-23 00:00:00+00', 0, '2026-11-16', '2026-11-01', 7);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-23', '2026-11-23 00:00:00+00', '2026-11-24 00:00:00+00', 0, '2026-11-23', '2026-11-01', 1);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-24', '2026-11-24 00:00:00+00', '2026-11-25 00:00:00+00', 0, '2026-11-23', '2026-11-01', 2);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-25', '2026-11-25 00:00:00+00', '2026-11-26 00:00:00+00', 0, '2026-11-23', '2026-11-01', 3);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-26', '2026-11-26 00:00:00+00', '2026-11-27 00:00:00+00', 0, '2026-11-23', '2026-11-01', 4);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-27', '2026-11-27 00:00:00+00', '2026-11-28 00:00:00+00', 0, '2026-11-23', '2026-11-01', 5);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-28', '2026-11-28 00:00:00+00', '2026-11-29 00:00:00+00', 0, '2026-11-23', '2026-11-01', 6);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-29', '2026-11-29 00:00:00+00', '2026-11-30 00:00:00+00', 0, '2026-11-23', '2026-11-01', 7);
INSERT INTO public.calendar VALUES ('UTC', '2026-11-30', '2026-11-30 00:00:00+00', '2026-12-01 00:00:00+00', 0, '2026-11-30', '2026-11-01', 1);
INSERT INTO public.coverage VALUES ('OhWlmEAzQO9dzdn', NULL, '2026-11-25 09:06:47.108022+00', '2026-11-25 09:06:47.108022+00', NULL, NULL, NULL, NULL);
INSERT INTO public.coverage VALUES ('lVP1dwVMhyKx5xz', NULL, '2026-11-25 09:06:47.314298+00', '2026-11-25 09:06:47.314298+00', NULL, NULL, NULL, NULL);
INSERT INTO public.creators VALUES ('user_2b9d71f0', 'Ada', 'Lovelace', 'person0@example.com', NULL, '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.108022+00');
INSERT INTO public.creators VALUES ('user_2b9d90df', 'Дмитрий', 'Шостакович', 'person1@example.com', 'https://img.example.com/1.png', '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.110186+00');
INSERT INTO public.creators VALUES ('user_2b9dcebd', '小龍', '李', 'person3@example.com', NULL, '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.110186+00');
INSERT INTO public.creators VALUES ('user_2b9e4a79', '🦊', 'Foxglove', 'person7@example.com', 'https://img.example.com/7.png', '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.110186+00');
INSERT INTO public.creators VALUES ('user_2b9e8857', 'Ольга', 'Петрова', 'person9@example.com', NULL, '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.108022+00');
INSERT INTO public.creators VALUES ('user_2b9f2302', 'Œdipe', 'd''Étampes', 'person14@example.com', NULL, '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.108022+00');
INSERT INTO public.creators VALUES ('üser', 'Zoë', NULL, NULL, NULL, '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.108022+00');
INSERT INTO public.creators VALUES ('user_2b9e0c9b', 'José', 'Núñez', 'person5@example.com', NULL, '2026-11-25 09:06:47.191933+00', '2026-11-25 09:06:47.191933+00', '2026-11-25 09:06:47.184288+00');
INSERT INTO public.creators VALUES ('user_2b9e2b8a', 'さくら', '田中', NULL, NULL, '2026-11-25 09:06:47.191933+00', '2026-11-25 09:06:47.191933+00', '2026-11-25 09:06:47.184288+00');
INSERT INTO public.creators VALUES ('user_2b9ec635', 'אברהם', NULL, NULL, NULL, '2026-11-25 09:06:47.191933+00', '2026-11-25 09:06:47.191933+00', '2026-11-25 09:06:47.184288+00');
INSERT INTO public.database_identity VALUES (1, '19639909-8b08-498b-bfca-9b572a3bffd3');
INSERT INTO public.privacy VALUES (1, 'keep keep -', NULL);
INSERT INTO public.rejected_records VALUES (1, 'lVP1dwVMhyKx5xz', 4, '2026-11-25 09:06:47.314298+00', '{"id":"sess_odd","created_at":"last Tuesday"}', '7f6f2fe98741ee07213850ac94a3d893616400016bb8fadef63f6db3d5a898a3', 'not a timestamp: ''last Tuesday'' - at `$.created_at`', 'sess_odd', NULL);
INSERT INTO public.report_settings VALUES (1, 'UTC');
INSERT INTO public.retrievals VALUES ('sess_QNBdXKWTwI', '2026-11-25 09:06:47.266241+00');
INSERT INTO public.session_messages VALUES (1, 'sess_0pz7jxCvfs', 0, 'm0', 'user', 'Grüße 0 № 1', '2026-10-20 10:00:00+00', NULL, NULL, '{"odd": 0}', NULL, DEFAULT);
INSERT INTO public.session_messages VALUES (2, 'sess_33jAuKSpgZ', 0, 'm0', 'user', 'Grüße 0 № 2', '2026-10-20 10:00:00+00', 'user_2b9f2302', NULL, '{"odd": 0}', NULL, DEFAULT);
INSERT INTO public.session_messages VALUES (3, 'sess_33jAuKSpgZ', 1, 'm1', 'assistant', NULL, '2026-10-20 10:00:00+00', 'user_2b9f2302', '[{"text": "Teil 1", "type": "text"}]', '{"odd": 1}', 'Teil 1', DEFAULT);
INSERT INTO public.session_messages VALUES (4, 'sess_5DUizPLPmu', 0, 'm0', 'user', 'Grüße 0 № 3', '2026-10-20 10:00:00+00', 'user_2b9d71f0', NULL, '{"odd": 0}', NULL, DEFAULT);
INSERT INTO public.session_messages VALUES (5, 'sess_5DUizPLPmu', 1, 'm1', 'assistant', NULL, '2026-10-20 10:00:00+00', 'user_2b9d71f0', '[{"text": "Teil 1", "type": "text"}]', '{"odd": 1}', 'Teil 1', DEFAULT);
INSERT INTO public.session_messages VALUES (6, 'sess_5DUizPLPmu', 2, 'm2', 'user', 'Grüße 2 № 3', '2026-10-20 10:00:00+00', 'user_2b9d71f0', NULL, '{"odd": 2}', NULL, DEFAULT);
INSERT INTO public.sessions VALUES ('sess_''ünï💥', 'OhWlmEAzQO9dzdn', 'üser', 'Ünï ''quoted'' \ 💥
line', 'slack', 'idle', '2026-10-25 12:00:00+00', 1.32, 0.5141, 0.0326, 7657, NULL, NULL, 1963, NULL, '{"odd": {"ключ": [1, null]}}', '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', NULL, '2026-11-25 09:06:47.108022+00', NULL);
INSERT INTO public.sessions VALUES ('sess_33jAuKSpgZ', 'OhWlmEAzQO9dzdn', 'user_2b9f2302', 'Invoice #890', 'triggered', 'failed', '2026-10-22 15:24:54+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', NULL, '2026-11-25 09:06:47.108022+00', NULL);
INSERT INTO public.sessions VALUES ('sess_gRVOEkRyC4', 'OhWlmEAzQO9dzdn', 'user_2b9d71f0', 'تقرير المبيعات #2804', 'chat', 'completed', '2026-10-16 13:00:41+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', NULL, '2026-11-25 09:06:47.108022+00', NULL);
INSERT INTO public.sessions VALUES ('sess_JA629a65Nu', 'OhWlmEAzQO9dzdn', 'user_2b9e8857', 'Invoice', 'slack', 'completed', '2026-10-16 08:32:54+00', 10.98, 2.65, 0.2465, 1695, 487, 2022, 8329, 210, NULL, '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', NULL, '2026-11-25 09:06:47.108022+00', NULL);
INSERT INTO public.sessions VALUES ('sess_undated', 'OhWlmEAzQO9dzdn', NULL, 'Summarise the thread in #general', 'triggered', 'processing', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', NULL, '2026-11-25 09:06:47.110186+00', NULL);
INSERT INTO public.sessions VALUES ('sess_VrtBDp7Pck', 'OhWlmEAzQO9dzdn', 'user_2b9d90df', NULL, 'chat', 'completed', '2026-10-12 16:43:13+00', 14.72, 1.29, 2.11, 1783, 96, NULL, 441, 306, NULL, '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', NULL, '2026-11-25 09:06:47.110186+00', NULL);
INSERT INTO public.sessions VALUES ('sess_TWkSXvBjtT', 'OhWlmEAzQO9dzdn', 'user_2b9dcebd', 'Research task #8570', 'chat', 'completed', '2026-10-14 09:14:15+00', 2.12, 0.7488, 0.1127, 1569, 108, 2359, 185, 1014, NULL, '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', NULL, '2026-11-25 09:06:47.110186+00', NULL);
INSERT INTO public.sessions VALUES ('sess_OLarGTUzb1', 'OhWlmEAzQO9dzdn', 'user_2b9e4a79', 'تقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعات', 'api', 'completed', '2026-10-14 12:18:03+00', 137.37, 46.31, 19.74, 132, NULL, NULL, 3642, NULL, NULL, '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', NULL, '2026-11-25 09:06:47.110186+00', NULL);
INSERT INTO public.sessions VALUES ('sess_o2bNHgLyzL', 'OhWlmEAzQO9dzdn', 'user_2b9e8857', 'Quarterly report #1126', 'api', 'completed', '2026-10-15 08:58:40+00', 2.04, 0.562, 0.1652, 13594, NULL, NULL, 4308, NULL, NULL, '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', NULL, '2026-11-25 09:06:47.112027+00', NULL);
INSERT INTO public.sessions VALUES ('sess_nxVISxQVZa', 'OhWlmEAzQO9dzdn', 'user_2b9d71f0', '👩🏽‍💻 pairing notes #3266', 'chat', 'completed', '2026-10-15 15:31:16+00', 9.87, 3.53, 1.77, 1597, NULL, NULL, 28, NULL, NULL, '2026-11-25 09:06:47.120903+00', '2026-11-25 09:06:47.120903+00', NULL, '2026-11-25 09:06:47.112027+00', NULL);
INSERT INTO public.sessions VALUES ('sess_ldzyids1Yt', 'lVP1dwVMhyKx5xz', 'user_2b9dcebd', 'Lead list, 50 % done', 'triggered', 'failed', '2026-10-21 11:08:36+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-25 09:06:47.191933+00', '2026-11-25 09:06:47.191933+00', NULL, '2026-11-25 09:06:47.182291+00', NULL);
INSERT INTO public.sessions VALUES ('sess_QNBdXKWTwI', 'lVP1dwVMhyKx5xz', 'user_2b9e0c9b', 'Line one
line two #4248', 'web', 'idle', '2026-10-21 08:35:15+00', 1.12, 0.3678, 0.0683, 6561, NULL, NULL, 162, NULL, NULL, '2026-11-25 09:06:47.191933+00', '2026-11-25 09:06:47.191933+00', NULL, '2026-11-25 09:06:47.184288+00', NULL);
INSERT INTO public.sessions VALUES ('sess_QMkTOq7SrZ', 'lVP1dwVMhyKx5xz', 'user_2b9e2b8a', 'Fix: NULL in ''orders'' -- drop? #1051', 'slack', 'completed', '2026-10-21 08:00:17+00', 0.679, 0.2214, 0.0568, 26580, NULL, NULL, 4559, NULL, NULL, '2026-11-25 09:06:47.191933+00', '2026-11-25 09:06:47.191933+00', NULL, '2026-11-25 09:06:47.184288+00', NULL);
INSERT INTO public.sessions VALUES ('sess_gdn3JFu4gb', 'lVP1dwVMhyKx5xz', 'user_2b9ec635', 'Follow-up call', 'api', 'completed', '2026-10-19 10:06:11+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-25 09:06:47.191933+00', '2026-11-25 09:06:47.191933+00', NULL, '2026-11-25 09:06:47.184288+00', NULL);
INSERT INTO public.sessions VALUES ('sess_YVZFf8ZuJq', 'lVP1dwVMhyKx5xz', 'user_2b9d71f0', 'تقرير المبيعات', 'api', 'completed', '2026-10-14 11:33:49+00', 3.67, 0.1434, 0.692, 26884, NULL, NULL, 455, NULL, NULL, '2026-11-25 09:06:47.191933+00', '2026-11-25 09:06:47.191933+00', NULL, '2026-11-25 09:06:47.184288+00', NULL);
INSERT INTO public.sessions VALUES ('sess_5DUizPLPmu', 'lVP1dwVMhyKx5xz', 'user_2b9d71f0', 'Invoice #1061', 'triggered', 'completed', '2026-10-09 14:44:01+00', 2.6, 0.6642, 0.1319, 1994, NULL, NULL, 135, NULL, NULL, '2026-11-25 09:06:47.191933+00', '2026-11-25 09:06:47.191933+00', NULL, '2026-11-25 09:06:47.185509+00', NULL);
INSERT INTO public.sessions VALUES ('sess_0pz7jxCvfs', 'lVP1dwVMhyKx5xz', NULL, '👩🏽‍💻 pairing notes #5454', 'web', 'completed', '2026-10-07 10:40:03+00', 5.91, 1.81, 0.3628, 865, NULL, NULL, 221, NULL, NULL, '2026-11-25 09:06:47.191933+00', '2026-11-25 09:06:47.191933+00', NULL, '2026-11-25 09:06:47.185509+00', NULL);
INSERT INTO public.sessions VALUES ('sess_night', 'lVP1dwVMhyKx5xz', 'user_2b9dcebd', 'Follow-up call #5677', 'api', 'completed', '2026-10-25 00:59:59.999999+00', 1.25, NULL, NULL, 7, NULL, NULL, NULL, NULL, NULL, '2026-11-25 09:06:47.191933+00', '2026-11-25 09:06:47.241289+00', NULL, '2026-11-25 09:06:47.237647+00', NULL);
INSERT INTO public.sessions VALUES ('sess_OOsp70PLQL', 'lVP1dwVMhyKx5xz', 'user_2b9d71f0', 'Lead list, 50 % done #3750', 'chat', 'completed', '2026-10-22 09:46:27+00', 9.49, 3.32, 0.0582, 2955, NULL, NULL, 1136, NULL, NULL, '2026-11-25 09:06:47.191933+00', '2026-11-25 09:06:47.276449+00', '2026-11-25 09:06:47.237647+00', '2026-11-25 09:06:47.182291+00', NULL);
INSERT INTO public.state_changes VALUES ('sess_''ünï💥', 'idle', '2026-11-25 09:06:47.108022+00', 1);
INSERT INTO public.state_changes VALUES ('sess_33jAuKSpgZ', 'failed', '2026-11-25 09:06:47.108022+00', 1);
INSERT INTO public.state_changes VALUES ('sess_gRVOEkRyC4', 'completed', '2026-11-25 09:06:47.108022+00', 1);
INSERT INTO public.state_changes VALUES ('sess_JA629a65Nu', 'completed', '2026-11-25 09:06:47.108022+00', 1);
INSERT INTO public.state_changes VALUES ('sess_undated', 'processing', '2026-11-25 09:06:47.110186+00', 1);
INSERT INTO public.state_changes VALUES ('sess_VrtBDp7Pck', 'completed', '2026-11-25 09:06:47.110186+00', 1);
INSERT INTO public.state_changes VALUES ('sess_TWkSXvBjtT', 'completed', '2026-11-25 09:06:47.110186+00', 1);
INSERT INTO public.state_changes VALUES ('sess_OLarGTUzb1', 'completed', '2026-11-25 09:06:47.110186+00', 1);
INSERT INTO public.state_changes VALUES ('sess_o2bNHgLyzL', 'completed', '2026-11-25 09:06:47.112027+00', 1);
INSERT INTO public.state_changes VALUES ('sess_nxVISxQVZa', 'completed', '2026-11-25 09:06:47.112027+00', 1);
INSERT INTO public.state_changes VALUES ('sess_night', 'processing', '2026-11-25 09:06:47.182291+00', 2);
INSERT INTO public.state_changes VALUES ('sess_OOsp70PLQL', 'completed', '2026-11-25 09:06:47.182291+00', 2);
INSERT INTO public.state_changes VALUES ('sess_ldzyids1Yt', 'failed', '2026-11-25 09:06:47.182291+00', 2);
INSERT INTO public.state_changes VALUES ('sess_QNBdXKWTwI', 'idle', '2026-11-25 09:06:47.184288+00', 2);
INSERT INTO public.state_changes VALUES ('sess_QMkTOq7SrZ', 'completed', '2026-11-25 09:06:47.184288+00', 2);
INSERT INTO public.state_changes VALUES ('sess_gdn3JFu4gb', 'completed', '2026-11-25 09:06:47.184288+00', 2);
INSERT INTO public.state_changes VALUES ('sess_YVZFf8ZuJq', 'completed', '2026-11-25 09:06:47.184288+00', 2);
INSERT INTO public.state_changes VALUES ('sess_5DUizPLPmu', 'completed', '2026-11-25 09:06:47.185509+00', 2);
INSERT INTO public.state_changes VALUES ('sess_0pz7jxCvfs', 'completed', '2026-11-25 09:06:47.185509+00', 2);
INSERT INTO public.state_changes VALUES ('sess_night', 'completed', '2026-11-25 09:06:47.237647+00', 3);
INSERT INTO public.sync_runs VALUES (1, 'OhWlmEAzQO9dzdn', 'backfill', 'succeeded', '2026-11-25 09:06:47.098214+00', '2026-11-25 09:06:47.140397+00', 4, 4, 14, 10, 0, 4, 0, 0, NULL, '2026-10-25 12:00:00+00', NULL);
INSERT INTO public.sync_runs VALUES (2, 'lVP1dwVMhyKx5xz', 'backfill', 'succeeded', '2026-11-25 09:06:47.175568+00', '2026-11-25 09:06:47.203882+00', 5, 4, 14, 9, 0, 4, 1, 0, NULL, '2026-10-25 00:59:59.999999+00', NULL);
INSERT INTO public.sync_runs VALUES (3, 'lVP1dwVMhyKx5xz', 'incremental', 'succeeded', '2026-11-25 09:06:47.233083+00', '2026-11-25 09:06:47.279925+00', 4, 3, 5, 0, 1, 3, 1, 1, '2026-10-25 00:59:59.999999+00', '2026-10-25 00:59:59.999999+00', NULL);
INSERT INTO public.sync_runs VALUES (4, 'lVP1dwVMhyKx5xz', 'reconcile', 'succeeded', '2026-11-25 09:06:47.308138+00', '2026-11-25 09:06:47.340052+00', 5, 4, 13, 0, 0, 12, 1, 0, '2026-10-25 00:59:59.999999+00', '2026-10-25 00:59:59.999999+00', NULL);
INSERT INTO public.sync_state VALUES ('OhWlmEAzQO9dzdn', '2026-10-25 12:00:00+00', 'eyJzb3J0X3ZhbHVlIjogIjIwMjYtMTAtMTZUMDg6MzI6NTRaIiwgImludGVyYWN0aW9uX2lkIjogInNlc3NfSkE2MjlhNjVOdSIsICJzb3J0X2J5IjogIm5ld2VzdCJ9', '2026-11-25 09:06:47.140397+00', NULL, NULL, NULL, '0001-01-01 00:00:00+00', NULL, NULL, NULL, NULL, 3, 2, NULL, NULL);
INSERT INTO public.sync_state VALUES ('lVP1dwVMhyKx5xz', '2026-10-25 00:59:59.999999+00', 'eyJzb3J0X3ZhbHVlIjogIjIwMjYtMTAtMTlUMTA6MDY6MTFaIiwgImludGVyYWN0aW9uX2lkIjogInNlc3NfZ2RuM0pGdTRnYiIsICJzb3J0X2J5IjogIm9sZGVzdCJ9', '2026-11-25 09:06:47.340052+00', '2026-11-25 09:06:47.340052+00', NULL, NULL, '0001-01-01 00:00:00+00', NULL, NULL, NULL, NULL, 5, 10, NULL, NULL);
INSERT INTO public.transcripts VALUES ('sess_''ünï💥', '2026-11-25 09:06:47.108022+00', '2026-11-26 03:28:53.661857+00', 0, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', NULL, NULL);
INSERT INTO public.transcripts VALUES ('sess_0pz7jxCvfs', '2026-11-25 09:06:47.185509+00', '2026-11-26 03:28:53.678048+00', 1, '3dea2ed3b1310d66419ececa9fbba5cfc1546b52ff947cffdbe5b89b03780690', NULL, NULL);
INSERT INTO public.transcripts VALUES ('sess_33jAuKSpgZ', '2026-11-25 09:06:47.108022+00', '2026-11-26 03:28:53.688091+00', 2, 'c2b0997fa85985c1fb6ec34fd9c2ea083a8e2b0cb457a0546274825444119884', NULL, NULL);
INSERT INTO public.transcripts VALUES ('sess_5DUizPLPmu', '2026-11-25 09:06:47.185509+00', '2026-11-26 03:28:53.697665+00', 3, 'e6bcd82d126a775f47d57806b2d42fb71291068f607bac5443c669490e3f7452', NULL, NULL);
SELECT pg_catalog.setval('public.database_identity_id_seq', 1, false);
SELECT pg_catalog.setval('public.privacy_id_seq', 1, false);
SELECT pg_catalog.setval('public.rejected_records_id_seq', 3, true);
SELECT pg_catalog.setval('public.report_settings_id_seq', 1, false);
SELECT pg_catalog.setval('public.session_messages_number_seq', 6, true);
SELECT pg_catalog.setval('public.sync_runs_id_seq', 4, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.agents
    ADD CONSTRAINT pk_agents PRIMARY KEY (id);
ALTER TABLE ONLY public.bookmarks
    ADD CONSTRAINT pk_bookmarks PRIMARY KEY (agent_id, sort_order, at);
ALTER TABLE ONLY public.calendar
    ADD CONSTRAINT pk_calendar PRIMARY KEY (time_zone, day, from_utc);
ALTER TABLE ONLY public.coverage
    ADD CONSTRAINT pk_coverage PRIMARY KEY (agent_id, newest_created_at);
ALTER TABLE ONLY public.creators
    ADD CONSTRAINT pk_creators PRIMARY KEY (id);
ALTER TABLE ONLY public.database_identity
    ADD CONSTRAINT pk_database_identity PRIMARY KEY (id);
ALTER TABLE ONLY public.forgotten
    ADD CONSTRAINT pk_forgotten PRIMARY KEY (pseudonym);
ALTER TABLE ONLY public.forgotten_sessions
    ADD CONSTRAINT pk_forgotten_sessions PRIMARY KEY (session_id);
ALTER TABLE ONLY public.lakes
    ADD CONSTRAINT pk_lakes PRIMARY KEY (target);
ALTER TABLE ONLY public.privacy
    ADD CONSTRAINT pk_privacy PRIMARY KEY (id);
ALTER TABLE ONLY public.rejected_records
    ADD CONSTRAINT pk_rejected_records PRIMARY KEY (id);
ALTER TABLE ONLY public.report_settings
    ADD CONSTRAINT pk_report_settings PRIMARY KEY (id);
ALTER TABLE ONLY public.retrievals
    ADD CONSTRAINT pk_retrievals PRIMARY KEY (session_id);
ALTER TABLE ONLY public.session_messages
    ADD CONSTRAINT pk_session_messages PRIMARY KEY (number);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT pk_sessions PRIMARY KEY (id);
ALTER TABLE ONLY public.state_changes
    ADD CONSTRAINT pk_state_changes PRIMARY KEY (session_id, observed_at);
ALTER TABLE ONLY public.suspects
    ADD CONSTRAINT pk_suspects PRIMARY KEY (agent_id, session_id);
ALTER TABLE ONLY public.sync_runs
    ADD CONSTRAINT pk_sync_runs PRIMARY KEY (id);
ALTER TABLE ONLY public.sync_state
    ADD CONSTRAINT pk_sync_state PRIMARY KEY (agent_id);
ALTER TABLE ONLY public.transcripts
    ADD CONSTRAINT pk_transcripts PRIMARY KEY (session_id);
ALTER TABLE ONLY public.rejected_records
    ADD CONSTRAINT uq_rejected_records_agent_id_payload_sha256 UNIQUE (agent_id, payload_sha256);
ALTER TABLE ONLY public.session_messages
    ADD CONSTRAINT uq_session_messages_session_id_position UNIQUE (session_id, "position");
CREATE INDEX ix_session_messages_words ON public.session_messages USING gin (words);
CREATE INDEX ix_sessions_agent_id_created_at ON public.sessions USING btree (agent_id, created_at);
CREATE INDEX ix_sessions_open ON public.sessions USING btree (agent_id) WHERE ((state IS NULL) OR (NOT (state = ANY (ARRAY['completed'::text, 'failed'::text]))));
CREATE INDEX ix_sync_runs_agent_id_started_at ON public.sync_runs USING btree (agent_id, started_at);
ALTER TABLE ONLY public.bookmarks
    ADD CONSTRAINT fk_bookmarks_agent_id FOREIGN KEY (agent_id) REFERENCES public.agents(id);
ALTER TABLE ONLY public.coverage
    ADD CONSTRAINT fk_coverage_agent_id FOREIGN KEY (agent_id) REFERENCES public.agents(id);
ALTER TABLE ONLY public.rejected_records
    ADD CONSTRAINT fk_rejected_records_agent_id FOREIGN KEY (agent_id) REFERENCES public.agents(id);
ALTER TABLE ONLY public.rejected_records
    ADD CONSTRAINT fk_rejected_records_run_id FOREIGN KEY (run_id) REFERENCES public.sync_runs(id);
ALTER TABLE ONLY public.retrievals
    ADD CONSTRAINT fk_retrievals_session_id FOREIGN KEY (session_id) REFERENCES public.sessions(id);
ALTER TABLE ONLY public.session_messages
    ADD CONSTRAINT fk_session_messages_session_id FOREIGN KEY (session_id) REFERENCES public.sessions(id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT fk_sessions_agent_id FOREIGN KEY (agent_id) REFERENCES public.agents(id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT fk_sessions_creator_id FOREIGN KEY (creator_id) REFERENCES public.creators(id);
ALTER TABLE ONLY public.state_changes
    ADD CONSTRAINT fk_state_changes_session_id FOREIGN KEY (session_id) REFERENCES public.sessions(id);
ALTER TABLE ONLY public.suspects
    ADD CONSTRAINT fk_suspects_agent_id FOREIGN KEY (agent_id) REFERENCES public.agents(id);
ALTER TABLE ONLY public.suspects
    ADD CONSTRAINT fk_suspects_session_id FOREIGN KEY (session_id) REFERENCES public.sessions(id);
ALTER TABLE ONLY public.sync_runs
    ADD CONSTRAINT fk_sync_runs_agent_id FOREIGN KEY (agent_id) REFERENCES public.agents(id);
ALTER TABLE ONLY public.sync_state
    ADD CONSTRAINT fk_sync_state_agent_id FOREIGN KEY (agent_id) REFERENCES public.agents(id);
ALTER TABLE ONLY public.transcripts
    ADD CONSTRAINT fk_transcripts_session_id FOREIGN KEY (session_id) REFERENCES public.sessions(id);
