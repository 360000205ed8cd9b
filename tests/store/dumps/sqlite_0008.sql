BEGIN TRANSACTION;
CREATE TABLE agents (
	id TEXT NOT NULL, 
	name TEXT, 
	team_id TEXT, 
	first_seen_at VARCHAR(26) NOT NULL, 
	updated_at VARCHAR(26) NOT NULL, 
	CONSTRAINT pk_agents PRIMARY KEY (id)
);
INSERT INTO "agents" VALUES('OhWlmEAzQO9dzdn','Sales research agent',NULL,'2026-11-25 09:06:46.171040','2026-11-25 09:06:46.197406');
INSERT INTO "agents" VALUES('lVP1dwVMhyKx5xz','Support triage',NULL,'2026-11-25 09:06:46.239018','2026-11-25 09:06:46.252523');
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0008');
CREATE TABLE database_identity (
	id INTEGER NOT NULL, 
	uuid VARCHAR(36) NOT NULL, 
	CONSTRAINT pk_database_identity PRIMARY KEY (id), 
	CONSTRAINT ck_database_identity_one_row CHECK (id = 1)
);
CREATE TABLE lakes (
	target TEXT NOT NULL, 
	as_of VARCHAR(26), 
	finished_at VARCHAR(26), 
	failed_at VARCHAR(26), 
	error TEXT, 
	CONSTRAINT pk_lakes PRIMARY KEY (target)
)
 WITHOUT ROWID

;
INSERT INTO "database_identity" VALUES(1,'3f6a4756-c269-4c53-a351-0b5b3d3c190e');
CREATE TABLE bookmarks (
	agent_id TEXT NOT NULL, 
	sort_order TEXT NOT NULL, 
	at VARCHAR(26) NOT NULL, 
	cursor TEXT NOT NULL, 
	CONSTRAINT pk_bookmarks PRIMARY KEY (agent_id, sort_order, at), 
	CONSTRAINT fk_bookmarks_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id)
);
CREATE TABLE calendar (
	time_zone TEXT NOT NULL, 
	day DATE NOT NULL, 
	from_utc VARCHAR(26) NOT NULL, 
	until_utc VARCHAR(26) NOT NULL, 
	offset_minutes INTEGER NOT NULL, 
	week DATE NOT NULL, 
	month DATE NOT NULL, 
	weekday INTEGER NOT NULL, 
	CONSTRAINT pk_calendar PRIMARY KEY (time_zone, day, from_utc)
)
 WITHOUT ROWID

