-- A revision stores what changed since the one before it, and some revisions also the whole stream. Programs that do not know these columns
-- go on writing the whole stream with every revision, which is read as before.

alter table revisions
    alter column document drop not null,
    add column delta json;

alter table revisions add constraint revisions_content_given check (document is not null or delta is not null) not valid;

-- The whole stream at a revision that stores a delta, in the format of stream documents: reading a later one begins here.
create table revision_copies (
    stream_id bigint not null,
    number    bigint not null,
    document  json   not null,
    constraint revision_copies_pkey primary key (stream_id, number),
    constraint revision_copies_of_revision foreign key (stream_id, number) references revisions (stream_id, number)
);

create index revisions_with_document on revisions (stream_id, number) where document is not null;
