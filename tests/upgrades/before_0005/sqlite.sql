BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0004');
CREATE TABLE attempts (
	"key" TEXT NOT NULL, 
	failures INTEGER NOT NULL, 
	streak INTEGER NOT NULL, 
	until INTEGER NOT NULL, 
	blocked_until INTEGER NOT NULL, 
	forget_at INTEGER NOT NULL, 
	PRIMARY KEY ("key")
)
 WITHOUT ROWID

;
INSERT INTO "attempts" VALUES('account:0d49dce407c95b2bc2f04000694882a5',1,1,1777896300000,1777896000000,1777982400000);
INSERT INTO "attempts" VALUES('address:192.0.2.7',1,1,1777896300000,1777896000000,1777982400000);
INSERT INTO "attempts" VALUES('everybody',1,1,1777896300000,1777896000000,1777982400000);
CREATE TABLE changes (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	changed TEXT NOT NULL
);
INSERT INTO "changes" VALUES(1,'key_06ev5n0a00mkdpbdcu3hot2qibup644j1260');
INSERT INTO "changes" VALUES(2,'usr_06ev5n0a02r7fqbu8c61r954ib7q0pcc4d9g');
INSERT INTO "changes" VALUES(3,'usr_06ev5n0a02r7fqbu8c61r954ib7q0pcc4d9g');
INSERT INTO "changes" VALUES(4,'usr_06ev5n0a0181l7jgccp6sijua00mgk4ongjg');
INSERT INTO "changes" VALUES(5,'usr_06ev5n0a012cprp1nvspgk8nuq5i8mgbt2n0');
INSERT INTO "changes" VALUES(6,'usr_06ev5n0a012cprp1nvspgk8nuq5i8mgbt2n0');
INSERT INTO "changes" VALUES(7,'usr_06ev5n0a00nt6fi5lb1bobp56f4e5gedu6r0');
INSERT INTO "changes" VALUES(8,'usr_06ev5n0a027f1jgmttrkbpa025um0jhd5evg');
INSERT INTO "changes" VALUES(9,'usr_06ev5n0a025gnc820mtprjjgf89htldeputg');
INSERT INTO "changes" VALUES(10,'usr_06ev5n0a00nt6fi5lb1bobp56f4e5gedu6r0');
INSERT INTO "changes" VALUES(11,'ses_06ev5n0a03lfq1ju0b9jeb9h4dadrlhr71og');
CREATE TABLE events (
	id TEXT NOT NULL, 
	at INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	actor TEXT, 
	target TEXT, 
	address TEXT NOT NULL, 
	user_agent TEXT NOT NULL, 
	request_id TEXT NOT NULL, 
	detail JSON NOT NULL, 
	PRIMARY KEY (id)
)
 WITHOUT ROWID

