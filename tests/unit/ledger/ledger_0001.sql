-- A ledger with facts in it, as the first version of its schema left it.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE approvals (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	statement_id TEXT NOT NULL, 
	period TEXT NOT NULL, 
	content_hash TEXT NOT NULL, 
	automatic BOOLEAN NOT NULL, 
	approved_by TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	CONSTRAINT uq_approvals_statement_id_content_hash_automatic_approved_by UNIQUE (statement_id, content_hash, automatic, approved_by)
);
CREATE TABLE chain (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	table_name TEXT NOT NULL, 
	row_id INTEGER NOT NULL, 
	row_hash TEXT NOT NULL, 
	prev_hash TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	CONSTRAINT uq_chain_table_name_row_id UNIQUE (table_name, row_id)
);
INSERT INTO "chain" VALUES(1,'holds',1,'716bcda624117ee863076349951e782c34c8fcf441141e8970db22da04c020d9','0000000000000000000000000000000000000000000000000000000000000000','7e8af284ba8647f1c54e29748d389db888550b709904cb3ba3f1026893f563de');
INSERT INTO "chain" VALUES(2,'payments',1,'f673246f96b3fc0d74febdba085f8191ad4588d3d5315b86fc0c18fbab99f2c8','7e8af284ba8647f1c54e29748d389db888550b709904cb3ba3f1026893f563de','1bffbaa9cc683aa48414d2a4a6cdafc02e3442586d96f7faa8865541bc0bdadb');
INSERT INTO "chain" VALUES(3,'intents',1,'09db1e5a87b661ffc713fefb889180118a3f3e99688fc9ec7a79ba39835cd0fd','1bffbaa9cc683aa48414d2a4a6cdafc02e3442586d96f7faa8865541bc0bdadb','de849fd3a262519b0bfcc156e5128b18ee0d1741ed43439ead66be42b3f7a53a');
INSERT INTO "chain" VALUES(4,'outcomes',1,'2f1259f23ccf0f39b6f578220f891810f9379a7bf599ad5232d2f674d69158ab','de849fd3a262519b0bfcc156e5128b18ee0d1741ed43439ead66be42b3f7a53a','ceb4f76a0d517418b6c7cbbed4e23a88da51c25abe9b6e87beaa37787e3013a0');
INSERT INTO "chain" VALUES(5,'poll_cursors',1,'4c635d83d6d714aeccee04d8eb68b469e28958a472c018bb0834003cb93b3afb','ceb4f76a0d517418b6c7cbbed4e23a88da51c25abe9b6e87beaa37787e3013a0','591960e00cc4edf3a20fee2276996d3689edf9dc987397584916da85e7032293');
INSERT INTO "chain" VALUES(6,'promises',1,'7ff98c0bf474101a1c0ee7988bc84d2ff70c653c08779c9e6acca77794efa037','591960e00cc4edf3a20fee2276996d3689edf9dc987397584916da85e7032293','e2ecd2a8a1f682e980141d3f6fa3761df5427c407316d0852bbbbcadd3d247cc');
CREATE TABLE close_decisions (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	period TEXT NOT NULL, 
	statement_id TEXT NOT NULL, 
	content_hash TEXT NOT NULL, 
	decision TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	total TEXT NOT NULL, 
	currency TEXT NOT NULL, 
	CONSTRAINT ck_close_decisions_decision CHECK (decision IN ('auto', 'needs_approval', 'blocked'))
);
CREATE TABLE deliveries (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	message_id TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	recipient TEXT NOT NULL, 
	subject TEXT, 
	status TEXT NOT NULL, 
	location TEXT, 
	answer TEXT
);
CREATE TABLE disputes (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	state TEXT NOT NULL, 
	"by" TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	CONSTRAINT ck_disputes_state CHECK (state IN ('open', 'resolved'))
);
CREATE TABLE documents (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	statement_number TEXT NOT NULL, 
	document_type TEXT NOT NULL, 
	xero_id TEXT, 
	status TEXT, 
	publish_state TEXT NOT NULL, 
	problem TEXT, 
	total TEXT, 
	amount_due TEXT, 
	amount_paid TEXT, 
	amount_credited TEXT, 
	currency TEXT, 
	date DATE, 
	due_date DATE, 
	online_url TEXT, 
	updated_at TEXT, 
	raw TEXT
);
CREATE TABLE exception_actions (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	exception_id TEXT NOT NULL, 
	action TEXT NOT NULL, 
	"by" TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	CONSTRAINT ck_exception_actions_action CHECK (action IN ('ack', 'resolve'))
);
CREATE TABLE holds (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	active BOOLEAN NOT NULL, 
	reason TEXT NOT NULL, 
	"by" TEXT NOT NULL, 
	CONSTRAINT ck_holds_scope CHECK (scope IN ('payer', 'statement'))
);
INSERT INTO "holds" VALUES(1,'2026-11-01T00:00:01.000000Z','anna','os-anna','host-1','payer','acme',1,'a reason','anna');
CREATE TABLE intents (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	intent_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	idempotency_key TEXT NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT uq_intents_intent_id UNIQUE (intent_id)
);
INSERT INTO "intents" VALUES(1,'2026-11-01T00:00:03.000000Z','anna','os-anna','host-1','e7281e39cb3a47d9827f7f810964b95e','xero.create','acme-0001','e7281e39cb3a47d9827f7f810964b95e','{"lines": [1, 2], "total": "12.30"}');
CREATE TABLE issued_lines (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	statement_number TEXT NOT NULL, 
	line_no INTEGER NOT NULL, 
	period TEXT NOT NULL, 
	statement_id TEXT NOT NULL, 
	statement_kind TEXT NOT NULL, 
	payer_id TEXT NOT NULL, 
	customer_id TEXT, 
	contract_id TEXT NOT NULL, 
	plan_id TEXT, 
	plan_version INTEGER, 
	book_version TEXT NOT NULL, 
	charge_code TEXT NOT NULL, 
	charge_model TEXT NOT NULL, 
	classification TEXT NOT NULL, 
	site_id TEXT, 
	region TEXT, 
	band TEXT, 
	description TEXT, 
	quantity TEXT NOT NULL, 
	unit TEXT NOT NULL, 
	unit_price TEXT NOT NULL, 
	amount TEXT NOT NULL, 
	currency TEXT NOT NULL, 
	tax_code TEXT NOT NULL, 
	tax_rate_percent TEXT NOT NULL, 
	tax_amount TEXT NOT NULL, 
	estimated_quantity TEXT, 
	line_key TEXT NOT NULL, 
	adjusts_period TEXT, 
	cause TEXT, 
	CONSTRAINT fk_issued_lines_statement_number FOREIGN KEY(statement_number) REFERENCES issued_statements (statement_number), 
	CONSTRAINT uq_issued_lines_line_key UNIQUE (line_key), 
	CONSTRAINT uq_issued_lines_statement_number_line_no UNIQUE (statement_number, line_no)
);
CREATE TABLE issued_statements (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	statement_id TEXT NOT NULL, 
	statement_number TEXT NOT NULL, 
	series TEXT NOT NULL, 
	series_no INTEGER NOT NULL, 
	period TEXT NOT NULL, 
	statement_kind TEXT NOT NULL, 
	payer_id TEXT NOT NULL, 
	seller_id TEXT NOT NULL, 
	currency TEXT NOT NULL, 
	net TEXT NOT NULL, 
	tax TEXT NOT NULL, 
	total TEXT NOT NULL, 
	content_hash TEXT NOT NULL, 
	book_version TEXT NOT NULL, 
	code_version TEXT NOT NULL, 
	issue_date DATE NOT NULL, 
	due_date DATE NOT NULL, 
	CONSTRAINT uq_issued_statements_series_series_no UNIQUE (series, series_no), 
	CONSTRAINT uq_issued_statements_statement_id UNIQUE (statement_id), 
	CONSTRAINT uq_issued_statements_statement_number UNIQUE (statement_number)
);
CREATE TABLE outcomes (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	intent_id TEXT NOT NULL, 
	status TEXT NOT NULL, 
	external_id TEXT, 
	answer TEXT, 
	message TEXT, 
	CONSTRAINT ck_outcomes_status CHECK (status IN ('ok', 'failed', 'unknown')), 
	CONSTRAINT fk_outcomes_intent_id FOREIGN KEY(intent_id) REFERENCES intents (intent_id)
);
INSERT INTO "outcomes" VALUES(1,'2026-11-01T00:00:04.000000Z','anna','os-anna','host-1','e7281e39cb3a47d9827f7f810964b95e','ok','x-1','{"ok": true}',NULL);
CREATE TABLE payments (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	payment_id TEXT NOT NULL, 
	statement_number TEXT NOT NULL, 
	amount TEXT NOT NULL, 
	currency TEXT NOT NULL, 
	paid_on DATE NOT NULL, 
	status TEXT NOT NULL, 
	reference TEXT, 
	raw TEXT
);
INSERT INTO "payments" VALUES(1,'2026-11-01T00:00:02.000000Z','anna','os-anna','host-1','pay-1','acme-0001','12.30','EUR','2026-11-03','AUTHORISED',NULL,'{"Amount": "12.30"}');
CREATE TABLE poll_cursors (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	name TEXT NOT NULL, 
	cursor_at TEXT NOT NULL
);
INSERT INTO "poll_cursors" VALUES(1,'2026-11-01T00:00:05.000000Z','anna','os-anna','host-1','xero/t','2026-11-01T02:00:00.000000Z');
CREATE TABLE promises (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	payer_id TEXT NOT NULL, 
	until_date DATE NOT NULL, 
	"by" TEXT NOT NULL, 
	reason TEXT NOT NULL
);
INSERT INTO "promises" VALUES(1,'2026-11-01T00:00:06.000000Z','anna','os-anna','host-1','acme','2026-12-01','anna','said so');
CREATE TABLE reminders (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	statement_number TEXT NOT NULL, 
	stage TEXT NOT NULL, 
	payer_id TEXT NOT NULL, 
	policy_id TEXT NOT NULL, 
	message_id TEXT, 
	CONSTRAINT uq_reminders_statement_number_stage UNIQUE (statement_number, stage)
);
CREATE TABLE series_advances (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	host TEXT NOT NULL, 
	series TEXT NOT NULL, 
	series_no INTEGER NOT NULL, 
	reason TEXT NOT NULL
);
CREATE INDEX ix_close_decisions_statement_id ON close_decisions (statement_id);
CREATE INDEX ix_issued_statements_period ON issued_statements (period);
CREATE INDEX ix_series_advances_series ON series_advances (series);
CREATE INDEX ix_intents_kind_subject ON intents (kind, subject);
CREATE INDEX ix_outcomes_intent_id ON outcomes (intent_id);
CREATE INDEX ix_documents_statement_number ON documents (statement_number);
CREATE INDEX ix_payments_payment_id ON payments (payment_id);
CREATE INDEX ix_payments_statement_number ON payments (statement_number);
CREATE INDEX ix_poll_cursors_name ON poll_cursors (name);
CREATE INDEX ix_deliveries_message_id ON deliveries (message_id);
CREATE INDEX ix_holds_scope_subject ON holds (scope, subject);
CREATE INDEX ix_promises_payer_id ON promises (payer_id);
CREATE INDEX ix_disputes_subject ON disputes (subject);
CREATE INDEX ix_exception_actions_exception_id ON exception_actions (exception_id);
CREATE VIEW current_documents AS SELECT f.* FROM documents f
    WHERE NOT EXISTS (SELECT 1 FROM documents n WHERE n.id > f.id AND n.statement_number = f.statement_number);
