"""The tables of the server's own database."""

from __future__ import annotations

VERSION = 1
TABLES = """
CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, manifest TEXT NOT NULL, action TEXT NOT NULL,
    cause TEXT NOT NULL, reason TEXT NOT NULL, url TEXT NOT NULL, who TEXT NOT NULL, state TEXT NOT NULL,
    "commit" TEXT NOT NULL, asked TEXT NOT NULL, created REAL NOT NULL, started REAL NOT NULL, ended REAL NOT NULL,
    attempt INTEGER NOT NULL, exit_code INTEGER, told TEXT NOT NULL, replaced_by INTEGER, approved_by TEXT NOT NULL,
    due REAL NOT NULL);
CREATE INDEX IF NOT EXISTS jobs_state ON jobs (state, id);
CREATE INDEX IF NOT EXISTS jobs_of ON jobs (manifest, id);
CREATE INDEX IF NOT EXISTS jobs_ended ON jobs (manifest, id, state, action, started)
    WHERE state IN ('done', 'failed', 'cancelled');
CREATE TABLE IF NOT EXISTS repositories (name TEXT PRIMARY KEY, state TEXT NOT NULL, seen TEXT NOT NULL,
    applied TEXT NOT NULL, detail TEXT NOT NULL, checked REAL NOT NULL, changed REAL NOT NULL, accepted TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS manifests (id TEXT PRIMARY KEY, name TEXT NOT NULL, blob TEXT NOT NULL, uses TEXT NOT NULL,
    schedule TEXT NOT NULL, error TEXT NOT NULL, "commit" TEXT NOT NULL, gone INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS clocks (name TEXT PRIMARY KEY, said TEXT NOT NULL, fired REAL NOT NULL, due REAL NOT NULL);
CREATE TABLE IF NOT EXISTS live (manifest TEXT NOT NULL, target TEXT NOT NULL, seen REAL NOT NULL, facts TEXT NOT NULL,
    PRIMARY KEY (manifest, target));
CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL,
    body TEXT NOT NULL, created REAL NOT NULL, due REAL NOT NULL, tries INTEGER NOT NULL, error TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS notes_due ON notes (due);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, who TEXT NOT NULL,
    what TEXT NOT NULL);
"""


__all__ = ["TABLES", "VERSION"]