;
INSERT INTO "events" VALUES('evt_06ev5n0a001db3725quj0f4004pbs64v6arg',1777896000000,'user.created','command','usr_06ev5n0a012cprp1nvspgk8nuq5i8mgbt2n0','','gatelodge command','','{"roles": "user admin"}');
INSERT INTO "events" VALUES('evt_06ev5n0a006t047dlpnmj4g2luuldbnklhdg',1777896000000,'session.opened','usr_06ev5n0a00nt6fi5lb1bobp56f4e5gedu6r0','ses_06ev5n0a03usn9u27dm41sn8cj77gcnk1nbg','192.0.2.7','Browser/1.0','','{"factor": "password"}');
INSERT INTO "events" VALUES('evt_06ev5n0a00c0kg9e746t8rf9kjnsb6kbd39g',1777896000000,'user.created','command','usr_06ev5n0a0181l7jgccp6sijua00mgk4ongjg','','gatelodge command','','{"roles": "user"}');
INSERT INTO "events" VALUES('evt_06ev5n0a00ls5cv1vnqeet2drnkfj96bd5dg',1777896000000,'session.opened','usr_06ev5n0a0181l7jgccp6sijua00mgk4ongjg','ses_06ev5n0a036971vav29e3nhg6mg73d8m0fog','192.0.2.7','Browser/1.0','','{"factor": "password"}');
INSERT INTO "events" VALUES('evt_06ev5n0a00ukdb2lhng4ftpjhgiaeh936smg',1777896000000,'session.opened','usr_06ev5n0a02r7fqbu8c61r954ib7q0pcc4d9g','ses_06ev5n0a031jl43avkeu08dn5nuruknl4p6g','192.0.2.7','Browser/1.0','','{"factor": "password"}');
INSERT INTO "events" VALUES('evt_06ev5n0a01c8hsis9m7k58v0vicrjlbccd9g',1777896000000,'session.opened','usr_06ev5n0a012cprp1nvspgk8nuq5i8mgbt2n0','ses_06ev5n0a03ptrhj5nrrr17ikjml32uquobpg','192.0.2.7','Browser/1.0','','{"factor": "password"}');
INSERT INTO "events" VALUES('evt_06ev5n0a01dme3gi0inld4r4j86mb75nvun0',1777896000000,'session.opened','usr_06ev5n0a02r7fqbu8c61r954ib7q0pcc4d9g','ses_06ev5n0a03lfq1ju0b9jeb9h4dadrlhr71og','192.0.2.7','Browser/1.0','','{"factor": "password"}');
INSERT INTO "events" VALUES('evt_06ev5n0a02ac3tbd20g8hsen1k56tuvlcc5g',1777896000000,'session.opened','usr_06ev5n0a027f1jgmttrkbpa025um0jhd5evg','ses_06ev5n0a03tddu6235863qfon36ut98p74ng','192.0.2.7','Browser/1.0','','{"factor": "password"}');
INSERT INTO "events" VALUES('evt_06ev5n0a02c74h3ss6l380oaiqvlaubd0590',1777896000000,'signing_key.added','server','key_06ev5n0a00mkdpbdcu3hot2qibup644j1260','','gatelodge server','','{"signs_from": "2026-05-04T12:00:00+00:00"}');
INSERT INTO "events" VALUES('evt_06ev5n0a02dkedvjcj9h2857l5iunehppseg',1777896000000,'user.created','command','usr_06ev5n0a02r7fqbu8c61r954ib7q0pcc4d9g','','gatelodge command','','{"roles": "user moderator"}');
INSERT INTO "events" VALUES('evt_06ev5n0a03dgsuqpr25brld04rm1ve3iutt0',1777896000000,'user.created','command','usr_06ev5n0a00nt6fi5lb1bobp56f4e5gedu6r0','','gatelodge command','','{"roles": "user"}');
INSERT INTO "events" VALUES('evt_06ev5n0a03fchflgr42ut48ftvaoqervv5pg',1777896000000,'user.created','command','usr_06ev5n0a027f1jgmttrkbpa025um0jhd5evg','','gatelodge command','','{"roles": "user"}');
INSERT INTO "events" VALUES('evt_06ev5n0a03rjtkrl7b3eg7h56h8nkjokq6kg',1777896000000,'session.opened','usr_06ev5n0a025gnc820mtprjjgf89htldeputg','ses_06ev5n0a00kl3ha64gklr6a78ovna10c2lug','192.0.2.7','Browser/1.0','','{"factor": "password"}');
INSERT INTO "events" VALUES('evt_06ev5n7kc0fbsvhevskm4gcugcnb6r2bsjr0',1777896060000,'session.ended','usr_06ev5n0a02r7fqbu8c61r954ib7q0pcc4d9g','ses_06ev5n0a03lfq1ju0b9jeb9h4dadrlhr71og','192.0.2.7','Browser/1.0','','{}');
INSERT INTO "events" VALUES('evt_06ev5n7kc1r55de452p4a2hjr3168ik7pj7g',1777896060000,'user.disabled','command','usr_06ev5n0a00nt6fi5lb1bobp56f4e5gedu6r0','','gatelodge command','','{}');
CREATE TABLE one_time_tokens (
	"key" TEXT NOT NULL, 
	purpose TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	expires_at INTEGER NOT NULL, 
	PRIMARY KEY ("key")
)
 WITHOUT ROWID