CREATE VIEW current_payments AS SELECT f.* FROM payments f
    WHERE NOT EXISTS (SELECT 1 FROM payments n WHERE n.id > f.id AND n.payment_id = f.payment_id);
CREATE VIEW active_holds AS SELECT f.* FROM holds f
    WHERE NOT EXISTS (SELECT 1 FROM holds n WHERE n.id > f.id AND n.scope = f.scope AND n.subject = f.subject) AND f.active;
CREATE VIEW current_promises AS SELECT f.* FROM promises f
    WHERE NOT EXISTS (SELECT 1 FROM promises n WHERE n.id > f.id AND n.payer_id = f.payer_id);
CREATE VIEW open_disputes AS SELECT f.* FROM disputes f
    WHERE NOT EXISTS (SELECT 1 FROM disputes n WHERE n.id > f.id AND n.subject = f.subject) AND f.state = 'open';
CREATE VIEW current_exception_actions AS SELECT f.* FROM exception_actions f
    WHERE NOT EXISTS (SELECT 1 FROM exception_actions n WHERE n.id > f.id AND n.exception_id = f.exception_id);
CREATE VIEW current_poll_cursors AS SELECT f.* FROM poll_cursors f
    WHERE NOT EXISTS (SELECT 1 FROM poll_cursors n WHERE n.id > f.id AND n.name = f.name);
