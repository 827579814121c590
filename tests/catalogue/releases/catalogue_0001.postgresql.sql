-- A catalogue of the release whose newest migration is 0001, filled through its own code. Written by `pg_dump --inserts --no-owner`.
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.calibration (
    id integer NOT NULL,
    mous_uid text NOT NULL,
    fingerprint text NOT NULL,
    first_seen timestamp with time zone NOT NULL,
    calibrated_at timestamp with time zone,
    decision text NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    seen_by text NOT NULL
);
CREATE SEQUENCE public.calibration_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.calibration_id_seq OWNED BY public.calibration.id;
CREATE TABLE public.cursor (
    name text NOT NULL,
    value text NOT NULL
);
CREATE TABLE public.delivery (
    request_id text NOT NULL,
    destination text NOT NULL,
    path text NOT NULL,
    size_bytes bigint NOT NULL,
    files integer NOT NULL,
    sha256 text NOT NULL,
    delivered_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    keep boolean NOT NULL,
    warned_at timestamp with time zone,
    removed_at timestamp with time zone
);
CREATE TABLE public.request (
    id text NOT NULL,
    run_id text,
    correlation_id text NOT NULL,
    mous_uid text,
    eb_uid text,
    fingerprint text NOT NULL,
    request json NOT NULL,
    origin text NOT NULL,
    requested_by text NOT NULL,
    email text NOT NULL,
    destination text NOT NULL,
    state text NOT NULL,
    stage text NOT NULL,
    error_kind text NOT NULL,
    error_code text NOT NULL,
    reason text NOT NULL,
    remedy text NOT NULL,
    log_tail text NOT NULL,
    workspace text NOT NULL,
    attempt integer NOT NULL,
    warnings json NOT NULL,
    casa_installation text NOT NULL,
    casa_version text NOT NULL,
    casa_policy text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone
);
CREATE TABLE public.reservation (
    request_id text NOT NULL,
    root text NOT NULL,
    size_bytes bigint NOT NULL,
    used_bytes bigint NOT NULL,
    at timestamp with time zone NOT NULL
);
CREATE TABLE public.transition (
    id integer NOT NULL,
    request_id text NOT NULL,
    at timestamp with time zone NOT NULL,
    state text NOT NULL,
    stage text NOT NULL,
    note text NOT NULL
);
CREATE SEQUENCE public.transition_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.transition_id_seq OWNED BY public.transition.id;
ALTER TABLE ONLY public.calibration ALTER COLUMN id SET DEFAULT nextval('public.calibration_id_seq'::regclass);
ALTER TABLE ONLY public.transition ALTER COLUMN id SET DEFAULT nextval('public.transition_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0001');
INSERT INTO public.calibration VALUES (1, 'uid://A001/X2f6/X10', 'e0db12b31ea51c621acd9cfe0c319723f1c8254288215a8e5798cbafbb31de80', '2026-11-23 22:23:11.430124+00', '2026-03-02 14:30:00+00', 'restore', '', '', 'detection');
INSERT INTO public.calibration VALUES (2, 'uid://A001/X2f6/X20', '33779565a7feb5a47b4f1c027bb8d21dcc8ae07ce72f4afe93f29955a5437861', '2026-11-23 22:23:11.430309+00', '2026-03-02 14:30:00+00', 'refused', 'manual_calibration', 'The MOUS was calibrated by hand: there is no pipeline calibration to restore.', 'detection');
INSERT INTO public.cursor VALUES ('sweep', 'uid://A001/X2f6/X20');
INSERT INTO public.cursor VALUES ('events.published', '48');
INSERT INTO public.delivery VALUES ('ee310ab3-4c02-4d74-bfe8-692592d5fee2', '', '/srv/alma-restore/deliveries/2017.1.00370.S/uid___A001_X2f6_X10', 104857600123, 412, '5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f', '2026-11-23 22:23:13.562129+00', '2026-03-23 14:30:00+00', true, NULL, NULL);
INSERT INTO public.delivery VALUES ('0e8c6571-d6a8-44a4-9de8-bf22ea972dfb', 'sftp://alma@data.example.org/in', 'sftp://alma@data.example.org/in/uid___A001_X2f6_X30', 2000000, 9, 'a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0', '2026-11-23 22:23:15.119518+00', NULL, false, NULL, NULL);
INSERT INTO public.request VALUES ('ee310ab3-4c02-4d74-bfe8-692592d5fee2', 'mous__uid___A001_X2f6_X10__0123abcd', 'mous__uid___A001_X2f6_X10__0123abcd', 'uid://A001/X2f6/X10', NULL, 'e0db12b31ea51c621acd9cfe0c319723f1c8254288215a8e5798cbafbb31de80', '{"mous_uid": "uid://A001/X2f6/X10", "eb_uid": null, "casa_version": "", "email": "ada@example.org", "destination": "", "delivery_format": "CMS", "correlation_id": "mous__uid___A001_X2f6_X10__0123abcd", "requested_by": "", "origin": "detection", "fingerprint": "e0db12b31ea51c621acd9cfe0c319723f1c8254288215a8e5798cbafbb31de80"}', 'detection', '', 'ada@example.org', '', 'delivered', 'deliver', '', '', '', '', '', '/srv/alma-restore/spool/uid___A002_Xf0_Xab_2026_03_02_T14_30_00.000', 1, '[]', 'casa-6.6.1-17', '6.6.1-17', 'The version that calibrated the data.', '2026-11-23 22:23:11.638+00', '2026-11-23 22:23:13.79392+00', '2026-11-23 22:23:13.677866+00');
INSERT INTO public.request VALUES ('3cad9740-7fb9-4bb0-86b2-b586abe7b6af', 'restore__f1a4dd4a-73ae-4aa7-ac30-9397d31dadab', 'f1a4dd4a-73ae-4aa7-ac30-9397d31dadab', 'uid://A001/X2f6/X40', NULL, '', '{"mous_uid": "uid://A001/X2f6/X40", "eb_uid": null, "casa_version": "5.4.0-68", "email": null, "destination": "", "delivery_format": "CMS", "correlation_id": "f1a4dd4a-73ae-4aa7-ac30-9397d31dadab", "requested_by": "archive.events", "origin": "event", "fingerprint": ""}', 'event', 'archive.events', '', '', 'failed', 'run_casa', 'casa_failed', 'casa_failed', 'CASA ended with exit code 1.', 'Look at the log; clear run_casa to run it again.', 'SEVERE	applycal	Table "caltable''" not found
naïve	Ende
', '/srv/alma-restore/spool/uid___A002_Xf0_X974_2026_03_02_T14_30_00.000', 1, '[]', 'casa-6.6.1-17', '6.6.1-17', 'The version that calibrated the data.', '2026-11-23 22:23:15.605631+00', '2026-11-23 22:23:16.44555+00', '2026-11-23 22:23:16.44555+00');
INSERT INTO public.request VALUES ('0e8c6571-d6a8-44a4-9de8-bf22ea972dfb', 'restore__notebook-7', 'notebook-7', 'uid://A001/X2f6/X30', NULL, '', '{"mous_uid": "uid://A001/X2f6/X30", "eb_uid": null, "casa_version": "", "email": null, "destination": "", "delivery_format": "CMS", "correlation_id": "notebook-7", "requested_by": "grace", "origin": "command", "fingerprint": ""}', 'command', 'grace', '', '', 'delivered_with_warnings', 'deliver', '', '', '', '', '', '/srv/alma-restore/spool/uid___A002_Xf0_X657_2026_03_02_T14_30_00.000', 1, '["Execution block uid://A002/Xf0/X1 has QA0 verdict SemiPass and was left out.", "Gr\u00f6\u00dfe: 3 % of the data are flagged."]', 'casa-6.6.1-17', '6.6.1-17', 'The version that calibrated the data.', '2026-11-23 22:23:13.967472+00', '2026-11-23 22:23:15.182155+00', '2026-11-23 22:23:15.182155+00');
INSERT INTO public.request VALUES ('8c2d1c0d-0672-427a-83c3-34ae71212642', 'mous__uid___A001_X2f6_X20__ffff0000', 'mous__uid___A001_X2f6_X20__ffff0000', 'uid://A001/X2f6/X20', NULL, '33779565a7feb5a47b4f1c027bb8d21dcc8ae07ce72f4afe93f29955a5437861', '{"mous_uid": "uid://A001/X2f6/X20", "eb_uid": null, "casa_version": "", "email": null, "destination": "", "delivery_format": "CMS", "correlation_id": "mous__uid___A001_X2f6_X20__ffff0000", "requested_by": "", "origin": "detection", "fingerprint": "33779565a7feb5a47b4f1c027bb8d21dcc8ae07ce72f4afe93f29955a5437861"}', 'detection', '', '', '', 'refused', 'open_request', 'refused', 'manual_calibration', 'The MOUS was calibrated by hand.', '', '', '', 1, '[]', '', '', '', '2026-11-23 22:23:15.283444+00', '2026-11-23 22:23:15.478011+00', '2026-11-23 22:23:15.478011+00');
INSERT INTO public.request VALUES ('2197ec15-de03-4840-8c24-5c8995fb1015', 'manual__2026-03-02', '3f5e8daf-ef45-4a21-a829-3db014183480', NULL, NULL, '', '{"mous_uid": "uid://nonsense", "requested_by": "grace"}', '', 'grace', '', '', 'refused', 'open_request', 'refused', 'bad_request', 'mous_uid ''uid://nonsense'': is no uid.', '', '', '', 1, '[]', '', '', '', '2026-11-23 22:23:17.848125+00', '2026-11-23 22:23:17.928433+00', '2026-11-23 22:23:17.928433+00');
INSERT INTO public.request VALUES ('0b321ddf-23e2-46ca-accb-c50d0d058a9d', NULL, 'waiting-then', 'uid://A001/X2f6/X70', NULL, '', '{"mous_uid": "uid://A001/X2f6/X70", "eb_uid": null, "casa_version": "", "email": null, "destination": "", "delivery_format": "CMS", "correlation_id": "waiting-then", "requested_by": "archive.events", "origin": "event", "fingerprint": ""}', 'event', 'archive.events', '', '', 'accepted', '', '', '', '', '', '', '', 1, '[]', '', '', '', '2026-11-23 22:23:17.995842+00', '2026-11-23 22:23:17.995908+00', NULL);
INSERT INTO public.request VALUES ('ab52846d-9b82-4a13-8dea-943213564ceb', 'restore__running-then', 'running-then', 'uid://A001/X2f6/X50', NULL, '', '{"mous_uid": "uid://A001/X2f6/X50", "eb_uid": null, "casa_version": "", "email": "ada@example.org", "destination": "", "delivery_format": "CMS", "correlation_id": "running-then", "requested_by": "ada", "origin": "page", "fingerprint": ""}', 'page', 'ada', 'ada@example.org', '', 'running', 'run_casa', '', '', '', '', '', '/srv/alma-restore/spool/uid___A002_Xf0_X846_2026_03_02_T14_30_00.000', 1, '[]', 'casa-6.6.1-17', '6.6.1-17', 'The version that calibrated the data.', '2026-11-23 22:23:16.656698+00', '2026-11-23 22:23:17.489642+00', NULL);
INSERT INTO public.request VALUES ('3b965ed7-8787-4c8f-b2c3-9ba9e1072cd8', 'restore__cancelled-then', 'cancelled-then', 'uid://A001/X2f6/X60', NULL, '', '{"mous_uid": "uid://A001/X2f6/X60", "eb_uid": null, "casa_version": "", "email": null, "destination": "", "delivery_format": "CMS", "correlation_id": "cancelled-then", "requested_by": "", "origin": "hand", "fingerprint": ""}', 'hand', '', '', '', 'cancelled', '', '', '', '', '', '', '', 1, '[]', '', '', '', '2026-11-23 22:23:17.637058+00', '2026-11-23 22:23:17.733664+00', '2026-11-23 22:23:17.733664+00');
INSERT INTO public.reservation VALUES ('ab52846d-9b82-4a13-8dea-943213564ceb', '/srv/alma-restore/spool', 700000000, 690000000, '2026-11-23 22:23:16.952195+00');
INSERT INTO public.transition VALUES (1, 'ee310ab3-4c02-4d74-bfe8-692592d5fee2', '2026-11-23 22:23:11.63811+00', 'accepted', '', '');
INSERT INTO public.transition VALUES (2, 'ee310ab3-4c02-4d74-bfe8-692592d5fee2', '2026-11-23 22:23:11.768424+00', 'running', 'open_request', '');
INSERT INTO public.transition VALUES (3, 'ee310ab3-4c02-4d74-bfe8-692592d5fee2', '2026-11-23 22:23:11.865835+00', 'running', 'prepare_workspace', '');
INSERT INTO public.transition VALUES (4, 'ee310ab3-4c02-4d74-bfe8-692592d5fee2', '2026-11-23 22:23:12.098624+00', 'running', 'fetch_asdm', '');
INSERT INTO public.transition VALUES (5, 'ee310ab3-4c02-4d74-bfe8-692592d5fee2', '2026-11-23 22:23:12.658779+00', 'running', 'fetch_products', '');
INSERT INTO public.transition VALUES (6, 'ee310ab3-4c02-4d74-bfe8-692592d5fee2', '2026-11-23 22:23:12.805899+00', 'running', 'stage', '');
INSERT INTO public.transition VALUES (7, 'ee310ab3-4c02-4d74-bfe8-692592d5fee2', '2026-11-23 22:23:12.932619+00', 'running', 'write_ppr', '');
INSERT INTO public.transition VALUES (8, 'ee310ab3-4c02-4d74-bfe8-692592d5fee2', '2026-11-23 22:23:13.059957+00', 'running', 'run_casa', '');
INSERT INTO public.transition VALUES (9, 'ee310ab3-4c02-4d74-bfe8-692592d5fee2', '2026-11-23 22:23:13.184737+00', 'running', 'verify', '');
INSERT INTO public.transition VALUES (10, 'ee310ab3-4c02-4d74-bfe8-692592d5fee2', '2026-11-23 22:23:13.321303+00', 'running', 'deliver', '');
INSERT INTO public.transition VALUES (11, 'ee310ab3-4c02-4d74-bfe8-692592d5fee2', '2026-11-23 22:23:13.677866+00', 'delivered', 'deliver', '');
INSERT INTO public.transition VALUES (12, 'ee310ab3-4c02-4d74-bfe8-692592d5fee2', '2026-11-23 22:23:13.79392+00', 'delivered', 'deliver', 'Told ada@example.org.');
INSERT INTO public.transition VALUES (13, '0e8c6571-d6a8-44a4-9de8-bf22ea972dfb', '2026-11-23 22:23:13.967563+00', 'accepted', '', '');
INSERT INTO public.transition VALUES (14, '0e8c6571-d6a8-44a4-9de8-bf22ea972dfb', '2026-11-23 22:23:14.056239+00', 'running', 'open_request', '');
INSERT INTO public.transition VALUES (15, '0e8c6571-d6a8-44a4-9de8-bf22ea972dfb', '2026-11-23 22:23:14.145071+00', 'running', 'prepare_workspace', '');
INSERT INTO public.transition VALUES (16, '0e8c6571-d6a8-44a4-9de8-bf22ea972dfb', '2026-11-23 22:23:14.364238+00', 'running', 'fetch_asdm', '');
INSERT INTO public.transition VALUES (17, '0e8c6571-d6a8-44a4-9de8-bf22ea972dfb', '2026-11-23 22:23:14.435042+00', 'running', 'fetch_products', '');
INSERT INTO public.transition VALUES (18, '0e8c6571-d6a8-44a4-9de8-bf22ea972dfb', '2026-11-23 22:23:14.527331+00', 'running', 'stage', '');
INSERT INTO public.transition VALUES (19, '0e8c6571-d6a8-44a4-9de8-bf22ea972dfb', '2026-11-23 22:23:14.607068+00', 'running', 'write_ppr', '');
INSERT INTO public.transition VALUES (20, '0e8c6571-d6a8-44a4-9de8-bf22ea972dfb', '2026-11-23 22:23:14.665501+00', 'running', 'run_casa', '');
INSERT INTO public.transition VALUES (21, '0e8c6571-d6a8-44a4-9de8-bf22ea972dfb', '2026-11-23 22:23:14.756418+00', 'running', 'verify', '');
INSERT INTO public.transition VALUES (22, '0e8c6571-d6a8-44a4-9de8-bf22ea972dfb', '2026-11-23 22:23:14.94461+00', 'running', 'deliver', '');
INSERT INTO public.transition VALUES (23, '0e8c6571-d6a8-44a4-9de8-bf22ea972dfb', '2026-11-23 22:23:15.182155+00', 'delivered_with_warnings', 'deliver', 'Execution block uid://A002/Xf0/X1 has QA0 verdict SemiPass and was left out. Größe: 3 % of the data are flagged.');
INSERT INTO public.transition VALUES (24, '8c2d1c0d-0672-427a-83c3-34ae71212642', '2026-11-23 22:23:15.283522+00', 'accepted', '', '');
INSERT INTO public.transition VALUES (25, '8c2d1c0d-0672-427a-83c3-34ae71212642', '2026-11-23 22:23:15.37253+00', 'running', 'open_request', '');
INSERT INTO public.transition VALUES (26, '8c2d1c0d-0672-427a-83c3-34ae71212642', '2026-11-23 22:23:15.478011+00', 'refused', 'open_request', 'The MOUS was calibrated by hand.');
INSERT INTO public.transition VALUES (27, '3cad9740-7fb9-4bb0-86b2-b586abe7b6af', '2026-11-23 22:23:15.605714+00', 'accepted', '', '');
INSERT INTO public.transition VALUES (28, '3cad9740-7fb9-4bb0-86b2-b586abe7b6af', '2026-11-23 22:23:15.67162+00', 'running', 'open_request', '');
INSERT INTO public.transition VALUES (29, '3cad9740-7fb9-4bb0-86b2-b586abe7b6af', '2026-11-23 22:23:15.759255+00', 'running', 'prepare_workspace', '');
INSERT INTO public.transition VALUES (30, '3cad9740-7fb9-4bb0-86b2-b586abe7b6af', '2026-11-23 22:23:15.987116+00', 'running', 'fetch_asdm', '');
INSERT INTO public.transition VALUES (31, '3cad9740-7fb9-4bb0-86b2-b586abe7b6af', '2026-11-23 22:23:16.077698+00', 'running', 'fetch_products', '');
INSERT INTO public.transition VALUES (32, '3cad9740-7fb9-4bb0-86b2-b586abe7b6af', '2026-11-23 22:23:16.14968+00', 'running', 'stage', '');
INSERT INTO public.transition VALUES (33, '3cad9740-7fb9-4bb0-86b2-b586abe7b6af', '2026-11-23 22:23:16.234865+00', 'running', 'write_ppr', '');
INSERT INTO public.transition VALUES (34, '3cad9740-7fb9-4bb0-86b2-b586abe7b6af', '2026-11-23 22:23:16.332433+00', 'running', 'run_casa', '');
INSERT INTO public.transition VALUES (35, '3cad9740-7fb9-4bb0-86b2-b586abe7b6af', '2026-11-23 22:23:16.44555+00', 'failed', 'run_casa', 'CASA ended with exit code 1.');
INSERT INTO public.transition VALUES (36, 'ab52846d-9b82-4a13-8dea-943213564ceb', '2026-11-23 22:23:16.656798+00', 'accepted', '', '');
INSERT INTO public.transition VALUES (37, 'ab52846d-9b82-4a13-8dea-943213564ceb', '2026-11-23 22:23:16.755597+00', 'running', 'open_request', '');
INSERT INTO public.transition VALUES (38, 'ab52846d-9b82-4a13-8dea-943213564ceb', '2026-11-23 22:23:16.842531+00', 'running', 'prepare_workspace', '');
INSERT INTO public.transition VALUES (39, 'ab52846d-9b82-4a13-8dea-943213564ceb', '2026-11-23 22:23:17.075109+00', 'running', 'fetch_asdm', '');
INSERT INTO public.transition VALUES (40, 'ab52846d-9b82-4a13-8dea-943213564ceb', '2026-11-23 22:23:17.148791+00', 'running', 'fetch_products', '');
INSERT INTO public.transition VALUES (41, 'ab52846d-9b82-4a13-8dea-943213564ceb', '2026-11-23 22:23:17.216582+00', 'running', 'stage', '');
INSERT INTO public.transition VALUES (42, 'ab52846d-9b82-4a13-8dea-943213564ceb', '2026-11-23 22:23:17.304118+00', 'running', 'write_ppr', '');
INSERT INTO public.transition VALUES (43, 'ab52846d-9b82-4a13-8dea-943213564ceb', '2026-11-23 22:23:17.392687+00', 'running', 'run_casa', '');
INSERT INTO public.transition VALUES (44, '3b965ed7-8787-4c8f-b2c3-9ba9e1072cd8', '2026-11-23 22:23:17.637136+00', 'accepted', '', '');
INSERT INTO public.transition VALUES (45, '3b965ed7-8787-4c8f-b2c3-9ba9e1072cd8', '2026-11-23 22:23:17.733664+00', 'cancelled', '', 'Cancelled by ada.');
INSERT INTO public.transition VALUES (46, '2197ec15-de03-4840-8c24-5c8995fb1015', '2026-11-23 22:23:17.8482+00', 'accepted', '', '');
INSERT INTO public.transition VALUES (47, '2197ec15-de03-4840-8c24-5c8995fb1015', '2026-11-23 22:23:17.928433+00', 'refused', 'open_request', 'mous_uid ''uid://nonsense'': is no uid.');
INSERT INTO public.transition VALUES (48, '0b321ddf-23e2-46ca-accb-c50d0d058a9d', '2026-11-23 22:23:17.995908+00', 'accepted', '', '');
SELECT pg_catalog.setval('public.calibration_id_seq', 2, true);
SELECT pg_catalog.setval('public.transition_id_seq', 48, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.calibration
    ADD CONSTRAINT pk_calibration PRIMARY KEY (id);
ALTER TABLE ONLY public.cursor
    ADD CONSTRAINT pk_cursor PRIMARY KEY (name);
ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT pk_delivery PRIMARY KEY (request_id);
ALTER TABLE ONLY public.request
    ADD CONSTRAINT pk_request PRIMARY KEY (id);
ALTER TABLE ONLY public.reservation
    ADD CONSTRAINT pk_reservation PRIMARY KEY (request_id);
ALTER TABLE ONLY public.transition
    ADD CONSTRAINT pk_transition PRIMARY KEY (id);
ALTER TABLE ONLY public.request
    ADD CONSTRAINT uq_request_correlation_id UNIQUE (correlation_id);
ALTER TABLE ONLY public.request
    ADD CONSTRAINT uq_request_run_id UNIQUE (run_id);
CREATE INDEX ix_calibration_decision ON public.calibration USING btree (decision);
CREATE UNIQUE INDEX ix_calibration_mous_uid_fingerprint ON public.calibration USING btree (mous_uid, fingerprint);
CREATE INDEX ix_delivery_expires_at ON public.delivery USING btree (expires_at);
CREATE INDEX ix_request_created_at ON public.request USING btree (created_at);
CREATE INDEX ix_request_eb_uid ON public.request USING btree (eb_uid);
CREATE INDEX ix_request_mous_uid_fingerprint ON public.request USING btree (mous_uid, fingerprint);
CREATE INDEX ix_request_state_created_at ON public.request USING btree (state, created_at);
CREATE INDEX ix_reservation_root ON public.reservation USING btree (root);
CREATE INDEX ix_transition_request_id ON public.transition USING btree (request_id);
ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT fk_delivery_request_id FOREIGN KEY (request_id) REFERENCES public.request(id);
ALTER TABLE ONLY public.reservation
    ADD CONSTRAINT fk_reservation_request_id FOREIGN KEY (request_id) REFERENCES public.request(id);
ALTER TABLE ONLY public.transition
    ADD CONSTRAINT fk_transition_request_id FOREIGN KEY (request_id) REFERENCES public.request(id);