;
INSERT INTO "one_time_tokens" VALUES('setup:','setup','',X'CE53CFF85CD92A78A64084355F142C1C3ADCC032B54388013918D7CF52CC4182',1777897800000);
CREATE TABLE roles (
	name TEXT NOT NULL, 
	description TEXT NOT NULL, 
	permissions JSON NOT NULL, 
	PRIMARY KEY (name)
)
 WITHOUT ROWID

;
INSERT INTO "roles" VALUES('admin','Administers users, roles and sessions.','["account:manage", "boards:administer", "users:manage", "roles:manage", "events:read"]');
INSERT INTO "roles" VALUES('moderator','Keeps the moderator board.','["account:manage", "boards:moderate"]');
INSERT INTO "roles" VALUES('user','Everybody who signs up.','["account:manage"]');
CREATE TABLE sessions (
	id TEXT NOT NULL, 
	user_id TEXT NOT NULL, 
	epoch INTEGER NOT NULL, 
	created_at INTEGER NOT NULL, 
	last_used_at INTEGER NOT NULL, 
	expires_at INTEGER NOT NULL, 
	salt BLOB NOT NULL, 
	generation INTEGER NOT NULL, 
	rotated_at INTEGER, 
	delivery TEXT NOT NULL, 
	user_agent TEXT NOT NULL, 
	address TEXT NOT NULL, 
	factors JSON NOT NULL, 
	revoked_at INTEGER, 
	revoked_why TEXT, 
	PRIMARY KEY (id)
)
 WITHOUT ROWID

