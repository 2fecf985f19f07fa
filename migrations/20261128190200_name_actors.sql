-- An actor is an id and a name: names repeat, ids do not. Absent where a program made the row that knew no names.

alter table audit add column actor_name text;
alter table revisions add column actor_name text;