;
INSERT INTO "calendar" VALUES('UTC','2026-09-01','2026-09-01 00:00:00.000000','2026-09-02 00:00:00.000000',0,'2026-08-31','2026-09-01',2);
INSERT INTO "calendar" VALUES('UTC','2026-09-02','2026-09-02 00:00:00.000000','2026-09-03 00:00:00.000000',0,'2026-08-31','2026-09-01',3);
INSERT INTO "calendar" VALUES('UTC','2026-09-03','2026-09-03 00:00:00.000000','2026-09-04 00:00:00.000000',0,'2026-08-31','2026-09-01',4);
INSERT INTO "calendar" VALUES('UTC','2026-09-04','2026-09-04 00:00:00.000000','2026-09-05 00:00:00.000000',0,'2026-08-31','2026-09-01',5);
INSERT INTO "calendar" VALUES('UTC','2026-09-05','2026-09-05 00:00:00.000000','2026-09-06 00:00:00.000000',0,'2026-08-31','2026-09-01',6);
INSERT INTO "calendar" VALUES('UTC','2026-09-06','2026-09-06 00:00:00.000000','2026-09-07 00:00:00.000000',0,'2026-08-31','2026-09-01',7);
INSERT INTO "calendar" VALUES('UTC','2026-09-07','2026-09-07 00:00:00.000000','2026-09-08 00:00:00.000000',0,'2026-09-07','2026-09-01',1);
INSERT INTO "calendar" VALUES('UTC','2026-09-08','2026-09-08 00:00:00.000000','2026-09-09 00:00:00.000000',0,'2026-09-07','2026-09-01',2);
INSERT INTO "calendar" VALUES('UTC','2026-09-09','2026-09-09 00:00:00.000000','2026-09-10 00:00:00.000000',0,'2026-09-07','2026-09-01',3);
INSERT INTO "calendar" VALUES('UTC','2026-09-10','2026-09-10 00:00:00.000000','2026-09-11 00:00:00.000000',0,'2026-09-07','2026-09-01',4);
INSERT INTO "calendar" VALUES('UTC','2026-09-11','2026-09-11 00:00:00.000000','2026-09-12 00:00:00.000000',0,'2026-09-07','2026-09-01',5);
INSERT INTO "calendar" VALUES('UTC','2026-09-12','2026-09-12 00:00:00.000000','2026-09-13 00:00:00.000000',0,'2026-09-07','2026-09-01',6);
INSERT INTO "calendar" VALUES('UTC','2026-09-13','2026-09-13 00:00:00.000000','2026-09-14 00:00:00.000000',0,'2026-09-07','2026-09-01',7);
INSERT INTO "calendar" VALUES('UTC','2026-09-14','2026-09-14 00:00:00.000000','2026-09-15 00:00:00.000000',0,'2026-09-14','2026-09-01',1);
INSERT INTO "calendar" VALUES('UTC','2026-09-15','2026-09-15 00:00:00.000000','2026-09-16 00:00:00.000000',0,'2026-09-14','2026-09-01',2);
INSERT INTO "calendar" VALUES('UTC','2026-09-16','2026-09-16 00:00:00.000000','2026-09-17 00:00:00.000000',0,'2026-09-14','2026-09-01',3);
INSERT INTO "calendar" VALUES('UTC','2026-09-17','2026-09-17 00:00:00.000000','2026-09-18 00:00:00.000000',0,'2026-09-14','2026-09-01',4);
INSERT INTO "calendar" VALUES('UTC','2026-09-18','2026-09-18 00:00:00.000000','2026-09-19 00:00:00.000000',0,'2026-09-14','2026-09-01',5);
INSERT INTO "calendar" VALUES('UTC','2026-09-19','2026-09-19 00:00:00.000000','2026-09-20 00:00:00.000000',0,'2026-09-14','2026-09-01',6);
INSERT INTO "calendar" VALUES('UTC','2026-09-20','2026-09-20 00:00:00.000000','2026-09-21 00:00:00.000000',0,'2026-09-14','2026-09-01',7);
INSERT INTO "calendar" VALUES('UTC','2026-09-21','2026-09-21 00:00:00.000000','2026-09-22 00:00:00.000000',0,'2026-09-21','2026-09-01',1);
INSERT INTO "calendar" VALUES('UTC','2026-09-22','2026-09-22 00:00:00.000000','2026-09-23 00:00:00.000000',0,'2026-09-21','2026-09-01',2);
INSERT INTO "calendar" VALUES('UTC','2026-09-23','2026-09-23 00:00:00.000000','2026-09-24 00:00:00.000000',0,'2026-09-21','2026-09-01',3);
INSERT INTO "calendar" VALUES('UTC','2026-09-24','2026-09-24 00:00:00.000000','2026-09-25 00:00:00.000000',0,'2026-09-21','2026-09-01',4);
INSERT INTO "calendar" VALUES('UTC','2026-09-25','2026-09-25 00:00:00.000000','2026-09-26 00:00:00.000000',0,'2026-09-21','2026-09-01',5);
INSERT INTO "calendar" VALUES('UTC','2026-09-26','2026-09-26 00:00:00.000000','2026-09-27 00:00:00.000000',0,'2026-09-21','2026-09-01',6);
INSERT INTO "calendar" VALUES('UTC','2026-09-27','2026-09-27 00:00:00.000000','2026-09-28 00:00:00.000000',0,'2026-09-21','2026-09-01',7);
INSERT INTO "calendar" VALUES('UTC','2026-09-28','2026-09-28 00:00:00.000000','2026-09-29 00:00:00.000000',0,'2026-09-28','2026-09-01',1);
INSERT INTO "calendar" VALUES('UTC','2026-09-29','2026-09-29 00:00:00.000000','2026-09-30 00:00:00.000000',0,'2026-09-28','2026-09-01',2);
INSERT INTO "calendar" VALUES('UTC','2026-09-30','2026-09-30 00:00:00.000000','2026-10-01 00:00:00.000000',0,'2026-09-28','2026-09-01',3);
INSERT INTO "calendar" VALUES('UTC','2026-10-01','2026-10-01 00:00:00.000000','2026-10-02 00:00:00.000000',0,'2026-09-28','2026-10-01',4);
INSERT INTO "calendar" VALUES('UTC','2026-10-02','2026-10-02 00:00:00.000000','2026-10-03 00:00:00.000000',0,'2026-09-28','2026-10-01',5);
INSERT INTO "calendar" VALUES('UTC','2026-10-03','2026-10-03 00:00:00.000000','2026-10-04 00:00:00.000000',0,'2026-09-28','2026-10-01',6);
INSERT INTO "calendar" VALUES('UTC','2026-10-04','2026-10-04 00:00:00.000000','2026-10-05 00:00:00.000000',0,'2026-09-28','2026-10-01',7);
INSERT INTO "calendar" VALUES('UTC','2026-10-05','2026-10-05 00:00:00.000000','2026-10-06 00:00:00.000000',0,'2026-10-05','2026-10-01',1);
INSERT INTO "calendar" VALUES('UTC','2026-10-06','2026-10-06 00:00:00.000000','2026-10-07 00:00:00.000000',0,'2026-10-05','2026-10-01',2);
INSERT INTO "calendar" VALUES('UTC','2026-10-07','2026-10-07 00:00:00.000000','2026-10-08 00:00:00.000000',0,'2026-10-05','2026-10-01',3);
INSERT INTO "calendar" VALUES('UTC','2026-10-08','2026-10-08 00:00:00.000000','2026-10-09 00:00:00.000000',0,'2026-10-05','2026-10-01',4);
INSERT INTO "calendar" VALUES('UTC','2026-10-09','2026-10-09 00:00:00.000000','2026-10-10 00:00:00.000000',0,'2026-10-05','2026-10-01',5);
INSERT INTO "calendar" VALUES('UTC','2026-10-10','2026-10-10 00:00:00.000000','2026-10-11 00:00:00.000000',0,'2026-10-05','2026-10-01',6);
INSERT INTO "calendar" VALUES('UTC','2026-10-11','2026-10-11 00:00:00.000000','2026-10-12 00:00:00.000000',0,'2026-10-05','2026-10-01',7);
INSERT INTO "calendar" VALUES('UTC','2026-10-12','2026-10-12 00:00:00.000000','2026-10-13 00:00:00.000000',0,'2026-10-12','2026-10-01',1);
INSERT INTO "calendar" VALUES('UTC','2026-10-13','2026-10-13 00:00:00.000000','2026-10-14 00:00:00.000000',0,'2026-10-12','2026-10-01',2);
INSERT INTO "calendar" VALUES('UTC','2026-10-14','2026-10-14 00:00:00.000000','2026-10-15 00:00:00.000000',0,'2026-10-12','2026-10-01',3);
INSERT INTO "calendar" VALUES('UTC','2026-10-15','2026-10-15 00:00:00.000000','2026-10-16 00:00:00.000000',0,'2026-10-12','2026-10-01',4);
INSERT INTO "calendar" VALUES('UTC','2026-10-16','2026-10-16 00:00:00.000000','2026-10-17 00:00:00.000000',0,'2026-10-12','2026-10-01',5);
INSERT INTO "calendar" VALUES('UTC','2026-10-17','2026-10-17 00:00:00.000000','2026-10-18 00:00:00.000000',0,'2026-10-12','2026-10-01',6);
INSERT INTO "calendar" VALUES('UTC','2026-10-18','2026-10-18 00:00:00.000000','2026-10-19 00:00:00.000000',0,'2026-10-12','2026-10-01',7);
INSERT INTO "calendar" VALUES('UTC','2026-10-19','2026-10-19 00:00:00.000000','2026-10-20 00:00:00.000000',0,'2026-10-19','2026-10-01',1);
INSERT INTO "calendar" VALUES('UTC','2026-10-20','2026-10-20 00:00:00.000000','2026-10-21 00:00:00.000000',0,'2026-10-19','2026-10-01',2);
INSERT INTO "calendar" VALUES('UTC','2026-10-21','2026-10-21 00:00:00.000000','2026-10-22 00:00:00.000000',0,'2026-10-19','2026-10-01',3);
INSERT INTO "calendar" VALUES('UTC','2026-10-22','2026-10-22 00:00:00.000000','2026-10-23 00:00:00.000000',0,'2026-10-19','2026-10-01',4);
INSERT INTO "calendar" VALUES('UTC','2026-10-23','2026-10-23 00:00:00.000000','2026-10-24 00:00:00.000000',0,'2026-10-19','2026-10-01',5);
INSERT INTO "calendar" VALUES('UTC','2026-10-24','2026-10-24 00:00:00.000000','2026-10-25 00:00:00.000000',0,'2026-10-19','2026-10-01',6);
INSERT INTO "calendar" VALUES('UTC','2026-10-25','2026-10-25 00:00:00.000000','2026-10-26 00:00:00.000000',0,'2026-10-19','2026-10-01',7);
INSERT INTO "calendar" VALUES('UTC','2026-10-26','2026-10-26 00:00:00.000000','2026-10-27 00:00:00.000000',0,'2026-10-26','2026-10-01',1);
INSERT INTO "calendar" VALUES('UTC','2026-10-27','2026-10-27 00:00:00.000000','2026-10-28 00:00:00.000000',0,'2026-10-26','2026-10-01',2);
INSERT INTO "calendar" VALUES('UTC','2026-10-28','2026-10-28 00:00:00.000000','2026-10-29 00:00:00.000000',0,'2026-10-26','2026-10-01',3);
INSERT INTO "calendar" VALUES('UTC','2026-10-29','2026-10-29 00:00:00.000000','2026-10-30 00:00:00.000000',0,'2026-10-26','2026-10-01',4);
INSERT INTO "calendar" VALUES('UTC','2026-10-30','2026-10-30 00:00:00.000000','2026-10-31 00:00:00.000000',0,'2026-10-26','2026-10-01',5);
INSERT INTO "calendar" VALUES('UTC','2026-10-31','2026-10-31 00:00:00.000000','2026-11-01 00:00:00.000000',0,'2026-10-26','2026-10-01',6);
INSERT INTO "calendar" VALUES('UTC','2026-11-01','2026-11-01 00:00:00.000000','2026-11-02 00:00:00.000000',0,'2026-10-26','2026-11-01',7);
INSERT INTO "calendar" VALUES('UTC','2026-11-02','2026-11-02 00:00:00.000000','2026-11-03 00:00:00.000000',0,'2026-11-02','2026-11-01',1);
INSERT INTO "calendar" VALUES('UTC','2026-11-03','2026-11-03 00:00:00.000000','2026-11-04 00:00:00.000000',0,'2026-11-02','2026-11-01',2);
INSERT INTO "calendar" VALUES('UTC','2026-11-04','2026-11-04 00:00:00.000000','2026-11-05 00:00:00.000000',0,'2026-11-02','2026-11-01',3);
INSERT INTO "calendar" VALUES('UTC','2026-11-05','2026-11-05 00:00:00.000000','2026-11-06 00:00:00.000000',0,'2026-11-02','2026-11-01',4);
INSERT INTO "calendar" VALUES('UTC','2026-11-06','2026-11-06 00:00:00.000000','2026-11-07 00:00:00.000000',0,'2026-11-02','2026-11-01',5);
INSERT INTO "calendar" VALUES('UTC','2026-11-07','2026-11-07 00:00:00.000000','2026-11-08 00:00:00.000000',0,'2026-11-02','2026-11-01',6);
INSERT INTO "calendar" VALUES('UTC','2026-11-08','2026-11-08 00:00:00.000000','2026-11-09 00:00:00.000000',0,'2026-11-02','2026-11-01',7);
INSERT INTO "calendar" VALUES('UTC','2026-11-09','2026-11-09 00:00:00.000000','2026-11-10 00:00:00.000000',0,'2026-11-09','2026-11-01',1);
INSERT INTO "calendar" VALUES('UTC','2026-11-10','2026-11-10 00:00:00.000000','2026-11-11 00:00:00.000000',0,'2026-11-09','2026-11-01',2);
INSERT INTO "calendar" VALUES('UTC','2026-11-11','2026-11-11 00:00:00.000000','2026-11-12 00:00:00.000000',0,'2026-11-09','2026-11-01',3);
INSERT INTO "calendar" VALUES('UTC','2026-11-12','2026-11-12 00:00:00.000000','2026-11-13 00:00:00.000000',0,'2026-11-09','2026-11-01',4);
INSERT INTO "calendar" VALUES('UTC','2026-11-13','2026-11-13 00:00:00.000000','2026-11-14 00:00:00.000000',0,'2026-11-09','2026-11-01',5);
INSERT INTO "calendar" VALUES('UTC','2026-11-14','2026-11-14 00:00:00.000000','2026-11-15 00:00:00.000000',0,'2026-11-09','2026-11-01',6);
INSERT INTO "calendar" VALUES('UTC','2026-11-15','2026-11-15 00:00:00.000000','2026-11-16 00:00:00.000000',0,'2026-11-09','2026-11-01',7);
INSERT INTO "calendar" VALUES('UTC','2026-11-16','2026-11-16 00:00:00.000000','2026-11-17 00:00:00.000000',0,'2026-11-16','2026-11-01',1);
INSERT INTO "calendar" VALUES('UTC','2026-11-17','2026-11-17 00:00:00.000000','2026-11-18 00:00:00.000000',0,'2026-11-16','2026-11-01',2);
INSERT INTO "calendar" VALUES('UTC','2026-11-18','2026-11-18 00:00:00.000000','2026-11-19 00:00:00.000000',0,'2026-11-16','2026-11-01',3);
INSERT INTO "calendar" VALUES('UTC','2026-11-19','2026-11-19 00:00:00.000000','2026-11-20 00:00:00.000000',0,'2026-11-16','2026-11-01',4);
INSERT INTO "calendar" VALUES('UTC','2026-11-20','2026-11-20 00:00:00.000000','2026-11-21 00:00:00.000000',0,'2026-11-16','2026-11-01',5);
INSERT INTO "calendar" VALUES('UTC','2026-11-21','2026-11-21 00:00:00.000000','2026-11-22 00:00:00.000000',0,'2026-11-16','2026-11-01',6);
INSERT INTO "calendar" VALUES('UTC','2026-11-22','2026-11-22 00:00:00.000000','2026-11-23 00:00:00.000000',0,'2026-11-16','2026-11-01',7);
INSERT INTO "calendar" VALUES('UTC','2026-11-23','2026-11-23 00:00:00.000000','2026-11-24 00:00:00.000000',0,'2026-11-23','2026-11-01',1);
INSERT INTO "calendar" VALUES('UTC','2026-11-24','2026-11-24 00:00:00.000000','2026-11-25 00:00:00.000000',0,'2026-11-23','2026-11-01',2);
INSERT INTO "calendar" VALUES('UTC','2026-11-25','2026-11-25 00:00:00.000000','2026-11-26 00:00:00.000000',0,'2026-11-23','2026-11-01',3);
INSERT INTO "calendar" VALUES('UTC','2026-11-26','2026-11-26 00:00:00.000000','2026-11-27 00:00:00.000000',0,'2026-11-23','2026-11-01',4);
INSERT INTO "calendar" VALUES('UTC','2026-11-27','2026-11-27 00:00:00.000000','2026-11-28 00:00:00.000000',0,'2026-11-23','2026-11-01',5);
INSERT INTO "calendar" VALUES('UTC','2026-11-28','2026-11-28 00:00:00.000000','2026-11-29 00:00:00.000000',0,'2026-11-23','2026-11-01',6);
INSERT INTO "calendar" VALUES('UTC','2026-11-29','2026-11-29 00:00:00.000000','2026-11-30 00:00:00.000000',0,'2026-11-23','2026-11-01',7);
INSERT INTO "calendar" VALUES('UTC','2026-11-30','2026-11-30 00:00:00.000000','2026-12-01 00:00:00.000000',0,'2026-11-30','2026-11-01',1);
CREATE TABLE coverage (
	agent_id TEXT NOT NULL, 
	oldest_created_at VARCHAR(26), 
	newest_created_at VARCHAR(26) NOT NULL, 
	proven_at VARCHAR(26), 
	below_cursor TEXT, 
	below_at VARCHAR(26), 
	above_cursor TEXT, 
	above_at VARCHAR(26), 
	CONSTRAINT pk_coverage PRIMARY KEY (agent_id, newest_created_at), 
	CONSTRAINT fk_coverage_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id)
);
INSERT INTO "coverage" VALUES('OhWlmEAzQO9dzdn',NULL,'2026-11-25 09:06:46.183228','2026-11-25 09:06:46.183228',NULL,NULL,NULL,NULL);
INSERT INTO "coverage" VALUES('lVP1dwVMhyKx5xz',NULL,'2026-11-25 09:06:46.350319','2026-11-25 09:06:46.350319',NULL,NULL,NULL,NULL);
CREATE TABLE creators (
	id TEXT NOT NULL, 
	first_name TEXT, 
	last_name TEXT, 
	email TEXT, 
	profile_picture TEXT, 
	first_seen_at VARCHAR(26) NOT NULL, 
	updated_at VARCHAR(26) NOT NULL, 
	as_of VARCHAR(26) NOT NULL, 
	CONSTRAINT pk_creators PRIMARY KEY (id)
);
INSERT INTO "creators" VALUES('üser','Zoë',NULL,NULL,NULL,'2026-11-25 09:06:46.197406','2026-11-25 09:06:46.197406','2026-11-25 09:06:46.183228');
INSERT INTO "creators" VALUES('user_2b9f2302','Œdipe','d''Étampes','person14@example.com',NULL,'2026-11-25 09:06:46.197406','2026-11-25 09:06:46.197406','2026-11-25 09:06:46.183228');
INSERT INTO "creators" VALUES('user_2b9d71f0','Ada','Lovelace','person0@example.com',NULL,'2026-11-25 09:06:46.197406','2026-11-25 09:06:46.197406','2026-11-25 09:06:46.183228');
INSERT INTO "creators" VALUES('user_2b9e8857','Ольга','Петрова','person9@example.com',NULL,'2026-11-25 09:06:46.197406','2026-11-25 09:06:46.197406','2026-11-25 09:06:46.183228');
INSERT INTO "creators" VALUES('user_2b9d90df','Дмитрий','Шостакович','person1@example.com','https://img.example.com/1.png','2026-11-25 09:06:46.203513','2026-11-25 09:06:46.203513','2026-11-25 09:06:46.186234');
INSERT INTO "creators" VALUES('user_2b9dcebd','小龍','李','person3@example.com',NULL,'2026-11-25 09:06:46.203513','2026-11-25 09:06:46.203513','2026-11-25 09:06:46.186234');
INSERT INTO "creators" VALUES('user_2b9e4a79','🦊','Foxglove','person7@example.com','https://img.example.com/7.png','2026-11-25 09:06:46.203513','2026-11-25 09:06:46.203513','2026-11-25 09:06:46.186234');
INSERT INTO "creators" VALUES('user_2b9e0c9b','José','Núñez','person5@example.com',NULL,'2026-11-25 09:06:46.252523','2026-11-25 09:06:46.252523','2026-11-25 09:06:46.245485');
INSERT INTO "creators" VALUES('user_2b9e2b8a','さくら','田中',NULL,NULL,'2026-11-25 09:06:46.252523','2026-11-25 09:06:46.252523','2026-11-25 09:06:46.245485');
INSERT INTO "creators" VALUES('user_2b9ec635','אברהם',NULL,NULL,NULL,'2026-11-25 09:06:46.252523','2026-11-25 09:06:46.252523','2026-11-25 09:06:46.245485');
CREATE TABLE forgotten (
	pseudonym VARCHAR(64) NOT NULL, 
	forgotten_at VARCHAR(26) NOT NULL, 
	CONSTRAINT pk_forgotten PRIMARY KEY (pseudonym)
)
 WITHOUT ROWID

