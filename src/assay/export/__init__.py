"""The record in other tools' formats. Exports only: the record is the one source of truth."""
