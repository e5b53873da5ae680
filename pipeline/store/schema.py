"""The tables of the store's database, and how those of earlier versions become them."""

from __future__ import annotations

SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, record TEXT NOT NULL, made REAL NOT NULL);
CREATE TABLE IF NOT EXISTS lineage (step TEXT PRIMARY KEY, key TEXT NOT NULL, inputs TEXT NOT NULL, made REAL NOT NULL,
    key_before TEXT, inputs_before TEXT, made_before REAL);
CREATE TABLE IF NOT EXISTS memos (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS images (name TEXT PRIMARY KEY, digest TEXT NOT NULL, made REAL NOT NULL);
CREATE TABLE IF NOT EXISTS tags (name TEXT, tag TEXT, digest TEXT NOT NULL, moved REAL NOT NULL,
    PRIMARY KEY (name, tag));
CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, manifest TEXT NOT NULL, name TEXT NOT NULL,
    command TEXT NOT NULL, trigger TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, process TEXT NOT NULL,
    continues INTEGER, started REAL NOT NULL, ended REAL, outcome TEXT NOT NULL, steps INTEGER NOT NULL,
    hits INTEGER NOT NULL, made INTEGER NOT NULL, failed INTEGER NOT NULL, skipped INTEGER NOT NULL,
    size INTEGER NOT NULL, error TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS runs_open ON runs (id) WHERE ended IS NULL;
CREATE TABLE IF NOT EXISTS run_steps (run INTEGER NOT NULL, step TEXT NOT NULL, started REAL NOT NULL, ended REAL,
    outcome TEXT NOT NULL, key TEXT NOT NULL, inputs TEXT NOT NULL, output TEXT NOT NULL, title TEXT NOT NULL,
    size INTEGER NOT NULL, why TEXT NOT NULL, error TEXT NOT NULL, PRIMARY KEY (run, step));
CREATE TABLE IF NOT EXISTS run_attempts (run INTEGER NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    ended REAL NOT NULL, wait REAL NOT NULL, error TEXT NOT NULL, PRIMARY KEY (run, step, attempt));
DROP TABLE IF EXISTS journal;
"""
FROM_1 = """
INSERT OR IGNORE INTO lineage SELECT step, '', '{}', 0, NULL, NULL, NULL FROM steps;
DROP TABLE steps;
"""
"""Version 1 kept the last inputs alone, and by other names: all that is left of them is that there were some. Up to
version 2 there was a table `journal` that nothing used."""
SEALED = {"keys": "record", "memos": "value", "images": "digest", "tags": "digest", "files": "digest"}
"""Columns that were plain texts up to version 3: all of JSON, but for the last one."""
VERSION = 4