;
CREATE TABLE forgotten_sessions (
	session_id TEXT NOT NULL, 
	CONSTRAINT pk_forgotten_sessions PRIMARY KEY (session_id)
)
 WITHOUT ROWID

;
CREATE TABLE privacy (
	id INTEGER NOT NULL, 
	rules TEXT NOT NULL, 
	salt TEXT, 
	CONSTRAINT pk_privacy PRIMARY KEY (id), 
	CONSTRAINT ck_privacy_one_row CHECK (id = 1)
);
INSERT INTO "privacy" VALUES(1,'keep keep -',NULL);
CREATE TABLE rejected_records (
	id INTEGER NOT NULL, 
	agent_id TEXT NOT NULL, 
	run_id INTEGER, 
	received_at VARCHAR(26) NOT NULL, 
	payload TEXT NOT NULL, 
	payload_sha256 VARCHAR(64) NOT NULL, 
	reason TEXT NOT NULL, 
	session_id TEXT, 
	resolved_at VARCHAR(26), 
	CONSTRAINT pk_rejected_records PRIMARY KEY (id), 
	CONSTRAINT fk_rejected_records_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id), 
	CONSTRAINT fk_rejected_records_run_id FOREIGN KEY(run_id) REFERENCES sync_runs (id), 
	CONSTRAINT uq_rejected_records_agent_id_payload_sha256 UNIQUE (agent_id, payload_sha256)
);
INSERT INTO "rejected_records" VALUES(1,'lVP1dwVMhyKx5xz',4,'2026-11-25 09:06:46.350319','{"id":"sess_odd","created_at":"last Tuesday"}','7f6f2fe98741ee07213850ac94a3d893616400016bb8fadef63f6db3d5a898a3','not a timestamp: ''last Tuesday'' - at `$.created_at`','sess_odd',NULL);
CREATE TABLE report_settings (
	id INTEGER NOT NULL, 
	time_zone TEXT NOT NULL, 
	CONSTRAINT pk_report_settings PRIMARY KEY (id), 
	CONSTRAINT ck_report_settings_one_row CHECK (id = 1)
);
INSERT INTO "report_settings" VALUES(1,'UTC');
CREATE TABLE retrievals (
	session_id TEXT NOT NULL, 
	retrieved_at VARCHAR(26) NOT NULL, 
	CONSTRAINT pk_retrievals PRIMARY KEY (session_id), 
	CONSTRAINT fk_retrievals_session_id FOREIGN KEY(session_id) REFERENCES sessions (id)
)
 WITHOUT ROWID

