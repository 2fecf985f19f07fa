-- The stream on which the images of a stream are built, how much newer than they it may be (in minutes), and which barriers and dead ends are
-- inherited from it. Checked at commit, because a backup may restore a stream before its base.
alter table streams
    add column base_id bigint,
    add column base_lag bigint,
    add column base_policies jsonb,
    add constraint streams_base_fkey foreign key (base_id) references streams (id) deferrable initially deferred,
    add constraint streams_base_is_another check (base_id <> id),
    add constraint streams_base_lag_is_no_less_than_zero check (base_lag >= 0);
create index streams_base on streams (base_id) where base_id is not null;

-- The release of the base on which the image of each arch is built; null if the stream has no base.
alter table releases add column built_on jsonb;
