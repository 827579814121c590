-- A catalogue of the release whose newest migration is 0001, filled through its own code. Written by sqlite3's `.dump`.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE calibration (
	id INTEGER NOT NULL, 
	mous_uid TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	first_seen DATETIME NOT NULL, 
	calibrated_at DATETIME, 
	decision TEXT NOT NULL, 
	code TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	seen_by TEXT NOT NULL, 
	CONSTRAINT pk_calibration PRIMARY KEY (id)
);
INSERT INTO "calibration" VALUES(1,'uid://A001/X2f6/X10','e0db12b31ea51c621acd9cfe0c319723f1c8254288215a8e5798cbafbb31de80','2026-11-23 22:22:58.980930','2026-03-02 14:30:00.000000','restore','','','detection');
INSERT INTO "calibration" VALUES(2,'uid://A001/X2f6/X20','33779565a7feb5a47b4f1c027bb8d21dcc8ae07ce72f4afe93f29955a5437861','2026-11-23 22:22:59.005998','2026-03-02 14:30:00.000000','refused','manual_calibration','The MOUS was calibrated by hand: there is no pipeline calibration to restore.','detection');
CREATE TABLE cursor (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_cursor PRIMARY KEY (name)
);
INSERT INTO "cursor" VALUES('sweep','uid://A001/X2f6/X20');
INSERT INTO "cursor" VALUES('events.published','48');
CREATE TABLE delivery (
	request_id TEXT NOT NULL, 
	destination TEXT NOT NULL, 
	path TEXT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	files INTEGER NOT NULL, 
	sha256 TEXT NOT NULL, 
	delivered_at DATETIME NOT NULL, 
	expires_at DATETIME, 
	keep BOOLEAN NOT NULL, 
	warned_at DATETIME, 
	removed_at DATETIME, 
	CONSTRAINT pk_delivery PRIMARY KEY (request_id), 
	CONSTRAINT fk_delivery_request_id FOREIGN KEY(request_id) REFERENCES request (id)
);
INSERT INTO "delivery" VALUES('f72fe4e0-86d4-44f4-a327-a348d1b7bee4','','/srv/alma-restore/deliveries/2017.1.00370.S/uid___A001_X2f6_X10',104857600123,412,'5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f','2026-11-23 22:22:59.781212','2026-03-23 14:30:00.000000',1,NULL,NULL);
INSERT INTO "delivery" VALUES('f39d5d97-99d3-4ff4-85f5-c7dd87db5d6b','sftp://alma@data.example.org/in','sftp://alma@data.example.org/in/uid___A001_X2f6_X30',2000000,9,'a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0','2026-11-23 22:23:00.511452',NULL,0,NULL,NULL);
CREATE TABLE request (
	id TEXT NOT NULL, 
	run_id TEXT, 
	correlation_id TEXT NOT NULL, 
	mous_uid TEXT, 
	eb_uid TEXT, 
	fingerprint TEXT NOT NULL, 
	request JSON NOT NULL, 
	origin TEXT NOT NULL, 
	requested_by TEXT NOT NULL, 
	email TEXT NOT NULL, 
	destination TEXT NOT NULL, 
	state TEXT NOT NULL, 
	stage TEXT NOT NULL, 
	error_kind TEXT NOT NULL, 
	error_code TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	remedy TEXT NOT NULL, 
	log_tail TEXT NOT NULL, 
	workspace TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	warnings JSON NOT NULL, 
	casa_installation TEXT NOT NULL, 
	casa_version TEXT NOT NULL, 
	casa_policy TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	CONSTRAINT pk_request PRIMARY KEY (id), 
	CONSTRAINT uq_request_run_id UNIQUE (run_id), 
	CONSTRAINT uq_request_correlation_id UNIQUE (correlation_id)
);
INSERT INTO "request" VALUES('f72fe4e0-86d4-44f4-a327-a348d1b7bee4','mous__uid___A001_X2f6_X10__0123abcd','mous__uid___A001_X2f6_X10__0123abcd','uid://A001/X2f6/X10',NULL,'e0db12b31ea51c621acd9cfe0c319723f1c8254288215a8e5798cbafbb31de80','{"mous_uid": "uid://A001/X2f6/X10", "eb_uid": null, "casa_version": "", "email": "ada@example.org", "destination": "", "delivery_format": "CMS", "correlation_id": "mous__uid___A001_X2f6_X10__0123abcd", "requested_by": "", "origin": "detection", "fingerprint": "e0db12b31ea51c621acd9cfe0c319723f1c8254288215a8e5798cbafbb31de80"}','detection','','ada@example.org','','delivered','deliver','','','','','','/srv/alma-restore/spool/uid___A002_Xf0_Xe4e_2026_03_02_T14_30_00.000',1,'[]','casa-6.6.1-17','6.6.1-17','The version that calibrated the data.','2026-11-23 22:22:59.153232','2026-11-23 22:22:59.866172','2026-11-23 22:22:59.800944');
INSERT INTO "request" VALUES('f39d5d97-99d3-4ff4-85f5-c7dd87db5d6b','restore__notebook-7','notebook-7','uid://A001/X2f6/X30',NULL,'','{"mous_uid": "uid://A001/X2f6/X30", "eb_uid": null, "casa_version": "", "email": null, "destination": "", "delivery_format": "CMS", "correlation_id": "notebook-7", "requested_by": "grace", "origin": "command", "fingerprint": ""}','command','grace','','','delivered_with_warnings','deliver','','','','','','/srv/alma-restore/spool/uid___A002_Xf0_X5d9_2026_03_02_T14_30_00.000',1,'["Execution block uid://A002/Xf0/X1 has QA0 verdict SemiPass and was left out.", "Gr\u00f6\u00dfe: 3 % of the data are flagged."]','casa-6.6.1-17','6.6.1-17','The version that calibrated the data.','2026-11-23 22:22:59.928178','2026-11-23 22:23:00.555235','2026-11-23 22:23:00.555235');
INSERT INTO "request" VALUES('c6f8fcb0-603b-469e-8765-fe4052793623','mous__uid___A001_X2f6_X20__ffff0000','mous__uid___A001_X2f6_X20__ffff0000','uid://A001/X2f6/X20',NULL,'33779565a7feb5a47b4f1c027bb8d21dcc8ae07ce72f4afe93f29955a5437861','{"mous_uid": "uid://A001/X2f6/X20", "eb_uid": null, "casa_version": "", "email": null, "destination": "", "delivery_format": "CMS", "correlation_id": "mous__uid___A001_X2f6_X20__ffff0000", "requested_by": "", "origin": "detection", "fingerprint": "33779565a7feb5a47b4f1c027bb8d21dcc8ae07ce72f4afe93f29955a5437861"}','detection','','','','refused','open_request','refused','manual_calibration','The MOUS was calibrated by hand.','','','',1,'[]','','','','2026-11-23 22:23:00.603515','2026-11-23 22:23:00.686426','2026-11-23 22:23:00.686426');
INSERT INTO "request" VALUES('1ebac0b4-db57-48ec-9edf-7cf205681696','restore__f1a4dd4a-73ae-4aa7-ac30-9397d31dadab','f1a4dd4a-73ae-4aa7-ac30-9397d31dadab','uid://A001/X2f6/X40',NULL,'','{"mous_uid": "uid://A001/X2f6/X40", "eb_uid": null, "casa_version": "5.4.0-68", "email": null, "destination": "", "delivery_format": "CMS", "correlation_id": "f1a4dd4a-73ae-4aa7-ac30-9397d31dadab", "requested_by": "archive.events", "origin": "event", "fingerprint": ""}','event','archive.events','','','failed','run_casa','casa_failed','casa_failed','CASA ended with exit code 1.','Look at the log; clear run_casa to run it again.','SEVERE	applycal	Table "caltable''" not found
 naïve	Ende
','/srv/alma-restore/spool/uid___A002_Xf0_Xc0b_2026_03_02_T14_30_00.000',1,'[]','casa-6.6.1-17','6.6.1-17','The version that calibrated the data.','2026-11-23 22:23:00.715903','2026-11-23 22:23:01.075982','2026-11-23 22:23:01.075982');
INSERT INTO "request" VALUES('96c87a73-7fc8-4e5d-8c65-2ad50eae0dba','restore__running-then','running-then','uid://A001/X2f6/X50',NULL,'','{"mous_uid": "uid://A001/X2f6/X50", "eb_uid": null, "casa_version": "", "email": "ada@example.org", "destination": "", "delivery_format": "CMS", "correlation_id": "running-then", "requested_by": "ada", "origin": "page", "fingerprint": ""}','page','ada','ada@example.org','','running','run_casa','','','','','','/srv/alma-restore/spool/uid___A002_Xf0_X7a7_2026_03_02_T14_30_00.000',1,'[]','casa-6.6.1-17','6.6.1-17','The version that calibrated the data.','2026-11-23 22:23:01.146833','2026-11-23 22:23:01.580351',NULL);
INSERT INTO "request" VALUES('2c997512-e5e3-4924-800c-3b482a2a46ca','restore__cancelled-then','cancelled-then','uid://A001/X2f6/X60',NULL,'','{"mous_uid": "uid://A001/X2f6/X60", "eb_uid": null, "casa_version": "", "email": null, "destination": "", "delivery_format": "CMS", "correlation_id": "cancelled-then", "requested_by": "", "origin": "hand", "fingerprint": ""}','hand','','','','cancelled','','','','','','','',1,'[]','','','','2026-11-23 22:23:01.685541','2026-11-23 22:23:01.739058','2026-11-23 22:23:01.739058');
INSERT INTO "request" VALUES('3967dff6-0d54-41f6-ab4f-a8883b5812e4','manual__2026-03-02','8172ab20-73c6-42ed-8b8b-5090893e4286',NULL,NULL,'','{"mous_uid": "uid://nonsense", "requested_by": "grace"}','','grace','','','refused','open_request','refused','bad_request','mous_uid ''uid://nonsense'': is no uid.','','','',1,'[]','','','','2026-11-23 22:23:01.784012','2026-11-23 22:23:01.840791','2026-11-23 22:23:01.840791');
INSERT INTO "request" VALUES('8bb737dd-42e5-4546-80ac-be9faf3beac3',NULL,'waiting-then','uid://A001/X2f6/X70',NULL,'','{"mous_uid": "uid://A001/X2f6/X70", "eb_uid": null, "casa_version": "", "email": null, "destination": "", "delivery_format": "CMS", "correlation_id": "waiting-then", "requested_by": "archive.events", "origin": "event", "fingerprint": ""}','event','archive.events','','','accepted','','','','','','','',1,'[]','','','','2026-11-23 22:23:01.896471','2026-11-23 22:23:01.896534',NULL);
CREATE TABLE reservation (
	request_id TEXT NOT NULL, 
	root TEXT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	used_bytes BIGINT NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_reservation PRIMARY KEY (request_id), 
	CONSTRAINT fk_reservation_request_id FOREIGN KEY(request_id) REFERENCES request (id)
);
INSERT INTO "reservation" VALUES('96c87a73-7fc8-4e5d-8c65-2ad50eae0dba','/srv/alma-restore/spool',700000000,690000000,'2026-11-23 22:23:01.268800');
CREATE TABLE transition (
	id INTEGER NOT NULL, 
	request_id TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	state TEXT NOT NULL, 
	stage TEXT NOT NULL, 
	note TEXT NOT NULL, 
	CONSTRAINT pk_transition PRIMARY KEY (id), 
	CONSTRAINT fk_transition_request_id FOREIGN KEY(request_id) REFERENCES request (id)
);
INSERT INTO "transition" VALUES(1,'f72fe4e0-86d4-44f4-a327-a348d1b7bee4','2026-11-23 22:22:59.153420','accepted','','');
INSERT INTO "transition" VALUES(2,'f72fe4e0-86d4-44f4-a327-a348d1b7bee4','2026-11-23 22:22:59.202864','running','open_request','');
INSERT INTO "transition" VALUES(3,'f72fe4e0-86d4-44f4-a327-a348d1b7bee4','2026-11-23 22:22:59.237874','running','prepare_workspace','');
INSERT INTO "transition" VALUES(4,'f72fe4e0-86d4-44f4-a327-a348d1b7bee4','2026-11-23 22:22:59.343855','running','fetch_asdm','');
INSERT INTO "transition" VALUES(5,'f72fe4e0-86d4-44f4-a327-a348d1b7bee4','2026-11-23 22:22:59.379845','running','fetch_products','');
INSERT INTO "transition" VALUES(6,'f72fe4e0-86d4-44f4-a327-a348d1b7bee4','2026-11-23 22:22:59.415075','running','stage','');
INSERT INTO "transition" VALUES(7,'f72fe4e0-86d4-44f4-a327-a348d1b7bee4','2026-11-23 22:22:59.448450','running','write_ppr','');
INSERT INTO "transition" VALUES(8,'f72fe4e0-86d4-44f4-a327-a348d1b7bee4','2026-11-23 22:22:59.495288','running','run_casa','');
INSERT INTO "transition" VALUES(9,'f72fe4e0-86d4-44f4-a327-a348d1b7bee4','2026-11-23 22:22:59.568567','running','verify','');
INSERT INTO "transition" VALUES(10,'f72fe4e0-86d4-44f4-a327-a348d1b7bee4','2026-11-23 22:22:59.633606','running','deliver','');
INSERT INTO "transition" VALUES(11,'f72fe4e0-86d4-44f4-a327-a348d1b7bee4','2026-11-23 22:22:59.800944','delivered','deliver','');
INSERT INTO "transition" VALUES(12,'f72fe4e0-86d4-44f4-a327-a348d1b7bee4','2026-11-23 22:22:59.866172','delivered','deliver','Told ada@example.org.');
INSERT INTO "transition" VALUES(13,'f39d5d97-99d3-4ff4-85f5-c7dd87db5d6b','2026-11-23 22:22:59.928230','accepted','','');
INSERT INTO "transition" VALUES(14,'f39d5d97-99d3-4ff4-85f5-c7dd87db5d6b','2026-11-23 22:22:59.966165','running','open_request','');
INSERT INTO "transition" VALUES(15,'f39d5d97-99d3-4ff4-85f5-c7dd87db5d6b','2026-11-23 22:22:59.995691','running','prepare_workspace','');
INSERT INTO "transition" VALUES(16,'f39d5d97-99d3-4ff4-85f5-c7dd87db5d6b','2026-11-23 22:23:00.142022','running','fetch_asdm','');
INSERT INTO "transition" VALUES(17,'f39d5d97-99d3-4ff4-85f5-c7dd87db5d6b','2026-11-23 22:23:00.188729','running','fetch_products','');
INSERT INTO "transition" VALUES(18,'f39d5d97-99d3-4ff4-85f5-c7dd87db5d6b','2026-11-23 22:23:00.246993','running','stage','');
INSERT INTO "transition" VALUES(19,'f39d5d97-99d3-4ff4-85f5-c7dd87db5d6b','2026-11-23 22:23:00.294260','running','write_ppr','');
INSERT INTO "transition" VALUES(20,'f39d5d97-99d3-4ff4-85f5-c7dd87db5d6b','2026-11-23 22:23:00.319660','running','run_casa','');
INSERT INTO "transition" VALUES(21,'f39d5d97-99d3-4ff4-85f5-c7dd87db5d6b','2026-11-23 22:23:00.386250','running','verify','');
INSERT INTO "transition" VALUES(22,'f39d5d97-99d3-4ff4-85f5-c7dd87db5d6b','2026-11-23 22:23:00.435094','running','deliver','');
INSERT INTO "transition" VALUES(23,'f39d5d97-99d3-4ff4-85f5-c7dd87db5d6b','2026-11-23 22:23:00.555235','delivered_with_warnings','deliver','Execution block uid://A002/Xf0/X1 has QA0 verdict SemiPass and was left out. Größe: 3 % of the data are flagged.');
INSERT INTO "transition" VALUES(24,'c6f8fcb0-603b-469e-8765-fe4052793623','2026-11-23 22:23:00.603600','accepted','','');
INSERT INTO "transition" VALUES(25,'c6f8fcb0-603b-469e-8765-fe4052793623','2026-11-23 22:23:00.643698','running','open_request','');
INSERT INTO "transition" VALUES(26,'c6f8fcb0-603b-469e-8765-fe4052793623','2026-11-23 22:23:00.686426','refused','open_request','The MOUS was calibrated by hand.');
INSERT INTO "transition" VALUES(27,'1ebac0b4-db57-48ec-9edf-7cf205681696','2026-11-23 22:23:00.715964','accepted','','');
INSERT INTO "transition" VALUES(28,'1ebac0b4-db57-48ec-9edf-7cf205681696','2026-11-23 22:23:00.760658','running','open_request','');
INSERT INTO "transition" VALUES(29,'1ebac0b4-db57-48ec-9edf-7cf205681696','2026-11-23 22:23:00.811152','running','prepare_workspace','');
INSERT INTO "transition" VALUES(30,'1ebac0b4-db57-48ec-9edf-7cf205681696','2026-11-23 22:23:00.923944','running','fetch_asdm','');
INSERT INTO "transition" VALUES(31,'1ebac0b4-db57-48ec-9edf-7cf205681696','2026-11-23 22:23:00.953236','running','fetch_products','');
INSERT INTO "transition" VALUES(32,'1ebac0b4-db57-48ec-9edf-7cf205681696','2026-11-23 22:23:00.979414','running','stage','');
INSERT INTO "transition" VALUES(33,'1ebac0b4-db57-48ec-9edf-7cf205681696','2026-11-23 22:23:01.014762','running','write_ppr','');
INSERT INTO "transition" VALUES(34,'1ebac0b4-db57-48ec-9edf-7cf205681696','2026-11-23 22:23:01.035470','running','run_casa','');
INSERT INTO "transition" VALUES(35,'1ebac0b4-db57-48ec-9edf-7cf205681696','2026-11-23 22:23:01.075982','failed','run_casa','CASA ended with exit code 1.');
INSERT INTO "transition" VALUES(36,'96c87a73-7fc8-4e5d-8c65-2ad50eae0dba','2026-11-23 22:23:01.146892','accepted','','');
INSERT INTO "transition" VALUES(37,'96c87a73-7fc8-4e5d-8c65-2ad50eae0dba','2026-11-23 22:23:01.208564','running','open_request','');
INSERT INTO "transition" VALUES(38,'96c87a73-7fc8-4e5d-8c65-2ad50eae0dba','2026-11-23 22:23:01.240119','running','prepare_workspace','');
INSERT INTO "transition" VALUES(39,'96c87a73-7fc8-4e5d-8c65-2ad50eae0dba','2026-11-23 22:23:01.347728','running','fetch_asdm','');
INSERT INTO "transition" VALUES(40,'96c87a73-7fc8-4e5d-8c65-2ad50eae0dba','2026-11-23 22:23:01.392546','running','fetch_products','');
INSERT INTO "transition" VALUES(41,'96c87a73-7fc8-4e5d-8c65-2ad50eae0dba','2026-11-23 22:23:01.432212','running','stage','');
INSERT INTO "transition" VALUES(42,'96c87a73-7fc8-4e5d-8c65-2ad50eae0dba','2026-11-23 22:23:01.492926','running','write_ppr','');
INSERT INTO "transition" VALUES(43,'96c87a73-7fc8-4e5d-8c65-2ad50eae0dba','2026-11-23 22:23:01.527393','running','run_casa','');
INSERT INTO "transition" VALUES(44,'2c997512-e5e3-4924-800c-3b482a2a46ca','2026-11-23 22:23:01.685608','accepted','','');
INSERT INTO "transition" VALUES(45,'2c997512-e5e3-4924-800c-3b482a2a46ca','2026-11-23 22:23:01.739058','cancelled','','Cancelled by ada.');
INSERT INTO "transition" VALUES(46,'3967dff6-0d54-41f6-ab4f-a8883b5812e4','2026-11-23 22:23:01.784067','accepted','','');
INSERT INTO "transition" VALUES(47,'3967dff6-0d54-41f6-ab4f-a8883b5812e4','2026-11-23 22:23:01.840791','refused','open_request','mous_uid ''uid://nonsense'': is no uid.');
INSERT INTO "transition" VALUES(48,'8bb737dd-42e5-4546-80ac-be9faf3beac3','2026-11-23 22:23:01.896534','accepted','','');
CREATE UNIQUE INDEX ix_calibration_mous_uid_fingerprint ON calibration (mous_uid, fingerprint);
CREATE INDEX ix_calibration_decision ON calibration (decision);
CREATE INDEX ix_request_mous_uid_fingerprint ON request (mous_uid, fingerprint);
CREATE INDEX ix_request_state_created_at ON request (state, created_at);
CREATE INDEX ix_request_eb_uid ON request (eb_uid);
CREATE INDEX ix_request_created_at ON request (created_at);
CREATE INDEX ix_transition_request_id ON transition (request_id);
CREATE INDEX ix_delivery_expires_at ON delivery (expires_at);
CREATE INDEX ix_reservation_root ON reservation (root);
COMMIT;