;
INSERT INTO "sessions" VALUES('ses_06ev5n0a00kl3ha64gklr6a78ovna10c2lug','usr_06ev5n0a025gnc820mtprjjgf89htldeputg',0,1777896000000,1777896000000,1780488000000,X'03E4CD687FF68DC02626FB872480DE34ACEDD97B73963BFA195F5A4A3E9A7D30',0,NULL,'bearer','Browser/1.0','192.0.2.7','["password"]',NULL,NULL);
INSERT INTO "sessions" VALUES('ses_06ev5n0a031jl43avkeu08dn5nuruknl4p6g','usr_06ev5n0a02r7fqbu8c61r954ib7q0pcc4d9g',0,1777896000000,1777896060000,1780488000000,X'A354C678CF6E02C1AAFC4FBE4E65E57E856921B97944DFCDEC8A56D57FFC758B',1,1777896060000,'bearer','Browser/1.0','192.0.2.7','["password"]',NULL,NULL);
INSERT INTO "sessions" VALUES('ses_06ev5n0a036971vav29e3nhg6mg73d8m0fog','usr_06ev5n0a0181l7jgccp6sijua00mgk4ongjg',0,1777896000000,1777896000000,1780488000000,X'5A190964949198080943208A32A3BF1CD9C839CE678CA73A73CEB12A9E2D821B',0,NULL,'cookie','Browser/1.0','192.0.2.7','["password"]',NULL,NULL);
INSERT INTO "sessions" VALUES('ses_06ev5n0a03lfq1ju0b9jeb9h4dadrlhr71og','usr_06ev5n0a02r7fqbu8c61r954ib7q0pcc4d9g',0,1777896000000,1777896000000,1780488000000,X'74032F5A7DC2695FFA9959D799ECBFCD4C5CA07940F978D7F1503BC922D7F264',0,NULL,'bearer','Browser/1.0','192.0.2.7','["password"]',1777896060000,'signed_out');
INSERT INTO "sessions" VALUES('ses_06ev5n0a03ptrhj5nrrr17ikjml32uquobpg','usr_06ev5n0a012cprp1nvspgk8nuq5i8mgbt2n0',0,1777896000000,1777896000000,1780488000000,X'EF691E911AE3AA36AB474CE2254F71E73981B7F3B4BCF6411D400DA1B4BA30A2',0,NULL,'bearer','Browser/1.0','192.0.2.7','["password"]',NULL,NULL);
INSERT INTO "sessions" VALUES('ses_06ev5n0a03tddu6235863qfon36ut98p74ng','usr_06ev5n0a027f1jgmttrkbpa025um0jhd5evg',0,1777896000000,1777896000000,1780488000000,X'7E89AC05705F42A7AEF19E5B2A9CF20068F8A1CF3DCB62BEB4B296C547F99819',0,NULL,'bearer','Browser/1.0','192.0.2.7','["password"]',NULL,NULL);
INSERT INTO "sessions" VALUES('ses_06ev5n0a03usn9u27dm41sn8cj77gcnk1nbg','usr_06ev5n0a00nt6fi5lb1bobp56f4e5gedu6r0',0,1777896000000,1777896000000,1780488000000,X'7D6DBBCA43DE515244053594642DBAD657CE408AAF1D3A7E12C827577397A32A',0,NULL,'bearer','Browser/1.0','192.0.2.7','["password"]',NULL,NULL);
CREATE TABLE signing_keys (
	number INTEGER NOT NULL, 
	kid TEXT NOT NULL, 
	algorithm TEXT NOT NULL, 
	public_key BLOB NOT NULL, 
	sealed_private_key BLOB NOT NULL, 
	created_at INTEGER NOT NULL, 
	not_before INTEGER NOT NULL, 
	retires_at INTEGER, 
	gone_at INTEGER, 
	PRIMARY KEY (number), 
	UNIQUE (kid)
);
INSERT INTO "signing_keys" VALUES(1,'key_06ev5n0a00mkdpbdcu3hot2qibup644j1260','EdDSA',X'A846A315EA10881FBA26D2DA4AA8328FC6FD6D331868EFEC3609421CE743A0CD',X'01B0E63269E9E67105965DDCC84B24515A267C3BEFD92490DD9DDB3D8AE4378F30F94D7BF400A21207413C9B2CE6BC17559F747231DB92E2E5E249B1A1',1777896000000,1777896000000,NULL,NULL);
CREATE TABLE user_roles (
	number INTEGER NOT NULL, 
	user_id TEXT NOT NULL, 
	role TEXT NOT NULL, 
	PRIMARY KEY (number), 
	CONSTRAINT uq_user_roles_user_id_role UNIQUE (user_id, role), 
	FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
INSERT INTO "user_roles" VALUES(1,'usr_06ev5n0a02r7fqbu8c61r954ib7q0pcc4d9g','user');
INSERT INTO "user_roles" VALUES(2,'usr_06ev5n0a02r7fqbu8c61r954ib7q0pcc4d9g','moderator');
INSERT INTO "user_roles" VALUES(3,'usr_06ev5n0a0181l7jgccp6sijua00mgk4ongjg','user');
INSERT INTO "user_roles" VALUES(4,'usr_06ev5n0a012cprp1nvspgk8nuq5i8mgbt2n0','user');
INSERT INTO "user_roles" VALUES(5,'usr_06ev5n0a012cprp1nvspgk8nuq5i8mgbt2n0','admin');
INSERT INTO "user_roles" VALUES(6,'usr_06ev5n0a00nt6fi5lb1bobp56f4e5gedu6r0','user');
INSERT INTO "user_roles" VALUES(7,'usr_06ev5n0a027f1jgmttrkbpa025um0jhd5evg','user');
INSERT INTO "user_roles" VALUES(8,'usr_06ev5n0a025gnc820mtprjjgf89htldeputg','user');
CREATE TABLE users (
	id TEXT NOT NULL, 
	username TEXT NOT NULL, 
	username_key TEXT NOT NULL, 
	email TEXT NOT NULL, 
	email_key TEXT NOT NULL, 
	password_hash TEXT, 
	epoch INTEGER NOT NULL, 
	created_at INTEGER NOT NULL, 
	verified_at INTEGER, 
	disabled_at INTEGER, 
	last_sign_in_at INTEGER, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_users_username_key UNIQUE (username_key), 
	CONSTRAINT uq_users_email_key UNIQUE (email_key)
)
 WITHOUT ROWID

;
INSERT INTO "users" VALUES('usr_06ev5n0a00nt6fi5lb1bobp56f4e5gedu6r0','dave','dave','dave@example.com','dave@example.com','$argon2id$v=19$m=19456,t=2,p=1$T3hZJW5xUjUb+08DY3pH7w$VO9i8prAznc2pbZfGus5Pg1diiwOEvcwSPCsCGFSE2E',1,1777896000000,NULL,1777896060000,1777896000000);
INSERT INTO "users" VALUES('usr_06ev5n0a012cprp1nvspgk8nuq5i8mgbt2n0','carol','carol','carol@example.com','carol@example.com','$argon2id$v=19$m=19456,t=2,p=1$Q8ej6kaigyMw/lx6Nw+cxw$62WguqKWt1u+l9BmDiPtiAKsPhKcjrY5XCgg6f22DOU',0,1777896000000,NULL,NULL,1777896000000);
INSERT INTO "users" VALUES('usr_06ev5n0a0181l7jgccp6sijua00mgk4ongjg','bob','bob','bob@example.com','bob@example.com','$argon2id$v=19$m=19456,t=2,p=1$mCxSMXrktLpNhCnk4SLchA$dK9v+KvhMWHtJNtO7i5Xyav+eZkvP9wkvsf6oYj4n1g',0,1777896000000,NULL,NULL,1777896000000);
INSERT INTO "users" VALUES('usr_06ev5n0a025gnc820mtprjjgf89htldeputg','erin','erin','erin@example.com','erin@example.com','$argon2id$v=19$m=19456,t=2,p=1$wJsf2zyLB5HbwWF/d0WEkQ$KMJBUaB8yOOXiIwfsjVjRHKGbNjDt2eCp9ZS+tJgH28',0,1777896000000,1777895940000,NULL,1777896000000);
INSERT INTO "users" VALUES('usr_06ev5n0a027f1jgmttrkbpa025um0jhd5evg','frank','frank','frank@example.com','frank@example.com','$argon2id$v=19$m=19456,t=2,p=1$XLMu52ZAVzCkP9RS6JehnQ$WNfzFO+ITsQNddQGAk+e6EUWbFgXus9af8oBenxc/TQ',0,1777896000000,NULL,NULL,1777896000000);
INSERT INTO "users" VALUES('usr_06ev5n0a02r7fqbu8c61r954ib7q0pcc4d9g','ann','ann','ann@example.com','ann@example.com','$argon2id$v=19$m=19456,t=2,p=1$Z8gd10PuNa5kqXcWfpobeg$JJ7qAVEtSEg1/ZbUmf1ycqBqg1MkoNJvXXDySoe7f8g',0,1777896000000,NULL,NULL,1777896000000);
CREATE INDEX ix_user_roles_role ON user_roles (role);
CREATE INDEX ix_sessions_user_id ON sessions (user_id);
CREATE INDEX ix_sessions_expires_at ON sessions (expires_at);
CREATE INDEX ix_sessions_revoked_at ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE TRIGGER changes_user_changed AFTER UPDATE OF username, epoch, disabled_at ON users FOR EACH ROW WHEN NEW.username IS NOT OLD.username OR NEW.epoch IS NOT OLD.epoch OR NEW.disabled_at IS NOT OLD.disabled_at BEGIN INSERT INTO changes (changed) VALUES (NEW.id); END;
CREATE TRIGGER changes_user_removed AFTER DELETE ON users FOR EACH ROW  BEGIN INSERT INTO changes (changed) VALUES (OLD.id); END;
CREATE TRIGGER changes_role_granted AFTER INSERT ON user_roles FOR EACH ROW  BEGIN INSERT INTO changes (changed) VALUES (NEW.user_id); END;
CREATE TRIGGER changes_role_withdrawn AFTER DELETE ON user_roles FOR EACH ROW  BEGIN INSERT INTO changes (changed) VALUES (OLD.user_id); END;
CREATE TRIGGER changes_session_changed AFTER UPDATE OF epoch, revoked_at ON sessions FOR EACH ROW WHEN NEW.epoch IS NOT OLD.epoch OR NEW.revoked_at IS NOT OLD.revoked_at BEGIN INSERT INTO changes (changed) VALUES (NEW.id); END;
CREATE TRIGGER changes_key_added AFTER INSERT ON signing_keys FOR EACH ROW  BEGIN INSERT INTO changes (changed) VALUES (NEW.kid); END;
CREATE TRIGGER changes_key_changed AFTER UPDATE ON signing_keys FOR EACH ROW  BEGIN INSERT INTO changes (changed) VALUES (NEW.kid); END;
CREATE INDEX ix_attempts_forget_at ON attempts (forget_at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('changes',11);
COMMIT;
