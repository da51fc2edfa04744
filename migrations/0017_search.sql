-- Titles that are spelled alike are found by their groups of three letters. A trusted extension of PostgreSQL's own
-- distribution: the owner of the database may make it.
create extension if not exists pg_trgm;
