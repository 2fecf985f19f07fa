-- Which updates a stream has, and what identifies its nodes. The defaults are what processes that do not know the columns do.

alter table streams
    add column edge_rule text not null default 'derived',
    add column identity  text not null default 'payload',
    add constraint streams_edge_rule_known check (edge_rule in ('derived', 'open', 'explicit')),
    add constraint streams_identity_known check (identity in ('payload', 'version'));

-- The releases that may update to a release, for streams with explicit edges.
create table predecessors (
    stream_id      bigint not null,
    release_id     bigint not null,
    predecessor_id bigint not null,
    origin         text   not null,
    constraint predecessors_pkey primary key (release_id, predecessor_id),
    constraint predecessors_release foreign key (stream_id, release_id) references releases (stream_id, id) on delete cascade,
    constraint predecessors_predecessor foreign key (stream_id, predecessor_id) references releases (stream_id, id) on delete cascade,
    constraint predecessors_differ check (release_id <> predecessor_id),
    constraint predecessors_origin_known check (origin in ('upstream', 'git', 'local'))
);

create index predecessors_by_predecessor on predecessors (stream_id, predecessor_id);