CREATE VIEW open_intents AS SELECT i.* FROM intents i
    WHERE NOT EXISTS (
        SELECT 1 FROM outcomes o WHERE o.intent_id = i.intent_id AND o.status <> 'unknown'
    );
CREATE TRIGGER close_decisions_no_update BEFORE UPDATE ON close_decisions BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing close_decisions'); END;
CREATE TRIGGER close_decisions_no_delete BEFORE DELETE ON close_decisions BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing close_decisions'); END;
CREATE TRIGGER approvals_no_update BEFORE UPDATE ON approvals BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing approvals'); END;
CREATE TRIGGER approvals_no_delete BEFORE DELETE ON approvals BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing approvals'); END;
CREATE TRIGGER issued_statements_no_update BEFORE UPDATE ON issued_statements BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing issued_statements'); END;
CREATE TRIGGER issued_statements_no_delete BEFORE DELETE ON issued_statements BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing issued_statements'); END;
CREATE TRIGGER issued_lines_no_update BEFORE UPDATE ON issued_lines BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing issued_lines'); END;
CREATE TRIGGER issued_lines_no_delete BEFORE DELETE ON issued_lines BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing issued_lines'); END;
CREATE TRIGGER series_advances_no_update BEFORE UPDATE ON series_advances BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing series_advances'); END;
CREATE TRIGGER series_advances_no_delete BEFORE DELETE ON series_advances BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing series_advances'); END;
CREATE TRIGGER intents_no_update BEFORE UPDATE ON intents BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing intents'); END;
CREATE TRIGGER intents_no_delete BEFORE DELETE ON intents BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing intents'); END;
CREATE TRIGGER outcomes_no_update BEFORE UPDATE ON outcomes BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing outcomes'); END;
CREATE TRIGGER outcomes_no_delete BEFORE DELETE ON outcomes BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing outcomes'); END;
CREATE TRIGGER documents_no_update BEFORE UPDATE ON documents BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing documents'); END;
CREATE TRIGGER documents_no_delete BEFORE DELETE ON documents BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing documents'); END;
CREATE TRIGGER payments_no_update BEFORE UPDATE ON payments BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing payments'); END;
CREATE TRIGGER payments_no_delete BEFORE DELETE ON payments BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing payments'); END;
CREATE TRIGGER poll_cursors_no_update BEFORE UPDATE ON poll_cursors BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing poll_cursors'); END;
CREATE TRIGGER poll_cursors_no_delete BEFORE DELETE ON poll_cursors BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing poll_cursors'); END;
CREATE TRIGGER reminders_no_update BEFORE UPDATE ON reminders BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing reminders'); END;
CREATE TRIGGER reminders_no_delete BEFORE DELETE ON reminders BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing reminders'); END;
CREATE TRIGGER deliveries_no_update BEFORE UPDATE ON deliveries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing deliveries'); END;
CREATE TRIGGER deliveries_no_delete BEFORE DELETE ON deliveries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing deliveries'); END;
CREATE TRIGGER holds_no_update BEFORE UPDATE ON holds BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing holds'); END;
CREATE TRIGGER holds_no_delete BEFORE DELETE ON holds BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing holds'); END;
CREATE TRIGGER promises_no_update BEFORE UPDATE ON promises BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing promises'); END;
CREATE TRIGGER promises_no_delete BEFORE DELETE ON promises BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing promises'); END;
CREATE TRIGGER disputes_no_update BEFORE UPDATE ON disputes BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing disputes'); END;
CREATE TRIGGER disputes_no_delete BEFORE DELETE ON disputes BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing disputes'); END;
CREATE TRIGGER exception_actions_no_update BEFORE UPDATE ON exception_actions BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing exception_actions'); END;
CREATE TRIGGER exception_actions_no_delete BEFORE DELETE ON exception_actions BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing exception_actions'); END;
CREATE TRIGGER chain_no_update BEFORE UPDATE ON chain BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing chain'); END;
CREATE TRIGGER chain_no_delete BEFORE DELETE ON chain BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: write a new fact instead of changing chain'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('holds',1);
INSERT INTO "sqlite_sequence" VALUES('chain',6);
INSERT INTO "sqlite_sequence" VALUES('payments',1);
INSERT INTO "sqlite_sequence" VALUES('intents',1);
INSERT INTO "sqlite_sequence" VALUES('outcomes',1);
INSERT INTO "sqlite_sequence" VALUES('poll_cursors',1);
INSERT INTO "sqlite_sequence" VALUES('promises',1);
COMMIT;