;
INSERT INTO "retrievals" VALUES('sess_QNBdXKWTwI','2026-11-25 09:06:46.314222');
CREATE TABLE session_messages (
	number INTEGER NOT NULL, 
	session_id TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	id TEXT, 
	role TEXT, 
	content TEXT, 
	created_at VARCHAR(26), 
	creator_id TEXT, 
	parts JSON, 
	extra JSON, 
	search_text TEXT, 
	CONSTRAINT pk_session_messages PRIMARY KEY (number), 
	CONSTRAINT fk_session_messages_session_id FOREIGN KEY(session_id) REFERENCES sessions (id), 
	CONSTRAINT uq_session_messages_session_id_position UNIQUE (session_id, position)
);
INSERT INTO "session_messages" VALUES(1,'sess_0pz7jxCvfs',0,'m0','user','Grüße 0 № 1','2026-10-20 10:00:00.000000',NULL,NULL,'{"odd":0}',NULL);
INSERT INTO "session_messages" VALUES(2,'sess_33jAuKSpgZ',0,'m0','user','Grüße 0 № 2','2026-10-20 10:00:00.000000','user_2b9f2302',NULL,'{"odd":0}',NULL);
INSERT INTO "session_messages" VALUES(3,'sess_33jAuKSpgZ',1,'m1','assistant',NULL,'2026-10-20 10:00:00.000000','user_2b9f2302','[{"type":"text","text":"Teil 1"}]','{"odd":1}','Teil 1');
INSERT INTO "session_messages" VALUES(4,'sess_5DUizPLPmu',0,'m0','user','Grüße 0 № 3','2026-10-20 10:00:00.000000','user_2b9d71f0',NULL,'{"odd":0}',NULL);
INSERT INTO "session_messages" VALUES(5,'sess_5DUizPLPmu',1,'m1','assistant',NULL,'2026-10-20 10:00:00.000000','user_2b9d71f0','[{"type":"text","text":"Teil 1"}]','{"odd":1}','Teil 1');
INSERT INTO "session_messages" VALUES(6,'sess_5DUizPLPmu',2,'m2','user','Grüße 2 № 3','2026-10-20 10:00:00.000000','user_2b9d71f0',NULL,'{"odd":2}',NULL);
CREATE TABLE sessions (
	id TEXT NOT NULL, 
	agent_id TEXT NOT NULL, 
	creator_id TEXT, 
	name TEXT, 
	type TEXT, 
	state TEXT, 
	created_at VARCHAR(26), 
	credit_cost NUMERIC, 
	tool_credit_cost NUMERIC, 
	flow_credit_cost NUMERIC, 
	input_tokens BIGINT, 
	cached_input_tokens BIGINT, 
	cache_write_input_tokens BIGINT, 
	output_tokens BIGINT, 
	reasoning_tokens BIGINT, 
	extra JSON, 
	first_seen_at VARCHAR(26) NOT NULL, 
	updated_at VARCHAR(26) NOT NULL, 
	missing_since VARCHAR(26), 
	as_of VARCHAR(26) NOT NULL, first_run_id INTEGER, 
	CONSTRAINT pk_sessions PRIMARY KEY (id), 
	CONSTRAINT fk_sessions_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id), 
	CONSTRAINT fk_sessions_creator_id FOREIGN KEY(creator_id) REFERENCES creators (id)
);
INSERT INTO "sessions" VALUES('sess_''ünï💥','OhWlmEAzQO9dzdn','üser','Ünï ''quoted'' \ 💥
line','slack','idle','2026-10-25 12:00:00.000000',1.32,0.5141,0.0326,7657,NULL,NULL,1963,NULL,'{"odd":{"ключ":[1,null]}}','2026-11-25 09:06:46.197406','2026-11-25 09:06:46.197406',NULL,'2026-11-25 09:06:46.183228',NULL);
INSERT INTO "sessions" VALUES('sess_33jAuKSpgZ','OhWlmEAzQO9dzdn','user_2b9f2302','Invoice #890','triggered','failed','2026-10-22 15:24:54.000000',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-25 09:06:46.197406','2026-11-25 09:06:46.197406',NULL,'2026-11-25 09:06:46.183228',NULL);
INSERT INTO "sessions" VALUES('sess_JA629a65Nu','OhWlmEAzQO9dzdn','user_2b9e8857','Invoice','slack','completed','2026-10-16 08:32:54.000000',10.98,2.65,0.2465,1695,487,2022,8329,210,NULL,'2026-11-25 09:06:46.197406','2026-11-25 09:06:46.197406',NULL,'2026-11-25 09:06:46.183228',NULL);
INSERT INTO "sessions" VALUES('sess_gRVOEkRyC4','OhWlmEAzQO9dzdn','user_2b9d71f0','تقرير المبيعات #2804','chat','completed','2026-10-16 13:00:41.000000',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-25 09:06:46.197406','2026-11-25 09:06:46.197406',NULL,'2026-11-25 09:06:46.183228',NULL);
INSERT INTO "sessions" VALUES('sess_OLarGTUzb1','OhWlmEAzQO9dzdn','user_2b9e4a79','تقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعاتتقرير المبيعات','api','completed','2026-10-14 12:18:03.000000',137.37,46.31,19.74,132,NULL,NULL,3642,NULL,NULL,'2026-11-25 09:06:46.203513','2026-11-25 09:06:46.203513',NULL,'2026-11-25 09:06:46.186234',NULL);
INSERT INTO "sessions" VALUES('sess_TWkSXvBjtT','OhWlmEAzQO9dzdn','user_2b9dcebd','Research task #8570','chat','completed','2026-10-14 09:14:15.000000',2.12,0.7488,0.1127,1569,108,2359,185,1014,NULL,'2026-11-25 09:06:46.203513','2026-11-25 09:06:46.203513',NULL,'2026-11-25 09:06:46.186234',NULL);
INSERT INTO "sessions" VALUES('sess_VrtBDp7Pck','OhWlmEAzQO9dzdn','user_2b9d90df',NULL,'chat','completed','2026-10-12 16:43:13.000000',14.72,1.29,2.11,1783,96,NULL,441,306,NULL,'2026-11-25 09:06:46.203513','2026-11-25 09:06:46.203513',NULL,'2026-11-25 09:06:46.186234',NULL);
INSERT INTO "sessions" VALUES('sess_nxVISxQVZa','OhWlmEAzQO9dzdn','user_2b9d71f0','👩🏽‍💻 pairing notes #3266','chat','completed','2026-10-15 15:31:16.000000',9.87,3.53,1.77,1597,NULL,NULL,28,NULL,NULL,'2026-11-25 09:06:46.203513','2026-11-25 09:06:46.203513',NULL,'2026-11-25 09:06:46.187803',NULL);
INSERT INTO "sessions" VALUES('sess_o2bNHgLyzL','OhWlmEAzQO9dzdn','user_2b9e8857','Quarterly report #1126','api','completed','2026-10-15 08:58:40.000000',2.04,0.562,0.1652,13594,NULL,NULL,4308,NULL,NULL,'2026-11-25 09:06:46.203513','2026-11-25 09:06:46.203513',NULL,'2026-11-25 09:06:46.187803',NULL);
INSERT INTO "sessions" VALUES('sess_undated','OhWlmEAzQO9dzdn',NULL,'Summarise the thread in #general','triggered','processing',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-25 09:06:46.203513','2026-11-25 09:06:46.203513',NULL,'2026-11-25 09:06:46.186234',NULL);
INSERT INTO "sessions" VALUES('sess_OOsp70PLQL','lVP1dwVMhyKx5xz','user_2b9d71f0','Lead list, 50 % done #3750','chat','completed','2026-10-22 09:46:27.000000',9.49,3.32,0.0582,2955,NULL,NULL,1136,NULL,NULL,'2026-11-25 09:06:46.252523','2026-11-25 09:06:46.319367','2026-11-25 09:06:46.290151','2026-11-25 09:06:46.243336',NULL);
INSERT INTO "sessions" VALUES('sess_QMkTOq7SrZ','lVP1dwVMhyKx5xz','user_2b9e2b8a','Fix: NULL in ''orders'' -- drop? #1051','slack','completed','2026-10-21 08:00:17.000000',0.679,0.2214,0.0568,26580,NULL,NULL,4559,NULL,NULL,'2026-11-25 09:06:46.252523','2026-11-25 09:06:46.252523',NULL,'2026-11-25 09:06:46.245485',NULL);
INSERT INTO "sessions" VALUES('sess_QNBdXKWTwI','lVP1dwVMhyKx5xz','user_2b9e0c9b','Line one
line two #4248','web','idle','2026-10-21 08:35:15.000000',1.12,0.3678,0.0683,6561,NULL,NULL,162,NULL,NULL,'2026-11-25 09:06:46.252523','2026-11-25 09:06:46.252523',NULL,'2026-11-25 09:06:46.245485',NULL);
INSERT INTO "sessions" VALUES('sess_YVZFf8ZuJq','lVP1dwVMhyKx5xz','user_2b9d71f0','تقرير المبيعات','api','completed','2026-10-14 11:33:49.000000',3.67,0.1434,0.692,26884,NULL,NULL,455,NULL,NULL,'2026-11-25 09:06:46.252523','2026-11-25 09:06:46.252523',NULL,'2026-11-25 09:06:46.245485',NULL);
INSERT INTO "sessions" VALUES('sess_gdn3JFu4gb','lVP1dwVMhyKx5xz','user_2b9ec635','Follow-up call','api','completed','2026-10-19 10:06:11.000000',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-25 09:06:46.252523','2026-11-25 09:06:46.252523',NULL,'2026-11-25 09:06:46.245485',NULL);
INSERT INTO "sessions" VALUES('sess_ldzyids1Yt','lVP1dwVMhyKx5xz','user_2b9dcebd','Lead list, 50 % done','triggered','failed','2026-10-21 11:08:36.000000',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-25 09:06:46.252523','2026-11-25 09:06:46.252523',NULL,'2026-11-25 09:06:46.243336',NULL);
INSERT INTO "sessions" VALUES('sess_night','lVP1dwVMhyKx5xz','user_2b9dcebd','Follow-up call #5677','api','completed','2026-10-25 00:59:59.999999',1.25,NULL,NULL,7,NULL,NULL,NULL,NULL,NULL,'2026-11-25 09:06:46.252523','2026-11-25 09:06:46.295456',NULL,'2026-11-25 09:06:46.290151',NULL);
INSERT INTO "sessions" VALUES('sess_0pz7jxCvfs','lVP1dwVMhyKx5xz',NULL,'👩🏽‍💻 pairing notes #5454','web','completed','2026-10-07 10:40:03.000000',5.91,1.81,0.3628,865,NULL,NULL,221,NULL,NULL,'2026-11-25 09:06:46.257226','2026-11-25 09:06:46.257226',NULL,'2026-11-25 09:06:46.246868',NULL);
INSERT INTO "sessions" VALUES('sess_5DUizPLPmu','lVP1dwVMhyKx5xz','user_2b9d71f0','Invoice #1061','triggered','completed','2026-10-09 14:44:01.000000',2.6,0.6642,0.1319,1994,NULL,NULL,135,NULL,NULL,'2026-11-25 09:06:46.257226','2026-11-25 09:06:46.257226',NULL,'2026-11-25 09:06:46.246868',NULL);
CREATE TABLE "state_changes" (
    session_id TEXT NOT NULL,
    state TEXT,
    observed_at VARCHAR(26) NOT NULL,
    run_id INTEGER,
    CONSTRAINT pk_session_states PRIMARY KEY (session_id, observed_at),
    CONSTRAINT fk_session_states_session_id FOREIGN KEY(session_id) REFERENCES sessions (id)
) WITHOUT ROWID
;
INSERT INTO "state_changes" VALUES('sess_''ünï💥','idle','2026-11-25 09:06:46.183228',1);
INSERT INTO "state_changes" VALUES('sess_0pz7jxCvfs','completed','2026-11-25 09:06:46.246868',2);
INSERT INTO "state_changes" VALUES('sess_33jAuKSpgZ','failed','2026-11-25 09:06:46.183228',1);
INSERT INTO "state_changes" VALUES('sess_5DUizPLPmu','completed','2026-11-25 09:06:46.246868',2);
INSERT INTO "state_changes" VALUES('sess_JA629a65Nu','completed','2026-11-25 09:06:46.183228',1);
INSERT INTO "state_changes" VALUES('sess_OLarGTUzb1','completed','2026-11-25 09:06:46.186234',1);
INSERT INTO "state_changes" VALUES('sess_OOsp70PLQL','completed','2026-11-25 09:06:46.243336',2);
INSERT INTO "state_changes" VALUES('sess_QMkTOq7SrZ','completed','2026-11-25 09:06:46.245485',2);
INSERT INTO "state_changes" VALUES('sess_QNBdXKWTwI','idle','2026-11-25 09:06:46.245485',2);
INSERT INTO "state_changes" VALUES('sess_TWkSXvBjtT','completed','2026-11-25 09:06:46.186234',1);
INSERT INTO "state_changes" VALUES('sess_VrtBDp7Pck','completed','2026-11-25 09:06:46.186234',1);
INSERT INTO "state_changes" VALUES('sess_YVZFf8ZuJq','completed','2026-11-25 09:06:46.245485',2);
INSERT INTO "state_changes" VALUES('sess_gRVOEkRyC4','completed','2026-11-25 09:06:46.183228',1);
INSERT INTO "state_changes" VALUES('sess_gdn3JFu4gb','completed','2026-11-25 09:06:46.245485',2);
INSERT INTO "state_changes" VALUES('sess_ldzyids1Yt','failed','2026-11-25 09:06:46.243336',2);
INSERT INTO "state_changes" VALUES('sess_night','processing','2026-11-25 09:06:46.243336',2);
INSERT INTO "state_changes" VALUES('sess_night','completed','2026-11-25 09:06:46.290151',3);
INSERT INTO "state_changes" VALUES('sess_nxVISxQVZa','completed','2026-11-25 09:06:46.187803',1);
INSERT INTO "state_changes" VALUES('sess_o2bNHgLyzL','completed','2026-11-25 09:06:46.187803',1);
INSERT INTO "state_changes" VALUES('sess_undated','processing','2026-11-25 09:06:46.186234',1);
CREATE TABLE suspects (
	agent_id TEXT NOT NULL, 
	session_id TEXT NOT NULL, 
	suspected_at VARCHAR(26) NOT NULL, 
	CONSTRAINT pk_suspects PRIMARY KEY (agent_id, session_id), 
	CONSTRAINT fk_suspects_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id), 
	CONSTRAINT fk_suspects_session_id FOREIGN KEY(session_id) REFERENCES sessions (id)
);
CREATE TABLE sync_runs (
	id INTEGER NOT NULL, 
	agent_id TEXT NOT NULL, 
	mode TEXT NOT NULL, 
	status TEXT NOT NULL, 
	started_at VARCHAR(26) NOT NULL, 
	finished_at VARCHAR(26), 
	requests BIGINT DEFAULT '0' NOT NULL, 
	pages BIGINT DEFAULT '0' NOT NULL, 
	seen BIGINT DEFAULT '0' NOT NULL, 
	inserted BIGINT DEFAULT '0' NOT NULL, 
	updated BIGINT DEFAULT '0' NOT NULL, 
	unchanged BIGINT DEFAULT '0' NOT NULL, 
	rejected BIGINT DEFAULT '0' NOT NULL, 
	missing BIGINT DEFAULT '0' NOT NULL, 
	watermark_before VARCHAR(26), 
	watermark_after VARCHAR(26), 
	error TEXT, 
	CONSTRAINT pk_sync_runs PRIMARY KEY (id), 
	CONSTRAINT fk_sync_runs_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id)
);
INSERT INTO "sync_runs" VALUES(1,'OhWlmEAzQO9dzdn','backfill','succeeded','2026-11-25 09:06:46.177308','2026-11-25 09:06:46.213752',5,4,14,10,0,4,0,0,NULL,'2026-10-25 12:00:00.000000',NULL);
INSERT INTO "sync_runs" VALUES(2,'lVP1dwVMhyKx5xz','backfill','succeeded','2026-11-25 09:06:46.240978','2026-11-25 09:06:46.261160',5,4,14,9,0,4,1,0,NULL,'2026-10-25 00:59:59.999999',NULL);
INSERT INTO "sync_runs" VALUES(3,'lVP1dwVMhyKx5xz','incremental','succeeded','2026-11-25 09:06:46.287127','2026-11-25 09:06:46.321306',4,3,5,0,1,3,1,1,'2026-10-25 00:59:59.999999','2026-10-25 00:59:59.999999',NULL);
INSERT INTO "sync_runs" VALUES(4,'lVP1dwVMhyKx5xz','reconcile','succeeded','2026-11-25 09:06:46.346913','2026-11-25 09:06:46.367330',4,4,16,0,0,15,1,0,'2026-10-25 00:59:59.999999','2026-10-25 00:59:59.999999',NULL);
CREATE TABLE sync_state (
	agent_id TEXT NOT NULL, 
	watermark VARCHAR(26), 
	last_cursor TEXT, 
	last_success_at VARCHAR(26), 
	last_reconciled_at VARCHAR(26), 
	history_from VARCHAR(26), 
	demand_mode TEXT, 
	demand_since VARCHAR(26), 
	demand_until VARCHAR(26), 
	demand_started_at VARCHAR(26), 
	lease_holder TEXT, 
	lease_expires_at VARCHAR(26), 
	fence BIGINT DEFAULT '0' NOT NULL, 
	saves BIGINT DEFAULT '0' NOT NULL, next_run_at VARCHAR(26), scheduled_by TEXT, 
	CONSTRAINT pk_sync_state PRIMARY KEY (agent_id), 
	CONSTRAINT fk_sync_state_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id)
);
INSERT INTO "sync_state" VALUES('OhWlmEAzQO9dzdn','2026-10-25 12:00:00.000000','eyJzb3J0X3ZhbHVlIjogIjIwMjYtMTAtMTRUMTI6MTg6MDNaIiwgImludGVyYWN0aW9uX2lkIjogInNlc3NfT0xhckdUVXpiMSIsICJzb3J0X2J5IjogIm9sZGVzdCJ9','2026-11-25 09:06:46.213752',NULL,NULL,NULL,'0001-01-01 00:00:00.000000',NULL,NULL,NULL,NULL,3,4,NULL,NULL);
INSERT INTO "sync_state" VALUES('lVP1dwVMhyKx5xz','2026-10-25 00:59:59.999999','eyJzb3J0X3ZhbHVlIjogIjIwMjYtMTAtMjVUMDA6NTk6NTkuOTk5OTk5WiIsICJpbnRlcmFjdGlvbl9pZCI6ICJzZXNzX25pZ2h0IiwgInNvcnRfYnkiOiAib2xkZXN0In0=','2026-11-25 09:06:46.367330','2026-11-25 09:06:46.367330',NULL,NULL,'0001-01-01 00:00:00.000000',NULL,NULL,NULL,NULL,5,11,NULL,NULL);
CREATE TABLE transcripts (
	session_id TEXT NOT NULL, 
	as_of VARCHAR(26) NOT NULL, 
	retrieved_at VARCHAR(26), 
	messages BIGINT, 
	digest VARCHAR(64), 
	retry_at VARCHAR(26), 
	error TEXT, 
	CONSTRAINT pk_transcripts PRIMARY KEY (session_id), 
	CONSTRAINT fk_transcripts_session_id FOREIGN KEY(session_id) REFERENCES sessions (id)
)
 WITHOUT ROWID

;
INSERT INTO "transcripts" VALUES('sess_''ünï💥','2026-11-25 09:06:46.183228','2026-11-26 03:28:26.132501',0,'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',NULL,NULL);
INSERT INTO "transcripts" VALUES('sess_0pz7jxCvfs','2026-11-25 09:06:46.246868','2026-11-26 03:28:26.136815',1,'3dea2ed3b1310d66419ececa9fbba5cfc1546b52ff947cffdbe5b89b03780690',NULL,NULL);
INSERT INTO "transcripts" VALUES('sess_33jAuKSpgZ','2026-11-25 09:06:46.183228','2026-11-26 03:28:26.139535',2,'c2b0997fa85985c1fb6ec34fd9c2ea083a8e2b0cb457a0546274825444119884',NULL,NULL);
INSERT INTO "transcripts" VALUES('sess_5DUizPLPmu','2026-11-25 09:06:46.246868','2026-11-26 03:28:26.142653',3,'e6bcd82d126a775f47d57806b2d42fb71291068f607bac5443c669490e3f7452',NULL,NULL);
CREATE INDEX ix_sessions_agent_id_created_at ON sessions (agent_id, created_at);
CREATE INDEX ix_sessions_open ON sessions (agent_id) WHERE state IS NULL OR NOT state IN ('completed', 'failed');
CREATE INDEX ix_sync_runs_agent_id_started_at ON sync_runs (agent_id, started_at);
CREATE VIEW session_freshness AS
SELECT
    s.id AS session_id,
    CASE WHEN rejected.session_id IS NULL THEN c.proven_at END AS listed_at,
    CASE WHEN rejected.session_id IS NULL THEN max(coalesce(c.proven_at, ''), coalesce(r.retrieved_at, ''), s.as_of) END AS state_confirmed_at
FROM sessions s
LEFT JOIN coverage c
    ON c.agent_id = s.agent_id
    AND s.created_at < c.newest_created_at
    AND (c.oldest_created_at IS NULL OR s.created_at >= c.oldest_created_at)
LEFT JOIN retrievals r ON r.session_id = s.id
LEFT JOIN (
    SELECT DISTINCT agent_id, session_id FROM rejected_records
    WHERE resolved_at IS NULL AND session_id IS NOT NULL
) rejected ON rejected.agent_id = s.agent_id AND rejected.session_id = s.id;
CREATE VIEW session_days AS
SELECT s.id AS session_id, a.id AS agent_id, s.creator_id, s.name, s.type, s.state, s.created_at,
    c.day, c.week, c.month, c.weekday, CAST(strftime('%H', substr(s.created_at, 1, 19), c.offset_minutes || ' minutes') AS integer) AS hour,
    s.credit_cost, s.tool_credit_cost, s.flow_credit_cost,
    s.input_tokens, s.cached_input_tokens, s.cache_write_input_tokens,
    s.output_tokens, s.reasoning_tokens, s.missing_since

FROM agents a
CROSS JOIN calendar c
CROSS JOIN sessions s
WHERE c.time_zone = (SELECT time_zone FROM report_settings)
    AND c.day >= coalesce(date((SELECT min(created_at) FROM sessions WHERE agent_id = a.id), '-1 day'), '0000-01-01')
    AND c.day <= coalesce(date((SELECT max(created_at) FROM sessions WHERE agent_id = a.id), '+1 day'), '9999-12-31') AND s.agent_id = a.id AND s.created_at >= c.from_utc AND s.created_at < c.until_utc;
CREATE VIEW agent_days AS
SELECT agent_id, day, count(*) AS sessions,
    count(CASE WHEN state = 'completed' THEN 1 END) AS completed,
    count(CASE WHEN state = 'failed' THEN 1 END) AS failed,
    sum(credit_cost) AS credit_cost,
    sum(tool_credit_cost) AS tool_credit_cost,
    sum(flow_credit_cost) AS flow_credit_cost,
    sum(input_tokens >> 32) * 4294967296 + sum(input_tokens & 4294967295) AS input_tokens,
    sum(cached_input_tokens >> 32) * 4294967296 + sum(cached_input_tokens & 4294967295) AS cached_input_tokens,
    sum(cache_write_input_tokens >> 32) * 4294967296 + sum(cache_write_input_tokens & 4294967295) AS cache_write_input_tokens,
    sum(output_tokens >> 32) * 4294967296 + sum(output_tokens & 4294967295) AS output_tokens,
    sum(reasoning_tokens >> 32) * 4294967296 + sum(reasoning_tokens & 4294967295) AS reasoning_tokens
FROM session_days
GROUP BY agent_id, day;
CREATE VIEW agent_weeks AS
SELECT agent_id, week, count(*) AS sessions,
    count(CASE WHEN state = 'completed' THEN 1 END) AS completed,
    count(CASE WHEN state = 'failed' THEN 1 END) AS failed,
    CAST(count(CASE WHEN state = 'failed' THEN 1 END) AS double precision)
        / nullif(count(CASE WHEN state IN ('completed', 'failed') THEN 1 END), 0) AS failure_rate,
    sum(credit_cost) AS credit_cost,
    sum(CASE WHEN state = 'failed' THEN credit_cost END) AS failed_credit_cost
FROM session_days
GROUP BY agent_id, week;
CREATE VIEW hours_of_week AS
SELECT agent_id, week, weekday, hour, count(*) AS sessions,
    count(CASE WHEN state = 'completed' THEN 1 END) AS completed,
    count(CASE WHEN state = 'failed' THEN 1 END) AS failed,
    sum(credit_cost) AS credit_cost
FROM session_days
GROUP BY agent_id, week, weekday, hour;
CREATE VIEW creator_months AS
SELECT agent_id, creator_id, month, count(*) AS sessions,
    count(CASE WHEN state = 'completed' THEN 1 END) AS completed,
    count(CASE WHEN state = 'failed' THEN 1 END) AS failed,
    sum(credit_cost) AS credit_cost,
    sum(tool_credit_cost) AS tool_credit_cost,
    sum(flow_credit_cost) AS flow_credit_cost,
    sum(input_tokens >> 32) * 4294967296 + sum(input_tokens & 4294967295) AS input_tokens,
    sum(cached_input_tokens >> 32) * 4294967296 + sum(cached_input_tokens & 4294967295) AS cached_input_tokens,
    sum(cache_write_input_tokens >> 32) * 4294967296 + sum(cache_write_input_tokens & 4294967295) AS cache_write_input_tokens,
    sum(output_tokens >> 32) * 4294967296 + sum(output_tokens & 4294967295) AS output_tokens,
    sum(reasoning_tokens >> 32) * 4294967296 + sum(reasoning_tokens & 4294967295) AS reasoning_tokens
FROM session_days
GROUP BY agent_id, creator_id, month;
CREATE VIEW active_creators AS
SELECT agent_id, month, count(*) AS creators,
    count(CASE WHEN month = first_month THEN 1 END) AS new_creators,
    count(CASE WHEN month > first_month THEN 1 END) AS returning_creators
FROM (
    SELECT agent_id, month, min(month) OVER (PARTITION BY agent_id, creator_id) AS first_month
    FROM (
        SELECT DISTINCT agent_id, creator_id, month FROM session_days WHERE creator_id IS NOT NULL
    ) seen
) dated
GROUP BY agent_id, month;
CREATE VIEW type_states AS
SELECT agent_id, type, state, count(*) AS sessions,
    count(*) - count(CASE WHEN created_at >= (SELECT min(from_utc) FROM calendar WHERE time_zone = (SELECT time_zone FROM report_settings))
    AND created_at < (SELECT max(until_utc) FROM calendar WHERE time_zone = (SELECT time_zone FROM report_settings)) THEN 1 END) AS undated, count(missing_since) AS missing,
    sum(credit_cost) AS credit_cost,
    sum(tool_credit_cost) AS tool_credit_cost,
    sum(flow_credit_cost) AS flow_credit_cost,
    sum(input_tokens >> 32) * 4294967296 + sum(input_tokens & 4294967295) AS input_tokens,
    sum(cached_input_tokens >> 32) * 4294967296 + sum(cached_input_tokens & 4294967295) AS cached_input_tokens,
    sum(cache_write_input_tokens >> 32) * 4294967296 + sum(cache_write_input_tokens & 4294967295) AS cache_write_input_tokens,
    sum(output_tokens >> 32) * 4294967296 + sum(output_tokens & 4294967295) AS output_tokens,
    sum(reasoning_tokens >> 32) * 4294967296 + sum(reasoning_tokens & 4294967295) AS reasoning_tokens
FROM sessions
GROUP BY agent_id, type, state;
CREATE VIEW session_states AS
SELECT session_id, state, observed_at, run_id FROM state_changes
UNION ALL
SELECT id, state, first_seen_at, first_run_id FROM sessions WHERE first_run_id IS NOT NULL;
CREATE VIEW open_sessions AS
SELECT s.id AS session_id, s.agent_id, s.creator_id, s.name, s.type, s.state, s.created_at,
    (strftime('%s', substr(strftime('%Y-%m-%d %H:%M:%f000', 'now'), 1, 19)) - strftime('%s', substr(s.created_at, 1, 19)) + (substr(strftime('%Y-%m-%d %H:%M:%f000', 'now'), 21) - substr(s.created_at, 21)) / 1000000.0) AS age_seconds,
    coalesce((SELECT max(observed_at) FROM state_changes WHERE session_id = s.id), s.first_seen_at) AS state_observed_at,
    f.state_confirmed_at, s.credit_cost
FROM sessions s
JOIN session_freshness f ON f.session_id = s.id
WHERE (s.state IS NULL OR NOT s.state IN ('completed', 'failed')) AND s.missing_since IS NULL;
CREATE VIEW state_spans AS
SELECT session_id, agent_id, state, observed_from, observed_until, (strftime('%s', substr(observed_until, 1, 19)) - strftime('%s', substr(observed_from, 1, 19)) + (substr(observed_until, 21) - substr(observed_from, 21)) / 1000000.0) AS seconds, is_last
FROM (
    SELECT x.session_id, s.agent_id, x.state, x.observed_at AS observed_from,
        coalesce(x.next_at, f.state_confirmed_at) AS observed_until, x.next_at IS NULL AS is_last
    FROM (
        SELECT session_id, state, observed_at, (
            SELECT min(observed_at) FROM state_changes later
            WHERE later.session_id = here.session_id AND later.observed_at > here.observed_at
        ) AS next_at
        FROM state_changes here
    ) x
    JOIN sessions s ON s.id = x.session_id
    JOIN session_freshness f ON f.session_id = x.session_id
    UNION ALL
    SELECT s.id, s.agent_id, s.state, s.first_seen_at, f.state_confirmed_at, TRUE
    FROM sessions s
    JOIN session_freshness f ON f.session_id = s.id
    WHERE s.first_run_id IS NOT NULL
) spans;
CREATE VIRTUAL TABLE message_search USING fts5(
    text, content='', tokenize='unicode61 remove_diacritics 0'
);
INSERT INTO message_search (rowid, text) SELECT number, coalesce(search_text, content) FROM session_messages;
CREATE TRIGGER session_messages_insert AFTER INSERT ON session_messages BEGIN INSERT INTO message_search (rowid, text) VALUES (new.number, coalesce(new.search_text, new.content)); END;
CREATE TRIGGER session_messages_delete AFTER DELETE ON session_messages BEGIN INSERT INTO message_search (message_search, rowid, text) VALUES ('delete', old.number, coalesce(old.search_text, old.content)); END;
CREATE TRIGGER session_messages_update AFTER UPDATE ON session_messages BEGIN INSERT INTO message_search (message_search, rowid, text) VALUES ('delete', old.number, coalesce(old.search_text, old.content)); INSERT INTO message_search (rowid, text) VALUES (new.number, coalesce(new.search_text, new.content)); END;
COMMIT;
