-- History: every state that a stream was in, who made it, when and why; and upstream's documents, each stored once.

create table upstream_documents (
    hash    bytea primary key,
    content bytea not null,
    constraint upstream_documents_hash_is_of_content check (hash = sha256(content))
);

create table revisions (
    stream_id  bigint      not null references streams (id),
    number     bigint      not null,
    made_at    timestamptz not null,
    actor      text        not null,
    reason     text        not null,
    request_id text,
    -- The whole stream after the change, in the format of stream documents. As text, so that what was written is what is read.
    document   json        not null,
    constraint revisions_pkey primary key (stream_id, number),
    constraint revisions_number_counts check (number > 0),
    constraint revisions_actor_given check (btrim(actor) <> ''),
    constraint revisions_reason_given check (btrim(reason) <> '')
);

create table revision_sources (
    stream_id bigint not null,
    number    bigint not null,
    kind      text   not null,
    hash      bytea  not null references upstream_documents (hash),
    constraint revision_sources_pkey primary key (stream_id, number, kind),
    constraint revision_sources_of_revision foreign key (stream_id, number) references revisions (stream_id, number),
    constraint revision_sources_kind_grammar check (kind ~ '^[a-z0-9-]{1,32}$')
);
